"""The protocol of a vector index, and what all that have a matrix share."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seehear.stores import sorted_ids
from seehear.stores.vectors.vector_file import VectorFile
from seehear.types import Ids, Vectors

Similarities = NDArray[np.float32]
"""float32 (q, k), raw inner products, best first; -inf where there are fewer than k."""

WARMUP_QUERIES = 16
"""Searches after which an index prepares itself for many more: it takes as long as some fifty of
them, and a single query should not wait for it."""


class VectorIndex(Protocol):
    """Nearest neighbours by inner product among vectors that carry ids.

    An index never changes, so that searches may run in several threads and each sees one state.
    """

    @property
    def dim(self) -> int: ...

    @property
    def ids(self) -> Ids:
        """Ids of all vectors, growing: int64 (n,)."""
        ...

    def __len__(self) -> int: ...

    def describe(self) -> str:
        """What kind it is, for a person; one that is not exact says its measured recall."""
        ...

    def updated(self, removed: Ids, ids: Ids, vectors: Vectors) -> VectorIndex:
        """Another index, without some ids and with others; most is shared with this one.

        vectors: float32 or float16 (n, dim). An id that is there already is replaced; removed ones
        that are not there are passed over. Raises ValueError for an id that is given twice.
        """
        ...

    def search(
        self, queries: Vectors, k: int, allowed: Ids | None = None
    ) -> tuple[Similarities, NDArray[np.int64]]:
        """The k nearest of each query, among `allowed` only where that is given.

        queries: float32 (q, dim). Returns similarities float32 (q, k), best first, and ids int64
        (q, k); where fewer than k are there, rows end in -inf and -1. Equal similarities stand in
        the order of their ids.
        """
        ...

    def vectors(self, ids: Ids) -> Vectors:
        """The vectors of some ids, float32 (n, dim), in order. Raises KeyError for unknown ones."""
        ...


class MatrixBacked:
    """What an index says of the matrix that it searches."""

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

    def vectors(self, ids: Ids) -> Vectors:
        ids = np.asarray(ids, dtype=np.int64)
        positions = sorted_ids.positions_in(self.ids, ids)
        if (positions < 0).any():
            raise KeyError(int(ids[positions < 0][0]))
        return self.matrix.rows(positions)
