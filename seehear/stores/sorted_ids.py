"""Search in sorted arrays of ids without duplicates: int64 (n,)."""

from __future__ import annotations

import numpy as np

from seehear.types import Ids


def positions_in(among: Ids, ids: Ids) -> Ids:
    """Return the position of each id in a sorted array, int64 (n,); -1 where it is missing."""
    at = np.searchsorted(among, ids)
    if not len(among):
        return np.full(len(ids), -1, dtype=np.int64)
    found: Ids = np.where(among[np.minimum(at, len(among) - 1)] == ids, at, -1)
    return found


def distinct(ids: Ids) -> Ids:
    """Return the ids sorted and without duplicates; an array that is so already is not copied."""
    ids = np.asarray(ids, dtype=np.int64)
    return ids if bool((ids[1:] > ids[:-1]).all()) else np.unique(ids)
