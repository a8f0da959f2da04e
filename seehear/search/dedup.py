"""Merge near-duplicate hits into one, or spread hits over different things."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seehear.cancellation import check_current
from seehear.stores import SegmentRecord
from seehear.types import Asset, Floats, Modality

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
    return cosine >= (BURST if _taken_together(one, other) else NEAR_DUPLICATE)


def collapse(
    results: Sequence[SegmentRecord], vectors: Sequence[Floats | None], most: int
) -> list[list[int]]:
    """Group near-duplicates: return positions in `results` (best first), at most `most` groups.

    `vectors` are those of the results in the space of their own modality, float32 (dim,), or None.
    Each result joins the first group whose best member it equals, so that a chain of small
    differences does not merge everything.
    """
    cosines_of = _cosines(results, vectors)
    groups: list[list[int]] = []
    leaders: list[int] = []
    for position, result in enumerate(results):
        check_current()
        near = cosines_of(position)[leaders]
        home = next(
            (
                groups[number]
                for number in np.flatnonzero(near >= BURST).tolist()
                if is_near_duplicate(
                    results[leaders[number]].asset, result.asset, float(near[number])
                )
            ),
            None,
        )
        if home is not None:
            home.append(position)
        elif len(groups) < most:
            groups.append([position])
            leaders.append(position)
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
    cosines_of = _cosines(results, vectors)
    gains = RELEVANCE_SHARE * np.array(scores, dtype=np.float64)
    likeness = np.zeros(len(results), dtype=np.float32)
    taken: list[int] = []
    while len(taken) < min(most, len(results)):
        check_current()
        chosen = int(np.argmax(gains - (1 - RELEVANCE_SHARE) * likeness))
        taken.append(chosen)
        gains[chosen] = -np.inf
        likeness = np.maximum(likeness, cosines_of(chosen))
    return taken


def _cosines(
    results: Sequence[SegmentRecord], vectors: Sequence[Floats | None]
) -> Callable[[int], Floats]:
    """Return what gives the cosines of one of n results with all: float32 (n,).

    They are -1 for another modality, and without vectors.
    """
    rows: dict[Modality, list[int]] = {}
    for position, vector in enumerate(vectors):
        if vector is not None:
            rows.setdefault(results[position].segment.modality, []).append(position)
    stacked = {
        modality: np.stack([vector for i in found if (vector := vectors[i]) is not None])
        for modality, found in rows.items()
    }

    def cosines_of(position: int) -> Floats:
        cosines = np.full(len(results), -1.0, dtype=np.float32)
        if (vector := vectors[position]) is not None:
            modality = results[position].segment.modality
            cosines[rows[modality]] = stacked[modality] @ vector
        return cosines

    return cosines_of


def _lengths_agree(one: Asset, other: Asset) -> bool:
    if one.duration_s is None or other.duration_s is None:
        return one.duration_s is None and other.duration_s is None
    longer = max(one.duration_s, other.duration_s)
    return abs(one.duration_s - other.duration_s) <= max(SAME_DURATION_S, 0.02 * longer)


def _taken_together(one: Asset, other: Asset) -> bool:
    if one.taken_at is None or other.taken_at is None:
        return False
    if "date_precision" in one.details or "date_precision" in other.details:
        return False  # only their day is known
    return abs((one.taken_at - other.taken_at).total_seconds()) <= BURST_S
