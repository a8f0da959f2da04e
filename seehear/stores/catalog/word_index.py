"""Find and rank texts by their words: an inverted index in arrays, mapped from a file.

A text has an id, a group, and up to four fields of terms in order. Where a term stands is one
number, its *position*: the row of the text, then the field, then its number in it. The positions of
each term are together and ascending, so all questions are operations on sorted arrays: which texts
have a term, in which field, how often, and where terms stand next to each other.

A `IndexPart` never changes. An index is one part, mapped from a file, and a small one of what came
later; texts that are gone are left out when they are read.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from seehear.stores.catalog.asked_words import AskedWord, Phrase
from seehear.stores.catalog.tokens import TAG
from seehear.stores.sorted_ids import positions_in
from seehear.types import Ids

Bools = NDArray[np.bool_]
IndexedText = tuple[int, int, Sequence[Sequence[str]]]
"""A text: its id, its group, and the terms of its fields, in order."""

GAP = ""
"""Stands between two texts in one field, which no phrase can cross."""
_FIELDS = 4
_FIELD_BITS, _ROW_BITS = 18, 20
_MOST_TERMS = (1 << _FIELD_BITS) - 1
_STRIDE = 32
_MOST_KEPT = 10_000
_STEM_WEIGHTS = np.full(_FIELDS, 0.1)
K1, B = 1.2, 0.75
"""The constants of BM25, as most engines have them."""
ARRAYS = {
    "ids": "<i8",
    "groups": "<i8",
    "lengths": "<i8",
    "ends": "<i8",
    "first": "<i8",
    "positions": "<i8",
    "checks": "<u4",
    "names": "|u1",
}


class DamagedWordsError(Exception):
    """A mapped file is not as it was written: it must be deleted and built again."""


def stem_term(stem: str) -> str:
    """Return the term of a stem. Words have no such character, so no word begins like it."""
    return f"{TAG}{stem}"


def name_term(words: Sequence[str]) -> str:
    """Return the term of a whole name."""
    return f"={' '.join(words)}"


@dataclass(frozen=True, slots=True, eq=False)
class IndexPart:
    """An inverted index of n texts; a sequence of its terms in UTF-8, ascending."""

    ids: Ids
    """Of the texts, int64 (n,)."""
    groups: Ids
    lengths: Ids
    """In terms, int64 (n,)."""
    ends: Ids
    """The end of each term in `names`."""
    first: Ids
    """The start of each term's positions, and the end of the last."""
    positions: Ids
    checks: NDArray[np.uint32]
    """Of the positions of each term."""
    names: NDArray[np.uint8]
    checked: set[int] = field(default_factory=set)
    """Terms whose positions are as they were written."""
    heads: list[bytes] = field(default_factory=list)
    """Each _STRIDE-th term, once one was looked for."""
    looked_for: dict[bytes, int] = field(default_factory=dict)
    """What `find` has returned: few words make most queries."""

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> bytes:
        start = self.ends.item(number - 1) if number else 0
        return self.names[start : self.ends.item(number)].tobytes()

    def find(self, term: bytes) -> int:
        """Return the number of a term, or of the first one after it."""
        found = self.looked_for.get(term)
        if found is None:
            if len(self.looked_for) >= _MOST_KEPT:
                self.looked_for.clear()
            found = self.looked_for[term] = self._find(term)
        return found

    def _find(self, term: bytes) -> int:
        if not self.heads:
            self.heads.extend(map(self.__getitem__, range(0, len(self), _STRIDE)))
        stop = bisect_left(self.heads, term)
        low, high = max(0, stop - 1) * _STRIDE, min(stop * _STRIDE, len(self))
        return bisect_left(self, term, low, high)

    def positions_of(self, start: int, stop: int) -> Ids:
        """Return the positions of some terms that follow each other, for each term ascending."""
        for number in range(start, stop):
            if number not in self.checked:
                own = self.positions[self.first.item(number) : self.first.item(number + 1)]
                if crc32(own.data) != self.checks.item(number):
                    raise DamagedWordsError
                self.checked.add(number)
        return self.positions[self.first.item(start) : self.first.item(stop)]


