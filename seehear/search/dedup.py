"""Merge copies of one content into one hit, or spread hits over different things.

Copies are told by their fingerprints (`media/fingerprints.py`), never by the model's space: there
two dogs that bark alike are as near to each other as a recording is to its copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

import numpy as np

from seehear.cancellation import check_current
from seehear.media.fingerprints import PROPOSE, SKETCH, Fingerprint, agreement
from seehear.stores import SegmentRecord
from seehear.types import Asset, Floats, Modality

BURST = 0.90
"""Cosine of two photos, taken within BURST_S of each other, from which they are a burst."""
BURST_S = 10.0
"""In seconds."""
RELEVANCE_SHARE = 0.7
"""Weight of the score against novelty in maximal marginal relevance."""


class Likeness(StrEnum):
    """How files are alike."""

    COPIES = "copies"
    """The same bytes."""
    NEAR = "near"
    """The same picture, recording, film or text in other bytes."""
    BURST = "burst"
    """Photos taken within ten seconds of each other that look alike."""


def is_burst(one: Asset, other: Asset, cosine: float) -> bool:
    """Return whether two photos belong to one burst, by time and by the cosine of the pictures."""
    return (
        one.modality is other.modality is Modality.IMAGE
        and cosine >= BURST
        and _taken_together(one, other)
    )


def sketches(prints: Sequence[Fingerprint | None]) -> Floats:
    """Return what proposes copies by a cosine of `PROPOSE` or more: float32 (n, SKETCH).

    A content that says too little has a row of zeros.
    """
    rows = np.zeros((len(prints), SKETCH), dtype=np.float32)
    for row, print_ in zip(rows, prints, strict=True):
        if print_ is not None and print_.sketch is not None:
            row[:] = print_.sketch
    return rows


def collapse(
    results: Sequence[SegmentRecord],
    vectors: Sequence[Floats | None],
    prints: Sequence[Fingerprint | None],
    most: int,
) -> list[list[int]]:
    """Group copies and bursts: return positions in `results` (best first), at most `most` groups.

    `vectors` are those of the results in the space of their own modality, float32 (dim,), or None;
    `prints` are the fingerprints of their assets. Each result joins the first group whose best
    member it equals, so that a chain of small differences does not merge everything.
    """
    cosines_of, outlines = _cosines(results, vectors), sketches(prints)
    kinds = np.array([list(Modality).index(result.asset.modality) for result in results])
    timed = np.array([result.asset.taken_at is not None for result in results], dtype=np.bool_)
    groups: list[list[int]] = []
    leaders: list[int] = []
    for position, result in enumerate(results):
        check_current()
        near = outlines[leaders] @ outlines[position] >= PROPOSE
        near &= kinds[leaders] == kinds[position]
        cosines = cosines_of(position)[leaders] if timed[position] else None
        if cosines is not None:
            near |= cosines >= BURST
        home = None
        for number in np.flatnonzero(near).tolist():
            leader, cosine = leaders[number], -1.0 if cosines is None else float(cosines[number])
            if is_burst(results[leader].asset, result.asset, cosine) or agreement(
                prints[leader], prints[position]
            ):
                home = groups[number]
                break
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


def _taken_together(one: Asset, other: Asset) -> bool:
    if one.taken_at is None or other.taken_at is None:
        return False
    if "date_precision" in one.details or "date_precision" in other.details:
        return False  # only their day is known
    return abs((one.taken_at - other.taken_at).total_seconds()) <= BURST_S
