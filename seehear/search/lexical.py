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
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seehear.search.snapshot import CollectionSnapshot, WordMatch
from seehear.stores.catalog.asked_words import AskedWord, asked_words, in_pairs, joined
from seehear.stores.catalog.tokens import is_unspaced, parted, words_and_stems, words_of
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
    """Return the query for the full-text index: without stop words, with its quoted phrases.

    A text of stop words alone keeps them all ("to be or not to be").
    """
    terms = re.findall(r'"[^"]*"|\S+', text)
    plain = {term: " ".join(words_of(term)) for term in terms}
    told = [term for term in terms if plain[term]]
    return " ".join([t for t in told if t[0] == '"' or plain[t] not in _STOP_WORDS] or told)


Grade = tuple[int, float]
"""A kind of match, as its index in MATCHES, and what it is worth."""


LookUp = Callable[..., tuple[list[WordMatch], list[WordMatch]]]
"""`CollectionSnapshot.words`, or the same with a memory."""


def find_words(
    text: str, typing: bool, snapshot: CollectionSnapshot, look_up: LookUp
) -> tuple[Ids, NDArray[np.float64], NDArray[np.int8]]:
    """Look up the words of a text in passages, captions and names, and grade what has them.

    Segments that may not be hit are left out. `typing`: the last word may not be complete. Returns
    ascending ids, scores in [0, 1] and kinds of match as indices in MATCHES, all (n,).
    """
    asked = tuple(asked_words(strip_stop_words(text), typing=typing))
    passages, files = look_up(asked, MOST)
    grade = _grader(text, asked, snapshot.paths_of({one.asset_id for one in files + passages}))
    by_file = {one.segment_id for one in files}
    every = [(found, grade(found)) for found in _alternate(files, passages)]
    # A passage of another language may have a like stem; of files, captions are not known here.
    graded = [
        (found, (kind, worth))
        for found, (kind, worth) in every
        if kind != FILE_WORDS or found.segment_id in by_file
    ]
    parts = in_pairs(asked)
    if len(parts) > LEAST_WORDS and not any(kind in IN_PASSAGE for _, (kind, _) in graded):
        some, files = look_up(tuple(parts), MOST_OF_SOME, every=False)
        graded += _grade_some(parts, _alternate(files, some), files, snapshot)
    first = {found.segment_id: grade for found, grade in reversed(graded)}
    ranked = dict.fromkeys(found.segment_id for found, _ in graded)
    kept = set(snapshot.segment_columns(list(ranked)).ids.tolist())
    return _in_order([(id_, first[id_]) for id_ in ranked if id_ in kept])


def _alternate(first: Sequence[WordMatch], second: Sequence[WordMatch]) -> list[WordMatch]:
    """Merge two lists, best first: one from each in turn."""
    return [one for pair in zip_longest(first, second) for one in pair if one is not None]


def _in_order(
    graded: Sequence[tuple[int, Grade]],
) -> tuple[Ids, NDArray[np.float64], NDArray[np.int8]]:
    ids = np.array([id_ for id_, _ in graded], dtype=np.int64)
    kinds = np.array([kind for _, (kind, _) in graded], dtype=np.int8)
    worth = np.array([worth for _, (_, worth) in graded], dtype=np.float64)
    order = np.argsort(-worth, kind="stable")  # matches of equal worth stay in the order of BM25
    scores = np.empty(len(ids))
    scores[order] = worth[order] * K / (K + np.arange(len(ids)))
    by_id = np.argsort(ids)
    return ids[by_id], scores[by_id], kinds[by_id]


def _grader(
    text: str, asked: Sequence[AskedWord], paths: Mapping[int, Sequence[Path]]
) -> Callable[[WordMatch], Grade]:
    """Return a function that grades a match of all words.

    `paths` has all paths of each asset, because copies of one content may have different names.
    """
    typed = unicodedata.normalize("NFC", text.strip()).casefold()
    words = words_of(text)
    wanted = joined(words)
    # Two characters of Chinese weigh as one word.
    several = sum(0.5 if is_unspaced(word) else 1.0 for word in words) >= 2.0

    def grade(found: WordMatch) -> Grade:
        own_paths = paths.get(found.asset_id, ())
        names = [name for path in own_paths for name in _names(path.stem)]
        passage, stems = _passage(found.text)
        if any(wanted == name for name, _ in names) or _is_name(typed, own_paths):
            kind = NAME
        elif several and wanted in passage:
            kind = PHRASE
        elif several and any(wanted in name for name, _ in names):
            kind = NAME_PHRASE
        elif all(word.is_in(passage) for word in asked):
            kind = WORDS
        elif any(all(word.is_in(name) for word in asked) for name, _ in names):
            kind = NAME_WORDS
        elif _has_all(asked, passage, stems):
            kind = FORMS
        elif any(_has_all(asked, *name) for name in names):
            kind = NAME_FORMS
        else:
            kind = FILE_WORDS
        return kind, MATCHES[kind].worth

    return grade


def _is_name(typed: str, paths: Sequence[Path]) -> bool:
    """Return whether a text, NFC and case folded, is the name of a file, with or without suffix."""
    names = {name for path in paths for name in (path.name, path.stem)}
    return any(unicodedata.normalize("NFC", name).casefold() == typed for name in names)


def _has_all(asked: Sequence[AskedWord], words: str, stems: frozenset[str]) -> bool:
    return all(word.is_in(words) or word.has_form_in(words, stems) for word in asked)


def _grade_some(
    asked: Sequence[AskedWord],
    ranked: Sequence[WordMatch],
    files: Sequence[WordMatch],
    snapshot: CollectionSnapshot,
) -> list[tuple[WordMatch, Grade]]:
    """Grade matches of any words: those of at least half of them, two at least."""
    least = max(LEAST_WORDS, len(asked) / 2)
    by_file = {found.asset_id for found in files}
    paths, captions = snapshot.paths_of(by_file), snapshot.captions_of(by_file)
    graded = []
    for found in ranked:
        texts = [(SOME, *_passage(found.text))]
        for path in paths.get(found.asset_id, ()):
            told = f"{path.name} {parted(path.stem)} {path.parent} {captions[found.asset_id]}"
            texts.append((FILE_SOME, *_passage(told)))
        counts = [
            (sum(_has_all([word], words, stems) for word in asked), -kind)
            for kind, words, stems in texts
        ]
        count, kind = max(counts)
        if count >= least:
            graded.append((found, (-kind, ALL_WORDS * count / len(asked))))
    return graded


def _names(stem: str) -> list[tuple[str, frozenset[str]]]:
    """Return a name as it is written and as CamelCase and digits part it, with their stems."""
    return [_passage(name) for name in dict.fromkeys((stem, parted(stem)))]


@lru_cache(maxsize=4096)
def _passage(text: str) -> tuple[str, frozenset[str]]:
    """Return the words of a text, joined, and its stems."""
    words, stems = words_and_stems(text)
    return joined(words), frozenset(stems)
