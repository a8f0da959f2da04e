"""Score candidates: how well each answers every part of a query, and all parts together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seehear.cancellation import check_current
from seehear.search.calibration.baseline import (
    LENIENT,
    NEARLY_EQUAL,
    ODDS_SLOW,
    WEAK_BELOW,
    BaselineColumns,
    SegmentKind,
    doubt,
    fall,
    log_odds,
    score_of,
)
from seehear.search.composition import (
    corroborated,
    log_mean_exp,
    max_over_cooccurring,
    noisy_or,
    overlapping,
    run_starts,
    weighted_geometric_mean,
)
from seehear.search.encode_query import EncodedPart
from seehear.search.lexical import MATCHES, NO_MATCH, WHOLE_FILE
from seehear.search.snapshot import CollectionSnapshot
from seehear.stores import SegmentColumns, sorted_ids
from seehear.stores.catalog.records import MODALITY_CODES, MOST_CODES, ORIGIN_CODES, code_of
from seehear.types import By, Floats, Ids, Modality, PartExplanation, Vectors

NO_VECTOR = -1
"""Stands in `Scores.asked_as` for a candidate without a vector."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """How well n candidates answer a query of p parts. Scores are in [0, 1]."""

    parts: Sequence[EncodedPart]
    """The p parts of the query."""
    candidates: SegmentColumns
    """n rows, one per segment, by ascending id."""
    similarities: Floats
    """Cosine of the part's sample that fits best: float32 (p, n), 0 without a vector."""
    expected: Floats
    """Cosine that an unrelated pair would have: float32 (p, n), 0 without a vector."""
    odds: Floats
    """Log odds that the segment belongs, by itself: float32 (p, n), or -inf."""
    presence: Floats
    """Log odds that segments of the same kind hold anything like the part: float32 (p, n); inf for
    what is nearly the query itself."""
    asked_as: NDArray[np.int8]
    """Modality of that sample, as its index in `MODALITY_CODES`: int8 (p, n), or NO_VECTOR."""
    words: NDArray[np.float64]
    """What the matched words are worth: float64 (p, n), 0 without a match."""
    word_kinds: NDArray[np.int8]
    """Kind of that match, as its index in `lexical.MATCHES`: int8 (p, n), or NO_MATCH."""
    by_part: Floats
    """Score of each part, by meaning and words: float32 (p, n)."""
    answering: NDArray[np.int64]
    """The candidate that answers each part, int64 (p, n): itself, or a segment of another kind at
    the same time (the audio of a shot, a shot of the audio)."""
    total: NDArray[np.float64]
    """Score of all parts together: float64 (n,)."""
    confidence: Floats
    """The same from the presence of each segment's own kind: float32 (n,), in [0, 1]. Hits below
    WEAK_BELOW are weak."""
    timed: Floats
    """The same without words of the whole file, which do not say when: float32 (n,)."""

    @property
    def wanted(self) -> list[int]:
        """The parts that are not excluded, as positions in `parts`; at least one."""
        return [number for number, part in enumerate(self.parts) if not part.exclude]

    def at(self, rows: Ids) -> Scores:
        """Return some ascending rows, which must have all candidates of their files."""
        return Scores(
            parts=self.parts,
            candidates=self.candidates.at(rows),
            answering=np.searchsorted(rows, self.answering[:, rows]),
            similarities=self.similarities[:, rows],
            expected=self.expected[:, rows],
            odds=self.odds[:, rows],
            presence=self.presence[:, rows],
            asked_as=self.asked_as[:, rows],
            words=self.words[:, rows],
            word_kinds=self.word_kinds[:, rows],
            by_part=self.by_part[:, rows],
            total=self.total[rows],
            confidence=self.confidence[rows],
            timed=self.timed[rows],
        )


