"""From segments to moments: when, within a file, what was asked for is to be seen or heard.

windows     0---------10
                 5---------15            overlapping windows that answer nearly as well
                      10--------20       are one moment, [0, 20)
                                               60--------70   another moment
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seehear.types import Modality

MERGE_SHARE = 0.8
"""A neighbour joins a moment when it has at least this share of the moment's best score."""
GAP_S = 0.05
"""Windows nearer than this touch each other (containers round their times)."""


@dataclass(frozen=True, slots=True)
class ScoredSegment:
    """A scored segment of one asset, with its times."""

    segment_id: int
    matched: Modality
    start_s: float
    stop_s: float
    score: float
    similarity: float = 0.0


@dataclass(frozen=True, slots=True)
class Interval:
    """Pieces that were merged: the best of them, and from when to when they reach."""

    best: ScoredSegment
    start_s: float
    stop_s: float


def merge_adjacent(pieces: Sequence[ScoredSegment], most: int) -> list[Interval]:
    """The best distinct moments among the pieces of one asset, best first, at most `most`.

    A moment grows from its best piece over neighbours of the same kind (sight or sound) that
    touch it and score nearly as well. Moments never overlap each other.
    """
    left = sorted(pieces, key=lambda piece: (-piece.score, piece.start_s, piece.segment_id))
    found: list[Interval] = []
    while left and len(found) < most:
        best = left.pop(0)
        start_s, stop_s = best.start_s, best.stop_s
        mergeable = sorted(
            (p for p in left if p.matched is best.matched and p.score >= MERGE_SHARE * best.score),
            key=lambda piece: piece.start_s,
        )
        grown = True
        while grown:  # a piece may touch only after its neighbour has joined
            grown = False
            for piece in mergeable:
                touches = piece.start_s <= stop_s + GAP_S and piece.stop_s >= start_s - GAP_S
                if touches and (piece.start_s < start_s or piece.stop_s > stop_s):
                    start_s, stop_s = min(start_s, piece.start_s), max(stop_s, piece.stop_s)
                    grown = True
        for earlier in found:  # what an earlier moment took is not told twice
            if start_s < earlier.stop_s and earlier.start_s < best.start_s:
                start_s = max(start_s, earlier.stop_s)
            if earlier.start_s < stop_s and earlier.start_s >= best.start_s:
                stop_s = min(stop_s, earlier.start_s)
        found.append(Interval(best, start_s, stop_s))
        left = [p for p in left if not (p.start_s < stop_s and start_s < p.stop_s)]
    return found
