"""From scored segments to ranked assets: a file stands where its best moment stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seehear.errors import UsageError
from seehear.search.composition import PartWeight, weighted_geometric_mean
from seehear.search.encode_query import EncodedPart
from seehear.search.moments import ScoredSegment
from seehear.search.scoring import PartScores
from seehear.stores import SegmentColumns
from seehear.stores.catalog.records import MODALITY_CODES
from seehear.types import Asset, Floats, Ids, Query, Segment


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Candidates with the scores of all parts joined: arrays (n,)."""

    scores: Floats
    segment_scores: Floats
    """The same without words that are of the whole file."""
    own_score_sum: Floats
    """Sum over parts of what the candidate answers by itself."""
    answering_candidate: NDArray[np.int64]
    """For each part, the position of the candidate that answered it: int64 (parts, n). The
    candidate itself, or one of the other kind at the same time (its sound for a shot, a shot for
    its sound)."""
    similarities: Floats
    """Raw cosine to the first wanted part."""
    wanted: tuple[int, ...]
    """The parts that are not excluded."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Assets, best first; equal scores stand in the order of asset ids. Arrays (m,)."""

    assets: Ids
    scores: NDArray[np.float64]
    best: NDArray[np.int64]
    """Position of the candidate that stands for each."""

    def __len__(self) -> int:
        return len(self.assets)

    def at(self, positions: NDArray[np.int64] | NDArray[np.bool_]) -> Ranking:
        """Some of them, by place or by mask."""
        return Ranking(self.assets[positions], self.scores[positions], self.best[positions])

    def with_scores(self, scores: NDArray[np.float64]) -> Ranking:
        """The same assets by other scores."""
        order = np.lexsort((self.assets, -scores))
        return Ranking(self.assets, scores, self.best).at(order)


@dataclass(frozen=True, slots=True)
class RankedAsset:
    """What a reranker sees of one asset."""

    asset: Asset
    score: float
    segment: Segment
    """The piece of it that answers best."""


Rerank = Callable[[Query, Sequence[RankedAsset]], Sequence[float]]
"""Gives results, best first, other scores in [0, 1], in the order in which they came. It is asked
more than once for one query, each time with all that was found, and shall always say the same."""


def score(
    parts: Sequence[EncodedPart], rows: Sequence[PartScores], candidates: SegmentColumns
) -> Scored:
    """Each candidate's score for all parts together."""
    own = np.stack([row.scores for row in rows])
    timely = np.stack([row.segment_scores for row in rows])
    answered = np.tile(np.arange(len(candidates), dtype=np.int64), (len(parts), 1))
    met = own
    if len(parts) > 1:
        met, answered = _max_over_cooccurring(own, candidates)
        timely, _ = _max_over_cooccurring(timely, candidates)
    weights = [PartWeight(part.weight, part.exclude) for part in parts]
    wanted = tuple(i for i, part in enumerate(parts) if not part.exclude)
    return Scored(
        scores=weighted_geometric_mean(met, weights),
        segment_scores=weighted_geometric_mean(timely, weights),
        own_score_sum=own.sum(axis=0),
        answering_candidate=answered,
        similarities=rows[wanted[0]].similarities,
        wanted=wanted,
    )


def rank(scored: Scored, candidates: SegmentColumns) -> Ranking:
    """Assets by their best candidate.

    Of a shot and its sound, which share their score, the one that answers more by itself stands
    for the asset.
    """
    order = np.lexsort((candidates.ids, -scored.own_score_sum, -scored.scores, candidates.assets))
    assets = candidates.assets[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = assets[1:] != assets[:-1]
    best = order[first]
    scores = scored.scores[best].astype(np.float64)
    return Ranking(assets[first], scores, best).with_scores(scores)


def apply_rerank(ranking: Ranking, scores: Sequence[float]) -> Ranking:
    """The assets by other scores. Raises UsageError for scores that are none."""
    if len(scores) != len(ranking):
        raise UsageError(f"the reranker gave {len(scores)} scores for {len(ranking)} results")
    given = np.array([float(score) for score in scores], dtype=np.float64)
    if not ((given >= 0.0) & (given <= 1.0)).all():
        raise UsageError("the reranker gave a score that is not in [0, 1]")
    return ranking.with_scores(given)


def timed_segments(asset: int, scored: Scored, candidates: SegmentColumns) -> list[ScoredSegment]:
    """Every candidate of an asset that has times."""
    rows = np.flatnonzero((candidates.assets == asset) & ~np.isnan(candidates.start_s))
    return [_scored_segment(int(row), scored, candidates) for row in rows]


def _max_over_cooccurring(
    own: Floats, candidates: SegmentColumns
) -> tuple[Floats, NDArray[np.int64]]:
    """Lets each part be answered by another kind of segment of the same file at the same time.

    "A street" is seen in a shot and its siren heard in a window of sound: the moment where both
    hold has both scores. Returns scores (parts, n) and who gave them (parts, n).
    """
    scores = own.copy()
    answered = np.tile(np.arange(len(candidates), dtype=np.int64), (len(own), 1))
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
                    answered[part, row] = other
    return scores, answered


def _scored_segment(row: int, scored: Scored, candidates: SegmentColumns) -> ScoredSegment:
    """A candidate with the time that all who answered for it share."""
    by = [int(scored.answering_candidate[part, row]) for part in scored.wanted]
    together = [row, *by]
    start_s = float(candidates.start_s[together].max())
    stop_s = float(candidates.stop_s[together].min())
    if start_s >= stop_s:  # two sounds for two parts, both at the time of a shot, but not together
        start_s, stop_s = float(candidates.start_s[row]), float(candidates.stop_s[row])
    return ScoredSegment(
        segment_id=int(candidates.ids[row]),
        matched=MODALITY_CODES[candidates.kinds[row]],
        start_s=start_s,
        stop_s=stop_s,
        score=float(scored.segment_scores[row]),
        similarity=float(scored.similarities[by[0]]),
    )
