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
from seehear.stores.catalog.records import MOST_CODES
from seehear.types import Floats, Ids

EXCLUDED_FLOOR = WEAK_BELOW
"""Score of an excluded part up to which a hit loses nothing."""
SUPPORT = 0.3
"""Share of the doubt that another kind of segment takes away which is wholly sure itself. On a part
of what bench_ranking asks (499 items, 98 queries) nDCG@10 is .757 with it, .754 without."""
AT_ONCE, MOST_RAISED = 128, 64
"""Of a file with more segments than the first, others may raise so many, best first: of a film of
hours few are shown."""
PAIRS_AT_ONCE = 1 << 18
"""Pairs of segments that are compared at once."""
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
    if len(scores) == 1:
        return np.asarray(np.maximum(scores[0], LEAST), dtype=np.float32)
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
    timed = np.flatnonzero(~np.isnan(candidates.start_s))
    for ones, others in _together(candidates, timed):
        for part, values in enumerate(own):
            best = np.lexsort((others, -values[others], ones))  # of equals, the first row
            first = best[run_starts(ones[best])]
            rows, by = ones[first], others[first]
            better = values[by] > values[rows]
            scores[part, rows[better]] = values[by[better]]
            answering[part, rows[better]] = by[better]
    return scores, answering


def corroborated(own: Floats, wanted: NDArray[np.bool_], candidates: SegmentColumns) -> Floats:
    """Raise the scores of what segments of other kinds at the same time say, too: (parts, n).

    What is seen, heard and said at once ranks above each alone. A segment that is not sure by
    itself raises nothing and is not raised; no more do parts that are not `wanted`.
    """
    sure = wanted[:, None] & (own >= WEAK_BELOW)
    told = np.where(sure, (own - WEAK_BELOW) / (1.0 - WEAK_BELOW), 0.0)
    scores, codes = own.copy(), candidates.codes
    best = own.max(axis=0)
    for ones, others in _together(candidates, np.flatnonzero(sure.any(axis=0)), best):
        by_kind = ones * MOST_CODES + codes[others]
        order = np.argsort(by_kind, kind="stable")
        starts = run_starts(by_kind[order])
        rows = ones[order[starts]]
        support = np.maximum.reduceat(told[:, others[order]], starts, axis=1)
        first = run_starts(rows)
        doubt = np.multiply.reduceat(1.0 - SUPPORT * support.astype(np.float64), first, axis=1)
        rows = rows[first]
        raised = 1.0 - (1.0 - own[:, rows]) * doubt
        scores[:, rows] = np.where(sure[:, rows], raised, own[:, rows])
    return scores


def _together(
    candidates: SegmentColumns, rows: Ids, best: Floats | None = None
) -> Iterator[tuple[Ids, Ids]]:
    """Yield pairs of some rows that are of one file, at one time, and of different kinds.

    The first of the pairs are grouped by file, each with all its others. With `best`, (n,), only
    the `MOST_RAISED` best are the first of a pair in a file of more than `AT_ONCE` rows.
    """
    rows = rows[np.argsort(candidates.assets[rows], kind="stable")]
    codes, assets = candidates.codes[rows], candidates.assets[rows]
    starts = run_starts(assets)
    if len(starts) == len(rows):
        return
    several = np.minimum.reduceat(codes, starts) != np.maximum.reduceat(codes, starts)
    sizes = np.diff(np.append(starts, len(rows)))
    counts = np.repeat(np.where(several, sizes, 0), sizes)  # the others of each row, and itself
    if best is not None:
        for file in np.flatnonzero(several & (sizes > AT_ONCE)).tolist():
            of_file = np.arange(starts[file], starts[file] + sizes[file])
            lower = np.argsort(-best[rows[of_file]], kind="stable")[MOST_RAISED:]
            counts[of_file[lower]] = 0
    begins, ends = np.repeat(starts, sizes), np.cumsum(counts)
    start = 0
    while start < len(rows) and ends[-1]:
        before = ends[start] - counts[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + PAIRS_AT_ONCE, "right")))
        chunk = counts[start:stop]
        ones = np.repeat(np.arange(start, stop), chunk)
        steps = np.arange(len(ones)) - np.repeat(ends[start:stop] - chunk - before, chunk)
        others = rows[begins[ones] + steps]
        ones = rows[ones]
        met = overlapping(candidates, ones, others)
        if met.any():
            yield ones[met], others[met]
        start = stop


def run_starts(values: Ids) -> Ids:
    """Return where runs of equal values begin."""
    new = np.ones(len(values), dtype=np.bool_)
    new[1:] = values[1:] != values[:-1]
    return np.flatnonzero(new)


def overlapping(candidates: SegmentColumns, ones: Ids, others: Ids) -> NDArray[np.bool_]:
    """Tell of pairs of segments of a file which are of different kinds, and at the same time.

    What is written in a picture, and a song's words without times, are there all the time.
    """
    starts, stops, origins = candidates.start_s, candidates.stop_s, candidates.origins
    codes = candidates.codes
    at_once = (starts[others] < stops[ones]) & (stops[others] > starts[ones])
    lasts = np.isnan(starts[others]) | np.isnan(starts[ones])
    found = (origins[others] > 0) | (origins[ones] > 0)
    together: NDArray[np.bool_] = (codes[others] != codes[ones]) & (at_once | (lasts & found))
    return together