def build(texts: Iterable[IndexedText]) -> IndexPart:
    """Build an index of texts, in their order."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    gap = numbers[GAP]
    ids, groups, sizes, terms = array("q"), array("q"), array("q"), array("q")
    for id_, group, fields in texts:
        ids.append(id_)
        groups.append(group)
        for one in [*fields, *((),) * (_FIELDS - len(fields))]:
            terms.extend(map(numbers.__getitem__, one[:_MOST_TERMS]))
            sizes.append(min(len(one), _MOST_TERMS))
    lengths = np.array(sizes, dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    base = (np.arange(len(lengths)) << _FIELD_BITS) - starts
    positions = np.repeat(base, lengths) + np.arange(len(terms))
    asked = np.array(terms, dtype=np.int64)
    return _assemble(
        np.array(ids, dtype=np.int64),
        np.array(groups, dtype=np.int64),
        lengths.reshape(-1, _FIELDS).sum(axis=1),
        [name.encode() for name in numbers],
        asked[asked != gap],
        positions[asked != gap],
    )


def _assemble(
    ids: Ids, groups: Ids, lengths: Ids, names: Sequence[bytes], terms: Ids, positions: Ids
) -> IndexPart:
    """Return a part. `terms`: the number in `names` of each position, ascending for each term."""
    counts = np.bincount(terms, minlength=len(names))
    order = sorted(np.flatnonzero(counts).tolist(), key=names.__getitem__)
    ranks = np.zeros(len(names), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    positions = positions[np.argsort(ranks[terms], kind="stable")]
    first = np.concatenate([[0], np.cumsum(counts[order])]).astype(np.int64)
    bounds = first.tolist()
    pieces = (crc32(positions[a:b].data) for a, b in pairwise(bounds))
    kept = [names[number] for number in order]
    return IndexPart(
        ids,
        groups,
        lengths,
        np.cumsum([len(name) for name in kept], dtype=np.int64),
        first,
        positions,
        np.fromiter(pieces, dtype=np.uint32, count=len(order)),
        np.frombuffer(b"".join(kept), dtype=np.uint8),
        set(range(len(order))),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Form:
    """Where the texts have one form of a word."""

    positions: Ids
    rows: Ids
    has: Bools
    weights: NDArray[np.float64]
    """What an occurrence counts in each field."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Which texts have a word of a query, bool (n,)."""

    written: Bools
    """As it is written."""
    any_form: Bools
    forms: Sequence[_Form]
    """Those as it is written first, then others."""
    exact: int
    """How many of the forms are as it is written."""

    @property
    def occurs(self) -> bool:
        """Whether any text has it."""
        return any(len(form.rows) for form in self.forms)

    def in_field(self, number: int, *, exact: bool) -> Bools:
        """Return which texts have it in one field, as it is written or in any form."""
        has = np.zeros(len(self.written), dtype=np.bool_)
        for form in self.forms[: self.exact] if exact else self.forms:
            has[form.rows[(form.positions >> _FIELD_BITS) & (_FIELDS - 1) == number]] = True
        return has


