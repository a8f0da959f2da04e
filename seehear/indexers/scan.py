"""Walk a folder: list the files of a root as they are now, without opening any file.

    root ── folders, sorted ──► ScannedFile(path, size, modified, inode)
             │ hidden, ignored, left out by a pattern ......... not listed
             │ socket, pipe, device, broken link .............. listed as skipped
             │ link that leads out of the root ................ the same, counted in `outside`
             │ unreadable folder, name too long ............... a problem; its content is unknown
             │ a collection's own folder ...................... noted, not entered
             │ the cache folder (SEEHEAR_CACHE) ............... not entered
             └ linked folder .................................. after all real ones, each once

Links within the root are followed; those that lead out of it only where that is wished
(`follow_links`), since who may write into a folder could otherwise have any file indexed. Each real
folder is visited once, and real paths win over linked ones, so loops end and the paths found are
always the same. A link to a folder that contains the root (`/`, as Wine creates them) is a loop.

Paths are `str` here: names that are not UTF-8 keep their bytes as surrogates, and a `Path` takes
three times as much memory. In memory are the names of one folder, and the folders still to visit.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from seehear.config import default_cache
from seehear.indexers.ignore import (
    IGNORE_FILE,
    MACHINE_FOLDERS,
    IgnoreRules,
    PathPatterns,
    is_hidden,
    is_litter,
    read_ignore_file,
)
from seehear.media.stored_file import is_beneath
from seehear.stores import FILE_NAME, ScannedFile, is_collection

BROKEN_LINK = "a link that leads nowhere"
OUTSIDE = "a link out of the indexed folder"
SPECIAL = "a pipe, socket or device"


@dataclass(frozen=True, slots=True)
class ScanProblem:
    """A folder or file that could not be listed or understood."""

    path: str
    reason: str


@dataclass(slots=True)
class Scan:
    """What a walk met besides files. Filled while the walk is iterated."""

    problems: list[ScanProblem] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Folders and files whose present state is unknown, because they could not be read."""
    nested: list[str] = field(default_factory=list)
    """Other roots met on the way, which are scanned on their own."""
    outside: int = 0
    """Number of links that lead out of the root and were not followed."""
    collections: list[tuple[str, bool]] = field(default_factory=list)
    """Folders of collections met on the way, which are not entered: (path, whether it is the
    collection that is being filled)."""

    def knows(self, path: str) -> bool:
        """Tell whether a `path` that the walk did not meet is certainly gone."""
        return not any(is_beneath(path, location) for location in self.unknown)


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    relative: str
    rules: IgnoreRules | None


