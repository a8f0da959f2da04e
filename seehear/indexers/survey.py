"""Scan every target and compare it with the catalog: what a run has to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from seehear.indexers.diff import Diff, compare
from seehear.indexers.ignore import PathPatterns
from seehear.indexers.missing import IdBitmap
from seehear.indexers.progress import OfflineRoot, ProgressTracker
from seehear.indexers.roots import Target, is_below, root_state
from seehear.indexers.scan import Scan, relative_to, walk
from seehear.indexers.work_queue import Work
from seehear.stores import Catalog, Failure, Generation, Root

AT_ONCE = 256
"""Number of files compared with the catalog at once, between two checks of the time and the stop
event."""


@dataclass(slots=True)
class Survey:
    """What the scan found, and what it could not read."""

    diff: Diff
    offline: list[OfflineRoot] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    root_ids: list[int] = field(default_factory=list)
    """Roots that were scanned."""
    whole_root_ids: list[int] = field(default_factory=list)
    """Roots of which all files were looked at."""


@dataclass(slots=True)
class Surveyor:
    """Scan for one run. `tick` is called often and tells whether to stop."""

    catalog: Catalog
    generation: Generation
    patterns: PathPatterns
    tally: ProgressTracker
    tick: Callable[[], bool]
    survey: Survey
    retry_failed: bool = False
    follow_links: bool = False

    def run(self, targets: Sequence[Target]) -> None:
        """Scan and compare every target; offline roots are noted and not changed."""
        by_root: dict[int, list[Target]] = {}
        for target in targets:
            by_root.setdefault(target.root.id, []).append(target)
        # Find the offline roots first: none of their files may be compared.
        present = [group for group in by_root.values() if self._is_there(group[0].root)]
        failures = {str(failure.path): failure for failure in self.catalog.failures()}
        self.survey.diff.failing = set(failures)
        roots = [str(root.path) for root in self.catalog.roots()]
        for target in (target for group in present for target in group):
            if self.tick():
                return
            self._compare(target, failures, roots)

    def _is_there(self, root: Root) -> bool:
        """Tell whether a root can be scanned; note it as offline otherwise."""
        with closing(self.catalog.known_locations(root.id)) as locations:
            first = list(islice(locations, 2))
        was_file = [location.path for location in first] == [str(root.path)]
        presence = root_state(root, had_files=bool(first), was_file=was_file)
        online = presence.reason is None
        if online != root.online or presence.inode not in {None, root.inode}:
            self.catalog.set_online(root.id, online, presence.inode)
        if presence.reason is not None:
            self.survey.offline.append(OfflineRoot(root.path, presence.reason))
        return online

    def _compare(self, target: Target, failures: dict[str, Failure], roots: Sequence[str]) -> None:
        scan, diff, root = Scan(), self.survey.diff, str(target.root.path)
        files = walk(
            target.top,
            scan,
            root=root,
            patterns=self.patterns,
            apart=roots,
            excluded=str(self.catalog.folder),
            follow_links=self.follow_links,
        )
        met, met_failures = IdBitmap(), set[str]()
        try:
            while chunk := list(islice(files, AT_ONCE)):
                known = self.catalog.known_files(
                    target.root.id, self.generation.id, [file.path for file in chunk]
                )
                for before in known.values():
                    met.add(before.id)
                for file, outcome in compare(
                    chunk, target.root.id, known, failures, retry_failed=self.retry_failed
                ):
                    if file.path in failures:
                        met_failures.add(file.path)
                    self._note(file.size_bytes, outcome)
                if self.tick():
                    return
        except FileNotFoundError:
            pass  # a part of an online root is gone, with all its files
        except OSError as error:
            scan.unknown.append(target.top)
            self.survey.notes.append(f"{target.top} cannot be read: {error.strerror or error}")
        self._conclude(target, scan)

        def gone(path: str) -> bool:
            return scan.knows(path) and self.patterns.covers(relative_to(path, root))

        below = None if target.is_whole else Path(target.top)
        if len(met) < self.catalog.count_locations(target.root.id, below):
            for location in self.catalog.known_locations(target.root.id, below):
                if location.id not in met and gone(location.path):
                    diff.vanished.add(location.id, location.asset_id, location.size_bytes)
        for path in failures.keys() - met_failures:
            here = path == target.top or is_below(path, target.top)
            if here and gone(path) and not _in_other_root(path, root, roots):
                diff.cured.append((target.root.id, path))

    def _conclude(self, target: Target, scan: Scan) -> None:
        """Note what the scan of a target found besides files."""
        self.tally.count("skipped", scan.skipped)
        self.survey.root_ids.append(target.root.id)
        if target.is_whole and not self.patterns and not scan.unknown:
            self.survey.whole_root_ids.append(target.root.id)
        self.survey.notes.extend(
            f"{path} is skipped: it is {'this' if own else 'another'} collection's own folder"
            for path, own in scan.collections
        )
        if scan.outside:
            links = f"{scan.outside} link{'s' if scan.outside > 1 else ''}"
            self.survey.notes.append(
                f"{links} out of {target.top} not followed (--follow-links follows them)"
            )
        self.survey.notes.extend(f"{problem.path}: {problem.reason}" for problem in scan.problems)

    def _note(self, size_bytes: int, outcome: Work | Failure | None) -> None:
        diff = self.survey.diff
        if outcome is None:
            diff.unchanged += 1
        elif isinstance(outcome, Work):
            diff.work.append(outcome)
        else:
            diff.failed_before.append(outcome)
        self.tally.done(size_bytes)


def _in_other_root(path: str, root: str, roots: Sequence[str]) -> bool:
    return any(
        is_below(other, root) and (path == other or is_below(path, other)) for other in roots
    )