class WordIndex:
    """All texts of one kind, as of one instant. Never changes."""

    def __init__(
        self, parts: Sequence[IndexPart], weights: Sequence[float], alive: Bools | None = None
    ) -> None:
        """`weights`: what an occurrence counts in each field; `alive`: bool (n,), None for all."""
        self.parts = parts
        self._weights = np.array([*weights, *[0.0] * (_FIELDS - len(weights))])
        self._given = weights
        self.alive = None if alive is None or alive.all() else alive
        self.ids: Ids = np.concatenate([part.ids for part in parts])
        self._nowhere = np.zeros(len(self.ids), dtype=np.bool_)
        self.groups: Ids = np.concatenate([part.groups for part in parts])
        lengths = np.concatenate([part.lengths for part in parts])
        self.count = len(self.ids) if self.alive is None else int(self.alive.sum())
        total = float((lengths if self.alive is None else lengths[self.alive]).sum())
        self._saturation = K1 * (1 - B + B * lengths * self.count / max(total, 1.0))

    def extended(self, gone: Bools, newer: IndexPart) -> WordIndex:
        """Return the index without some texts, bool (n,), and with those of a newer part."""
        alive = ~gone if self.alive is None else self.alive & ~gone
        if not len(newer.ids):
            return WordIndex(self.parts, self._given, alive)
        alive = np.concatenate([alive, np.ones(len(newer.ids), dtype=np.bool_)])
        base, *later = self.parts
        if later:
            kept = alive[len(base.ids) :]
            newer = _merged([*later, newer], kept)
            alive = np.concatenate([alive[: len(base.ids)], np.ones(len(newer.ids), np.bool_)])
        return WordIndex([base, newer], self._given, alive)

    def merged(self) -> IndexPart:
        """Return all texts as one part."""
        alive = np.ones(len(self.ids), dtype=np.bool_) if self.alive is None else self.alive
        return _merged(self.parts, alive)

    def look_up(self, asked: Sequence[AskedWord]) -> list[Found]:
        """Return which texts have each word of a query. Raises DamagedWordsError."""
        known: dict[str, Ids] = {}
        return [self._found(word, known) for word in asked]

    def best(self, rows: Ids, found: Iterable[Found], ranks: Ids, most: int) -> Ids:
        """Return the `most` foremost rows, by BM25 of some words, best first, equal ones by id.

        Rows of a lower rank, int64 (n,), come before others where there are too many.
        """
        at = np.full(len(self.ids), -1, dtype=np.int32)
        at[rows] = np.arange(len(rows))
        saturation = self._saturation[rows]
        scores = np.zeros(len(rows))
        for form in (form for word in found for form in word.forms if len(form.rows)):
            found_at = at[form.rows]
            inside = found_at >= 0
            counted = form.weights[(form.positions[inside] >> _FIELD_BITS) & (_FIELDS - 1)]
            often = np.bincount(found_at[inside], counted, minlength=len(rows))
            having = np.count_nonzero(form.has)
            idf = np.log((self.count - having + 0.5) / (having + 0.5))
            scores += max(idf, 1e-6) * often * (K1 + 1) / (often + saturation)
        if len(rows) > most:
            keys = ranks - scores / (scores.max() + 1)
            first = np.flatnonzero(keys <= np.partition(keys, most - 1)[most - 1])
            first = first[np.lexsort((self.ids[rows[first]], keys[first]))[:most]]
            rows, scores = rows[first], scores[first]
        return rows[np.lexsort((self.ids[rows], -scores))]

    def _found(self, word: AskedWord, known: dict[str, Ids]) -> Found:
        written = [self._form(self._phrase(one, known)) for one in word.phrases]
        others = [self._form(self._phrase(one, known, begins=True)) for one in word.prefixes]
        if word.stems:
            ranges = _ranges_of(word.stems).items()
            stems = [self._positions(key, among=terms) for key, terms in ranges]
            others.append(self._form(_ascending(stems), _STEM_WEIGHTS))
        forms = [*written, *others]
        return Found(self._any(written), self._any(forms), forms, len(written))

    def _any(self, forms: Sequence[_Form]) -> Bools:
        """Return which texts have any of some forms."""
        has, *others = [form.has for form in forms if len(form.rows)] or [self._nowhere]
        for other in others:
            has = has | other
        return has

    def _form(self, positions: Ids, weights: NDArray[np.float64] | None = None) -> _Form:
        rows, has = positions >> _ROW_BITS, self._nowhere
        if len(rows):
            has = has.copy()
            has[rows] = True
        return _Form(positions, rows, has, self._weights if weights is None else weights)

    def _phrase(self, words: Phrase, known: dict[str, Ids], *, begins: bool = False) -> Ids:
        """Return the first positions of words that stand together; the last may only begin so.

        `known` keeps the positions of each word for others of the same query.
        """
        *some, last = words
        for word in some if begins else words:
            if word not in known:
                known[word] = self._positions(word)
        found = [known[word] for word in some]
        found.append(self._positions(last, begins=True) if begins else known[last])
        rarest, *others = sorted(range(len(words)), key=lambda at: len(found[at]))
        starts = found[rarest] - rarest if rarest else found[rarest]
        for at in others:
            starts = starts[positions_in(found[at], starts + at) >= 0]
        return starts

    def _positions(self, term: str, *, begins: bool = False, among: Collection[bytes] = ()) -> Ids:
        """Return where a term stands, or all that begin so and are `among` some, ascending."""
        key = term.encode()
        pieces: list[Ids] = []
        shift = 0
        for part in self.parts:
            start, terms = part.find(key), len(part)
            if among:
                while start < terms and (name := part[start]).startswith(key):
                    if name in among:
                        pieces.append(part.positions_of(start, start + 1) + shift)
                    start += 1
            elif begins:
                pieces.append(part.positions_of(start, part.find(key + b"\xff")) + shift)
            elif start < terms and part[start] == key:
                own = part.positions_of(start, start + 1)
                pieces.append(own + shift if shift else own)
            shift += len(part.ids) << _ROW_BITS
        positions = _ascending(pieces, ordered=not (among or begins))
        return positions if self.alive is None else positions[self.alive[positions >> _ROW_BITS]]


