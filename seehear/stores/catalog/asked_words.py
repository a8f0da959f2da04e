"""Read the words of a query, and find them in texts as the word index finds them."""

from __future__ import annotations

import re
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


def occurrences(text: str, asked: Sequence[AskedWord]) -> list[tuple[int, int, int]]:
    """Return where a text has words of a query, in any form, by position.

    Each is (start, stop, number of the word in `asked`); some may overlap.
    """
    spans = spans_of(text)
    words = [word for word, *_ in spans]
    stems = stems_by_word(text, dict.fromkeys(split for _, split, *_ in spans))
    found = set()
    for number, one in enumerate(asked):
        for phrase in {*one.phrases, *one.prefixes}:
            *first, last = phrase
            for at in range(len(words) - len(first)):
                end = words[at + len(first)]
                whole = end == last or (phrase in one.prefixes and end.startswith(last))
                if whole and words[at : at + len(first)] == first:
                    found.add((spans[at][2], spans[at + len(first)][3], number))
        for _, split, start, stop in spans if one.stems else ():
            if stems.get(split) in one.stems:
                found.add((start, stop, number))
    return sorted(found)
