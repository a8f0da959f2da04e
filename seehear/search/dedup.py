"""Hits that are nearly the same: folded into one, or spread apart on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from seehear.cancellation import check_current
from seehear.types import Asset, Floats, Modality

NEAR_DUPLICATE = 0.97
"""Cosine, within one modality, from which two assets are taken for one: the same picture in
another size or format."""
BURST = 0.90
"""The same for pictures that were taken within BURST_S of each other."""
BURST_S = 10.0
SAME_DURATION_S = 0.5
"""Sounds and clips whose lengths differ by more than this and 2 % are not the same."""
RELEVANCE_SHARE = 0.7
"""Weight of the score against novelty in maximal marginal relevance."""


@dataclass(frozen=True, slots=True, eq=False)
class ResultView:
    """What two results are compared by."""

    asset: Asset
    matched: Modality
    vector: Floats | None
    """Of the segment that stands for the result, in the space of its own modality: (dim,)."""


def is_near_duplicate(one: ResultView, other: ResultView) -> bool:
    """Whether two results are near-duplicates, or pictures of one burst."""
    if one.vector is None or other.vector is None or one.matched is not other.matched:
        return False
    if one.asset.modality is not other.asset.modality or not _lengths_agree(one.asset, other.asset):
        return False
    cosine = float(one.vector @ other.vector)
    near = _taken_together(one.asset.taken_at, other.asset.taken_at)
    return cosine >= (BURST if near else NEAR_DUPLICATE)


def collapse(results: Sequence[ResultView], most: int) -> list[list[int]]:
    """Groups of positions in `results` (best first) that are one thing: at most `most` groups.

    Each result joins the first group whose best member it equals, so that a chain of small
    differences does not fold all into one.
    """
    groups: list[list[int]] = []
    for position, result in enumerate(results):
        check_current()
        home = next(
            (group for group in groups if is_near_duplicate(results[group[0]], result)), None
        )
        if home is not None:
            home.append(position)
        elif len(groups) < most:
            groups.append([position])
    return groups


def mmr(results: Sequence[ResultView], scores: Sequence[float], most: int) -> list[int]:
    """Positions by maximal marginal relevance (Carbonell and Goldstein, 1998), at most `most`.

    Each step takes the result with the best score less its likeness to what was taken before.
    Results of two modalities are not alike.
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
            likeness[i] = max(likeness[i], _alike(results[chosen], results[i]))
    return taken


def _alike(one: ResultView, other: ResultView) -> float:
    if one.asset.id == other.asset.id:
        return 1.0
    if one.vector is None or other.vector is None or one.matched is not other.matched:
        return 0.0
    return max(0.0, float(one.vector @ other.vector))


def _lengths_agree(one: Asset, other: Asset) -> bool:
    if one.duration_s is None or other.duration_s is None:
        return one.duration_s is None and other.duration_s is None
    longer = max(one.duration_s, other.duration_s)
    return abs(one.duration_s - other.duration_s) <= max(SAME_DURATION_S, 0.02 * longer)


def _taken_together(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and abs((one - other).total_seconds()) <= BURST_S