def _ascending(pieces: Sequence[Ids], *, ordered: bool = False) -> Ids:
    """Join positions; `ordered`: each piece is ascending, and after the one before it."""
    pieces = [piece for piece in pieces if len(piece)]
    if len(pieces) == 1 and (ordered or (pieces[0][1:] > pieces[0][:-1]).all()):
        return pieces[0]
    joined = np.concatenate([*pieces, _NOWHERE])
    return joined if ordered else np.sort(joined, kind="stable")  # merges what is in order


@lru_cache(maxsize=1024)
def _ranges_of(stems: Sequence[str]) -> dict[str, set[bytes]]:
    """Return the terms of stems by what they begin with: most languages have few different ones."""
    found: dict[str, set[bytes]] = {}
    for stem in map(stem_term, stems):
        found.setdefault(stem[: stem.rindex(TAG) + 1], set()).add(stem.encode())
    return found


_NOWHERE: Ids = np.zeros(0, dtype=np.int64)
EMPTY = build(())


def equal(one: IndexPart, other: IndexPart) -> bool:
    """Tell whether two parts have the same texts."""
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)


def _merged(parts: Sequence[IndexPart], alive: Bools) -> IndexPart:
    """Return parts as one, by ascending id, with those of their texts that are there, bool (n,)."""
    ids, groups, lengths = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("ids", "groups", "lengths")
    )
    order = np.flatnonzero(alive)
    order = order[np.argsort(ids[order], kind="stable")]
    rows = np.zeros(len(ids), dtype=np.int64)
    rows[order] = np.arange(len(order))
    numbers: dict[bytes, int] = {}
    terms, positions, shift = [], [], 0
    for part in parts:
        mine = np.fromiter(
            (numbers.setdefault(part[n], len(numbers)) for n in range(len(part))), dtype=np.int64
        )
        own = part.positions_of(0, len(part))
        which = (own >> _ROW_BITS) + shift
        kept = alive[which]
        positions.append((rows[which] << _ROW_BITS | own & ((1 << _ROW_BITS) - 1))[kept])
        terms.append(np.repeat(mine, np.diff(part.first))[kept])
        shift += len(part.ids)
    which, where = np.concatenate(terms), np.concatenate(positions)
    if (order[1:] < order[:-1]).any():  # a text was written anew, and keeps its id
        which, where = which[by_position := np.argsort(where)], where[by_position]
    return _assemble(ids[order], groups[order], lengths[order], [*numbers], which, where)
