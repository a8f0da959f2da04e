"""The protocol of a vector index."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seehear.types import Ids, Vectors

Similarities = NDArray[np.float32]
"""float32 (q, k), raw inner products, best first; -inf where there are fewer than k."""


class VectorIndex(Protocol):
    """Nearest neighbours by inner product among vectors that carry ids.

    Searches may run in several threads, also while another thread adds or removes; each search
    sees one state as a whole.
    """

    @property
    def dim(self) -> int: ...

    def __len__(self) -> int: ...

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add vectors, float32 or float16 (n, dim). An id that is there already is replaced."""
        ...

    def remove(self, ids: Ids) -> None:
        """Remove vectors; ids that are not there are passed over."""
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
