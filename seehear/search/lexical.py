"""Score words as they are written, by how exactly a name or a passage contains them.

The scores of BM25 do not compare across collections, so BM25 only orders. A match counts by its
kind, times a reciprocal rank:

    words score = worth of the kind of match * K / (K + rank - 1)

and is combined with the calibrated score of the same part by `composition.noisy_or`: reciprocal
rank fusion (Cormack, Clarke and Büttcher, 2009) in which the weight of a list is the worth of its
match. Where no passage has all words of a query, half of them are a match, worth their share.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seehear.search.calibration.fitted import within
from seehear.search.composition import run_starts
from seehear.search.snapshot import CollectionSnapshot
from seehear.stores.catalog.asked_words import AskedWord, asked_words, in_pairs
from seehear.stores.catalog.records import NO_IDS
from seehear.stores.catalog.tokens import is_unspaced, words_of
from seehear.stores.catalog.word_index import name_term
from seehear.stores.catalog.words import NAME as NAME_FIELD
from seehear.stores.catalog.words import Looked
from seehear.types import Ids

K = 60
"""The constant of reciprocal rank fusion."""
MOST = 300
"""Most matches to grade, best first by BM25. The next one is worth a sixth of the first."""
MOST_OF_SOME = 100
"""Most matches of a part of the words to grade; they are worth less."""
ALL_WORDS = 0.6
"""Worth of a match that has all words as they are written, but not in order."""
ALL_FORMS = 0.5
"""Worth of a match that has all words, some in another form or as the beginning of another word."""
LEAST_WORDS = 2
"""Fewest words that make a match of a part of them."""


class MatchKind(NamedTuple):
    """A way in which a segment or its file contains the words of a query."""

    what: str
    """In words, for `--explain`."""
    worth: float
    """Score of the first match of this kind, in [0, 1]; the most, where a share of words counts."""
    whole_file: bool
    """True if the name or caption matched, so that all segments of the file share the match."""


MATCHES = (
    MatchKind("file name", 0.99, True),
    MatchKind("phrase in a passage", 0.9, False),
    MatchKind("phrase in the file name", 0.9, True),
    MatchKind("words in a passage", ALL_WORDS, False),
    MatchKind("words in the file name", ALL_WORDS, True),
    MatchKind("words of the file", ALL_WORDS, True),
    MatchKind("forms of the words in a passage", ALL_FORMS, False),
    MatchKind("forms of the words in the file name", ALL_FORMS, True),
    MatchKind("some of the words in a passage", ALL_WORDS, False),
    MatchKind("some of the words of the file", ALL_WORDS, True),
)
"""The kinds of match. A phrase is two words or more, together and in order."""
NAME, PHRASE, NAME_PHRASE, WORDS, NAME_WORDS, FILE_WORDS, FORMS, NAME_FORMS, SOME, FILE_SOME = (
    range(len(MATCHES))
)
IN_PASSAGE = {PHRASE, WORDS, FORMS}
"""The kinds of match of all words within a passage."""
WORTH = np.array([kind.worth for kind in MATCHES])
PRECEDENCE = np.argsort(
    [NAME, PHRASE, NAME_PHRASE, WORDS, NAME_WORDS, FORMS, NAME_FORMS, FILE_WORDS, SOME, FILE_SOME]
)
"""The place of each kind in the order in which they are told: a match is of the first that fits."""
NO_MATCH = -1
"""Stands for no kind of match."""
WHOLE_FILE = np.array([*(kind.whole_file for kind in MATCHES), False])
"""`whole_file` of each kind, and False for NO_MATCH."""

_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for from had has have i in into is it its me my no not of "
        "off on or our she so that the their them then there these they this to up was we were "
        "what when where which who will with you your",
    )
)


def strip_stop_words(text: str) -> str:
    """Return the query for the index of words: without stop words, with its quoted phrases.

    A text of stop words alone keeps them all ("to be or not to be").
    """
    terms = re.findall(r'"[^"]*"|\S+', text)
    plain = {term: " ".join(words_of(term)) for term in terms}
    told = [term for term in terms if plain[term]]
    return " ".join([t for t in told if t[0] == '"' or plain[t] not in _STOP_WORDS] or told)


class _Matches(NamedTuple):
    """Segments that match in one way, best first by BM25: (n,)."""

    ids: Ids
    kinds: NDArray[np.int64]
    shares: NDArray[np.float64]
    """How much of the words of the query each has."""


def find_words(
    text: str, typing: bool, snapshot: CollectionSnapshot
) -> tuple[Ids, NDArray[np.float64], NDArray[np.int8]]:
    """Look up the words of a text in passages, captions and names, and grade what has them.

    Segments that may not be hit are left out. `typing`: the last word may not be complete. Returns
    ascending ids, scores in [0, 1] and kinds of match as indices in MATCHES, all (n,).
    """
    asked = asked_words(strip_stop_words(text), typing=typing)
    if not asked:
        return _in_order([], snapshot)
    whole, *names = _as_wholes(text)
    passages, files = snapshot.look_up_words([*asked, whole], names)
    # Two characters of Chinese weigh as one word.
    several = sum(0.5 if is_unspaced(word) else 1.0 for word in words_of(text)) >= 2.0
    found = [
        _segments_of(_in_files(files, len(asked), several), snapshot),
        _in_passages(passages, len(asked), several),
    ]
    parts = in_pairs(asked)
    if len(parts) > LEAST_WORDS and IN_PASSAGE.isdisjoint(found[1].kinds.tolist()):
        if parts != asked:
            passages, files = snapshot.look_up_words(parts)
        found += [
            _segments_of(_with_some(files, len(parts), FILE_SOME), snapshot),
            _with_some(passages, len(parts), SOME),
        ]
    return _in_order(found, snapshot)


def _as_wholes(text: str) -> list[AskedWord]:
    """Return a text as a phrase, as a whole name, and as a whole name with a suffix."""
    words, stem = tuple(words_of(text)), tuple(words_of(text.rpartition(".")[0]))
    return [AskedWord((one,)) for one in (words, (name_term(words),), (name_term(stem),))]


def _in_files(looked: Looked, asked: int, several: bool) -> _Matches:
    """Grade the files that have all words. The ids are those of assets."""
    texts, found = looked
    words, (whole, named, stem) = found[:asked], found[asked:]
    if not all(word.occurs for word in words):
        return _NOTHING
    has_all = np.logical_and.reduce([word.any_form for word in words])
    if not has_all.any():
        return _NOTHING
    kinds = np.full(len(has_all), FILE_WORDS)
    for kind, exact in ((NAME_FORMS, False), (NAME_WORDS, True)):
        kinds[np.logical_and.reduce([w.in_field(NAME_FIELD, exact=exact) for w in words])] = kind
    phrase = whole.in_field(NAME_FIELD, exact=True)
    if several:
        kinds[phrase] = NAME_PHRASE
    kinds[named.written | (stem.written & phrase)] = NAME
    rows = np.flatnonzero(has_all)
    rows = texts.best(rows, words, PRECEDENCE[kinds[rows]], MOST)
    return _Matches(texts.groups[rows], kinds[rows], np.ones(len(rows)))


def _in_passages(looked: Looked, asked: int, several: bool) -> _Matches:
    """Grade the passages that have all words."""
    texts, found = looked
    words, whole = found[:asked], found[asked]
    if not all(word.occurs for word in words):
        return _NOTHING
    has_all = np.logical_and.reduce([word.any_form for word in words])
    if not has_all.any():
        return _NOTHING
    kinds = np.full(len(has_all), FORMS)
    kinds[np.logical_and.reduce([word.written for word in words])] = WORDS
    if several:
        kinds[whole.written] = PHRASE
    rows = np.flatnonzero(has_all)
    rows = texts.best(rows, words, PRECEDENCE[kinds[rows]], MOST)
    return _Matches(texts.ids[rows], kinds[rows], np.ones(len(rows)))


def _with_some(looked: Looked, asked: int, kind: int) -> _Matches:
    """Grade what has at least half of the words, and two at least; of files, ids are of assets."""
    texts = looked.texts
    words = [word for word in looked.found[:asked] if word.occurs]
    least = max(LEAST_WORDS, asked / 2)
    if len(words) < least:
        return _NOTHING
    counts = np.zeros(len(texts.ids), dtype=np.int16)
    for word in words:
        counts += word.any_form
    rows = np.flatnonzero(counts >= least)
    if not len(rows):
        return _NOTHING
    rows = texts.best(rows, words, -counts[rows].astype(np.int64), MOST_OF_SOME)
    ids = texts.ids if kind == SOME else texts.groups
    return _Matches(ids[rows], np.full(len(rows), kind), counts[rows] / asked)


def _segments_of(found: _Matches, snapshot: CollectionSnapshot) -> _Matches:
    """Replace assets by the first segment of each; those without one are left out."""
    if not len(found.ids):
        return found
    first = snapshot.first_segments(found.ids.tolist())
    ids = np.array([first.get(asset, -1) for asset in found.ids.tolist()], dtype=np.int64)
    there = ids >= 0
    return _Matches(ids[there], found.kinds[there], found.shares[there])


def _in_order(
    found: Sequence[_Matches], snapshot: CollectionSnapshot
) -> tuple[Ids, NDArray[np.float64], NDArray[np.int8]]:
    """Merge lists of matches, the first two and the others each one from each in turn."""
    ids, kinds, shares = (np.concatenate(column) for column in zip(*found, _NOTHING, strict=True))
    turn = [2 * np.arange(len(one.ids)) + n % 2 + n // 2 * 2 * MOST for n, one in enumerate(found)]
    turns = np.concatenate([*turn, _NOTHING.kinds])
    if not len(ids):
        return ids, shares, kinds.astype(np.int8)
    # A segment that is found twice counts as the better kind.
    by_id = np.lexsort((turns, -shares, PRECEDENCE[kinds], ids))
    chosen = by_id[run_starts(ids[by_id])]
    chosen = chosen[within(ids[chosen], snapshot.segment_columns(ids[chosen]).ids)]
    worth = WORTH[kinds[chosen]] * shares[chosen]
    order = np.lexsort((turns[chosen], -worth))
    scores = np.empty(len(chosen))
    scores[order] = worth[order] * K / (K + np.arange(len(chosen)))
    return ids[chosen], scores, kinds[chosen].astype(np.int8)


_NOTHING = _Matches(NO_IDS, NO_IDS, np.zeros(0))
