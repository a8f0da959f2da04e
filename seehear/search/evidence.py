"""How well each candidate answers each part: the table that everything after retrieval works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seehear.search.calibrate import (
    ODDS_SLOW,
    Background,
    Floats,
    among,
    crowd_of,
    log_odds,
    score_of,
)
from seehear.search.compose import any_of, either
from seehear.search.diversity import NEAR_DUPLICATE
from seehear.search.parts import Part
from seehear.search.shelf import Shelf, within
from seehear.search.words import WordMatch
from seehear.stores import Pieces
from seehear.types import Ids, Modality, Term


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One part against all candidates: arrays (n,)."""

    scores: Floats
    """In [0, 1]: meaning and words together."""
    timely: Floats
    """The same without words that are of the whole file, which say nothing about when."""
    similarities: Floats
    """Raw cosine of the sample that fits best; 0 where there is none."""
    words: Mapping[int, WordMatch]
    """By position of the candidate."""
    compared: Compared
    crowd: Floats
    """Odds of the best files of the part."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """The sample of a part that fits each candidate best, in numbers: arrays (n,)."""

    by: NDArray[np.int64]
    """Place in `backgrounds` of what it was compared by; -1 for a candidate without a vector."""
    odds: Floats
    """Of each by itself; -inf for a candidate without a vector."""
    similarities: Floats
    expected: Floats
    backgrounds: list[Background]

    @classmethod
    def empty(cls, n: int) -> Compared:
        none = np.full(n, -np.inf, dtype=np.float32)
        similarities, expected = (np.zeros(n, dtype=np.float32) for _ in range(2))
        return cls(np.full(n, -1, dtype=np.int64), none, similarities, expected, [])


def gather(
    parts: Sequence[Part],
    words: Sequence[Mapping[int, WordMatch]],
    candidates: Pieces,
    shelf: Shelf,
    crowds: Sequence[Floats] | None = None,
) -> list[Row]:
    """One row for each part. `words` has, for each part, the matches by segment id.

    `crowds` are those of rows gathered before, where the candidates are only some of what was
    found then.
    """
    known: Sequence[Floats | None] = crowds or [None] * len(parts)
    return [
        _row(part, matched, candidates, shelf, crowd)
        for part, matched, crowd in zip(parts, words, known, strict=True)
    ]


def _row(
    part: Part,
    matched: Mapping[int, WordMatch],
    candidates: Pieces,
    shelf: Shelf,
    crowd: Floats | None,
) -> Row:
    compared = Compared.empty(len(candidates))
    for item in Modality:
        _compare(part, item, candidates.of_kind(item), candidates.ids, shelf, compared)
    if crowd is None:
        # What is nearly the query itself says nothing of how many others answer it.
        rows = (compared.by >= 0) & (compared.similarities < NEAR_DUPLICATE)
        crowd = crowd_of(compared.odds[rows], candidates.assets[rows])
    semantic = score_of(among(compared.odds, crowd))
    on_words = _words_by_position(candidates, matched)
    written, here = (np.zeros(len(candidates), dtype=np.float32) for _ in range(2))
    for position, match in on_words.items():
        written[position] = match.score
        here[position] = 0.0 if match.whole_file else match.score
    return Row(
        scores=either(semantic, written),
        timely=either(semantic, here),
        similarities=compared.similarities,
        words=on_words,
        compared=compared,
        crowd=crowd,
    )


def _compare(part: Part, item: Modality, rows: Ids, ids: Ids, shelf: Shelf, into: Compared) -> None:
    """Fills in the candidates of one modality, in `rows`, that have a vector."""
    probes = part.meeting(item)
    if not len(rows) or not probes:
        return
    backgrounds, similarities, expected = [], [], []
    kept = ids[rows]
    for probe in probes:
        background = shelf.background(probe.modality, item)
        query = probe.vectors[background.route.space]
        # Every space of a modality holds the same segments: those that have content.
        kept, vectors = shelf.vectors(ids[rows], background.route.space, item)
        backgrounds.append(background)
        similarities.append(vectors @ query)
        expected.append(background.expected(query, vectors))
    if len(kept) < len(rows):
        rows = rows[within(ids[rows], np.sort(kept))]
    odds = np.stack(
        [odds_of(b, s, e) for b, s, e in zip(backgrounds, similarities, expected, strict=True)]
    )
    best, columns = odds.argmax(axis=0), np.arange(len(rows))
    into.by[rows] = best + len(into.backgrounds)
    into.odds[rows] = any_of(odds)
    into.similarities[rows] = np.stack(similarities)[best, columns]
    into.expected[rows] = np.stack(expected)[best, columns]
    into.backgrounds.extend(backgrounds)


def odds_of(background: Background, similarities: Floats, expected: Floats) -> Floats:
    """Log odds of the items of one route by themselves: float32 (n,). What is nearly the query
    itself is an answer, however alike all of a small collection may be."""
    odds = log_odds((similarities - expected) / background.spread, background.even)
    if background.route.query is background.route.item:
        odds = np.where(similarities >= NEAR_DUPLICATE, np.maximum(odds, ODDS_SLOW), odds)
    return np.asarray(odds, dtype=np.float32)


def _words_by_position(
    candidates: Pieces, matched: Mapping[int, WordMatch]
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
    by = int(row.compared.by[position])
    if by < 0:
        return term
    background = row.compared.backgrounds[by]
    odds = row.compared.odds[position : position + 1]
    among_others, alone = (score_of(among(odds, crowd)) for crowd in (row.crowd, row.crowd[:0]))
    return replace(
        term,
        route=background.route.name,
        space=background.route.space.key,
        similarity=float(row.compared.similarities[position]),
        expected=float(row.compared.expected[position]),
        spread=background.spread,
        crowd=float(among_others[0] - alone[0]),
    )
