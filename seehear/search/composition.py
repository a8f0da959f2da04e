"""Combine the scores of a query's parts into one.

Scores are combined, never vectors: the vectors of a photo and of a sentence lie in different
regions of a space, and their sum is near neither. Wanted parts are combined by their weighted
geometric mean, so that a hit has to answer all of them. An excluded part lowers a score by the
share to which it matches; a hit that does not match it keeps its score.

    score = prod(wanted ** (weight / all wanted weights)) * prod((1 - matched) ** weight)
    matched = (excluded score - floor) / (1 - floor), at least 0
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seehear.search.calibration.baseline import WEAK_BELOW
from seehear.stores import SegmentColumns
from seehear.types import Floats

EXCLUDED_FLOOR = WEAK_BELOW
"""Score of an excluded part up to which a hit loses nothing."""
LEAST = 1e-6
"""Least score of a part in the geometric mean: keeps its logarithm finite."""


def log_mean_exp(logits: Floats) -> Floats:
    """Return the logarithm of the mean odds of several samples: float32 (samples, n) -> (n,).

    One sample of ten that fits is worth less than ten that do, and a query of many samples does not
    match everything merely because it has many chances to.
    """
    if len(logits) == 1:
        return np.asarray(logits[0], dtype=np.float32)
    top = logits.max(axis=0)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        mean = np.log(np.exp(logits - safe).mean(axis=0))
    return np.asarray(safe + mean, dtype=np.float32)


def noisy_or(semantic: Floats, words: Floats) -> Floats:
    """Return the score of a part that its meaning or its words can answer, all in [0, 1]: (n,)."""
    return np.asarray(1.0 - (1.0 - semantic) * (1.0 - words), dtype=np.float32)


def weighted_geometric_mean(
    scores: Floats, weights: Sequence[float], excluded: Sequence[bool]
) -> Floats:
    """Return one score for each item: float32 (parts, n) -> (n,), all in [0, 1].

    `weights` and `excluded` say of each part how much it counts and whether it is left out.
    """
    total = sum(weight for weight, out in zip(weights, excluded, strict=True) if not out)
    joined = np.zeros(scores.shape[1], dtype=np.float64)
    kept = np.ones(scores.shape[1], dtype=np.float64)
    for row, weight, out in zip(scores.astype(np.float64), weights, excluded, strict=True):
        if out:
            matched = np.clip((row - EXCLUDED_FLOOR) / (1.0 - EXCLUDED_FLOOR), 0.0, 1.0)
            kept *= (1.0 - matched) ** weight
        else:
            joined += weight / total * np.log(np.maximum(row, LEAST))
    return np.asarray(np.exp(joined) * kept, dtype=np.float32)


def max_over_cooccurring(
    own: Floats, candidates: SegmentColumns
) -> tuple[Floats, NDArray[np.int64]]:
    """Let another kind of segment of the same file, at the same time, answer a part.

    "A street" is seen in a shot and its siren heard in a window of audio: both segments get both
    scores. Takes scores (parts, n) of n candidates; returns scores (parts, n) and the rows of the
    candidates that gave them, int64 (parts, n).
    """
    scores = own.copy()
    answering = np.tile(np.arange(len(candidates), dtype=np.int64), (len(own), 1))
    if len(own) == 1:
        return scores, answering
    starts, stops, kinds = candidates.start_s, candidates.stop_s, candidates.kinds
    timed: dict[int, list[int]] = {}
    for row in np.flatnonzero(~np.isnan(starts)).tolist():
        timed.setdefault(int(candidates.assets[row]), []).append(row)
    for rows in timed.values():
        members = np.array(rows)
        for row in rows:
            together = (starts[members] < stops[row]) & (stops[members] > starts[row])
            others = members[together & (kinds[members] != kinds[row])]
            if not len(others):
                continue
            best = others[own[:, others].argmax(axis=1)]
            for part, other in enumerate(best):
                if own[part, other] > own[part, row]:
                    scores[part, row] = own[part, other]
                    answering[part, row] = other
    return scores, answering
