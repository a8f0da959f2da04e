"""Name folders without telling the paths of the machine, and find them by these names.

The root /home/ann/Pictures is called "Pictures"; a photo in it lies in "Pictures/2024/July". Of
two roots with the same last part the second is "Pictures (2)". A request names folders this way
only, so that no path ever comes from a request.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from seehear.errors import UsageError
from seehear.server.problems import ServiceError
from seehear.stores.catalog.filters import And, Compare, Field, Filter, Op, Or
from seehear.suggestions import did_you_mean


class FolderLabels:
    """Give each of some roots a label."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self._by_label: dict[str, Path] = {}
        for root in roots:
            name = printable(root.name) or "root"
            label, count = name, 1
            while label in self._by_label:
                count += 1
                label = f"{name} ({count})"
            self._by_label[label] = root
        inside = [(os.path.join(root, ""), label) for label, root in self._by_label.items()]  # noqa: PTH118
        self._inside = sorted(inside, key=lambda one: len(one[0]), reverse=True)
        """What the paths of files in each root begin with, the deepest root first."""

    @property
    def labels(self) -> list[str]:
        return list(self._by_label)

    def root(self, label: str) -> Path:
        """Return the root of that label. Raises UsageError, with the nearest label, if unknown."""
        try:
            return self._by_label[label]
        except KeyError:
            hint = did_you_mean(label, self._by_label)
            hint = hint or f" The indexed folders are {', '.join(self._by_label)}"
            raise UsageError(f'No folder "{label}".{hint}') from None

    def label(self, root: Path) -> str:
        """Return the label of a root, "" for any other folder."""
        return next((label for label, path in self._by_label.items() if path == root), "")

    def folder_of(self, file: Path) -> str:
        """Return the folder of a file, from the label of its nearest root on; "" outside of all."""
        text = str(file)
        for beginning, label in self._inside:
            if text.startswith(beginning):
                inner = text[len(beginning) :].replace(os.sep, "/").rpartition("/")[0]
                return f"{label}/{printable(inner)}" if inner else label
            if text == beginning[:-1]:  # a root may be a single file
                return label
        return ""

    def named(self, folder: Path) -> str:
        """Return a folder by label; only its own name if it is outside of all roots."""
        return self.folder_of(folder / "file") or printable(folder.name)

    def resolve(self, folder: str) -> Path:
        """Return the path of a folder by label, without a look at the disk.

        Raises UsageError for an unknown label and for anything that could lead elsewhere,
        ServiceError 422 for a URL.
        """
        if "://" in folder:  # told as it was sent, which the answer to a UsageError would not
            told = f'No folder "{printable(folder)}". The folders are {", ".join(self._by_label)}'
            raise ServiceError(422, "bad_query", " ".join(told.split())[:500])
        label, _, inner = folder.strip("/").partition("/")
        # A label may itself hold a slash only if the root's name did, which no file system allows.
        root = self.root(label)
        steps = PurePosixPath(inner)
        if steps.is_absolute() or ".." in steps.parts or "\\" in inner or "\0" in inner:
            raise UsageError(f"{folder!r} is not a folder of this collection")
        return root / steps

    def filter_by_label(self, op: Op, value: str) -> Filter:
        """Return the filter for folders named by label; `value` is a pattern for Op.LIKE.

        Raises UsageError as `resolve` does.
        """
        if op is not Op.LIKE:
            return Compare(Field.FOLDER, op, self.resolve(value))
        return Or(
            tuple(
                And(
                    (
                        Compare(Field.FOLDER, Op.UNDER, root),
                        Compare(Field.FOLDER, Op.LIKE, printable(str(root)) + rest),
                    )
                )
                for label, root in self._by_label.items()
                for rest in _rests(value, label)
            )
        )


def _rests(pattern: str, text: str) -> list[str]:
    """Return the patterns that match what follows a text wherever `pattern` matches the whole.

    Case does not count. After the last `*` that the text can reach, earlier ones add nothing.
    """
    pattern = pattern.casefold()
    states = {0}
    for char in text.casefold():
        stars = {i for i in _past_stars(pattern, states) if pattern[i : i + 1] == "*"}
        states = {i + 1 for i in _past_stars(pattern, states) if pattern[i : i + 1] in (char, "?")}
        states = {i for i in states | stars if i >= max(stars, default=0)}
    return [pattern[i:] for i in sorted(states)]


def _past_stars(pattern: str, states: set[int]) -> set[int]:
    """Return states and those behind them: a `*` may match nothing."""
    found = set(states)
    for state in states:
        while pattern[state : state + 1] == "*":
            state += 1  # noqa: PLW2901
            found.add(state)
    return found


def printable(name: str) -> str:
    """Return a name for JSON and HTML: bytes that are not UTF-8 become visible escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
