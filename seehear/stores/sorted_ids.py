"""Arrays of ids that grow, each id once: int64 (n,)."""

from __future__ import annotations

import numpy as np

from seehear.types import Ids


def positions_in(among: Ids, ids: Ids) -> Ids:
    """Where each id stands in a sorted array, -1 where it does not."""
    at = np.searchsorted(among, ids)
    if not len(among):
        return np.full(len(ids), -1, dtype=np.int64)
    found: Ids = np.where(among[np.minimum(at, len(among) - 1)] == ids, at, -1)
    return found


def distinct(ids: Ids) -> Ids:
    """Sorted, each id once; those that are so already are given back as they are."""
    ids = np.asarray(ids, dtype=np.int64)
    return ids if bool((ids[1:] > ids[:-1]).all()) else np.unique(ids)
