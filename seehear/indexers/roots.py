"""Resolve the paths that a user gives to parts of roots to scan, and find offline roots.

A root is a folder or file that was once given to `index`. A path below a known root is a part of
that root, not a new root. A root inside another root is scanned separately, so every file belongs
to exactly one root, the deepest one above it.

A root whose drive is unplugged must not look like a root whose files were deleted:

    the root is missing ............................... offline
    it cannot be listed (permission, stale mount) ..... offline
    it is empty, and is another folder than before .... offline: a mount point without its drive
                                                        looks so; `seehear forget` removes the files
    it is empty, and is the folder that had files ..... all deleted
    a file given as a root is missing ................. deleted, if its folder has other files
    a folder below an online root is missing .......... deleted
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seehear.errors import UsageError
from seehear.indexers.scan import inode63
from seehear.stores import Catalog, Root


@dataclass(frozen=True, slots=True)
class Target:
    """The part of a root that is scanned: all of it, or the file or folder at `top`."""

    root: Root
    top: str

    @property
    def is_whole(self) -> bool:
        return self.top == str(self.root.path)


def resolve(
    catalog: Catalog, paths: Sequence[str | Path], add: Callable[[Path], Root] | None
) -> list[Target]:
    """Return the targets of the given paths, each part once; without paths, all roots.

    `add` registers a new root. Raises UsageError for a path that neither exists nor is known.
    """
    roots = {str(root.path): root for root in catalog.locations.roots()}
    if not paths:
        return [Target(root, path) for path, root in sorted(roots.items())]
    chosen: dict[str, Target] = {}
    for path in paths:
        given = os.path.abspath(os.fspath(path))  # resolves `..`, keeps links
        target = _known(roots, given)
        if target is None:
            if not os.path.exists(given):
                raise UsageError(f"no such file or folder: {given}")
            if add is None:
                raise UsageError(f"{given} is not in the collection; index it first")
            root = add(Path(given))
            roots[given] = root
            target = Target(root, given)
        chosen[target.top] = target
    return _without_overlap(chosen, roots)


def _known(roots: dict[str, Root], given: str) -> Target | None:
    above = [path for path in roots if given == path or is_below(given, path)]
    if above:
        return Target(roots[max(above, key=len)], given)
    for path, root in roots.items():
        # Another spelling of a known root: through a link, or in other case on some systems.
        if _same_location(path, given):
            return Target(root, path)
    return None


def _without_overlap(chosen: dict[str, Target], roots: dict[str, Root]) -> list[Target]:
    """Drop parts inside another chosen part of the same root; add roots inside the parts."""
    for top in list(chosen):
        for path, root in roots.items():
            if is_below(path, top):
                chosen[path] = Target(root, path)
    kept = []
    for top, target in sorted(chosen.items()):
        if not any(
            other.root.id == target.root.id and is_below(top, other.top)
            for other in chosen.values()
        ):
            kept.append(target)
    return kept


def is_below(path: str, folder: str) -> bool:
    """Tell whether `path` is in `folder`, at any depth; a folder is not below itself."""
    return path != folder and path.startswith(folder.rstrip(os.sep) + os.sep)


@dataclass(frozen=True, slots=True)
class RootState:
    """Whether a root is online, and which folder it is."""

    reason: str | None = None
    """Why it is offline; None where it is online."""
    inode: int | None = None
    """The folder's inode; None for an empty folder and for a file."""


def root_state(root: Root, *, had_files: bool, was_file: bool) -> RootState:
    """Find out whether a root is online.

    `had_files`: the catalog has files of the root; `was_file`: the root itself is a file.
    """
    path = str(root.path)
    try:
        inode = inode63(os.stat(path).st_ino)
        if not os.path.isdir(path):
            return RootState()
        with os.scandir(path) as listing:
            empty = next(listing, None) is None
    except FileNotFoundError:
        deleted = was_file and _has_files(os.path.dirname(path))
        return RootState(None if deleted else "not found")
    except OSError as error:
        return RootState(f"cannot be read: {error.strerror or error}")
    if empty and had_files and inode != root.inode:
        return RootState("empty, as a mount point without its drive is")
    return RootState(inode=None if empty else inode)


def _has_files(folder: str) -> bool:
    try:
        with os.scandir(folder) as listing:
            return next(listing, None) is not None
    except OSError:
        return False


def _same_location(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
