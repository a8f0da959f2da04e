"""Combine the scores of a query's parts into one.

Scores are combined, never vectors: the vectors of a photo and of a sentence lie in different
regions of a space, and their sum is near neither. Wanted parts are combined by their weighted
geometric mean, so that a hit has to answer all of them. An excluded part lowers a score by the
share to which it matches; a hit that does not match it keeps its score.

    score = prod(wanted ** (weight / all wanted weights)) * prod((1 - matched) ** weight)
    matched = (excluded score - floor) / (1 - floor), at least 0
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from seehear.search.calibration.baseline import WEAK_BELOW
from seehear.stores import SegmentColumns
from seehear.types import Floats, Ids

EXCLUDED_FLOOR = WEAK_BELOW
"""Score of an excluded part up to which a hit loses nothing."""
SUPPORT = 0.3
"""Share of the doubt that another kind of segment takes away which is wholly sure itself. On a part
of what bench_ranking asks (499 items, 98 queries) nDCG@10 is .757 with it, .754 without."""
AT_ONCE = 128
"""Segments that are compared with each other at once."""
MOST_RAISED = 64
"""Segments of a file that others may raise, best first: of a film of hours few are shown."""
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
    timed: dict[int, list[int]] = {}
    for row in np.flatnonzero(~np.isnan(candidates.start_s)).tolist():
        timed.setdefault(int(candidates.assets[row]), []).append(row)
    for rows in timed.values():
        members = np.array(rows)
        for row in rows:
            others = members[overlapping(candidates, np.array([row]), members)[0]]
            if not len(others):
                continue
            best = others[own[:, others].argmax(axis=1)]
            for part, other in enumerate(best):
                if own[part, other] > own[part, row]:
                    scores[part, row] = own[part, other]
                    answering[part, row] = other
    return scores, answering


def corroborated(own: Floats, wanted: NDArray[np.bool_], candidates: SegmentColumns) -> Floats:
    """Raise the scores of what segments of other kinds at the same time say, too: (parts, n).

    What is seen, heard and said at once ranks above each alone. A segment that is not sure by
    itself raises nothing and is not raised; no more do parts that are not `wanted`.
    """
    sure = wanted[:, None] & (own >= WEAK_BELOW)
    told = np.where(sure, (own - WEAK_BELOW) / (1.0 - WEAK_BELOW), 0.0)
    scores = own.copy()
    for members, codes in _of_several_kinds(candidates, np.flatnonzero(sure.any(axis=0))):
        raised = members
        if len(members) > AT_ONCE:  # one long film
            best_first = np.argsort(-own[:, members].max(axis=0), kind="stable")
            raised = members[best_first[:MOST_RAISED]]
        together = overlapping(candidates, raised, members)
        doubt = np.ones((len(own), len(raised)))
        for code in set(codes.tolist()):
            of_kind = codes == code
            support = told[:, None, members[of_kind]] * together[None, :, of_kind]
            doubt *= 1.0 - SUPPORT * support.max(axis=2)
        own_scores = own[:, raised]
        scores[:, raised] = np.where(sure[:, raised], 1.0 - (1.0 - own_scores) * doubt, own_scores)
    return scores


def _of_several_kinds(
    candidates: SegmentColumns, rows: Ids
) -> Iterator[tuple[Ids, NDArray[np.int64]]]:
    """Yield the rows of files with more than one kind of segment, and their kinds.

    Several files come together, `AT_ONCE` rows at most; one of more rows comes by itself.
    """
    if not len(rows):
        return
    rows = rows[np.argsort(candidates.assets[rows], kind="stable")]
    codes, assets = _codes(candidates, rows), candidates.assets[rows]
    starts = np.flatnonzero(np.concatenate([[True], assets[1:] != assets[:-1]]))
    several = np.minimum.reduceat(codes, starts) != np.maximum.reduceat(codes, starts)
    kept = np.repeat(several, np.diff(np.append(starts, len(rows))))
    rows, codes, assets = rows[kept], codes[kept], assets[kept]
    first = 0
    while first < len(rows):
        # Up to the last whole file that fits, or the whole of the first one.
        end = int(np.searchsorted(assets, assets[min(first + AT_ONCE, len(rows)) - 1], "right"))
        if end > first + AT_ONCE:
            begun = int(np.searchsorted(assets, assets[end - 1], "left"))
            end = begun if begun > first else end
        yield rows[first:end], codes[first:end]
        first = end


def overlapping(candidates: SegmentColumns, rows: Ids, members: Ids) -> NDArray[np.bool_]:
    """Tell which segments of a file are of another kind than others of it, and at the same time.

    Returns bool (rows, members). What is written in a picture, and a song's words without times,
    are there all the time.
    """
    starts, stops, origins = candidates.start_s, candidates.stop_s, candidates.origins
    one = rows[:, None]
    at_once = (starts[members] < stops[one]) & (stops[members] > starts[one])
    lasts = np.isnan(starts[members]) | np.isnan(starts[one])
    found = (origins[members] > 0) | (origins[one] > 0)
    others = _codes(candidates, members) != _codes(candidates, rows)[:, None]
    others &= candidates.assets[members] == candidates.assets[one]
    together: NDArray[np.bool_] = others & (at_once | (lasts & found))
    return together


def _codes(candidates: SegmentColumns, rows: Ids) -> NDArray[np.int64]:
    """Return a number for the modality and origin of some candidates: int64 (rows,)."""
    return candidates.kinds[rows].astype(np.int64) * 16 + candidates.origins[rows]
