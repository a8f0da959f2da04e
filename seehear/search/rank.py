"""From scored segments to ranked assets: a file stands where its best moment stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seehear.errors import UsageError
from seehear.search.compose import Weight, join
from seehear.search.evidence import Row
from seehear.search.moments import Piece
from seehear.search.parts import Part
from seehear.stores import Found
from seehear.types import Asset, Query


@dataclass(frozen=True, slots=True)
class Result:
    """One asset with everything that a hit is made from."""

    asset: Asset
    score: float
    best: int
    """Position of the candidate that stands for the asset."""
    answered_by: tuple[int, ...]
    """For each part, the position of the candidate that answered it: the best one itself, or one
    of the other kind at the same time (its sound for a shot, a shot for its sound)."""
    pieces: tuple[Piece, ...]
    """Every candidate of the asset that has times."""


Rerank = Callable[[Query, Sequence[Result]], Sequence[float]]
"""Gives results, best first, other scores in [0, 1], in the order in which they came. It is asked
more than once for one query, each time with all that was found, and shall always say the same."""


def rank(parts: Sequence[Part], rows: Sequence[Row], candidates: Sequence[Found]) -> list[Result]:
    """One result for each asset, best first; equal scores stand in the order of asset ids."""
    if not candidates:
        return []
    own = np.stack([row.scores for row in rows])
    scores, answered = _meet(own, candidates) if len(parts) > 1 else (own, None)
    weights = [Weight(part.weight, part.exclude) for part in parts]
    joined = join(scores, weights).tolist()
    timely = np.stack([row.timely for row in rows])
    when = join(_meet(timely, candidates)[0] if len(parts) > 1 else timely, weights).tolist()
    groups: dict[int, list[int]] = {}
    for position, found in enumerate(candidates):
        groups.setdefault(found.asset.id, []).append(position)
    first = next(i for i, part in enumerate(parts) if not part.exclude)
    # Lists, as the others: numbers are taken out one by one, hundreds for each query.
    alone = own.sum(axis=0).tolist()
    similarities = rows[first].similarities.tolist()
    results = []
    for members in groups.values():
        best = members[0]
        if len(members) > 1:
            # Of a shot and its sound, which share their score, the one that answers more by itself.
            best = max(members, key=lambda i: (joined[i], alone[i], -candidates[i].segment_id))
        who = [[int(a) for a in answered[:, i]] if answered is not None else [i] for i in members]
        results.append(
            Result(
                asset=candidates[best].asset,
                score=joined[best],
                best=best,
                answered_by=tuple(who[members.index(best)]),
                pieces=tuple(
                    piece
                    for i, by in zip(members, who, strict=True)
                    if (
                        piece := _piece(
                            candidates,
                            i,
                            [j for j, p in zip(by, parts, strict=True) if not p.exclude],
                            when[i],
                            similarities[by[first]],
                        )
                    )
                ),
            )
        )
    return sorted(results, key=lambda result: (-result.score, result.asset.id))


def reranked(results: Sequence[Result], scores: Sequence[float]) -> list[Result]:
    """The results with other scores, in their order. Raises UsageError for scores that are none."""
    if len(scores) != len(results):
        raise UsageError(f"the reranker gave {len(scores)} scores for {len(results)} results")
    given = [replace(r, score=float(score)) for r, score in zip(results, scores, strict=True)]
    if not all(0.0 <= result.score <= 1.0 for result in given):
        raise UsageError("the reranker gave a score that is not in [0, 1]")
    return sorted(given, key=lambda result: (-result.score, result.asset.id))


def _meet(
    own: np.ndarray[tuple[int, int], np.dtype[np.float32]], candidates: Sequence[Found]
) -> tuple[
    np.ndarray[tuple[int, int], np.dtype[np.float32]],
    np.ndarray[tuple[int, int], np.dtype[np.int64]],
]:
    """Lets each part be answered by another kind of segment of the same file at the same time.

    "A street" is seen in a shot and its siren heard in a window of sound: the moment where both
    hold has both scores. Returns scores (parts, n) and who gave them (parts, n).
    """
    scores = own.copy()
    answered = np.tile(np.arange(len(candidates), dtype=np.int64), (len(own), 1))
    timed: dict[int, list[int]] = {}
    for position, found in enumerate(candidates):
        if found.segment.start_s is not None:
            timed.setdefault(found.asset.id, []).append(position)
    for members in timed.values():
        kinds = np.array([candidates[i].segment.modality for i in members])
        starts = np.array([candidates[i].segment.start_s for i in members], dtype=np.float64)
        stops = np.array([candidates[i].segment.stop_s for i in members], dtype=np.float64)
        places = np.array(members)
        for at, position in enumerate(members):
            others = places[(kinds != kinds[at]) & (starts < stops[at]) & (stops > starts[at])]
            if not len(others):
                continue
            best = others[own[:, others].argmax(axis=1)]
            for part, other in enumerate(best):
                if own[part, other] > own[part, position]:
                    scores[part, position] = own[part, other]
                    answered[part, position] = other
    return scores, answered


def _piece(
    candidates: Sequence[Found], at: int, by: Sequence[int], score: float, similarity: float
) -> Piece | None:
    """A candidate with the time that all who answered for it share; None where it has no times."""
    found = candidates[at]
    if found.segment.start_s is None and list(by) == [at]:
        return None  # most of all: a picture, or a passage of a text
    segments = [candidates[j].segment for j in {at, *by}]
    starts = [s.start_s for s in segments if s.start_s is not None]
    stops = [s.stop_s for s in segments if s.stop_s is not None]
    if not starts or not stops:
        return None
    start_s, stop_s = max(starts), min(stops)
    if start_s >= stop_s:  # two sounds for two parts, both at the time of a shot, but not together
        start_s, stop_s = found.segment.start_s or 0.0, found.segment.stop_s or 0.0
    return Piece(found.segment_id, found.segment.modality, start_s, stop_s, score, similarity)
