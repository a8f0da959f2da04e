"""Turn words into numbers: greedy longest-match tokens of a vocabulary of words and endings.

The rule is WordPiece's (arXiv:1609.08144). Case, accents and punctuation are dropped: the text
tower reads short descriptions, where they say little.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from enum import IntEnum, auto

from seehear.encoders.base import LEAST_KNOWN
from seehear.encoders.languages import is_foreign, languages, split_words

UNKNOWN = "[unk]"
CONTINUED = "##"
_WORD = re.compile(r"[^\W_]+")
_LONGEST_WORD = 40
_REMEMBERED_WORDS = 200_000

_RARE_WORDS = 2
"""Words that a text may have which the vocabulary only has in pieces: names and rare nouns."""
_SHORT_WORDS = 2, 0.4, 2
"""A text is in another language if it has this many of its short words, in this share of all words,
and more than so many times as many as English ones."""
_WORD_OF_SIGNS = 2
"""Signs that count as a word in scripts without blanks, such as Chinese."""
_SIGNS = "\u2e80"
"""The first of the signs of East Asia."""


class _Kind(IntEnum):
    """What a word tells of the language that it is in; up to WHOLE nothing against English."""

    LETTER = auto()
    """Nothing: a single letter, as in "dog's"."""
    ENGLISH = auto()
    """A short word that stands in almost every English sentence."""
    WHOLE = auto()
    """Another word of the vocabulary."""
    PIECES = auto()
    """A word that the vocabulary has only in pieces: a name, a rare noun, or not English."""
    FOREIGN = auto()
    """Not English: a short word of another language, or with letters or accents of one."""
    UNKNOWN = auto()
    """A word that the vocabulary cannot cut."""


def words_of(text: str) -> list[str]:
    """Return the words of a text, in lower case, without accents and punctuation."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return _WORD.findall(text.lower())


class Tokenizer:
    """Turns texts into token numbers. Line `i` of the vocabulary is token `i`; 0 is unknown."""

    def __init__(self, vocabulary: Sequence[str], most_tokens: int) -> None:
        if not vocabulary or vocabulary[0] != UNKNOWN:
            raise ValueError(f"the vocabulary must begin with {UNKNOWN}")
        self._ids = dict(zip(vocabulary, range(len(vocabulary)), strict=True))
        self._longest = max(map(len, vocabulary))
        self._most_tokens = most_tokens
        self._known: dict[str, tuple[int, ...]] = {}
        self._kinds: dict[str, _Kind] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __call__(self, text: str) -> list[int]:
        """Return the token numbers of a text, cut to the tower's limit; empty without words."""
        ids: list[int] = []
        known = self._known
        for word in words_of(text):
            pieces = known.get(word)
            if pieces is None:
                pieces = self._pieces(word)
                if len(known) < _REMEMBERED_WORDS:
                    known[word] = pieces
            ids.extend(pieces)
            if len(ids) >= self._most_tokens:
                break
        return ids[: self._most_tokens]

    def known_share(self, text: str) -> float:
        """Return how much of a text the tower can know, from 0 to 1; 1 without words to judge by.

        A word of the vocabulary is known, one with an unknown token is not. A word that the
        vocabulary has only in pieces is known in an English text, where it is a name or a rare
        noun, and unknown beside words of another language.
        """
        words = set(split_words(text))
        found = [self._kinds.get(word) or self._kind(word) for word in words]
        if max(found, default=_Kind.LETTER) <= _Kind.WHOLE:
            return 1.0
        kinds = Counter(found)
        del kinds[_Kind.LETTER]
        if _Kind.UNKNOWN in kinds:
            kinds[_Kind.UNKNOWN] = sum(
                max(1, len(word) // _WORD_OF_SIGNS) if word[0] >= _SIGNS else 1
                for word, kind in zip(words, found, strict=True)
                if kind is _Kind.UNKNOWN
            )
        count = kinds.total()
        foreign, unknown, english = (
            kinds[kind] for kind in (_Kind.FOREIGN, _Kind.UNKNOWN, _Kind.ENGLISH)
        )
        whole = kinds[_Kind.WHOLE] + english
        least, share, times = _SHORT_WORDS
        if foreign >= least and foreign >= share * count and foreign > times * english:
            return english / count
        rare = _RARE_WORDS if not foreign + unknown else 1
        if (whole + min(kinds[_Kind.PIECES] + foreign, rare)) / count <= LEAST_KNOWN:
            return whole / count
        return 1 - (unknown + (foreign if foreign >= least else 0)) / count

    def _kind(self, word: str) -> _Kind:
        kind = self._new_kind(word)
        if len(self._kinds) < _REMEMBERED_WORDS:
            self._kinds[word] = kind
        return kind

    def _new_kind(self, word: str) -> _Kind:
        if len(word) == 1 and word.isascii():
            return _Kind.LETTER
        tokens = [self._pieces(part) for part in words_of(word)]
        if (0,) in tokens:
            return _Kind.UNKNOWN
        if is_foreign(word):
            return _Kind.FOREIGN
        if all(len(ids) == 1 for ids in tokens):
            return _Kind.ENGLISH if word in languages()[0].words else _Kind.WHOLE
        return _Kind.PIECES if word.isascii() else _Kind.FOREIGN

    def _pieces(self, word: str) -> tuple[int, ...]:
        """Split a word, longest tokens first; a word that cannot be split is one unknown token."""
        if len(word) > _LONGEST_WORD:
            return (0,)
        found = []
        start = 0
        while start < len(word):
            prefix = CONTINUED if start else ""
            for stop in range(min(len(word), start + self._longest), start, -1):
                number = self._ids.get(prefix + word[start:stop])
                if number is not None:
                    found.append(number)
                    start = stop
                    break
            else:
                return (0,)
        return tuple(found)
