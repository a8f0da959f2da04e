"""Scan and diff of every target: what a run has to do, before it does any of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from seehear.indexers.diff import Diff, Work, compare
from seehear.indexers.report import OfflineRoot, Tally
from seehear.indexers.rules import Patterns
from seehear.indexers.scan import Scan, relative_to, walk
from seehear.indexers.targets import Target, is_below, presence_of
from seehear.stores import Catalog, Failure, Generation, Location, Root

TICK_FILES = 256
"""Files between two looks at the clock and at the stop event."""


@dataclass(slots=True)
class Survey:
    """What the scan found, and what it could not see."""

    diff: Diff = field(default_factory=Diff)
    offline: list[OfflineRoot] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    root_ids: list[int] = field(default_factory=list)
    """Roots that were scanned."""


@dataclass(slots=True)
class Surveyor:
    """Surveys one run. `tick` is called often and tells whether to stop."""

    catalog: Catalog
    generation: Generation
    patterns: Patterns
    tally: Tally
    tick: Callable[[], bool]
    retry_failed: bool = False
    survey: Survey = field(default_factory=Survey)
    _seen: int = 0

    def look(self, targets: Sequence[Target]) -> Survey:
        """Scan and compare every target; offline roots are noted and left alone."""
        by_root: dict[int, list[Target]] = {}
        for target in targets:
            by_root.setdefault(target.root.id, []).append(target)
        # First which roots are there, since that decides which assets can be encoded at all.
        present = [group for group in by_root.values() if self._is_there(group[0].root)]
        unencoded = frozenset(self.catalog.unencoded(self.generation.id))
        failures = {str(failure.path): failure for failure in self.catalog.failures()}
        self.survey.diff.failing = set(failures)
        roots = [str(root.path) for root in self.catalog.roots()]
        for group in present:
            places = {str(p.path): p for p in self.catalog.locations(group[0].root.id)}
            for target in group:
                if self.tick():
                    return self.survey
                before = places if target.is_whole else _part(places, target.top)
                self._compare(target, before, failures, unencoded, roots)
        return self.survey

    def _is_there(self, root: Root) -> bool:
        """Whether a root can be scanned; one that cannot is noted and left as it is."""
        places = self.catalog.locations(root.id)
        was_file = len(places) == 1 and places[0].path == root.path
        presence = presence_of(root, had_files=bool(places), was_file=was_file)
        online = presence.reason is None
        if online != root.online or presence.inode not in {None, root.inode}:
            self.catalog.set_online(root.id, online, presence.inode)
        if presence.reason is not None:
            self.survey.offline.append(OfflineRoot(root.path, presence.reason))
        return online

    def _compare(
        self,
        target: Target,
        before: dict[str, Location],
        failures: dict[str, Failure],
        unencoded: frozenset[int],
        roots: Sequence[str],
    ) -> None:
        scan, diff, root = Scan(), self.survey.diff, str(target.root.path)
        files = walk(
            target.top,
            scan,
            root=root,
            patterns=self.patterns,
            apart=roots,
            excluded=str(self.catalog.folder),
        )
        met: set[str] = set()
        try:
            for file, outcome in compare(
                files,
                target.root.id,
                before,
                failures,
                unencoded=unencoded,
                retry_failed=self.retry_failed,
            ):
                if file.path in failures:
                    met.add(file.path)
                self._note(file.size_bytes, outcome)
                self._seen += 1
                if self._seen % TICK_FILES == 0 and self.tick():
                    return
        except FileNotFoundError:
            pass  # a part of an online root that is gone, with all that was in it
        except OSError as error:
            scan.unknown.append(target.top)
            self.survey.notes.append(f"{target.top} cannot be read: {error.strerror or error}")
        self.tally.count("skipped", scan.skipped)
        self.survey.root_ids.append(target.root.id)
        self.survey.notes.extend(f"{problem.path}: {problem.reason}" for problem in scan.problems)

        def gone(path: str) -> bool:
            return scan.knows(path) and self.patterns.covers(relative_to(path, root))

        diff.vanished.extend(place for path, place in before.items() if gone(path))
        for path in failures.keys() - met:
            here = path == target.top or is_below(path, target.top)
            if here and gone(path) and not _in_other_root(path, root, roots):
                diff.cured.append((target.root.id, path))

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


def _part(places: dict[str, Location], top: str) -> dict[str, Location]:
    return {path: at for path, at in places.items() if path == top or is_below(path, top)}
