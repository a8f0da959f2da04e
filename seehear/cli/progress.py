"""How far a run is, on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from operator import attrgetter
from typing import TYPE_CHECKING

from seehear.cli import output

if TYPE_CHECKING:
    from seehear.indexers import Progress

EVERY_S = 5.0
"""Shortest time between two lines of the same stage in a log."""
REPEAT_S = 60.0
"""Shortest time until a line is repeated in a log: a sign that the run goes on."""
_COUNTS = attrgetter("stage", "files_done", "files_total")

LABELS = {
    "scan": "scanning",
    "encode": "indexing",
    "clean": "removing files that are gone",
    "mark": "reading files of an earlier version for duplicates",
    "prepare": "preparing search",
    "cut": "encoding what was read before",
    "read": "reading",
    "verify": "checking",
    "done": "done",
}


def describe(progress: Progress) -> str:
    """Return one line: the stage and, while it counts files, how many and how fast."""
    label = LABELS[progress.stage]
    if not is_counting(progress):
        return label
    if progress.files_total is None:
        return f"{label}: {progress.files_done} files" if progress.files_done else label
    line = f"{label}: {progress.files_done}/{progress.files_total} files"
    if progress.stage == "read":
        return ", ".join(
            [line, *_to_read(progress), *([left(progress)] if progress.left_s else [])]
        )
    return f"{line}, {rate(progress)}" if rate(progress) else line


def _to_read(progress: Progress) -> list[str]:
    """Return what is left to hear and to look at, and about how long that takes."""
    told = []
    if progress.audio_left_s:
        told.append(f"{output.length(progress.audio_left_s)} of sound to hear")
    if progress.images_left:
        told.append(f"{output.counted(progress.images_left, 'picture')} to look at")
    return told


def rate(progress: Progress) -> str:
    """Return files a second, or an empty text before the first file or in other stages."""
    if not is_counting(progress) or not progress.files_done:
        return ""
    told = f"{progress.files_per_s:.1f}"
    return "" if told == "0.0" else f"{told} files/s"  # so slow that it says nothing


def left(progress: Progress) -> str:
    """Return the time left, or an empty text without an estimate."""
    return "" if progress.left_s is None else f"{about(progress.left_s)} left"


def about(seconds: float) -> str:
    """Return a length of time as a person would say it: 40 s, 5 min, 3 h."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 90 * 60 else f"{round(seconds / 3600)} h"


def is_counting(progress: Progress) -> bool:
    return progress.stage in {"scan", "encode", "verify", "read"}


class ProgressLines:
    """Prints lines for logs and pipes: one every few seconds, and one per stage of a long run."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._last_s = time.monotonic()  # a run that is over at once prints none
        self._last: Progress | None = None
        self._told: Progress | None = None

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, progress: Progress) -> None:
        last, self._last = self._last, progress
        if last is not None and last.stage != progress.stage and self._told:
            if is_counting(last):
                output.note(describe(last))  # where the stage ended: 426/426
            due = True
        else:
            news = last is None or is_counting(progress) or last.stage != progress.stage
            wait_s = self._every_s
            if self._told is not None and _COUNTS(self._told) == _COUNTS(progress):
                wait_s = max(REPEAT_S, self._every_s)
            due = news and time.monotonic() - self._last_s >= wait_s
        if due and progress.stage != "done":  # the summary says that
            self._last_s = time.monotonic()
            self._told = progress
            output.note(describe(progress))


class ProgressBar:
    """A live bar: stage, files, rate and time left."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[left]}"),
            console=output.console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(LABELS["scan"], total=None, rate="", left="")

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        self._bar.update(
            self._task,
            description=_described(progress),
            completed=progress.files_done,
            # A bar of nothing to do moves until it is over, as one that does not know its length.
            total=progress.files_total or None,
            rate=rate(progress),
            left=left(progress),
            refresh=not is_counting(progress),
        )


def _described(progress: Progress) -> str:
    """Return the stage, and in reading what is left to hear and to look at."""
    label = LABELS[progress.stage]
    return ", ".join([label, *_to_read(progress)]) if progress.stage == "read" else label


def display(*, quiet: bool) -> ProgressBar | ProgressLines:
    """Return a bar on a terminal, plain lines elsewhere, and nothing visible if `quiet`."""
    if quiet or not sys.stderr.isatty():
        return ProgressLines(every_s=math.inf if quiet else EVERY_S)
    return ProgressBar()
