"""How well each candidate answers each part: the table that everything after retrieval works on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seehear.encoders.base import Route
from seehear.search.calibrate import ODDS_SLOW, Background, Floats, log_odds, score_of
from seehear.search.compose import any_of, either
from seehear.search.diversity import NEAR_DUPLICATE
from seehear.search.parts import Part
from seehear.search.shelf import Shelf
from seehear.search.words import WordMatch
from seehear.stores import Found
from seehear.types import Modality, Term


@dataclass(frozen=True, slots=True)
class Comparison:
    """The sample of a part that fits one candidate best, in numbers."""

    route: Route
    similarity: float
    expected: float
    spread: float


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One part against all candidates: float32 (n,) each."""

    scores: Floats
    """In [0, 1]: meaning and words together."""
    timely: Floats
    """The same without words that are of the whole file, which say nothing about when."""
    similarities: Floats
    """Raw cosine of the sample that fits best; 0 where there is none."""
    words: Mapping[int, WordMatch]
    """By position of the candidate."""
    comparisons: Mapping[int, Comparison]
    """By position of the candidate; those without a vector have none."""


def gather(
    parts: Sequence[Part],
    words: Sequence[Mapping[int, WordMatch]],
    candidates: Sequence[Found],
    shelf: Shelf,
) -> list[Row]:
    """One row for each part. `words` has, for each part, the matches by segment id."""
    return [
        _row(part, matched, candidates, shelf) for part, matched in zip(parts, words, strict=True)
    ]


def _row(
    part: Part, matched: Mapping[int, WordMatch], candidates: Sequence[Found], shelf: Shelf
) -> Row:
    position_of = {found.segment_id: position for position, found in enumerate(candidates)}
    semantic = np.zeros(len(candidates), dtype=np.float32)
    similarities = np.zeros(len(candidates), dtype=np.float32)
    comparisons: dict[int, Comparison] = {}
    for item in Modality:
        ids = [found.segment_id for found in candidates if found.segment.modality is item]
        for id_, score, comparison in _compare(part, item, ids, shelf):
            position = position_of[id_]
            semantic[position] = score
            similarities[position] = comparison.similarity
            comparisons[position] = comparison
    on_words = _words_by_position(candidates, matched)
    written, here = (np.zeros(len(candidates), dtype=np.float32) for _ in range(2))
    for position, match in on_words.items():
        written[position] = match.score
        here[position] = 0.0 if match.whole_file else match.score
    scores, timely = either(semantic, written), either(semantic, here)
    return Row(scores, timely, similarities, on_words, comparisons)


def _compare(
    part: Part, item: Modality, ids: Sequence[int], shelf: Shelf
) -> Iterator[tuple[int, float, Comparison]]:
    """Of the segments of one modality that have a vector: id, semantic score and its numbers."""
    probes = part.meeting(item)
    if not ids or not probes:
        return
    rows = []
    for probe in probes:
        background = shelf.background(probe.modality, item)
        query = probe.vectors[background.route.space]
        kept, vectors = shelf.vectors(ids, background.route.space, item)
        rows.append((background, kept, vectors @ query, background.expected(query, vectors)))
    # Every space of a modality holds the same segments: those that have content.
    odds = np.stack([odds_of(background, s, expected) for background, _, s, expected in rows])
    scores = score_of(any_of(odds)).tolist()
    # As lists: numbers are taken out one by one, hundreds for each query.
    listed = [(b.route, s.tolist(), e.tolist(), b.spread) for b, _, s, e in rows]
    ids_and_best = zip(rows[0][1].tolist(), odds.argmax(axis=0).tolist(), strict=True)
    for column, (id_, best) in enumerate(ids_and_best):
        route, similarities, expected, spread = listed[best]
        yield id_, scores[column], Comparison(route, similarities[column], expected[column], spread)


def odds_of(background: Background, similarities: Floats, expected: Floats) -> Floats:
    """Log odds of the items of one route: float32 (n,). What is nearly the query itself is an
    answer, however alike all of a small collection may be."""
    odds = log_odds((similarities - expected) / background.spread, background.even)
    if background.route.query is background.route.item:
        odds = np.where(similarities >= NEAR_DUPLICATE, np.maximum(odds, ODDS_SLOW), odds)
    return np.asarray(odds, dtype=np.float32)


def _words_by_position(
    candidates: Sequence[Found], matched: Mapping[int, WordMatch]
) -> dict[int, WordMatch]:
    """Matches of a passage hold for it alone, those of a name for every segment of the file."""
    if not matched:
        return {}
    whole = {
        found.asset.id: matched[found.segment_id]
        for found in candidates
        if found.segment_id in matched and matched[found.segment_id].whole_file
    }
    found_at: dict[int, WordMatch] = {}
    for position, found in enumerate(candidates):
        own = matched.get(found.segment_id)
        shared = whole.get(found.asset.id)
        best = max((m for m in (own, shared) if m), key=lambda m: m.score, default=None)
        if best is not None:
            found_at[position] = best
    return found_at


def explain(
    parts: Sequence[Part], rows: Sequence[Row], positions: Sequence[int]
) -> tuple[Term, ...]:
    """One term for each part; `positions` names the candidate that answered it."""
    return tuple(
        _term(part, row, position)
        for part, row, position in zip(parts, rows, positions, strict=True)
    )


def _term(part: Part, row: Row, position: int) -> Term:
    match = row.words.get(position)
    term = Term(
        part=part.label,
        weight=part.weight,
        exclude=part.exclude,
        score=float(row.scores[position]),
        words=match.what if match else "",
        words_score=match.score if match else 0.0,
    )
    known = row.comparisons.get(position)
    if known is None:
        return term
    return replace(
        term,
        route=known.route.name,
        space=known.route.space.key,
        similarity=known.similarity,
        expected=known.expected,
        spread=known.spread,
    )
