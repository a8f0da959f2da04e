"""How well each candidate answers each part: the table that everything after retrieval works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seehear.cancellation import check_current
from seehear.search.calibration.baseline import (
    ODDS_SLOW,
    Comparison,
    SimilarityBaseline,
    log_odds,
    score_of,
    top_file_odds,
    with_support,
)
from seehear.search.composition import log_mean_exp, noisy_or
from seehear.search.dedup import NEAR_DUPLICATE
from seehear.search.encode_query import EncodedPart
from seehear.search.lexical import WordMatch
from seehear.search.snapshot import CollectionSnapshot, within
from seehear.stores import SegmentColumns
from seehear.types import Floats, Ids, Modality, PartExplanation


@dataclass(frozen=True, slots=True, eq=False)
class PartScores:
    """One part against all candidates: arrays (n,)."""

    scores: Floats
    """In [0, 1]: meaning and words together."""
    segment_scores: Floats
    """The same without words that are of the whole file, which say nothing about when."""
    similarities: Floats
    """Raw cosine of the sample that fits best; 0 where there is none."""
    words: Mapping[int, WordMatch]
    """By position of the candidate."""
    compared: RouteComparison
    support: Floats
    """Odds of the best files of the part."""


@dataclass(frozen=True, slots=True, eq=False)
class RouteComparison:
    """The sample of a part that fits each candidate best, in numbers: arrays (n,)."""

    background_index: NDArray[np.int64]
    """Place in `backgrounds` of what it was compared by; -1 for a candidate without a vector."""
    odds: Floats
    """Of each by itself; -inf for a candidate without a vector."""
    similarities: Floats
    expected: Floats
    backgrounds: list[SimilarityBaseline]

    @classmethod
    def empty(cls, n: int) -> RouteComparison:
        none = np.full(n, -np.inf, dtype=np.float32)
        similarities, expected = (np.zeros(n, dtype=np.float32) for _ in range(2))
        return cls(np.full(n, -1, dtype=np.int64), none, similarities, expected, [])


def score_parts(
    parts: Sequence[EncodedPart],
    words: Sequence[Mapping[int, WordMatch]],
    candidates: SegmentColumns,
    snapshot: CollectionSnapshot,
    crowds: Sequence[Floats] | None = None,
) -> list[PartScores]:
    """One row for each part. `words` has, for each part, the matches by segment id.

    `crowds` are those of rows gathered before, where the candidates are only some of what was
    found then.
    """
    known: Sequence[Floats | None] = crowds or [None] * len(parts)
    return [
        _row(part, matched, candidates, snapshot, crowd)
        for part, matched, crowd in zip(parts, words, known, strict=True)
    ]


def _row(
    part: EncodedPart,
    matched: Mapping[int, WordMatch],
    candidates: SegmentColumns,
    snapshot: CollectionSnapshot,
    crowd: Floats | None,
) -> PartScores:
    check_current()
    compared = RouteComparison.empty(len(candidates))
    for item in Modality:
        _compare(part, item, candidates.of_kind(item), candidates.ids, snapshot, compared)
    if crowd is None:
        # What is nearly the query itself says nothing of how many others answer it.
        rows = (compared.background_index >= 0) & (compared.similarities < NEAR_DUPLICATE)
        crowd = top_file_odds(compared.odds[rows], candidates.assets[rows])
    semantic = score_of(with_support(compared.odds, crowd))
    on_words = _words_by_position(candidates, matched)
    written, here = (np.zeros(len(candidates), dtype=np.float32) for _ in range(2))
    for position, match in on_words.items():
        written[position] = match.score
        here[position] = 0.0 if match.whole_file else match.score
    return PartScores(
        scores=noisy_or(semantic, written),
        segment_scores=noisy_or(semantic, here),
        similarities=compared.similarities,
        words=on_words,
        compared=compared,
        support=crowd,
    )


def _compare(
    part: EncodedPart,
    item: Modality,
    rows: Ids,
    ids: Ids,
    snapshot: CollectionSnapshot,
    into: RouteComparison,
) -> None:
    """Fills in the candidates of one modality, in `rows`, that have a vector."""
    probes = part.vectors_for(item)
    if not len(rows) or not probes:
        return
    backgrounds: list[SimilarityBaseline] = []
    compared: list[Comparison] = []
    kept = ids[rows]
    for probe in probes:
        background = snapshot.baseline(probe.modality, item)
        query = probe.vectors[background.route.space]
        # Every space of a modality holds the same segments: those that have content.
        kept, vectors = snapshot.vectors(ids[rows], background.route.space, item)
        backgrounds.append(background)
        compared.append(background.compare(query, vectors))
    if len(kept) < len(rows):
        rows = rows[within(ids[rows], np.sort(kept))]
    odds = np.stack([odds_of(b, c) for b, c in zip(backgrounds, compared, strict=True)])
    best, columns = odds.argmax(axis=0), np.arange(len(rows))
    into.background_index[rows] = best + len(into.backgrounds)
    into.odds[rows] = log_mean_exp(odds)
    into.similarities[rows] = np.stack([c.similarities for c in compared])[best, columns]
    into.expected[rows] = np.stack([c.expected for c in compared])[best, columns]
    into.backgrounds.extend(backgrounds)


def odds_of(background: SimilarityBaseline, compared: Comparison) -> Floats:
    """Log odds of the items of one route by themselves: float32 (n,). What is nearly the query
    itself is an answer, however alike all of a small collection may be."""
    odds = log_odds(compared.z, background.even)
    if background.route.query is background.route.item:
        near = compared.similarities >= NEAR_DUPLICATE
        odds = np.where(near, np.maximum(odds, ODDS_SLOW), odds)
    return np.asarray(odds, dtype=np.float32)


def _words_by_position(
    candidates: SegmentColumns, matched: Mapping[int, WordMatch]
) -> dict[int, WordMatch]:
    """Matches of a passage hold for it alone, those of a name for every segment of the file."""
    if not matched:
        return {}
    ids, assets = candidates.ids.tolist(), candidates.assets.tolist()
    whole = {
        asset: matched[id_]
        for id_, asset in zip(ids, assets, strict=True)
        if id_ in matched and matched[id_].whole_file
    }
    found_at: dict[int, WordMatch] = {}
    for position, (id_, asset) in enumerate(zip(ids, assets, strict=True)):
        own, of_file = matched.get(id_), whole.get(asset)
        best = own or of_file
        if own is not None and of_file is not None and of_file.score > own.score:
            best = of_file
        if best is not None:
            found_at[position] = best
    return found_at


def explain(
    parts: Sequence[EncodedPart], rows: Sequence[PartScores], positions: Sequence[int]
) -> tuple[PartExplanation, ...]:
    """One term for each part; `positions` names the candidate that answered it."""
    return tuple(
        _term(part, row, position)
        for part, row, position in zip(parts, rows, positions, strict=True)
    )


def _term(part: EncodedPart, row: PartScores, position: int) -> PartExplanation:
    match = row.words.get(position)
    term = PartExplanation(
        part=part.label,
        weight=part.weight,
        exclude=part.exclude,
        score=float(row.scores[position]),
        words=match.what if match else "",
        words_score=match.score if match else 0.0,
    )
    by = int(row.compared.background_index[position])
    if by < 0:
        return term
    background = row.compared.backgrounds[by]
    odds = row.compared.odds[position : position + 1]
    among_others, alone = (
        score_of(with_support(odds, crowd)) for crowd in (row.support, row.support[:0])
    )
    return replace(
        term,
        route=background.route.name,
        space=background.route.space.key,
        similarity=float(row.compared.similarities[position]),
        expected=float(row.compared.expected[position]),
        spread=background.spread,
        support_bonus=float(among_others[0] - alone[0]),
    )
