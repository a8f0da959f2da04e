"""Words as they are written: what a match in a name or a passage is worth beside the meaning.

BM25 has no scale that compares across collections, so it only orders. A match counts by how exact
it is, times a reciprocal rank:

    words score = worth of the kind of match * K / (K + rank - 1)

and is joined with the calibrated score of the same part as one or the other (compose.either): this
is reciprocal rank fusion in which a list's weight is the worth of its match, and in which what the
model is sure of stays sure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from seehear.stores import SegmentRecord

K = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009)."""
EXACT_NAME = 0.99
"""The query is the file's name, with or without its suffix."""
PHRASE = 0.9
"""All words of the query, two or more, stand together and in order."""
ALL_WORDS = 0.6
"""All telling words of the query occur, somewhere."""
MOST = 1_000
"""Matches that are looked at, best first by BM25."""

_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for from had has have i in into is it its me my no not of "
        "off on or our she so that the their them then there these they this to up was we were "
        "what when where which who will with you your",
    )
)


@dataclass(frozen=True, slots=True)
class WordMatch:
    """How the words of one part occur in one segment or its file."""

    score: float
    what: str
    """In words: "file name", "phrase in a passage", ..."""
    whole_file: bool
    """True where the name or caption matched, so that every moment of the file shares it."""


def strip_stop_words(text: str) -> str:
    """The query for the full-text index: without words that say nothing, quoted phrases kept.

    A text of such words alone keeps them all ("to be or not to be").
    """
    terms = re.findall(r'"[^"]*"|\S+', text)
    kept = [t for t in terms if _plain(t) and (t[0] == '"' or _plain(t) not in _STOP_WORDS)]
    return " ".join(kept or [t for t in terms if _plain(t)])


def grade_matches(
    text: str, ranked: Sequence[SegmentRecord], paths: Mapping[int, Sequence[Path]]
) -> dict[int, WordMatch]:
    """What each segment that the full-text index found is worth, by segment id.

    `ranked` is in the order of the index, best first. `paths` are all places of each asset: copies
    of one content may have different names.
    """
    judge = _classify(text, paths)
    judged = [(found, *judge(found)) for found in ranked]
    judged.sort(key=lambda entry: -entry[1])  # stable: within a kind of match, by BM25
    return {
        found.segment_id: WordMatch(worth * K / (K + rank), what, whole_file)
        for rank, (found, worth, what, whole_file) in enumerate(judged)
    }


def _classify(
    text: str, paths: Mapping[int, Sequence[Path]]
) -> Callable[[SegmentRecord], tuple[float, str, bool]]:
    """A function that says of a match: its worth, what it is, whether it is of the whole file."""
    wanted = _plain(text)
    terms = _plain(strip_stop_words(text)).split()

    def judge(found: SegmentRecord) -> tuple[float, str, bool]:
        positions = paths.get(found.asset.id, (found.path,))
        names = [_plain(path.stem) for path in positions]
        full_names = {full.lower() for path in positions for full in (path.name, path.stem)}
        passage = _plain_passage(found.segment.text or "")
        several = " " in wanted
        if text.strip().lower() in full_names or (wanted and wanted in names):
            worth, what, whole_file = EXACT_NAME, "file name", True
        elif several and f" {wanted} " in f" {passage} ":
            worth, what, whole_file = PHRASE, "phrase in a passage", False
        elif several and any(f" {wanted} " in f" {name} " for name in names):
            worth, what, whole_file = PHRASE, "phrase in the file name", True
        elif passage and all(f" {term}" in f" {passage}" for term in terms):
            worth, what, whole_file = ALL_WORDS, "words in a passage", False
        elif any(all(term in name for term in terms) for name in names):
            worth, what, whole_file = ALL_WORDS, "words in the file name", True
        else:
            worth, what, whole_file = ALL_WORDS, "words of the file", True
        return worth, what, whole_file

    return judge


def _plain(text: str) -> str:
    """Lower case, words parted by single blanks: "IMG_2041-Cat.JPG" -> "img 2041 cat jpg"."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


_plain_passage = lru_cache(maxsize=2048)(_plain)
