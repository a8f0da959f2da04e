"""Several things asked at once: their scores become one.

Parts are joined as scores, never as vectors: the vector of a photo and that of a sentence lie in
different regions of a space, and their sum is near neither. Wanted parts are joined by their
weighted geometric mean, so that a hit has to answer all of them; an excluded part takes away the
share by which it is matched, and a hit that is far from it keeps what it has.

    score = prod(wanted ** (weight / all wanted weights)) * prod((1 - matched) ** weight)
    matched = (excluded score - floor) / (1 - floor), at least 0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seehear.search.calibration.baseline import WEAK_BELOW
from seehear.types import Floats

EXCLUDED_FLOOR = WEAK_BELOW
"""A part that is matched no better than this is not there: its exclusion changes nothing."""
LEAST = 1e-6
"""A part with no vector and no words for an item counts as this, so that logarithms are finite."""


@dataclass(frozen=True, slots=True)
class PartWeight:
    """How one part counts."""

    weight: float
    exclude: bool = False


def log_mean_exp(logits: Floats) -> Floats:
    """Evidence that one of several samples matches, unknown which: float32 (samples, n) -> (n,).

    The logarithm of the mean odds. One sample of ten that fits is worth less than ten that do, and
    a long query does not match everything merely because it has many chances to.
    """
    if len(logits) == 1:
        return np.asarray(logits[0], dtype=np.float32)
    top = logits.max(axis=0)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        mean = np.log(np.exp(logits - safe).mean(axis=0))
    return np.asarray(safe + mean, dtype=np.float32)


def noisy_or(semantic: Floats, words: Floats) -> Floats:
    """Score of a part that can be met by its meaning or by its words, each in [0, 1]."""
    return np.asarray(1.0 - (1.0 - semantic) * (1.0 - words), dtype=np.float32)


def weighted_geometric_mean(scores: Floats, weights: Sequence[PartWeight]) -> Floats:
    """One score for each item: float32 (parts, n) -> (n,), all in [0, 1]."""
    total = sum(part.weight for part in weights if not part.exclude)
    joined = np.zeros(scores.shape[1], dtype=np.float64)
    kept = np.ones(scores.shape[1], dtype=np.float64)
    for row, part in zip(scores.astype(np.float64), weights, strict=True):
        if part.exclude:
            matched = np.clip((row - EXCLUDED_FLOOR) / (1.0 - EXCLUDED_FLOOR), 0.0, 1.0)
            kept *= (1.0 - matched) ** part.weight
        else:
            joined += part.weight / total * np.log(np.maximum(row, LEAST))
    return np.asarray(np.exp(joined) * kept, dtype=np.float32)
