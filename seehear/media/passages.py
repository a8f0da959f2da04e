"""Cut text into passages: a few dozen words each, with a small overlap, without cutting words.

A passage ends at the end of a sentence or paragraph where one lies in its last third. Words that
are parted at the end of a line are joined. Scripts that write without spaces (Chinese, Japanese)
count by character, two to a word.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator

OVERLAP_SHARE = 1 / 6
"""Share of a passage that the next one repeats, so that a thought at the seam is in one passage."""
LONGEST_WORD = 100
"""Anything longer is not a word (base64, a minified script, text of a script without spaces) and
may be cut; otherwise one "word" could make a passage of any length."""

_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
    rf"|[^\s\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]{{1,{LONGEST_WORD}}}"
)
_SENTENCE_END = re.compile(r"[.!?…:;。！？][\"'”’)\]]*$")
_PARAGRAPH = re.compile(r"\n\s*\n")
_PARTED = re.compile(r"(?<=[^\W\d_])([-\u2010\u00ad])[ \t]*+\n[ \t]*+(?=[^\W\d_])")
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
LONGEST_HALF = 40
"""Letters compared on either side of a hyphen."""


def passages(text: str, most_words: int) -> Iterator[str]:
    """Yield passages of at most `most_words` words, white space folded; nothing without words."""
    tokens = _Tokens(_joined(text))
    count = len(tokens.spans)
    if count == 0:
        return
    most = max(1, most_words)
    begin = 0
    while True:
        end = tokens.reach(begin, most)
        if end < count:
            end = tokens.good_end(begin, end)
        yield tokens.words(begin, end)
        if end >= count:
            return
        begin = tokens.back(begin, end, int(most * OVERLAP_SHARE))


def sentences(text: str, most_words: int) -> Iterator[str]:
    """Yield the sentences of a text; a longer one in equal parts of at most `most_words` words."""
    tokens = _Tokens(text)
    begin = 0
    for end in tokens.sentence_ends():
        parts = math.ceil(tokens.weigh(begin, end) / most_words)
        step = (end - begin) / parts
        edges = [begin + round(step * number) for number in range(parts + 1)]
        yield from (tokens.words(one, other) for one, other in itertools.pairwise(edges))
        begin = end


def count_words(text: str) -> float:
    """Return how many words a text has; a character of a script without spaces is half a word."""
    tokens = _Tokens(text)
    return tokens.weigh(0, len(tokens.spans))


def ends_sentence(text: str) -> bool:
    """Return whether a text ends where a sentence does."""
    return _SENTENCE_END.search(text) is not None


def _joined(text: str) -> str:
    """Join words that are parted at the end of a line, as books do: "thermo-", "dynamics".

    The hyphen stays where the text has the same word with it elsewhere, and before capitals.
    """
    whole = {_halves(text, found.start(), found.end()) for found in _HYPHEN.finditer(text)}

    def join(parted: re.Match[str]) -> str:
        if not text[parted.end()].islower():
            return parted[0]
        return parted[1] if _halves(text, parted.start(), parted.end()) in whole else ""

    return _PARTED.sub(join, text)


def _halves(text: str, start: int, end: int) -> tuple[str, str]:
    """Return the letters on either side of a hyphen, without case."""
    before = re.split(r"[\W\d_]", text[max(0, start - LONGEST_HALF) : start])[-1]
    after = re.split(r"[\W\d_]", text[end : end + LONGEST_HALF], maxsplit=1)[0]
    return before.lower(), after.lower()


class _Tokens:
    """The words of a text by position, each with its weight in words."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans = [match.span() for match in _TOKEN.finditer(text)]

    def _weight(self, index: int) -> float:
        start, stop = self.spans[index]
        return 0.5 if stop - start == 1 and ord(self.text[start]) >= 0x3040 else 1.0

    def reach(self, begin: int, most: float) -> int:
        """Return the end of the longest run from `begin` that weighs at most `most` words."""
        total, end = 0.0, begin
        while end < len(self.spans):
            total += self._weight(end)
            if total > most and end > begin:
                break
            end += 1
        return end

    def weigh(self, begin: int, end: int) -> float:
        """Return the weight of a run in words."""
        return sum(map(self._weight, range(begin, end)))

    def sentence_ends(self) -> Iterator[int]:
        """Yield the ends of all sentences; the last one is the end of the text."""
        for index, (start, stop) in enumerate(self.spans, 1):
            if index == len(self.spans) or _SENTENCE_END.search(self.text[start:stop]):
                yield index

    def good_end(self, begin: int, end: int) -> int:
        """Return the last end of a paragraph, else of a sentence, in the last third of the run."""
        earliest = begin + max(1, (end - begin) * 2 // 3)
        sentence = None
        for index in range(end, earliest, -1):
            gap = self.text[self.spans[index - 1][1] : self.spans[index][0]]
            if _PARAGRAPH.search(gap):
                return index
            start, stop = self.spans[index - 1]
            if sentence is None and _SENTENCE_END.search(self.text[start:stop]):
                sentence = index
        return end if sentence is None else sentence

    def back(self, begin: int, end: int, words: float) -> int:
        """Return where the next run starts: some words before `end`, but always past `begin`."""
        start = end
        while start - 1 > begin and words > 0:
            words -= self._weight(start - 1)
            if words < 0:
                break
            start -= 1
        return start

    def words(self, begin: int, end: int) -> str:
        return " ".join(self.text[self.spans[begin][0] : self.spans[end - 1][1]].split())
