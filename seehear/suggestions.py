"""Find what a person may have meant: the values nearest to an unknown word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

NEAREST = 3
"""Most values named in a message."""
ALIKE = 0.65
"""Ratio of SequenceMatcher from which on two words count as the same, mistyped."""
PART_OF_A_VALUE = 0.95
"""Factor for a match with one word of a value, compared to a match with the whole value."""


def nearest(word: str, values: Iterable[str], most: int = NEAREST) -> list[str]:
    """Return the values most similar to a word, best first; empty if nothing is near.

    A value is also near by one of its words: "ihpone" is near "Apple iPhone 12".
    """
    wanted = word.casefold()
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    letters = set(wanted)
    known: dict[str, float] = {}

    def measure(text: str) -> float:
        if not wanted or not text:
            return 0.0
        if wanted in text or (len(text) > 2 and text in wanted):
            return 0.9
        # Bounds of the ratio, the cheapest first: by length, by distinct letters, by letters.
        total = len(text) + len(wanted)
        if 2 * min(len(text), len(wanted)) < ALIKE * total:
            return 0.0
        strange = sum(map(wanted.count, letters.difference(text)))
        if 2 * (len(wanted) - strange) < ALIKE * total:
            return 0.0
        matcher.set_seq1(text)
        return matcher.ratio() if matcher.quick_ratio() >= ALIKE else 0.0

    def likeness(text: str) -> float:
        if text not in known:
            known[text] = measure(text)
        return known[text]

    found = []
    for value in dict.fromkeys(values):
        whole = value.casefold()
        words = [one for one in re.split(r"[\W_]+", whole) if one and one != whole]
        parts = max((likeness(one) for one in words), default=0.0)
        score = max(likeness(whole), PART_OF_A_VALUE * parts)
        if score >= ALIKE:
            found.append((-score, value))
    return [value for _, value in sorted(found)[:most]]


def did_you_mean(word: str, values: Iterable[str]) -> str:
    """Return " Did you mean X or Y?" with the nearest values; "" if nothing is near."""
    found = nearest(word, values)
    if not found:
        return ""
    if len(found) == 1:
        return f" Did you mean {found[0]}?"
    return f" Did you mean {', '.join(found[:-1])} or {found[-1]}?"
