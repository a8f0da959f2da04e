"""Merge near-duplicate hits into one, or spread hits over different things."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from seehear.cancellation import check_current
from seehear.stores import SegmentRecord
from seehear.types import Asset, Floats

NEAR_DUPLICATE = 0.97
"""Cosine, within one modality, from which two assets count as one: the same image in another size
or format."""
BURST = 0.90
"""The same for photos that were taken within BURST_S of each other."""
BURST_S = 10.0
"""In seconds."""
SAME_DURATION_S = 0.5
"""Audio and videos whose lengths differ by more than this, in seconds, and 2 % are different."""
RELEVANCE_SHARE = 0.7
"""Weight of the score against novelty in maximal marginal relevance."""


def is_near_duplicate(one: Asset, other: Asset, cosine: float) -> bool:
    """Return whether two assets are near-duplicates, or photos of one burst.

    `cosine` is that of two of their segments, of one modality.
    """
    if one.modality is not other.modality or not _lengths_agree(one, other):
        return False
    return cosine >= (BURST if _taken_together(one.taken_at, other.taken_at) else NEAR_DUPLICATE)


def collapse(
    results: Sequence[SegmentRecord], vectors: Sequence[Floats | None], most: int
) -> list[list[int]]:
    """Group near-duplicates: return positions in `results` (best first), at most `most` groups.

    `vectors` are those of the results in the space of their own modality, float32 (dim,), or None.
    Each result joins the first group whose best member it equals, so that a chain of small
    differences does not merge everything.
    """
    groups: list[list[int]] = []
    for position, result in enumerate(results):
        check_current()
        home = next(
            (
                group
                for group in groups
                if (cosine := _cosine(results, vectors, group[0], position)) is not None
                and is_near_duplicate(results[group[0]].asset, result.asset, cosine)
            ),
            None,
        )
        if home is not None:
            home.append(position)
        elif len(groups) < most:
            groups.append([position])
    return groups


def mmr(
    results: Sequence[SegmentRecord],
    vectors: Sequence[Floats | None],
    scores: Sequence[float],
    most: int,
) -> list[int]:
    """Return positions by maximal marginal relevance (Carbonell and Goldstein, 1998).

    Each step takes the result with the best score less its likeness to those taken before, at most
    `most`. Results of two modalities are not alike. `vectors` are as in `collapse`.
    """
    left = list(range(len(results)))
    likeness = np.zeros(len(results))
    taken: list[int] = []
    while left and len(taken) < most:
        check_current()
        gains = [RELEVANCE_SHARE * scores[i] - (1 - RELEVANCE_SHARE) * likeness[i] for i in left]
        chosen = left.pop(int(np.argmax(gains)))
        taken.append(chosen)
        for i in left:
            likeness[i] = max(likeness[i], _cosine(results, vectors, chosen, i) or 0.0)
    return taken


def _cosine(
    results: Sequence[SegmentRecord], vectors: Sequence[Floats | None], i: int, j: int
) -> float | None:
    """Return the cosine of two results; None without vectors, or for two modalities."""
    one, other = vectors[i], vectors[j]
    if one is None or other is None:
        return None
    if results[i].segment.modality is not results[j].segment.modality:
        return None
    return float(one @ other)


def _lengths_agree(one: Asset, other: Asset) -> bool:
    if one.duration_s is None or other.duration_s is None:
        return one.duration_s is None and other.duration_s is None
    longer = max(one.duration_s, other.duration_s)
    return abs(one.duration_s - other.duration_s) <= max(SAME_DURATION_S, 0.02 * longer)


def _taken_together(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and abs((one - other).total_seconds()) <= BURST_S
