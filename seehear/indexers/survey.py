"""Scan every target and compare it with the catalog: what a run has to do.

Whether a task is an addition, an update, a move or no change at all is known only when the content
is hashed. A changed inode alone counts as a difference, too: two recordings of equal length that
swap names keep their size and, after a copy, the time.

Time stamps have a granularity (4 ms on ext4, 2 s on FAT), so a file that changes right after it was
read can look unchanged. Like git, seehear does not trust a file that was modified within
`MTIME_GRANULARITY_NS` of being read: its location is stored with the inode `RACY_INODE`, and the
next run hashes the file once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from seehear.indexers.ignore import PathPatterns
from seehear.indexers.progress import OfflineRoot, ProgressTracker
from seehear.indexers.roots import Target, is_below, root_state
from seehear.indexers.scan import Scan, relative_to, walk
from seehear.indexers.stages import StopEvent
from seehear.media import SUFFIXES
from seehear.media.stored_file import is_beneath
from seehear.sources import SourceError, is_remote, stored_path
from seehear.sources.errors import MISSING
from seehear.stores import Catalog, Failure, Generation, Root, ScanTable

AT_ONCE = 256
"""Number of files listed between two reports of progress."""

MTIME_GRANULARITY_NS = 2_000_000_000
"""The coarsest time stamp in use, that of FAT."""

ALWAYS_RETRY_NS = -1
"""Time stamp of a failure that is not caused by the content, such as a missing permission. No file
has this time stamp, so the next run tries again."""


@dataclass(slots=True)
class Survey:
    """The scan of one run: what it found, and what it could not read."""

    catalog: Catalog
    table: ScanTable
    patterns: PathPatterns
    tally: ProgressTracker
    stop: StopEvent
    follow_links: bool = False
    unchanged: int = 0
    failed_before: list[Failure] = field(default_factory=list)
    """Failures whose file has not changed since."""
    cured: list[str] = field(default_factory=list)
    """Paths with a row of `failures` whose file is gone."""
    offline: list[OfflineRoot] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    root_ids: list[int] = field(default_factory=list)
    """Roots that were scanned."""
    was_left: bool = False
    """Whether a root could be listed, and not be read to its end."""

    def run(self, targets: Sequence[Target], generation: Generation, *, retry_failed: bool) -> None:
        """Scan and compare every target; offline roots are noted and not changed."""
        by_root: dict[int, list[Target]] = {}
        for target in targets:
            by_root.setdefault(target.root.id, []).append(target)
        # Find the offline roots first: none of their files may be compared.
        present = [group for group in by_root.values() if self._is_there(group[0].root)]
        roots = [str(root.path) for root in self.catalog.locations.roots()]
        for target in (target for group in present for target in group):
            self._scan(target, roots)
            if self.stop.is_set():
                return  # the walk has not met every file
        self.unchanged, self.failed_before = self.table.compare(
            generation.id,
            retry_failed=retry_failed,
            readable=frozenset().union(*SUFFIXES.values()),
            by_mark=[group[0].root.id for group in present if is_remote(group[0].root.path)],
        )

    def leave(self, root_id: int, reason: str) -> None:
        """Note that a root could not be read to its end."""
        self.was_left = True
        roots = {root.id: root.path for root in self.catalog.locations.roots()}
        self.offline.append(OfflineRoot(roots[root_id], reason))

    def _is_there(self, root: Root) -> bool:
        """Tell whether a root can be scanned; note it as offline otherwise."""
        presence = root_state(self.catalog, root)
        online = presence.reason is None
        if online != root.online or presence.inode not in {None, root.inode}:
            self.catalog.locations.set_online(root.id, online, presence.inode)
        if presence.reason is not None:
            self.offline.append(OfflineRoot(root.path, presence.reason))
        return online

    def _scan(self, target: Target, roots: Sequence[str]) -> None:
        scan, root, root_id = Scan(), str(target.root.path), target.root.id
        if is_remote(root):
            from seehear.indexers.remote_scan import walk_remote

            apart = frozenset(roots) - {target.top}
            files = walk_remote(
                target.top, scan, root=root, patterns=self.patterns, apart=apart, stop=self.stop
            )
        else:
            files = walk(
                target.top,
                scan,
                root=root,
                patterns=self.patterns,
                apart=roots,
                excluded=str(self.catalog.folder),
                stop=self.stop,
                follow_links=self.follow_links,
            )
        try:
            while chunk := list(islice(files, AT_ONCE)):
                self.table.add(root_id, chunk)
                self.tally.done(sum(file.size_bytes for file in chunk), len(chunk))
                self.tally.report()
        except FileNotFoundError:
            pass  # a part of an online root is gone, with all its files
        except SourceError as error:
            if error.kind != MISSING or target.is_whole:
                scan.unknown.append(target.top)
                self.offline.append(OfflineRoot(target.root.path, str(error)))
        except OSError as error:
            scan.unknown.append(target.top)
            self.notes.append(f"{target.top} cannot be read: {error.strerror or error}")
        if self.stop.is_set():
            return
        self._note(target, scan)

        def is_gone(path: str) -> bool:
            return scan.knows(path) and self.patterns.covers(relative_to(path, root))

        below = None if target.is_whole else stored_path(target.top)
        asked = is_gone if scan.unknown or self.patterns else None
        self.cured += [
            path
            for path in self.table.find_gone(root_id, below, asked)
            if not _in_other_root(path, root, roots)
        ]

    def _note(self, target: Target, scan: Scan) -> None:
        """Note what the scan of a target found besides files."""
        self.root_ids.append(target.root.id)
        self.notes.extend(
            f"{path} is skipped: it is {'this' if own else 'another'} collection's own folder"
            for path, own in scan.collections
        )
        if scan.outside:
            links = f"{scan.outside} link{'s' if scan.outside > 1 else ''}"
            self.notes.append(
                f"{links} out of {target.top} not followed (--follow-links follows them)"
            )
        self.notes.extend(f"{problem.path}: {problem.reason}" for problem in scan.problems)


def _in_other_root(path: str, root: str, roots: Sequence[str]) -> bool:
    return any(is_below(other, root) and is_beneath(path, other) for other in roots)
