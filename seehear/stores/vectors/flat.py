"""Search exactly: compare every query with every vector."""

from __future__ import annotations

import threading

import numpy as np

from seehear.stores import sorted_ids
from seehear.stores.vectors import exact
from seehear.stores.vectors.base import WARMUP_QUERIES, MatrixBacked
from seehear.stores.vectors.int8_prefilter import Int8Prefilter
from seehear.stores.vectors.vector_file import VectorFile
from seehear.types import Ids, Vectors

GATHERED_SHARE = 0.05
"""Share of the index below which the vectors allowed by a filter are copied and searched alone:
reading a few rows is faster than checking a selector for every row."""

ROUNDED_ABOVE_BYTES = 4 << 20
"""Size of the vectors from which on a single query is first searched among int8 vectors. Below,
numpy takes less than a millisecond."""

PROPOSED = 4
"""Candidates for each of the k results; with fewer, the bound rarely proves the result."""


class FlatIndex(MatrixBacked):
    """Exact nearest neighbours. Rows are in the order of their ids.

    They are in memory from the first search on. The index never changes: `updated` returns
    another index.
    """

    def __init__(self, matrix: VectorFile, rows: Vectors | None = None) -> None:
        super().__init__(matrix)
        self._made = rows
        self._rounded: Int8Prefilter | None = None
        self._asked = 0
        self._making = threading.Lock()

    @property
    def _rows(self) -> Vectors:
        if self._made is None:
            self._made = self.matrix.rows(slice(None))
        return self._made

    def describe(self) -> str:
        return "exact"

    def vectors(self, ids: Ids) -> Vectors:
        if self._made is None:
            return super().vectors(ids)
        rows = sorted_ids.positions_in(self.ids, np.asarray(ids, dtype=np.int64))
        if (rows < 0).any():
            raise KeyError(int(np.asarray(ids)[rows < 0][0]))
        found: Vectors = self._made[rows]
        return found

    def updated(self, removed: Ids, ids: Ids, vectors: Vectors) -> FlatIndex:
        matrix = self.matrix.updated(removed, ids, vectors)
        if self._made is None or len(ids) > len(self):  # reading all from the file is as cheap
            return FlatIndex(matrix)
        new = np.isin(matrix.ids, ids)
        rows = np.empty((len(matrix), self.dim), dtype=np.float32)
        rows[new] = matrix.rows(np.flatnonzero(new))
        rows[~new] = self._rows[sorted_ids.positions_in(self.ids, matrix.ids[~new])]
        return FlatIndex(matrix, rows)

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        ids, rows, chosen = self.ids, self._rows, None
        if allowed is not None:
            chosen = sorted_ids.positions_in(ids, sorted_ids.distinct(allowed))
            chosen = chosen[chosen >= 0]
            if len(chosen) <= max(k, GATHERED_SHARE * len(ids)):
                return exact.pad(exact.topk(queries, rows[chosen], ids[chosen], k), k)
        if len(queries) == 1 and (rounded := self._rounded_twins()) is not None:
            return exact.pad([self._proved(rounded, queries, k, chosen)], k)
        return exact.pad(exact.topk(queries, rows, ids, k, chosen), k)

    def _rounded_twins(self) -> Int8Prefilter | None:
        """Return the int8 vectors, or None for a small index or before many queries."""
        if self._rounded is None and self._rows.nbytes > ROUNDED_ABOVE_BYTES:
            with self._making:
                self._asked += 1
            if self._asked > WARMUP_QUERIES:
                self.warm_up()
        return self._rounded

    def warm_up(self) -> None:
        with self._making:
            if self._rounded is None and self._rows.nbytes > ROUNDED_ABOVE_BYTES:
                self._rounded = Int8Prefilter(self._rows)

    def _proved(
        self, rounded: Int8Prefilter, query: Vectors, k: int, chosen: Ids | None
    ) -> exact.TopK:
        """Return the k best, with as many candidates as it takes to prove them."""
        depth, count = PROPOSED * k, len(self) if chosen is None else len(chosen)
        while depth < count:
            near, rough, off = rounded.candidates(query, depth, chosen)
            # The k-th best is at least as near as the k-th rounded one less what that may be off.
            floor = float(rough[k - 1]) - 2 * (off + exact.ROUNDING)
            proved = float(rough[-1]) < floor
            near = near[rough >= floor] if proved else near
            found = exact.rerank(query[0], self._rows[near], self.ids[near], k)
            if proved or found[0][-1] > float(rough[-1]) + off + exact.ROUNDING:
                return found
            depth *= PROPOSED
        return exact.topk(query, self._rows, self.ids, k, chosen)[0]
