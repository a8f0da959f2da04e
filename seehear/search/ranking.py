"""Rank assets by their best segment, and let a reranker give them other scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seehear.errors import UsageError
from seehear.search.scoring import Scores
from seehear.stores.catalog.records import MODALITY_CODES
from seehear.types import Asset, Ids, Moment, Query, Segment


@dataclass(frozen=True, slots=True)
class RankedAsset:
    """Hold one result as a reranker sees it."""

    asset: Asset
    score: float
    """In [0, 1]."""
    segment: Segment
    """The segment of the asset that answers best."""


Rerank = Callable[[Query, Sequence[RankedAsset]], Sequence[float]]
"""Returns other scores in [0, 1] for results, which come best first, in the order given. One query
calls it several times, each time with all results found so far; it must always answer the same."""


def rank(scores: Scores) -> Ids:
    """Return the best candidate of each asset, best first, as rows: int64 (assets,).

    Equal scores stand in the order of asset ids. Where a shot and its audio share their score, the
    one that answers more by itself is returned.
    """
    candidates = scores.candidates
    own = scores.by_part.sum(axis=0)
    order = np.lexsort((candidates.ids, -own, -scores.total, candidates.assets))
    assets = candidates.assets[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = assets[1:] != assets[:-1]
    return _best_first(scores, order[first])


def apply_rerank(scores: Scores, best: Ids, given: Sequence[float]) -> tuple[Scores, Ids]:
    """Replace the scores of ranked candidates by a reranker's, and rank them anew.

    Raises UsageError unless there is a score in [0, 1] for each.
    """
    if len(given) != len(best):
        raise UsageError(f"the reranker gave {len(given)} scores for {len(best)} results")
    values = np.array([float(score) for score in given], dtype=np.float64)
    if not ((values >= 0.0) & (values <= 1.0)).all():
        raise UsageError("the reranker gave a score that is not in [0, 1]")
    total: NDArray[np.float64] = scores.total.copy()
    total[best] = values
    scores = replace(scores, total=total)
    return scores, _best_first(scores, best)


def _best_first(scores: Scores, rows: Ids) -> Ids:
    order = np.lexsort((scores.candidates.assets[rows], -scores.total[rows]))
    return rows[order]


class TimedSegments:
    """The candidates that have times, each as a moment of its own.

    Where other candidates answer some of the parts, its time is the one that all of them share.
    """

    def __init__(self, scores: Scores) -> None:
        candidates, wanted = scores.candidates, scores.wanted
        by = scores.answering[wanted]
        starts = np.maximum(candidates.start_s, candidates.start_s[by].max(axis=0))
        stops = np.minimum(candidates.stop_s, candidates.stop_s[by].min(axis=0))
        # Two sounds at the time of a shot may answer two parts, one after the other.
        apart = starts >= stops
        starts[apart], stops[apart] = candidates.start_s[apart], candidates.stop_s[apart]
        self._timed = ~np.isnan(candidates.start_s)
        self._columns = (
            starts,
            stops,
            scores.timed,
            scores.similarities[wanted[0]][by[0]],
            candidates.ids,
        )
        self._kinds = candidates.kinds

    def of(self, rows: Ids) -> list[Moment]:
        """Return those of some rows."""
        rows = rows[self._timed[rows]]
        if not len(rows):
            return []
        kinds = map(MODALITY_CODES.__getitem__, self._kinds[rows].tolist())
        columns = (column[rows].tolist() for column in self._columns)
        return [*map(Moment, *columns, kinds)]