def score(
    parts: Sequence[EncodedPart], candidates: SegmentColumns, snapshot: CollectionSnapshot
) -> Scores:
    """Score candidates for every part, and for all parts together."""
    shape = len(parts), len(candidates)
    similarities, expected, falls = (np.zeros(shape, dtype=np.float32) for _ in range(3))
    odds, present = (np.full(shape, -np.inf, dtype=np.float32) for _ in range(2))
    asked_as = np.full(shape, NO_VECTOR, dtype=np.int8)
    words, kinds = np.zeros(shape), np.full(shape, NO_MATCH, dtype=np.int8)
    for row, part in enumerate(parts):
        check_current()
        columns = (
            similarities[row],
            expected[row],
            odds[row],
            present[row],
            falls[row],
            asked_as[row],
        )
        _compare(part, candidates, snapshot, columns)
        if len(part.word_ids):
            words[row], kinds[row] = _word_columns(part, candidates)
    matched = words.astype(np.float32)
    wanted = np.array([not part.exclude for part in parts])
    known = np.array([[part.known] for part in parts], dtype=np.float32)
    told = [[one.odds for one in part.presence.values()] for part in parts]
    held = np.array([[max(odds_of_kinds, default=-np.inf)] for odds_of_kinds in told])
    meaning = known * score_of(odds - doubt(np.maximum(held, present)))
    by_part = noisy_or(meaning, matched)
    together, answering = max_over_cooccurring(
        corroborated(by_part, wanted, candidates), candidates
    )
    weights, excluded = [part.weight for part in parts], [part.exclude for part in parts]
    timed = total = weighted_geometric_mean(together, weights, excluded)
    if (of_file := WHOLE_FILE[kinds]).any():
        here = np.where(of_file, 0.0, words).astype(np.float32)
        own, _ = max_over_cooccurring(
            corroborated(noisy_or(meaning, here), wanted, candidates), candidates
        )
        timed = weighted_geometric_mean(own, weights, excluded)
    by_kind = np.take_along_axis(
        noisy_or(known * score_of(odds - falls + LENIENT) * score_of(present), matched),
        answering,
        axis=1,
    )
    return Scores(
        parts=parts,
        candidates=candidates,
        similarities=similarities,
        expected=expected,
        odds=odds,
        asked_as=asked_as,
        presence=present,
        words=words,
        word_kinds=kinds,
        by_part=by_part,
        answering=answering,
        total=total.astype(np.float64),
        confidence=weighted_geometric_mean(by_kind, weights, excluded),
        timed=timed,
    )


