"""Decide which files of a root are indexed: hidden files, patterns and `.seehearignore`.

Two kinds of rules look alike and mean different things:
- a `.seehearignore` file is permanent: what it ignores does not belong to the collection, and
  leaves it at the next index run;
- include and exclude patterns belong to one run: what they leave out is not changed by that run,
  and stays in the collection if it was there.

All patterns follow the rules of gitignore files, relative to the folder that they are given for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seehear.errors import UsageError
from seehear.indexers.gitignore import PathRule, PathRules, parse_rule

IGNORE_FILE = ".seehearignore"

MACHINE_FOLDERS = frozenset(
    {"$RECYCLE.BIN", "System Volume Information", "lost+found", "__MACOSX", "@eaDir", "#recycle"}
)
"""Folders that systems and network drives create: their content is deleted files, or thumbnails of
files elsewhere. None of these folders is hidden by its name."""

_LITTER = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"})

IGNORE_FILE_LIMIT_BYTES = 1 << 20
MOST_PATTERNS = 1_000
"""A list of patterns is short, and each is tried on each name; a longer file of that name is
something else."""

SHOWN_CHARS = 80
"""Of an invalid line, in its message."""


def is_litter(name: str) -> bool:
    """Tell whether a file is one that file managers leave in every folder, by its name."""
    return name.lower() in _LITTER


def is_hidden(name: str, status: os.stat_result | None = None) -> bool:
    """Tell whether a file is hidden: a dot file, or marked as hidden by macOS or Windows."""
    if name.startswith("."):
        return True
    flags = getattr(status, "st_flags", 0) & getattr(stat, "UF_HIDDEN", 0)
    attributes = getattr(status, "st_file_attributes", 0)
    return bool(flags or attributes & stat.FILE_ATTRIBUTE_HIDDEN)


class PathPatterns:
    """Include and exclude patterns of one run, relative to a root.

    Raises UsageError for a pattern that is not valid in gitignore files.
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        if not all(pattern.strip() for pattern in (*include, *exclude)):
            raise UsageError("a pattern to include or exclude is empty. Leave it out")
        self._include, self._exclude = (_rules(patterns) for patterns in (include, exclude))

    def __bool__(self) -> bool:
        return bool(self._include or self._exclude)

    def enters(self, relative: str) -> bool:
        """Tell whether the run looks into a folder; `relative` is its path below the root."""
        return not (self._exclude and self._exclude.selects(relative, is_folder=True))

    def takes(self, relative: str) -> bool:
        """Tell whether the run looks at a file whose folders it has entered."""
        if self._include and not self._include.selects(relative):
            return False
        return not (self._exclude and self._exclude.selects(relative))

    def covers(self, relative: str) -> bool:
        """Tell whether the run would reach a file: all its folders entered, and the file taken."""
        if not self:
            return True
        folders = relative.split("/")[:-1]
        reached = all(self.enters("/".join(folders[: i + 1])) for i in range(len(folders)))
        return reached and self.takes(relative)


def _rules(patterns: Sequence[str]) -> PathRules | None:
    rules = []
    for pattern in patterns:
        try:
            rules.append(parse_rule(pattern))
        except ValueError as error:
            raise UsageError(f"not a valid .gitignore pattern: {pattern!r} ({error})") from None
    return PathRules([rule for rule in rules if rule is not None]) if rules else None


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The ignore files that apply in a folder: its own before those of the folders above."""

    folder: str
    """Folder of this ignore file, relative to the root: "" or "a/b"."""
    rules: PathRules
    above: IgnoreRules | None = None

    def ignores(self, relative: str, *, is_folder: bool) -> bool:
        """Tell whether a file or folder ("a/b") is ignored; the nearest rule wins.

        The folders above it must have been looked at before: nothing in an ignored folder is kept.
        """
        for one in self._chain():
            above = f"{one.folder}/" if one.folder else ""
            if relative.startswith(above):
                decided = one.rules.decide(relative[len(above) :], is_folder=is_folder)
                if decided is not None:
                    return decided
        return False

    def leaves_out(self, relative: str) -> bool:
        """Tell whether a folder, or one on the way to it from the root, is ignored."""
        names = relative.split("/")
        folders = ("/".join(names[: i + 1]) for i in range(len(names)))
        return any(self.ignores(folder, is_folder=True) for folder in folders)

    def _chain(self) -> Iterator[IgnoreRules]:
        rules: IgnoreRules | None = self
        while rules is not None:
            yield rules
            rules = rules.above


def read_ignore_file(
    path: str, folder: str, above: IgnoreRules | None
) -> tuple[IgnoreRules | None, str | None]:
    """Read the ignore file at `path`: return the rules that apply then, and a problem or None.

    An invalid line is left out and the others apply. Raises OSError where it cannot be read.
    """
    with open(path, "rb") as file:
        return read_ignore_lines(file.read(IGNORE_FILE_LIMIT_BYTES + 1), folder, above)


def read_ignore_lines(
    content: bytes, folder: str, above: IgnoreRules | None
) -> tuple[IgnoreRules | None, str | None]:
    """Return what `read_ignore_file` does, from the content of one."""
    if len(content) > IGNORE_FILE_LIMIT_BYTES:
        return above, f"longer than {IGNORE_FILE_LIMIT_BYTES} bytes, so it is not read"
    lines = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff").split("\n")
    rules: list[PathRule] = []
    problem: str | None = None
    for number, line in enumerate(lines, 1):
        try:
            rule = parse_rule(line)
        except ValueError as error:
            shown = line if len(line) <= SHOWN_CHARS else line[:SHOWN_CHARS] + "..."
            problem = (
                problem or f"line {number} is not a valid .gitignore pattern: {shown!r} ({error})"
            )
        else:
            rules += [rule] if rule is not None else []
        if len(rules) > MOST_PATTERNS:
            return above, f"more than {MOST_PATTERNS} patterns, so it is not read"
    return IgnoreRules(folder, PathRules(rules), above), problem
