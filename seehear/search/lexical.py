"""Score words as they are written, by how exactly a name or a passage contains them.

The scores of BM25 do not compare across collections, so BM25 only orders. A match counts by its
kind, times a reciprocal rank:

    words score = worth of the kind of match * K / (K + rank - 1)

and is combined with the calibrated score of the same part by `composition.noisy_or`: reciprocal
rank fusion (Cormack, Clarke and Büttcher, 2009) in which the weight of a list is the worth of its
match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seehear.stores import SegmentRecord
from seehear.types import Ids

K = 60
"""The constant of reciprocal rank fusion."""
MOST = 1_000
"""Most matches to grade, best first by BM25."""


class MatchKind(NamedTuple):
    """A way in which a segment or its file contains the words of a query."""

    what: str
    """In words, for `--explain`."""
    worth: float
    """Score of the first match of this kind, in [0, 1]."""
    whole_file: bool
    """True if the name or caption matched, so that all segments of the file share the match."""


MATCHES = (
    MatchKind("file name", 0.99, True),
    MatchKind("phrase in a passage", 0.9, False),
    MatchKind("phrase in the file name", 0.9, True),
    MatchKind("words in a passage", 0.6, False),
    MatchKind("words in the file name", 0.6, True),
    MatchKind("words of the file", 0.6, True),
)
"""The kinds of match. A phrase is two words or more, together and in order."""
NAME, PHRASE, NAME_PHRASE, WORDS, NAME_WORDS, FILE_WORDS = range(len(MATCHES))
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
    kept = [t for t in terms if _plain(t) and (t[0] == '"' or _plain(t) not in _STOP_WORDS)]
    return " ".join(kept or [t for t in terms if _plain(t)])


def grade_matches(
    text: str, ranked: Sequence[SegmentRecord], paths: Mapping[int, Sequence[Path]]
) -> tuple[Ids, NDArray[np.float64], NDArray[np.int8]]:
    """Return what the segments that the full-text index found are worth, by ascending id.

    `ranked` is in the order of the index, best first; `paths` has all paths of each asset, because
    copies of one content may have different names. Returns ids, scores in [0, 1] and kinds of match
    as indices in MATCHES, all (n,).
    """
    classify = _classifier(text, paths)
    ids = np.array([found.segment_id for found in ranked], dtype=np.int64)
    kinds = np.array([classify(found) for found in ranked], dtype=np.int8)
    worth = np.array([kind.worth for kind in MATCHES])[kinds]
    order = np.argsort(-worth, kind="stable")  # matches of equal worth stay in the order of BM25
    scores = np.empty(len(ids))
    scores[order] = worth[order] * K / (K + np.arange(len(ids)))
    by_id = np.argsort(ids)
    return ids[by_id], scores[by_id], kinds[by_id]


def _classifier(text: str, paths: Mapping[int, Sequence[Path]]) -> Callable[[SegmentRecord], int]:
    """Return a function that tells the kind of a match, as an index in MATCHES."""
    wanted = _plain(text)
    terms = _plain(strip_stop_words(text)).split()

    def classify(found: SegmentRecord) -> int:
        own_paths = paths.get(found.asset.id, (found.path,))
        names = [_plain(path.stem) for path in own_paths]
        full_names = {full.lower() for path in own_paths for full in (path.name, path.stem)}
        passage = _plain_passage(found.segment.text or "")
        several = " " in wanted
        if text.strip().lower() in full_names or (wanted and wanted in names):
            return NAME
        if several and f" {wanted} " in f" {passage} ":
            return PHRASE
        if several and any(f" {wanted} " in f" {name} " for name in names):
            return NAME_PHRASE
        if passage and all(f" {term}" in f" {passage}" for term in terms):
            return WORDS
        if any(all(term in name for term in terms) for name in names):
            return NAME_WORDS
        return FILE_WORDS

    return classify


def _plain(text: str) -> str:
    """Return words in lower case between single blanks: "IMG_41-Cat.JPG" -> "img 41 cat jpg"."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


_plain_passage = lru_cache(maxsize=2048)(_plain)
