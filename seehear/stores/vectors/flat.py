"""Exact search: every query meets every vector (FAISS IndexFlatIP)."""

from __future__ import annotations

from typing import Any

import numpy as np

from seehear.types import Ids, Vectors

GATHERED_SHARE = 0.05
"""Share of the index below which a filter's own vectors are gathered and searched alone: reading
a few rows beats asking a selector about every row."""


class FlatIndex:
    """Exact nearest neighbours. Rows lie in the order of their ids."""

    def __init__(self, dim: int) -> None:
        import faiss

        self.dim = dim
        self._index: Any = faiss.IndexFlatIP(dim)
        self._ids: Ids = np.empty(0, dtype=np.int64)

    def copy(self) -> FlatIndex:
        """An index of its own with the same rows."""
        import faiss

        twin = FlatIndex(self.dim)
        twin._index = faiss.clone_index(self._index)
        twin._ids = self._ids
        return twin

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> Ids:
        return self._ids

    def add(self, ids: Ids, vectors: Vectors) -> None:
        if len(ids) == 0:
            return
        if np.any(np.diff(ids) <= 0) or (len(self._ids) and ids[0] <= self._ids[-1]):
            self._merge(ids, vectors)
            return
        self._index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        self._ids = np.concatenate([self._ids, ids])

    def _merge(self, ids: Ids, vectors: Vectors) -> None:
        """Add ids that lie among or equal those that are there: build anew, in order."""
        order = np.argsort(ids, kind="stable")
        ids, vectors = np.asarray(ids)[order], np.asarray(vectors, dtype=np.float32)[order]
        if np.any(np.diff(ids) == 0):
            raise ValueError("an id may be given once")
        self.remove(ids)
        together = np.concatenate([self._ids, ids])
        rows = np.concatenate([self.vectors(self._ids), vectors])
        order = np.argsort(together, kind="stable")
        self._index.reset()
        self._index.add(np.ascontiguousarray(rows[order]))
        self._ids = together[order]

    def remove(self, ids: Ids) -> None:
        rows = self._rows(ids)
        rows = rows[rows >= 0]
        if len(rows) == 0:
            return
        self._index.remove_ids(rows)  # a flat index closes the gaps, in order
        keep = np.ones(len(self._ids), dtype=bool)
        keep[rows] = False
        self._ids = self._ids[keep]

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        import faiss

        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if allowed is None:
            similarities, rows = (
                self._index.search(queries, min(k, len(self)))
                if len(self)
                else (
                    np.empty((len(queries), 0), np.float32),
                    np.empty((len(queries), 0), np.int64),
                )
            )
            return _padded(similarities, self._named(rows), k)
        chosen = self._rows(np.unique(allowed))
        chosen = chosen[chosen >= 0]
        if len(chosen) <= max(k, GATHERED_SHARE * len(self)):
            return self._search_gathered(queries, k, chosen)
        mask = np.zeros(len(self), dtype=bool)
        mask[chosen] = True
        bits = np.packbits(mask, bitorder="little")
        selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        similarities, rows = self._index.search(queries, min(k, len(chosen)), params=parameters)
        return _padded(similarities, self._named(rows), k)

    def vectors(self, ids: Ids) -> Vectors:
        rows = self._rows(np.asarray(ids, dtype=np.int64))
        if (rows < 0).any():
            raise KeyError(int(np.asarray(ids)[rows < 0][0]))
        if len(rows) == 0:
            return np.zeros((0, self.dim), dtype=np.float32)
        found: Vectors = self._index.reconstruct_batch(rows)
        return found

    def _search_gathered(self, queries: Vectors, k: int, rows: Ids) -> tuple[Vectors, Ids]:
        if len(rows) == 0:
            empty = np.empty((len(queries), 0), np.float32)
            return _padded(empty, np.empty((len(queries), 0), np.int64), k)
        similarities = queries @ self._index.reconstruct_batch(rows).T
        # Stable, so that equal similarities come in the order of ids, as from the index.
        order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
        best: Vectors = np.take_along_axis(similarities, order, axis=1)
        return _padded(best, self._ids[rows[order]], k)

    def _rows(self, ids: Ids) -> Ids:
        """Row of each id, -1 where it is not there."""
        at = np.searchsorted(self._ids, ids)
        inside = at < len(self._ids)
        rows = np.full(len(ids), -1, dtype=np.int64)
        hit = np.zeros(len(ids), dtype=bool)
        hit[inside] = self._ids[at[inside]] == np.asarray(ids)[inside]
        rows[hit] = at[hit]
        return rows

    def _named(self, rows: Ids) -> Ids:
        named: Ids = np.where(rows >= 0, self._ids[np.maximum(rows, 0)], -1)
        return named


def _padded(similarities: Vectors, ids: Ids, k: int) -> tuple[Vectors, Ids]:
    """Fill up to k columns with -inf and -1."""
    missing = k - similarities.shape[1]
    similarities = np.where(ids >= 0, similarities, -np.inf).astype(np.float32)
    if missing <= 0:
        return similarities, ids
    return (
        np.pad(similarities, ((0, 0), (0, missing)), constant_values=-np.inf),
        np.pad(ids, ((0, 0), (0, missing)), constant_values=-1),
    )
