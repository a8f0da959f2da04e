"""Merge segments into moments: when, within a file, the answer is to be seen or heard.

windows     0---------10
                 5---------15            overlapping windows that answer nearly as well
                      10--------20       are one moment, [0, 20)
                                               60--------70   another moment
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seehear.types import Moment

MERGE_SHARE = 0.8
"""A neighbour joins a moment if it has at least this share of the moment's best score."""
GAP_S = 0.05
"""Windows nearer than this, in seconds, touch each other: containers round their times."""


def merge_adjacent(segments: Sequence[Moment], most: int) -> list[Moment]:
    """Return the best distinct moments of one asset, best first, at most `most`.

    Takes a moment per segment. Each result is the best segment of its interval, stretched over
    neighbours of its modality that touch it and score nearly as well. Results never overlap.
    """
    left = sorted(segments, key=lambda one: (-one.score, one.start_s, one.segment_id))
    found: list[Moment] = []
    while left and len(found) < most:
        best = left.pop(0)
        start_s, stop_s = best.start_s, best.stop_s
        mergeable = sorted(
            (p for p in left if p.matched is best.matched and p.score >= MERGE_SHARE * best.score),
            key=lambda one: one.start_s,
        )
        grown = True
        while grown:  # a segment may touch only after its neighbour has joined
            grown = False
            for one in mergeable:
                touches = one.start_s <= stop_s + GAP_S and one.stop_s >= start_s - GAP_S
                if touches and (one.start_s < start_s or one.stop_s > stop_s):
                    start_s, stop_s = min(start_s, one.start_s), max(stop_s, one.stop_s)
                    grown = True
        for earlier in found:  # cut off what an earlier moment covers
            if start_s < earlier.stop_s and earlier.start_s < best.start_s:
                start_s = max(start_s, earlier.stop_s)
            if earlier.start_s < stop_s and earlier.start_s >= best.start_s:
                stop_s = min(stop_s, earlier.start_s)
        found.append(replace(best, start_s=start_s, stop_s=stop_s))
        left = [p for p in left if not (p.start_s < stop_s and start_s < p.stop_s)]
    return found
