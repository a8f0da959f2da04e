"""Walk a root beyond this machine: list its files as `scan.walk` lists those of a folder here.

Hidden files, ignore files and patterns mean the same. There are no links, and no inodes: the mark
of a file, from its etag or version, stands in place of one. A folder that cannot be listed, or only
in part, is noted as unknown, so that nothing in it is taken for gone.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from seehear.indexers.ignore import (
    IGNORE_FILE,
    IGNORE_FILE_LIMIT_BYTES,
    MACHINE_FOLDERS,
    IgnoreRules,
    PathPatterns,
    is_hidden,
    is_litter,
    read_ignore_lines,
)
from seehear.indexers.scan import Scan, ScanProblem, relative_to
from seehear.sources import SourceError
from seehear.sources.errors import MISSING
from seehear.sources.remote import Entry, RemoteState, fetch, find_root, list_folder
from seehear.stores import ScannedFile


def walk_remote(
    top: str,
    scan: Scan,
    *,
    root: str,
    patterns: PathPatterns,
    apart: Collection[str],
    stop: threading.Event,
) -> Iterator[ScannedFile]:
    """Yield the files below `top`, and note the rest in `scan`; arguments are as those of `walk`.

    Raises SourceError where `top` cannot be listed.
    """
    found = find_root(top)
    if found.state is not None:
        yield _scanned(top, found.state)
        return
    relative = relative_to(top, root)
    rules = _rules_above(root, relative, scan)
    if rules is not None and rules.leaves_out(relative):
        return
    pending = [_Folder(top, relative, rules)]
    while pending and not stop.is_set():
        folder = pending.pop()
        entries = _listed(folder.url, scan, is_top=folder.url == top)
        if any(one.name == IGNORE_FILE and one.state is not None for one in entries):
            folder = replace(folder, rules=_rules(folder.url, folder.relative, folder.rules, scan))
        inside: list[_Folder] = []
        for entry in entries:
            path = f"{folder.url}/{entry.name}"
            below = f"{folder.relative}/{entry.name}" if folder.relative else entry.name
            if not _takes(entry, below, folder.rules, patterns):
                continue
            if path in apart:
                scan.nested.append(path)
            elif entry.state is None:
                inside.append(_Folder(path, below, folder.rules))
            else:
                yield _scanned(path, entry.state)
        pending.extend(reversed(inside))


@dataclass(frozen=True, slots=True)
class _Folder:
    url: str
    relative: str
    rules: IgnoreRules | None


def _listed(url: str, scan: Scan, *, is_top: bool) -> list[Entry]:
    """Return what a folder holds, by name; what could be listed of it, where that ends early."""
    entries: list[Entry] = []
    try:
        entries.extend(list_folder(url))
    except SourceError as error:
        if is_top:
            raise
        scan.unknown.append(url)
        scan.problems.append(ScanProblem(url, f"cannot be listed: {error}"))
    return sorted(entries, key=lambda one: one.name)


def _takes(entry: Entry, relative: str, rules: IgnoreRules | None, patterns: PathPatterns) -> bool:
    is_folder = entry.state is None
    if is_hidden(entry.name) or (is_folder and entry.name in MACHINE_FOLDERS):
        return False
    if not is_folder and is_litter(entry.name):
        return False
    if rules is not None and rules.ignores(relative, is_folder=is_folder):
        return False
    return patterns.enters(relative) if is_folder else patterns.takes(relative)


def _scanned(path: str, state: RemoteState) -> ScannedFile:
    return ScannedFile(path, state.size_bytes, state.modified_ns, state.mark)


def _rules_above(root: str, relative: str, scan: Scan) -> IgnoreRules | None:
    """Read the ignore files of the folders from the root down to the parent of a path."""
    rules: IgnoreRules | None = None
    steps = relative.split("/") if relative else []
    for number in range(len(steps)):
        above = "/".join(steps[:number])
        rules = _rules(f"{root}/{above}" if above else root, above, rules, scan)
    return rules


def _rules(folder: str, relative: str, above: IgnoreRules | None, scan: Scan) -> IgnoreRules | None:
    """Return the rules with those of a folder's ignore file, where it has one."""
    path = f"{folder}/{IGNORE_FILE}"
    try:
        content = fetch(path)[: IGNORE_FILE_LIMIT_BYTES + 1]
        rules, problem = read_ignore_lines(content, relative, above)
    except SourceError as error:
        rules, problem = above, None if error.kind == MISSING else str(error)
    if problem is not None:
        scan.problems.append(ScanProblem(path, problem))
    return rules
