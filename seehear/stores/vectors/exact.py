"""Compute exact similarities, in the order that every index gives.

A matrix product rounds a similarity depending on the position of its row. Here each similarity is a
sum over its own row, so that equal vectors have equal similarities whatever index found them, and
equal similarities are in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seehear.types import Ids, Vectors

ROUNDING = 1e-5
"""More than the error of a matrix product of unit vectors with up to some thousand numbers: a
vector this close to the k-th best may belong to the k best."""

BLOCK = 1 << 24
"""Similarities kept in memory at once: 64 MiB."""

TopK = tuple[NDArray[np.float32], Ids]
"""Similarities float32 (m,), best first, and their ids int64 (m,)."""
NOTHING: TopK = (np.empty(0, np.float32), np.empty(0, np.int64))


def rerank(query: NDArray[np.float32], rows: Vectors, ids: Ids, k: int) -> TopK:
    """Return the k best of some rows.

    query: float32 (dim,); rows: float32 (m, dim); ids: int64 (m,).
    """
    similarities = np.einsum("nd,d->n", np.ascontiguousarray(rows), query)
    order = np.lexsort((ids, -similarities))[:k]
    return similarities[order], ids[order]


def topk(
    queries: Vectors, rows: Vectors, ids: Ids, k: int, chosen: Ids | None = None
) -> list[TopK]:
    """Return the k best of many rows for each query: a matrix product, then `rerank` near the top.

    queries: float32 (q, dim); chosen: row numbers to search, int64 (m,), or None for all rows.
    """
    at_once = max(1, BLOCK // max(1, len(rows)))
    found = []
    for start in range(0, len(queries), at_once):
        block = queries[start : start + at_once]
        for query, product in zip(block, block @ rows.T, strict=True):
            rough = product if chosen is None else product[chosen]
            if k < len(rough):
                floor = np.partition(rough, len(rough) - k)[len(rough) - k] - ROUNDING
                near = np.flatnonzero(rough >= floor)
            else:
                near = np.arange(len(rough))
            near = near if chosen is None else chosen[near]
            found.append(rerank(query, rows[near], ids[near], k))
    return found


def pad(found: Sequence[TopK], k: int) -> tuple[Vectors, Ids]:
    """Stack results to arrays (q, k), filled up with -inf and -1."""
    if len(found) == 1 and len(found[0][1]) == k:
        return found[0][0][None], found[0][1][None]
    similarities = np.full((len(found), k), -np.inf, dtype=np.float32)
    ids = np.full((len(found), k), -1, dtype=np.int64)
    for row, (values, named) in enumerate(found):
        similarities[row, : len(values)] = values
        ids[row, : len(named)] = named
    return similarities, ids


def merge_topk(first: TopK, second: TopK, k: int) -> TopK:
    """Return the k best of two results."""
    similarities = np.concatenate([first[0], second[0]])
    ids = np.concatenate([first[1], second[1]])
    order = np.lexsort((ids, -similarities))[:k]
    return similarities[order], ids[order]
