"""Keep a collection up to date while its folders change.

    file system events ─► settle ─► folders that changed ─► index those ─► report
    a root goes or comes back, or an hour passes ───────► index its root ─┘

Events are only hints: every burst leads to an ordinary index run over the changed folders, with the
same scan, diff and guarantees. Changes without events (a drive that is unplugged, a network folder
that another machine writes to) are found by checking the roots every two seconds and by a complete
run every hour.

When nothing has changed, what readers have not read is read, one file at a time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from seehear.config import Settings
from seehear.encoders import Model
from seehear.errors import CollectionLockedError, StoreUnreachableError, UsageError
from seehear.indexers.ignore import IGNORE_FILE
from seehear.indexers.pipeline import index
from seehear.indexers.progress import IndexReport, Progress
from seehear.indexers.reading import ReadingRun, remember_wish
from seehear.indexers.scan import identity_of
from seehear.libraries import require
from seehear.media.stored_file import is_beneath
from seehear.sources import is_remote, path_of
from seehear.stores import Catalog, ToRead

if TYPE_CHECKING:
    from watchfiles import Change

SETTLE_MS = 600
"""A burst is over when nothing has happened for this long: longer than the pauses of a copy."""

LONGEST_BURST_MS = 30_000
"""A burst that does not end, such as a recording in progress, is indexed after this time."""

LOOK_MS = 2_000
"""Milliseconds between two checks for roots that went away or came back."""

WHOLE_RUN_S = 3_600.0
"""Seconds between complete runs, for changes without an event."""

POLL_MS = 5_000
"""Milliseconds between two checks of every file if the system has no events left to give."""

MANY_FOLDERS = 64
"""With more changed folders than this, the whole root is scanned at once."""

LOCK_WAIT_S = 30.0

READ_S = 2.0
"""Seconds of reading before changes are looked for again; a file that takes longer is finished."""

Identity = tuple[int, int] | None


def watch(
    catalog: Catalog,
    model: Model,
    paths: Sequence[str | Path],
    settings: Settings | None = None,
    *,
    on_report: Callable[[IndexReport], None] | None = None,
    stop: threading.Event | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    progress: Callable[[Progress], None] | None = None,
    calibrate: Callable[[], Mapping[str, bytes]] | None = None,
) -> None:
    """Index `paths`, then follow their changes until `stop` is set or Ctrl-C.

    `on_report` gets the report of the first run, and of each later one that found something to
    do. A missing root is waited for. Raises the same errors as `index`, except
    CollectionLockedError and StoreUnreachableError: while another run writes, or the database does
    not answer, the changes are kept for the next burst.
    """
    for path in paths:
        if is_remote(path_of(path)):
            raise UsageError(
                f"{path_of(path)} tells nobody of changes: run `seehear index` again and again, "
                "for example by cron"
            )
    require("watchfiles")  # before the first run, which may take hours
    halt = stop or threading.Event()
    watched = [os.path.abspath(os.fspath(path)) for path in paths]
    watcher = _Watcher(
        catalog,
        model,
        settings or Settings(),
        watched,
        on_report,
        halt,
        include,
        exclude,
        progress,
        calibrate,
    )
    try:
        watcher.run()
    except KeyboardInterrupt:
        halt.set()


@dataclass(slots=True)
class _Watcher:
    catalog: Catalog
    model: Model
    settings: Settings
    paths: list[str]
    on_report: Callable[[IndexReport], None] | None
    stop: threading.Event
    include: Sequence[str]
    exclude: Sequence[str]
    progress: Callable[[Progress], None] | None
    calibrate: Callable[[], Mapping[str, bytes]] | None
    polling: bool = False
    due: set[str] = field(default_factory=set)
    """Folders and files that changed and are not indexed yet."""
    seen: dict[str, Identity] = field(default_factory=dict)
    last_whole_run: float = 0.0
    reading: ReadingRun | None = None
    """What is read while nothing else is to do; None while it is not known what is missing."""
    unread: Generator[None] | None = None
    """The files of `reading`, one after the other; None if nothing is left."""

    def run(self) -> None:
        try:
            self._follow()
        finally:
            self._end_reading()

    def _follow(self) -> None:
        self.due.update(self.paths)
        self.seen = self._identities()
        self._index(tell=True)
        self.last_whole_run = time.monotonic()
        while not self.stop.is_set():
            for changes in self._bursts():
                self.due.update(changed_paths(changes, self.paths, str(self.catalog.folder)))
                self._look_at_the_clock()
                moved = self._moved()
                self.due.update(moved)
                self._index()
                if not self.due:
                    self._read_some()
                if moved or self.stop.is_set():
                    break  # watch the folders that exist now

    def _moved(self) -> list[str]:
        """Return the paths that have become another folder, or none, since the last check.

        The check comes before the run that it leads to, so that the next check notices what happens
        during the run.
        """
        now = self._identities()
        moved = [path for path in self.paths if now[path] != self.seen[path]]
        self.seen = now
        return moved

    def _bursts(self) -> Iterator[set[tuple[Change, str]]]:
        """Yield sets of changes, an empty one every `LOOK_MS`; ends when it must be restarted."""
        from watchfiles import watch as watch_files

        there = [path for path in self.paths if os.path.exists(path)]
        if not there:
            self.stop.wait(LOOK_MS / 1000)
            yield set()
            return
        try:
            yield from watch_files(
                *there,
                watch_filter=None,
                debounce=LONGEST_BURST_MS,
                step=SETTLE_MS,
                stop_event=self.stop,
                rust_timeout=LOOK_MS,
                yield_on_timeout=True,
                force_polling=True if self.polling else None,
                poll_delay_ms=POLL_MS,
                ignore_permission_denied=True,
            )
        except FileNotFoundError:
            yield set()  # gone between the check and the start
        except OSError:
            if self.polling:
                raise
            self.polling = True  # the system's limit of watches is reached: check the files instead
            yield set()

    def _look_at_the_clock(self) -> None:
        if time.monotonic() - self.last_whole_run > WHOLE_RUN_S:
            self.last_whole_run = time.monotonic()
            self.due.update(self.paths)

    def _identities(self) -> dict[str, Identity]:
        """Return which folder each path is now: another one when its drive comes or goes."""
        return {path: identity_of(path) for path in self.paths}

    def _index(self, *, tell: bool = False) -> None:
        if not self.due:
            return
        try:
            chosen = self._known(sorted(self.due))
            if not chosen:
                self.due.clear()
                return
            report = index(
                self.catalog,
                self.model,
                chosen,
                self.settings,
                include=self.include,
                exclude=self.exclude,
                progress=self.progress,
                stop=self.stop,
                wait_s=LOCK_WAIT_S,
                calibrate=self.calibrate,
                reads=False,
            )
        except (CollectionLockedError, StoreUnreachableError):
            return  # tried again with the next burst or check
        except UsageError:
            if all(map(os.path.exists, chosen)):
                raise
            return  # a folder came and went
        self._end_reading()
        self.due.clear()
        worth_telling = report.changed or any(not f.remembered for f in report.failures)
        if self.on_report is not None and (tell or worth_telling or report.offline):
            self.on_report(report)

    def _read_some(self) -> None:
        """Read what readers have not read, for a moment: changes shall not wait for long."""
        until = time.monotonic() + READ_S
        try:
            with self.catalog.write_lock():
                if self.reading is None:
                    self._begin_reading()
                while self.unread is not None and next(self.unread, self) is not self:
                    if time.monotonic() > until or self.stop.is_set():
                        return
                if self.unread is None:
                    return
        except CollectionLockedError:
            return  # another process writes: tried again with the next check
        except StoreUnreachableError:
            self._end_reading()
            return
        assert self.reading is not None
        done = self.reading.report()
        self.reading.close()
        self.unread = None  # until something changes
        worth_telling = any(one.files for one in done.readers.values()) or done.faults
        if self.on_report is not None and worth_telling:
            self.on_report(IndexReport(read=done, changed=True))

    def _begin_reading(self) -> None:
        serving = self.catalog.generations.serving()
        wish = remember_wish(self.catalog, None, self.settings.speech_model, None)
        if serving is None:
            return

        def covers(asset: ToRead) -> bool:
            path = str(asset.path)
            return any(is_beneath(path, top) for top in self.paths)

        self.reading = ReadingRun(
            self.catalog,
            self.model,
            serving.id,
            self.settings,
            wish,
            covers=covers,
            is_stopped=self.stop.is_set,
        )
        self.unread = self.reading.steps()

    def _end_reading(self) -> None:
        """Forget what is missing: it is looked up again when there is nothing else to do."""
        if self.unread is not None:
            self.unread.close()
        if self.reading is not None:
            self.reading.close()
        self.reading = self.unread = None

    def _known(self, locations: Iterable[str]) -> list[str]:
        """Return the paths that an index run accepts: those that exist, or did."""
        known = self.catalog.locations.is_known
        return [one for one in locations if os.path.exists(one) or known(Path(one))]


def changed_paths(
    changes: Iterable[tuple[object, str]], watched: Sequence[str], collection: str
) -> set[str]:
    """Return the folders to scan for a burst of changes: those that contain the changed files.

    Hidden files and the collection's own folder are ignored; a changed ignore file affects its
    folder. For a deleted folder, its parent is scanned, so that its lost files are noticed.
    """
    locations: set[str] = set()
    for _, path in changes:
        if is_beneath(path, collection):
            continue
        top = max((w for w in watched if is_beneath(path, w)), key=len, default=None)
        if top is None:
            continue
        names = path[len(top) :].strip(os.sep).split(os.sep)
        if any(name.startswith(".") and name != IGNORE_FILE for name in names):
            continue
        locations.add(top if path == top else os.path.dirname(path))
    if len(locations) > MANY_FOLDERS:
        return {w for w in watched if any(is_beneath(p, w) for p in locations)}
    return locations
