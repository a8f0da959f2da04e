"""Report an index run: its progress while it works, and its result."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Stage(StrEnum):
    """The stage of a run; decoding, encoding and writing overlap and count as one stage.

    An index run goes through SCAN, ENCODE, CLEAN, PREPARE and DONE, in this order, and through MARK
    before PREPARE where files were indexed by an earlier version; CUT comes before MARK, and READ
    behind PREPARE, in collections with readers. `verify` goes through VERIFY and DONE. A stopped
    run leaves stages out and still ends with DONE.
    """

    SCAN = "scan"
    """The folders are scanned."""
    ENCODE = "encode"
    """New and changed files are decoded, encoded and written."""
    CLEAN = "clean"
    """Files that are gone are removed."""
    MARK = "mark"
    """Files that an earlier version indexed are read again, for what tells their copies."""
    PREPARE = "prepare"
    """What searches need is computed."""
    CUT = "cut"
    """What was read before is encoded with another model."""
    READ = "read"
    """What is said and written in files is read."""
    VERIFY = "verify"
    """Indexed files are read again."""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that could not be indexed: its stage, and the reason in one line."""

    path: Path
    stage: str
    reason: str
    remembered: bool = False
    """True where an earlier run had this failure and the file has not changed since."""


@dataclass(frozen=True, slots=True)
class OfflineRoot:
    """A root that was not available; its indexed files are kept."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """State of a run at one instant. Rates are over the last half minute.

    Within a stage counts only grow. From ENCODE on, `files_total` is the number of new and changed
    files and stays the same; later stages keep the final counts of ENCODE, so that a run that was
    not stopped ends with `files_done == files_total`.
    """

    stage: Stage
    files_done: int
    files_total: int | None
    """None during the scan, when it is not known yet."""
    bytes_done: int
    bytes_total: int | None
    failed: int
    files_per_s: float
    elapsed_s: float
    left_s: float | None
    """Estimated from the bytes and files that are left; None where it cannot be estimated."""
    current: Path | None = None
    """The file in progress, or the folder that is scanned."""
    audio_left_s: float = 0.0
    """Seconds of sound that are still to hear, in READ."""
    images_left: int = 0
    """Pictures, frames and pages that are still to read, in READ."""


@dataclass(frozen=True, slots=True)
class ReaderReport:
    """What one reader has done in a run, counted in different contents."""

    engine: str
    files: int = 0
    """Read in this run."""
    found: int = 0
    """Those of them in which something is said or written."""
    failed: int = 0
    """Those that the reader failed on; they are found as before."""
    left: int = 0
    """Still to read."""
    passages: int = 0
    heard_s: float = 0.0
    """Seconds of sound that were heard."""


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What was read in a run, by reader ("speech", "writing")."""

    readers: Mapping[str, ReaderReport] = field(default_factory=dict)
    failures: tuple[FailedFile, ...] = ()
    faults: tuple[str, ...] = ()
    """Why a reader could not be used, such as a library that is missing."""
    left_s: float = 0.0
    """Estimated seconds for what is left."""
    out_of_time: bool = False
    """Whether it stopped because its time was over."""


@dataclass(frozen=True, slots=True)
class IndexReport:
    """The outcome of an index run, counted in files.

    Every file that the run met is in exactly one of `added`, `updated`, `moved`, `unchanged`,
    `partial`, `without_content`, `failed` and `skipped`, new or not; `removed` are files that were
    there before. A description (XMP) that was read with the file that it is beside is in `added`,
    `updated` or `unchanged`. A run that was stopped counts the files up to then. Files that are
    hidden or ignored are not met.
    """

    added: int = 0
    """New paths, including copies of known content."""
    updated: int = 0
    """Known paths whose content has changed."""
    moved: int = 0
    """New paths with the content of a path that is gone."""
    removed: int = 0
    """Known paths that are gone, except those that moved."""
    unchanged: int = 0
    partial: int = 0
    """Files that are indexed as far as they can be read, such as a video that is cut off."""
    without_content: int = 0
    """Files with nothing to compare, such as silence; their names are found."""
    failed: int = 0
    """Files that could not be indexed, including remembered failures."""
    skipped: int = 0
    """Files of kinds that are not read, sockets, pipes, broken links, and links out of a folder."""
    unsupported: Mapping[str, int] = field(default_factory=dict)
    """The number of skipped files whose kind is not read, by suffix, largest first:
    {".docx": 4, "no suffix": 1}. At most `SUFFIXES_NAMED` suffixes, the rest under "others"."""
    encoded: int = 0
    """Assets (distinct contents) that were decoded and encoded in this run."""
    segments: int = 0
    """Segments that were encoded in this run."""
    bytes_read: int = 0
    failures: tuple[FailedFile, ...] = ()
    offline: tuple[OfflineRoot, ...] = ()
    notes: tuple[str, ...] = ()
    """Folders that could not be listed, invalid lines in ignore files: one line each."""
    interrupted: bool = False
    """Stopped before the end; what was done is kept, and the next run continues from there."""
    changed: bool = False
    """True if the run changed anything that a search can see."""
    promoted: bool = False
    """True where this run completed a generation and made it the serving one."""
    generation_id: int | None = None
    pending: int = 0
    """Assets that the generation still lacks before it can serve; 0 when complete."""
    read: ReadReport | None = None
    """What readers found; None for a collection without readers."""
    seconds: float = 0.0


SUFFIXES_NAMED = 40
"""Suffixes named in a report; files with rarer ones are counted together."""