def walk(
    top: str,
    scan: Scan,
    *,
    root: str | None = None,
    patterns: PathPatterns | None = None,
    apart: Collection[str] = (),
    excluded: str | None = None,
    follow_links: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[ScannedFile]:
    """Yield the files below `top`, a folder or a file, and note the rest in `scan`.

    What is not a regular file, and a link out of the root, has `skipped` set.

    `root` is the folder that patterns and ignore files are relative to (`top` itself, or a folder
    above it). Paths in `apart` are other roots: not entered, noted in `scan.nested`. The folder
    `excluded` (the collection's own) and folders of other collections are not entered but noted in
    `scan.collections`. Raises OSError where `top` cannot be read.
    """
    walker = _Walk(top, root or top, scan, patterns or PathPatterns(), follow_links)
    return walker.run(frozenset(apart) - {top}, excluded, stop)


class _Walk:
    def __init__(
        self, top: str, root: str, scan: Scan, patterns: PathPatterns, follow_links: bool
    ) -> None:
        self._top, self._root, self._scan, self._patterns = top, root, scan, patterns
        self._real_root = os.path.realpath(root)
        self._follow_links = follow_links
        self._apart: frozenset[str] = frozenset()
        self._visited: set[tuple[int, int]] = set()
        self._excluded: tuple[int, int] | None = None
        self._stop = threading.Event()
        self._cache = identity_of(str(default_cache()))

    def run(
        self, apart: frozenset[str], excluded: str | None, stop: threading.Event | None
    ) -> Iterator[ScannedFile]:
        self._apart = apart
        self._excluded = None if excluded is None else identity_of(excluded)
        self._stop = stop or self._stop
        status = os.stat(self._top)
        if self._leads_outside(self._top):
            yield ScannedFile(self._top, skipped=OUTSIDE)
            return
        if not stat.S_ISDIR(status.st_mode):
            yield _scanned(self._top, status)
            return
        relative = relative_to(self._top, self._root)
        rules = self._rules_above(relative)
        if rules is not None and rules.leaves_out(relative):
            return
        with os.scandir(self._top):
            pass  # raise OSError for an unreadable top here: the caller decides about the root
        pending = [_Folder(self._top, relative, rules)]
        linked: list[_Folder] = []
        while (pending or linked) and not self._stop.is_set():
            # Linked folders wait until all real ones are visited, so that real paths win.
            folder = pending.pop() if pending else linked.pop(0)
            yield from self._visit(folder, pending, linked)

    def _visit(
        self, folder: _Folder, pending: list[_Folder], linked: list[_Folder]
    ) -> Iterator[ScannedFile]:
        try:
            status = os.stat(folder.path)
            identity = (status.st_dev, status.st_ino)
            if identity in self._visited:
                return
            self._visited.add(identity)
            if identity == self._cache and folder.path != self._top:
                return
            names, others = _listed(folder.path)
            if identity == self._excluded or (FILE_NAME in names and is_collection(folder.path)):
                self._scan.collections.append((folder.path, identity == self._excluded))
                return
        except OSError as error:
            self._unknown(folder.path, error)
            return
        rules = self._rules_here(folder, IGNORE_FILE in names)
        folders: list[_Folder] = []
        while names and not self._stop.is_set():  # every name of a folder may be ignored
            name = names.pop()
            path = os.path.join(folder.path, name)
            relative = f"{folder.relative}/{name}" if folder.relative else name
            entry = others.pop(name, None)
            try:
                if entry is None or not entry.is_dir():
                    yield from self._file(name, path, relative, rules, entry)
                elif self._enters(entry, relative, rules):
                    if entry.is_symlink() and self._leads_outside(path):
                        yield ScannedFile(path, skipped=OUTSIDE)
                    else:
                        target = linked if entry.is_symlink() else folders
                        target.append(_Folder(path, relative, rules))
            except OSError as error:
                if error.errno != errno.ELOOP:
                    self._unknown(path, error)
                elif self._takes(name, relative, rules):  # a link to itself leads nowhere
                    yield ScannedFile(path, skipped=BROKEN_LINK)
        pending.extend(reversed(folders))

    def _enters(self, entry: os.DirEntry[str], relative: str, rules: IgnoreRules | None) -> bool:
        if entry.name in MACHINE_FOLDERS or is_hidden(entry.name, _attributes(entry)):
            return False
        if rules is not None and rules.ignores(relative, is_folder=True):
            return False
        if not self._patterns.enters(relative):
            return False
        if entry.path in self._apart:
            self._scan.nested.append(entry.path)
            return False
        # A link to a folder that contains the root is a loop.
        return not (
            entry.is_symlink() and is_beneath(self._real_root, os.path.realpath(entry.path))
        )

    def _leads_outside(self, path: str) -> bool:
        """Tell whether a path leads out of the root and must not be followed; count it."""
        if self._follow_links or is_beneath(os.path.realpath(path), self._real_root):
            return False
        self._scan.outside += 1
        return True

    def _takes(self, name: str, relative: str, rules: IgnoreRules | None) -> bool:
        if name.startswith(".") or is_litter(name):
            return False
        if rules is not None and rules.ignores(relative, is_folder=False):
            return False
        return self._patterns.takes(relative)

    def _file(
        self,
        name: str,
        path: str,
        relative: str,
        rules: IgnoreRules | None,
        entry: os.DirEntry[str] | None,
    ) -> Iterator[ScannedFile]:
        if not self._takes(name, relative, rules):
            return
        if path in self._apart:
            self._scan.nested.append(path)
            return
        try:
            status = os.stat(path)
        except FileNotFoundError:  # a broken link, or gone since it was listed
            if os.path.lexists(path):
                yield ScannedFile(path, skipped=BROKEN_LINK)
            return
        if is_hidden(name, status):
            return
        is_link = entry is not None and entry.is_symlink()
        if is_link and stat.S_ISREG(status.st_mode) and self._leads_outside(path):
            yield ScannedFile(path, skipped=OUTSIDE)
        else:
            yield _scanned(path, status)

    def _rules_here(self, folder: _Folder, has_file: bool) -> IgnoreRules | None:
        if not has_file:
            return folder.rules
        path = os.path.join(folder.path, IGNORE_FILE)
        return self._read_rules(path, folder.relative, folder.rules)

    def _rules_above(self, relative: str) -> IgnoreRules | None:
        """Read the ignore files of the folders from the root down to the parent of `top`."""
        rules: IgnoreRules | None = None
        location, above = self._root, ""
        for name in relative.split("/") if relative else []:
            path = os.path.join(location, IGNORE_FILE)
            if os.path.isfile(path):
                rules = self._read_rules(path, above, rules)
            location = os.path.join(location, name)
            above = f"{above}/{name}" if above else name
        return rules

    def _read_rules(self, path: str, folder: str, above: IgnoreRules | None) -> IgnoreRules | None:
        try:
            if not os.path.isfile(path):  # opening a pipe would wait forever
                return above
            rules, problem = read_ignore_file(path, folder, above)
        except OSError as error:
            rules, problem = above, error.strerror or str(error)
        if problem is not None:
            self._scan.problems.append(ScanProblem(path, problem))
        return rules

    def _unknown(self, path: str, error: OSError) -> None:
        self._scan.unknown.append(path)
        reason = f"cannot be listed: {error.strerror or error}"
        self._scan.problems.append(ScanProblem(path, reason))


def _scanned(path: str, status: os.stat_result) -> ScannedFile:
    if not stat.S_ISREG(status.st_mode):
        return ScannedFile(path, skipped=SPECIAL)
    return ScannedFile(path, status.st_size, status.st_mtime_ns, inode63(status.st_ino))


def inode63(inode: int) -> int:
    """Return an inode that fits into a database: its lower 63 bits (network drives use 64)."""
    return inode & (1 << 63) - 1


def _listed(folder: str) -> tuple[list[str], dict[str, os.DirEntry[str]]]:
    """List the names in a folder, sorted in reverse, and the entries that are not plain files.

    Of a plain file only the name is kept, a fifth of the size of an entry: a single folder may hold
    all files of a collection.
    """
    names: list[str] = []
    others: dict[str, os.DirEntry[str]] = {}
    with os.scandir(folder) as listing:
        for entry in listing:
            names.append(entry.name)
            if not _is_plain(entry):
                others[entry.name] = entry
    names.sort(reverse=True)
    return names, others


def _is_plain(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:  # the entry is asked again later, for the reason
        return False


def _attributes(entry: os.DirEntry[str]) -> os.stat_result | None:
    # Only macOS and Windows have a hidden flag; Linux saves one call per folder.
    return entry.stat() if hasattr(os.stat_result, "st_flags") or os.name == "nt" else None


def identity_of(path: str) -> tuple[int, int] | None:
    """Return device and inode of a path, or None where it cannot be read."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def relative_to(path: str, root: str) -> str:
    """Return the path below the root with forward slashes; "" for the root itself."""
    return "" if path == root else path[len(root.rstrip(os.sep)) + 1 :].replace(os.sep, "/")
