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
    a root beyond this machine cannot be reached,
    denies, or lists nothing any more ................. offline
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seehear.errors import UsageError
from seehear.indexers.scan import inode63
from seehear.media.stored_file import is_beneath
from seehear.sources import SourceError, is_remote, path_of, stored_path
from seehear.sources.errors import MISSING
from seehear.stores import Catalog, Root

EMPTY_NOW = "nothing is listed there any more; `seehear forget` removes its files"


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

    `add` registers a new root. Raises UsageError for a path that neither exists nor is known, also
    below a root that is there.
    """
    roots = {str(root.path): root for root in catalog.locations.roots()}
    if not paths:
        return [Target(root, path) for path, root in sorted(roots.items())]
    chosen: dict[str, Target] = {}
    for path in paths:
        where = path_of(path)
        # Resolves `..` and keeps links.
        given = str(where) if is_remote(where) else os.path.abspath(where)
        target = _known(roots, given)
        if target is None or not catalog.locations.is_known(stored_path(target.top)):
            _check_exists(given, None if target is None else str(target.root.path))
        if target is None:
            if add is None:
                raise UsageError(f"{given} is not in the collection; index it first")
            root = add(stored_path(given))
            roots[given] = root
            target = Target(root, given)
        chosen[target.top] = target
    return _without_overlap(chosen, roots)


def _check_exists(given: str, root: str | None) -> None:
    """Raise UsageError where nothing lies at a path; below a `root`, only if that can be read."""
    if not is_remote(given):
        if not os.path.exists(given) and (root is None or os.path.exists(root)):
            raise UsageError(f"no such file or folder: {given}")
        return
    from seehear.sources.remote import find_root

    try:
        find_root(given)
    except SourceError as error:
        if root is None or error.kind == MISSING:
            raise UsageError(f"{given}: {error}") from None


def _known(roots: dict[str, Root], given: str) -> Target | None:
    above = [path for path in roots if is_beneath(given, path)]
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


def root_state(catalog: Catalog, root: Root) -> RootState:
    """Find out whether a root is online now. Raises EnvironmentFaultError."""
    first = catalog.locations.in_root(root.id, most=2)
    had_files, was_file = bool(first), [location.path for location in first] == [root.path]
    path = str(root.path)
    if is_remote(path):
        return _remote_state(path, had_files=had_files, was_file=was_file)
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


def _remote_state(url: str, *, had_files: bool, was_file: bool) -> RootState:
    """Find out whether a root beyond this machine is online.

    `had_files`: the catalog has files of the root; `was_file`: the root itself is a file. A bucket
    has no folders: one that gives nothing may be empty, renamed, or hidden by a policy. So nothing
    of it is taken for deleted.
    """
    from seehear.sources.remote import find_root, list_folder

    try:
        if find_root(url).state is None and had_files and next(list_folder(url), None) is None:
            return RootState(EMPTY_NOW)
    except SourceError as error:
        is_gone = error.kind == MISSING and had_files and not was_file
        return RootState(EMPTY_NOW if is_gone else str(error))
    return RootState()


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
