"""Exact search: every query meets every vector."""

from __future__ import annotations

from typing import Any

import numpy as np

from seehear.stores.vectors import exact
from seehear.types import Ids, Vectors

GATHERED_SHARE = 0.05
"""Share of the index below which a filter's own vectors are gathered and searched alone: reading
a few rows beats asking a selector about every row."""

NUMPY_BELOW_BYTES = 64 << 20
"""Size of the vectors up to which numpy searches: at most some 10 ms a query, where loading FAISS
takes more than half a second. Above, FAISS is faster, as it keeps the best while it goes."""

SPARE = 16
"""Candidates beyond k that FAISS is asked for, to see whether more are as good as the k-th."""


class FlatIndex:
    """Exact nearest neighbours. Rows lie in the order of their ids.

    Arrays are never written to once they are here, so copies share them.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._ids: Ids = np.empty(0, dtype=np.int64)
        self._rows: Vectors = np.empty((0, dim), dtype=np.float32)

    def copy(self) -> FlatIndex:
        """An index of its own with the same rows."""
        twin = FlatIndex(self.dim)
        twin._ids, twin._rows = self._ids, self._rows
        return twin

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> Ids:
        return self._ids

    def add(self, ids: Ids, vectors: Vectors) -> None:
        if len(ids) == 0:
            return
        ids, vectors = np.asarray(ids, dtype=np.int64), np.asarray(vectors, dtype=np.float32)
        order = np.argsort(ids, kind="stable")
        if np.any(np.diff(ids[order]) == 0):
            raise ValueError("an id may be given once")
        self.remove(ids)
        together = np.concatenate([self._ids, ids[order]])
        rows = np.concatenate([self._rows, vectors[order]])
        if len(self._ids) and self._ids[-1] > ids[order[0]]:
            order = np.argsort(together, kind="stable")
            together, rows = together[order], rows[order]
        self._ids, self._rows = together, rows

    def remove(self, ids: Ids) -> None:
        rows = exact.places(self._ids, np.asarray(ids, dtype=np.int64))
        rows = rows[rows >= 0]
        if len(rows):
            self._ids, self._rows = np.delete(self._ids, rows), np.delete(self._rows, rows, axis=0)

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        ids, rows, chosen = self._ids, self._rows, None
        if allowed is not None:
            chosen = exact.places(ids, exact.distinct(allowed))
            chosen = chosen[chosen >= 0]
            if len(chosen) <= max(k, GATHERED_SHARE * len(ids)):
                return exact.padded(exact.nearest(queries, rows[chosen], ids[chosen], k), k)
        if rows.nbytes <= NUMPY_BELOW_BYTES or k >= len(ids):
            return exact.padded(exact.nearest(queries, rows, ids, k, chosen), k)
        return exact.padded(self._by_faiss(queries, k, chosen), k)

    def vectors(self, ids: Ids) -> Vectors:
        rows = exact.places(self._ids, np.asarray(ids, dtype=np.int64))
        if (rows < 0).any():
            raise KeyError(int(np.asarray(ids)[rows < 0][0]))
        found: Vectors = self._rows[rows]
        return found

    def _by_faiss(self, queries: Vectors, k: int, chosen: Ids | None) -> list[exact.Found]:
        """FAISS proposes a few more than k; where all of those are alike, numpy decides."""
        import faiss

        count, selector = len(self._ids), None
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
                found += exact.nearest(query[None], self._rows, self._ids, k, chosen)
            else:
                found.append(exact.rank(query, self._rows[rows], self._ids[rows], k))
        return found
