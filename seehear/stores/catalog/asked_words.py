"""Read the words of a query, and find them in texts as the word index finds them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from seehear.errors import UsageError
from seehear.stores.catalog.tokens import (
    is_unspaced,
    parted,
    spans_of,
    stems_by_word,
    stems_in_all_languages,
    words_of,
)

SHORTEST_PREFIX = 3
"""Characters of a word that is still being typed before it stands for all that begin so."""

Phrase = tuple[str, ...]
"""Words that stand together and in order."""


@dataclass(frozen=True, slots=True)
class AskedWord:
    """One word or quoted phrase of a query, in every form in which an index may have it."""

    phrases: tuple[Phrase, ...]
    """As it is written: one of these."""
    prefixes: tuple[Phrase, ...] = ()
    """The last word of a phrase may go on: a word that is being typed, or Korean."""
    stems: tuple[str, ...] = ()
    """Tagged with their languages."""


def asked_words(wanted: str, *, typing: bool = False) -> list[AskedWord]:
    """Split a typed query into words; quoted phrases stay together.

    `typing`: the last word may not be complete. What has no letter or digit is left out. Raises
    UsageError for a null character.
    """
    if "\0" in wanted:
        raise UsageError("a query cannot contain a null character")
    terms = re.findall(r'"([^"]*)"|([^\s"]+)', wanted)
    asked = []
    for number, (quoted, bare) in enumerate(terms, 1):
        last = typing and number == len(terms) and wanted.endswith(bare)
        if words := tuple(words_of(quoted or bare)):
            asked.append(AskedWord((words,)) if quoted else _asked(bare, words, last))
    return asked


def _asked(bare: str, words: Phrase, unfinished: bool) -> AskedWord:
    phrases = [words]
    if len(words) > 1 and re.fullmatch(r"\w+(?:[-\u2010\u2011]\w+)+", bare):
        phrases.append(("".join(words),))  # e-mail, email
    if (parts := tuple(words_of(parted(bare)))) != words:
        phrases.append(parts)  # IMG2041, IMG_2041
    prefixes: tuple[Phrase, ...] = ()
    if (unfinished and len(words[-1]) >= SHORTEST_PREFIX) or "\uac00" <= words[-1][-1] <= "\ud7a3":
        prefixes = (words,)
    stems = stems_in_all_languages(bare) if len(words) == 1 else ()
    return AskedWord(tuple(phrases), prefixes, stems)


def in_pairs(asked: Sequence[AskedWord]) -> list[AskedWord]:
    """Return the words of a query with each long run of Chinese, Japanese or Thai in pairs."""
    found: list[AskedWord] = []
    for word in asked:
        run = word.phrases[0]
        if len(run) > 2 and all(is_unspaced(one) for one in run):
            found += (AskedWord((pair,)) for pair in pairwise(run))
        else:
            found.append(word)
    return found


class WordMarker:
    """Finds words of a query in texts, in any form, as the word index finds them."""

    def __init__(self, asked: Sequence[AskedWord]) -> None:
        self._phrases, self._stems = (
            defaultdict[str, list[_Wanted]](list),
            defaultdict[str, list[int]](list),
        )
        self._prefixes = [(phrase, at) for at, one in enumerate(asked) for phrase in one.prefixes]
        for number, one in enumerate(asked):
            for phrase in one.phrases:
                self._phrases[phrase[0]].append((phrase, number))
            for stem in set(one.stems):
                self._stems[stem].append(number)

    def find(self, text: str) -> list[tuple[int, int, int]]:
        """Return where a text has the words, by position; some may overlap.

        Each is (start, stop, number of the word in the query).
        """
        spans = spans_of(text)
        words = tuple(word for word, *_ in spans)
        stems = stems_by_word(text, dict.fromkeys(split for _, split, *_ in spans))
        found = set()
        for at, (word, split, start, stop) in enumerate(spans):
            for number in self._stems.get(stems.get(split, ""), ()):
                found.add((start, stop, number))
            for phrase, number in self._phrases.get(word, ()):
                last = at + len(phrase) - 1
                if len(phrase) == 1 or words[at : last + 1] == phrase:
                    found.add((start, spans[last][3], number))
            for phrase, number in self._prefixes:
                last = at + len(phrase) - 1
                begun = words[at:last] == phrase[:-1] and last < len(words)
                if begun and words[last].startswith(phrase[-1]):
                    found.add((start, spans[last][3], number))
        return sorted(found)


_Wanted = tuple[Phrase, int]
"""Words that stand together, and the number of the word of the query that they are."""
