"""Match paths against patterns of gitignore files, in time linear in pattern and path.

A pattern becomes a regular expression that never goes back: `*` and `**` are followed by a part of
fixed form, the first position where that part matches is as good as any later one, and an atomic
group keeps it. The cost is at most the length of the pattern times the length of the path.

The meaning is that of `git check-ignore`, with characters in place of bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MOST_PATTERN_CHARS = 1024
"""A longer pattern is refused: names have at most 255 bytes on every common file system."""

_CLASSES = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~",
    "space": " \\t\\n\\r", "upper": "A-Z", "xdigit": "a-fA-F0-9",
}  # fmt: skip
_TOKEN = re.compile(r"\*+|\\?/|\\.|.", re.DOTALL)
_SLASH_OR_END = re.compile(r"\\?/|\Z")


@dataclass(frozen=True, slots=True)
class PathRule:
    """One pattern of a gitignore file."""

    matches: Callable[[str], object]
    """Match the name, or the path if the pattern has a slash."""
    by_path: bool
    folders_only: bool
    negated: bool


class PathRules:
    """The patterns of one gitignore file, in order; the last one that matches decides."""

    def __init__(self, rules: Sequence[PathRule]) -> None:
        self._last_first = rules[::-1]

    def decide(self, path: str, *, is_folder: bool) -> bool | None:
        """Tell whether a path ("a/b") is selected, by itself; None if no pattern matches it."""
        name = path.rpartition("/")[2]
        for rule in self._last_first:
            if rule.folders_only and not is_folder:
                continue
            if rule.matches(path if rule.by_path else name):
                return not rule.negated
        return None

    def selects(self, path: str, *, is_folder: bool = False) -> bool:
        """Tell whether a path is selected: by itself, or else by the nearest folder above it."""
        while path:
            decided = self.decide(path, is_folder=is_folder)
            if decided is not None:
                return decided
            path, is_folder = path.rpartition("/")[0], True
        return False


def parse_rule(line: str) -> PathRule | None:
    """Return the rule of a line, or None for a comment or an empty line.

    Raises ValueError for a pattern that is malformed or has more than `MOST_PATTERN_CHARS`.
    """
    glob = _without_trailing_spaces(line.removesuffix("\r"))
    if not glob or glob.startswith("#"):
        return None
    if len(glob) > MOST_PATTERN_CHARS:
        raise ValueError(f"longer than {MOST_PATTERN_CHARS} characters")
    negated = glob.startswith("!")
    glob = glob[negated:]
    folders_only = glob.endswith("/")
    glob = glob[: len(glob) - folders_only]
    by_path = "/" in glob
    glob = glob.removeprefix("/")
    if not glob:
        raise ValueError("it has no name")
    matches = re.compile(_expression(glob), re.DOTALL).fullmatch
    return PathRule(matches, by_path, folders_only, negated)


def _without_trailing_spaces(line: str) -> str:
    """Cut spaces at the end, but not one behind a backslash."""
    cut = line.rstrip(" ")
    escaped = (len(cut) - len(cut.rstrip("\\"))) % 2 == 1
    return cut + " " if escaped and len(cut) < len(line) else cut


def _expression(glob: str) -> str:
    """Translate a pattern to a regular expression for a whole path. Raises ValueError.

    Git compares what is before the first special character literally and matches the rest by
    itself, so `**` directly behind it counts as if it began the pattern.
    """
    found = re.search(r"[*?\[\\]", glob)
    first = at = found.start() if found is not None else len(glob)
    text, chunks, is_open = re.escape(glob[:at]), [""], False
    while (found := _TOKEN.match(glob, at)) is not None:
        token, start, at = found[0], at, found.end()
        if token in {"/", "\\/"}:
            text, chunks = f"{text}{_segment(chunks)}/", [""]
        elif token[0] == "*":
            begins = start == first or glob[start - 1] == "/"
            slash = _SLASH_OR_END.match(glob, at)
            if len(token) == 1 or not begins or slash is None:
                chunks.append("")
                continue
            text += ")" * is_open
            if not slash[0]:
                return text + ".*"
            # Git lets `**/` stand for no folder at all, but not with an escaped slash.
            text += f"(?>(?:[^/]*+/){'*' if slash[0] == '/' else '+'}?"
            is_open, at = True, slash.end()
        elif token == "[":
            one_of, at = _bracket(glob, at)
            chunks[-1] += one_of
        elif token == "\\":
            raise ValueError("it ends with a backslash")
        else:
            chunks[-1] += "[^/]" if token == "?" else re.escape(token[-1])
    return text + _segment(chunks) + "\\Z)" * is_open


def _segment(chunks: Sequence[str]) -> str:
    """Join the parts of a name that `*` separates; each matches a fixed number of characters."""
    if len(chunks) == 1:
        return chunks[0]
    middle = "".join(f"(?>[^/]*?{chunk})" for chunk in chunks[1:-1])
    return f"{chunks[0]}{middle}(?>[^/]*{chunks[-1]}(?=/|\\Z))"


def _bracket(glob: str, at: int) -> tuple[str, int]:
    """Translate "[...]"; `at` is behind the first bracket. Return what is behind the last, too."""
    negated = glob.startswith(("!", "^"), at)
    at += negated
    items, previous, first = "", "", at
    while at == first or not glob.startswith("]", at):
        char, at = glob[at : at + 1], at + 1
        if char == "-" and previous and glob[at : at + 1] not in {"", "]"}:
            char, at = _unescaped(glob, at)
            if previous <= char:
                items += f"{re.escape(previous)}-{re.escape(char)}"
            previous = ""
            continue
        stop = glob.find("]", at + 1)
        if char == "[" and glob.startswith(":", at) and stop > at + 1 and glob[stop - 1] == ":":
            if (name := glob[at + 1 : stop - 1]) not in _CLASSES:
                raise ValueError(f"[:{name}:] is not a class of characters")
            items, previous, at = items + _CLASSES[name], "", stop + 1
            continue
        previous, at = _unescaped(glob, at - 1)
        items += re.escape(previous)
    if not items:
        return ("[^/]" if negated else "(?!)"), at + 1
    return f"(?!/)[{'^' * negated}{items}]", at + 1


def _unescaped(glob: str, at: int) -> tuple[str, int]:
    """Return a character in brackets, perhaps behind a backslash, and what is behind it."""
    at += glob.startswith("\\", at)
    if at >= len(glob):
        raise ValueError("a [ without its ]")
    return glob[at], at + 1
