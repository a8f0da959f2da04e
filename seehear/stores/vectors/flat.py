"""Exact search: every query meets every vector."""

from __future__ import annotations

from typing import Any

import numpy as np

from seehear.stores.vectors import exact
from seehear.stores.vectors.base import OfMatrix
from seehear.stores.vectors.matrix import Matrix
from seehear.types import Ids, Vectors

GATHERED_SHARE = 0.05
"""Share of the index below which a filter's own vectors are gathered and searched alone: reading
a few rows beats asking a selector about every row."""

NUMPY_BELOW_BYTES = 64 << 20
"""Size of the vectors up to which numpy searches: at most some 10 ms a query, where loading FAISS
takes more than half a second. Above, FAISS is faster, as it keeps the best while it goes."""

SPARE = 16
"""Candidates beyond k that FAISS is asked for, to see whether more are as good as the k-th."""


class FlatIndex(OfMatrix):
    """Exact nearest neighbours. Rows lie in the order of their ids, in memory from the first
    search on.

    Nothing in it changes: `changed` gives another index and leaves this one as it was.
    """

    def __init__(self, matrix: Matrix, rows: Vectors | None = None) -> None:
        super().__init__(matrix)
        self._made = rows

    @property
    def _rows(self) -> Vectors:
        if self._made is None:
            self._made = self.matrix.rows(slice(None))
        return self._made

    def describe(self) -> str:
        return "exact"

    def changed(self, removed: Ids, ids: Ids, vectors: Vectors) -> FlatIndex:
        matrix = self.matrix.changed(removed, ids, vectors)
        if self._made is None or len(ids) > len(self):  # as cheap to make from the matrix
            return FlatIndex(matrix)
        new = np.isin(matrix.ids, ids)
        rows = np.empty((len(matrix), self.dim), dtype=np.float32)
        rows[new] = matrix.rows(np.flatnonzero(new))
        rows[~new] = self._rows[exact.places(self.ids, matrix.ids[~new])]
        return FlatIndex(matrix, rows)

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        ids, rows, chosen = self.ids, self._rows, None
        if allowed is not None:
            chosen = exact.places(ids, exact.distinct(allowed))
            chosen = chosen[chosen >= 0]
            if len(chosen) <= max(k, GATHERED_SHARE * len(ids)):
                return exact.padded(exact.nearest(queries, rows[chosen], ids[chosen], k), k)
        if rows.nbytes <= NUMPY_BELOW_BYTES or k >= len(ids):
            return exact.padded(exact.nearest(queries, rows, ids, k, chosen), k)
        return exact.padded(self._by_faiss(queries, k, chosen), k)

    def _by_faiss(self, queries: Vectors, k: int, chosen: Ids | None) -> list[exact.Found]:
        """FAISS proposes a few more than k; where all of those are alike, numpy decides."""
        import faiss

        count, selector = len(self.ids), None
        if chosen is not None:
            mask = np.zeros(count, dtype=bool)
            mask[chosen] = True
            bits = np.packbits(mask, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        depth = min(k + SPARE, count if chosen is None else len(chosen))
        rough = np.empty((len(queries), depth), dtype=np.float32)
        near = np.empty((len(queries), depth), dtype=np.int64)
        search: Any = faiss.knn_inner_product
        search(
            faiss.swig_ptr(queries),
            faiss.swig_ptr(self._rows),
            *(self.dim, len(queries), count, depth),
            faiss.swig_ptr(rough),
            faiss.swig_ptr(near),
            selector,
        )
        found = []
        for query, best, rows in zip(queries, rough, near, strict=True):
            if depth == k + SPARE and best[-1] >= best[k - 1] - exact.ROUNDING:
                found += exact.nearest(query[None], self._rows, self.ids, k, chosen)
            else:
                found.append(exact.rank(query, self._rows[rows], self.ids[rows], k))
        return found
