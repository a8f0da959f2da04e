"""Search in sorted arrays of ids without duplicates, int64 (n,), and draw samples of ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seehear.types import Ids


def positions_in(among: Ids, ids: Ids) -> Ids:
    """Return the position of each id, any shape, in a sorted array; -1 where it is missing."""
    at = np.searchsorted(among, ids)
    if not len(among):
        return np.full(np.shape(ids), -1, dtype=np.int64)
    found: Ids = np.where(among[np.minimum(at, len(among) - 1)] == ids, at, -1)
    return found


def distinct(ids: Ids) -> Ids:
    """Return the ids sorted and without duplicates; an array that is so already is not copied."""
    ids = np.asarray(ids, dtype=np.int64)
    if bool((ids[1:] > ids[:-1]).all()):
        return ids
    # Not np.unique, which loads numpy.ma first and delays a search by command by 20 ms.
    ids = np.sort(ids)
    new = np.ones(len(ids), dtype=np.bool_)
    new[1:] = ids[1:] != ids[:-1]
    return ids[new]


def draw_order(ids: Ids) -> NDArray[np.uint64]:
    """Return a hash of each id, uint64 (n,): those with the lowest ones are drawn.

    So a sample depends on which segments there are, not on the order in which they were added, and
    changes little as the collection grows. The finaliser of splitmix64 (Steele, Lea and Flood,
    2014).
    """
    x = ids.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
