"""Cut the part of a passage that shows the words of a query."""

from __future__ import annotations

from collections.abc import Sequence

from seehear.stores.catalog.asked_words import AskedWord, WordMarker, in_pairs

MAX_SNIPPET = 200
"""Most characters of a passage that a hit shows."""
BEFORE = 40
"""Most characters before the first match, so that a narrow line shows the match, too."""
CUT = "… "


Marks = tuple[tuple[int, int], ...]
"""Where words of a query stand in a text: (start, stop) in characters, in order."""


class SnippetCutter:
    """Cuts passages for the words of one query."""

    def __init__(self, asked: Sequence[AskedWord]) -> None:
        self._whole = self._pairs = WordMarker(asked)
        if (pairs := in_pairs(asked)) != asked:
            self._pairs = WordMarker(pairs)

    def cut(self, passage: str) -> tuple[str, Marks]:
        """Return the part of a passage with the most words of the query, and where they stand.

        A passage without any gives its start.
        """
        found = self._whole.find(passage) or self._pairs.find(passage)
        start, stop = _best_window(passage, found)
        before, after = CUT if start else "", f" {CUT.strip()}" if stop < len(passage) else ""
        marks = _merged([(a, b) for a, b, _ in found if start <= a and b <= stop])
        shift = len(before) - start
        shifted = tuple((a + shift, b + shift) for a, b in marks)
        return f"{before}{passage[start:stop]}{after}", shifted


def _best_window(passage: str, found: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    """Return the first window with the most distinct words of the query: (start, stop)."""
    if len(passage) <= MAX_SNIPPET:
        return 0, len(passage)
    best = most = 0
    for first, _, _ in found:
        start = max(0, first - BEFORE)
        shown = {number for a, b, number in found if first <= a and b <= start + MAX_SNIPPET}
        if len(shown) > most:
            best, most = start, len(shown)
    start, stop = best, min(len(passage), best + MAX_SNIPPET)
    if start and (blank := passage.find(" ", start - 1, start + BEFORE)) >= 0:
        start = blank + 1
    if stop < len(passage) and (blank := passage.rfind(" ", start + BEFORE, stop + 1)) >= 0:
        stop = blank
    return start, stop


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge spans that overlap; `spans` are in order."""
    merged: list[tuple[int, int]] = []
    for start, stop in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged
