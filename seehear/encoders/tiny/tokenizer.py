"""Turn words into numbers: greedy longest-match tokens of a vocabulary of words and endings.

The rule is WordPiece's (arXiv:1609.08144). Case, accents and punctuation are dropped: the text
tower reads short descriptions, where they say little.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

UNKNOWN = "[unk]"
CONTINUED = "##"
_WORD = re.compile(r"[^\W_]+")
_LONGEST_WORD = 40
_REMEMBERED_WORDS = 200_000


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