def _compare(
    part: EncodedPart,
    candidates: SegmentColumns,
    snapshot: CollectionSnapshot,
    into: tuple[Floats, Floats, Floats, Floats, Floats, NDArray[np.int8]],
) -> None:
    """Fill the columns of one part for the candidates that have a vector."""
    found: list[Comparison] = []
    for modality, by_space in part.vectors.items():
        for columns in snapshot.baselines(modality):
            one = compare(modality, by_space[columns.space], columns, candidates, snapshot)
            asked = [modality in part.modalities_for(*kind) for kind in columns.kinds]
            found.append(one.only(np.array(asked, dtype=np.bool_)))
    if not found:
        return
    modalities = [MODALITY_CODES.index(one.modality) for one in found for _ in one.z]
    similarities, expected, odds = (
        np.concatenate(several)
        for several in zip(
            *((one.similarities, one.expected, one.odds) for one in found), strict=True
        )
    )
    best, rows = odds.argmax(axis=0), np.arange(len(candidates))
    count = np.isfinite(odds).sum(axis=0)  # a kind may be asked by some of the samples alone
    told = count > 0
    into[0][:] = np.where(told, similarities[best, rows], 0.0)
    into[1][:] = np.where(told, expected[best, rows], 0.0)
    into[2][:] = log_mean_exp(odds) + np.log(len(odds) / np.maximum(count, 1))
    into[5][:] = np.where(told, np.array(modalities)[best], NO_VECTOR)
    presence, tops = (np.full(MOST_CODES, -np.inf, dtype=np.float32) for _ in range(2))
    for kind, held in part.presence.items():
        presence[code_of(*kind)], tops[code_of(*kind)] = held.odds, held.best
    z = np.concatenate([one.z for one in found])[best, rows]
    into[4][:] = fall(np.where(told, z, np.float32(0.0)), tops[candidates.codes])
    own = np.any([one.is_own for one in found], axis=0)
    near = own & (odds >= ODDS_SLOW).any(axis=0) & (into[0] >= NEARLY_EQUAL)
    into[3][:] = np.where(told, np.where(near, np.inf, presence[candidates.codes]), -np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """How s samples of one modality compare with n segments, as far as `which` knows them."""

    modality: Modality
    which: Ids
    """Number of the kind of each segment, int64 (n,); -1 for other kinds, and without a vector."""
    is_own: NDArray[np.bool_]
    """Whether a segment has the modality of the samples: bool (n,)."""
    similarities: Floats
    """float32 (s, n)."""
    expected: Floats
    z: Floats
    """In spreads: float32 (s, n), or -inf."""

    @property
    def odds(self) -> Floats:
        """Log odds that segments belong by themselves: float32 (s, n), or -inf.

        What is nearly the query itself is an answer, even among items that are all alike.
        """
        odds = log_odds(self.z)
        near = self.is_own & (self.similarities >= NEARLY_EQUAL) & (self.z > -np.inf)
        return np.asarray(np.where(near, np.maximum(odds, ODDS_SLOW), odds), dtype=np.float32)

    def only(self, kinds: NDArray[np.bool_]) -> Comparison:
        """Return the same of some kinds of segments only, (m,)."""
        if kinds.all():
            return self
        kept = (self.which >= 0) & kinds[self.which]
        z = np.where(kept, self.z, np.float32(-np.inf))
        return replace(self, z=z, is_own=self.is_own & kept)


def compare(
    modality: Modality,
    samples: Vectors,
    columns: BaselineColumns,
    candidates: SegmentColumns,
    snapshot: CollectionSnapshot,
) -> Comparison:
    """Compare samples, float32 (s, dim), with the candidates of all kinds that `columns` has."""
    which = columns.numbers[candidates.codes]
    probes = np.concatenate([samples, columns.queries[None]])
    rows, products = snapshot.products(
        candidates, np.flatnonzero(which >= 0), columns.space, probes
    )
    shape = len(samples), len(candidates)
    similarities, expected = (np.zeros(shape, dtype=np.float32) for _ in range(2))
    z = np.full(shape, -np.inf, dtype=np.float32)
    of_rows = which[rows]
    similarities[:, rows] = products[:, :-1].T
    expected[:, rows] = columns.expected(samples, products[:, -1], of_rows)
    z[:, rows] = (similarities[:, rows] - expected[:, rows]) / columns.spreads[of_rows]
    if len(rows) < len(which):
        which = np.full(len(candidates), -1, dtype=np.int64)
        which[rows] = of_rows
    own = (which >= 0) & (candidates.kinds == MODALITY_CODES.index(modality))
    return Comparison(modality, which, own, similarities, expected, z)


def _word_columns(
    part: EncodedPart, candidates: SegmentColumns
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Return what the words matched in each candidate, or in its file: scores and kinds, (n,)."""
    scores, kinds = np.zeros(len(candidates)), np.full(len(candidates), NO_MATCH, dtype=np.int8)
    found = sorted_ids.positions_in(part.word_ids, candidates.ids)
    rows = np.flatnonzero(found >= 0)
    scores[rows], kinds[rows] = part.word_scores[found[rows]], part.word_kinds[found[rows]]
    # A match of the file's name holds for all its segments.
    whole = rows[WHOLE_FILE[kinds[rows]]]
    of_file = dict(zip(candidates.assets[whole].tolist(), whole.tolist(), strict=True))
    assets = np.array(sorted(of_file), dtype=np.int64)
    given_by = np.array([of_file[asset] for asset in assets.tolist()], dtype=np.int64)
    found = sorted_ids.positions_in(assets, candidates.assets)
    rows = np.flatnonzero(found >= 0)
    givers = given_by[found[rows]]
    better = (kinds[rows] == NO_MATCH) | (scores[givers] > scores[rows])
    rows, givers = rows[better], givers[better]
    scores[rows], kinds[rows] = scores[givers], kinds[givers]
    return scores, kinds


def explain(scores: Scores, row: int, snapshot: CollectionSnapshot) -> tuple[PartExplanation, ...]:
    """Return what each part of the query contributed to the score of one candidate."""
    return tuple(
        _explain(scores, number, int(by), snapshot)
        for number, by in enumerate(scores.answering[:, row])
    )


def _explain(
    scores: Scores, number: int, row: int, snapshot: CollectionSnapshot
) -> PartExplanation:
    part = scores.parts[number]
    match, asked_as = int(scores.word_kinds[number, row]), int(scores.asked_as[number, row])
    by_words = PartExplanation(
        part=part.label,
        weight=part.weight,
        exclude=part.exclude,
        score=float(scores.by_part[number, row]),
        words=MATCHES[match].what if match != NO_MATCH else "",
        words_score=float(scores.words[number, row]),
    )
    if asked_as == NO_VECTOR:
        return by_words
    kind = _kind_of(scores.candidates, row)
    asked = MODALITY_CODES[asked_as]
    baseline = snapshot.baseline(asked, *kind)
    return replace(
        by_words,
        route=baseline.route.name if kind[1] is None else f"{asked}->{kind[1]}",
        space=baseline.route.space.key,
        similarity=float(scores.similarities[number, row]),
        expected=float(scores.expected[number, row]),
        spread=baseline.spread,
        presence=float(score_of(scores.presence[number, row : row + 1])[0]),
    )


_SENSES = {Modality.IMAGE: By.SIGHT, Modality.VIDEO: By.SIGHT, Modality.AUDIO: By.SOUND}


def _kind_of(candidates: SegmentColumns, row: int) -> SegmentKind:
    return MODALITY_CODES[candidates.kinds[row]], ORIGIN_CODES[candidates.origins[row]]


class Evidence:
    """By what the candidates were found."""

    def __init__(self, scores: Scores) -> None:
        self._scores = scores
        candidates = scores.candidates
        order = np.argsort(candidates.assets, kind="stable")
        assets, codes = candidates.assets[order], candidates.codes[order]
        starts = run_starts(assets)
        several = codes[starts] != np.maximum.reduceat(codes, starts)
        several |= codes[starts] != np.minimum.reduceat(codes, starts)
        stops = [*starts[1:].tolist(), len(order)]
        self._files = {
            asset: (order[start:stop], mixed)
            for asset, start, stop, mixed in zip(
                assets[starts].tolist(), starts.tolist(), stops, several.tolist(), strict=True
            )
        }

    def rows_beside(self, row: int) -> Ids:
        """Return the rows of the file of a candidate, ascending."""
        return self._files[self._scores.candidates.assets.item(row)][0]

    def of(self, row: int) -> dict[By, int]:
        """Return by what a candidate was found, and for each the row that tells it.

        First what answers each part, then what else says the same at that time, best first. What is
        not sure by itself is left out, except what answers best.
        """
        scores = self._scores
        same, mixed = self._files[scores.candidates.assets.item(row)]
        found: dict[By, int] = {}
        for number in scores.wanted:
            answer = scores.answering.item(number, row)
            others: list[int] = []
            if mixed:
                sure = same[scores.by_part[number, same] >= WEAK_BELOW]
                beside = sure[overlapping(scores.candidates, np.array([answer]), sure)]
                order = np.argsort(-scores.by_part[number, beside], kind="stable")
                others = beside[order].tolist()
            for one in (answer, *others):
                for by in self._by(number, one):
                    found.setdefault(by, one)
        return found

    def _by(self, number: int, row: int) -> tuple[By, ...]:
        """Return by what one part finds a candidate: its words, its sight or sound, its name."""
        scores = self._scores
        item = MODALITY_CODES[scores.candidates.kinds.item(row)]
        origin = ORIGIN_CODES[scores.candidates.origins.item(row)]
        own = _SENSES.get(item) or (By.TEXT if origin is None else By(origin))
        match = scores.word_kinds.item(number, row)
        if match == NO_MATCH or not WHOLE_FILE[match]:
            return (own,)
        named = scores.words.item(number, row)
        meant = 1.0 - (1.0 - scores.by_part.item(number, row)) / max(1.0 - named, 1e-6)
        if meant < WEAK_BELOW:
            return (By.NAME,)
        return (By.NAME, own) if named > meant else (own, By.NAME)
