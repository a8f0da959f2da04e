"""Define the protocol of a vector index, and a base class for those with a vector file."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seehear.stores import sorted_ids
from seehear.stores.vectors.vector_file import VectorFile
from seehear.types import Ids, Vectors

Similarities = NDArray[np.float32]
"""float32 (q, k), raw inner products, best first; -inf for missing ones."""

WARMUP_QUERIES = 16
"""Searches after which an index prepares itself for many more. The preparation takes as long as
about fifty searches, and a single query should not wait for it."""


class VectorIndex(Protocol):
    """Nearest neighbours by inner product among vectors with ids.

    An index never changes, so several threads can search it and each sees one state.
    """

    @property
    def dim(self) -> int: ...

    @property
    def ids(self) -> Ids:
        """Ids of all vectors, ascending: int64 (n,)."""
        ...

    def __len__(self) -> int: ...

    def describe(self) -> str:
        """Describe the index for a person; an approximate one states its measured recall."""
        ...

    def warm_up(self) -> None:
        """Prepare for many searches now, as `WARMUP_QUERIES` searches would."""
        ...

    def updated(self, removed: Ids, ids: Ids, vectors: Vectors) -> VectorIndex:
        """Return a new index, without some ids and with others; it shares most data with this one.

        vectors: float32 or float16 (n, dim). An existing id is replaced; unknown removed ids are
        ignored. Raises ValueError for an id that is given twice.
        """
        ...

    def search(
        self, queries: Vectors, k: int, allowed: Ids | None = None
    ) -> tuple[Similarities, NDArray[np.int64]]:
        """Find the k nearest vectors of each query, only among `allowed` ids if given.

        queries: float32 (q, dim). Returns similarities float32 (q, k), best first, and ids int64
        (q, k); rows with fewer than k results end in -inf and -1. Equal similarities are in the
        order of their ids.
        """
        ...

    def vectors(self, ids: Ids) -> Vectors:
        """Return the vectors of some ids, float32 (n, dim), in order.

        Raises KeyError for unknown ids.
        """
        ...


class MatrixBacked:
    """Answer what every index answers from its vector file."""

    def __init__(self, matrix: VectorFile) -> None:
        self.matrix = matrix

    @property
    def dim(self) -> int:
        return self.matrix.dim

    @property
    def ids(self) -> Ids:
        return self.matrix.ids

    def __len__(self) -> int:
        return len(self.matrix)

    def warm_up(self) -> None:
        """Do nothing: most indexes are ready at once."""

    def vectors(self, ids: Ids) -> Vectors:
        ids = np.asarray(ids, dtype=np.int64)
        positions = sorted_ids.positions_in(self.ids, ids)
        if (positions < 0).any():
            raise KeyError(int(ids[positions < 0][0]))
        return self.matrix.rows(positions)
