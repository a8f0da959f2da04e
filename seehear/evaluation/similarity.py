"""Compute ranks from a matrix of similarities, where items are compared without a search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def first_relevant_ranks(
    similarities: NDArray[np.float32], relevant: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the rank of the first relevant item of each query, counted from 1: int64 (q,).

    Both arguments are (q, n). Success@k is the share of ranks of at most k, MRR the mean of their
    reciprocals. Equal similarities rank in the order of the columns; NaN ranks last. A query
    without a relevant item gets n + 1.
    """
    order = np.argsort(-similarities, axis=1, kind="stable")
    sorted_flags = np.take_along_axis(relevant, order, axis=1)
    ranks = sorted_flags.argmax(axis=1) + 1 if relevant.shape[1] else np.ones(len(relevant))
    return np.where(relevant.any(axis=1), ranks, relevant.shape[1] + 1).astype(np.int64)