OTHERS = "others"


def most_common(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts by suffix, largest first, limited as in `IndexReport.unsupported`."""
    ranked = sorted(counts.items(), key=lambda item: (item[0] == OTHERS, -item[1], item[0]))
    named = [(name, count) for name, count in ranked[:SUFFIXES_NAMED] if name != OTHERS]
    rest = sum(counts.values()) - sum(count for _, count in named)
    return {**dict(named), **({OTHERS: rest} if rest else {})}


WINDOW_S = 30.0
"""Interval over which rates are measured: long enough to be steady, short enough to follow."""

EVERY_S = 0.1
"""Shortest time between two reports, in seconds: a progress bar needs no more."""


@dataclass(slots=True)
class ProgressTracker:
    """Counts of a run, shared by its threads; every method may be called from any thread."""

    on_progress: Callable[[Progress], None] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[FailedFile] = field(default_factory=list)
    _stage: Stage = Stage.SCAN
    _files_total: int | None = None
    _bytes_total: int | None = None
    _files_done: int = 0
    _bytes_done: int = 0
    _rate: float | None = None
    """Files per second of the last stage that counted files, kept for the stages after it."""
    _current: Path | None = None
    _reading: tuple[float, float, int] | None = None
    """Seconds, seconds of sound and pictures that are left to read."""
    _started: float = field(default_factory=time.monotonic)
    _reported: float = 0.0
    _marks: deque[tuple[float, int, int]] = field(default_factory=deque)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def count(self, name: str, by: int = 1) -> None:
        """Add to one of the counts of IndexReport."""
        with self._lock:
            self.counts[name] += by

    def fail(self, failure: FailedFile) -> None:
        with self._lock:
            self.failures.append(failure)
            self.count("failed")

    def begin(
        self,
        stage: Stage,
        files: int | None = None,
        size_bytes: int | None = None,
        reading: tuple[float, float, int] | None = None,
    ) -> None:
        """Enter a stage that counts from zero to these totals; report it at once.

        `reading` as in `tell_reading`.
        """
        with self._lock:
            self._stage, self._files_total, self._bytes_total = stage, files, size_bytes
            self._files_done = self._bytes_done = 0
            self._rate = None
            self._current, self._reading = None, reading
            self._marks.clear()
            self._marks.append((time.monotonic(), 0, 0))
        self.report(force=True)

    def enter(self, stage: Stage) -> None:
        """Enter a stage that counts nothing: the counts and the rate of the last one stay.

        Reports both the end of the last stage and the start of this one at once.
        """
        self.report(force=True)
        with self._lock:
            if self._rate is None:
                since, *_ = self._marks[0] if self._marks else (self._started,)
                self._rate = self._files_done / max(time.monotonic() - since, 1e-9)
            self._stage, self._current, self._reading = stage, None, None
        self.report(force=True)

    def done(self, size_bytes: int, files: int = 1) -> None:
        """Count files that are finished in this stage."""
        with self._lock:
            self._files_done += files
            self._bytes_done += size_bytes

    def tell_reading(self, left_s: float, audio_left_s: float, images_left: int) -> None:
        """Tell what is left to read, and how long that takes."""
        with self._lock:
            self._reading = left_s, audio_left_s, images_left

    def working_on(self, path: Path) -> None:
        self._current = path

    def report(self, *, force: bool = False) -> None:
        """Call the progress function, at most once every `EVERY_S` seconds.

        Only the thread that called `index` does this, so callers need no locks.
        """
        now = time.monotonic()
        if self.on_progress is None or (not force and now - self._reported < EVERY_S):
            return
        self._reported = now
        self.on_progress(self.snapshot(now))

    def snapshot(self, now: float) -> Progress:
        with self._lock:
            files_per_s, left_s = self._rate, None
            if files_per_s is None:
                files_per_s, bytes_per_s = self._rates(now)
                left_s = self._left_s(files_per_s, bytes_per_s)
            audio_left_s, images_left = 0.0, 0
            if self._reading is not None:
                left_s, audio_left_s, images_left = self._reading
            return Progress(
                stage=self._stage,
                files_done=self._files_done,
                files_total=self._files_total,
                # A file may have grown between the scan and its reading.
                bytes_done=min(self._bytes_done, self._bytes_total or self._bytes_done),
                bytes_total=self._bytes_total,
                failed=self.counts["failed"],
                files_per_s=files_per_s,
                elapsed_s=now - self._started,
                left_s=left_s,
                current=self._current,
                audio_left_s=audio_left_s,
                images_left=images_left,
            )

    def _rates(self, now: float) -> tuple[float, float]:
        """Return files and bytes per second over the last `WINDOW_S` seconds."""
        self._marks.append((now, self._files_done, self._bytes_done))
        while len(self._marks) > 2 and self._marks[1][0] < now - WINDOW_S:
            self._marks.popleft()
        since, files, size = self._marks[0]
        span = max(now - since, 1e-9)
        return (self._files_done - files) / span, (self._bytes_done - size) / span

    def _left_s(self, files_per_s: float, bytes_per_s: float) -> float | None:
        """Estimate the seconds left: the mean of the estimates by files and by bytes."""
        if self._files_total is None or self._bytes_total is None or files_per_s <= 0:
            return None
        by_files = (self._files_total - self._files_done) / files_per_s
        if bytes_per_s <= 0:
            return by_files
        return (by_files + (self._bytes_total - self._bytes_done) / bytes_per_s) / 2

    def seconds(self) -> float:
        return time.monotonic() - self._started
