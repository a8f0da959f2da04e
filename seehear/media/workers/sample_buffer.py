"""Buffer the samples of one file between the thread that reads them and the consumer."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from seehear.errors import MediaError
from seehear.media.workers.protocol import Pair
from seehear.types import MediaInfo

MOST_BYTES = 4 << 20
"""Limit of waiting samples per file; with 3 files for each of 8 workers, 96 MiB at most."""
_WAKE_S = 0.2


@dataclass(frozen=True, slots=True)
class ContentStamp:
    """What identifies the state of a file: its content hash, size, change time and inode."""

    content_hash: str | None = None
    size_bytes: int = 0
    modified_ns: int = 0
    inode: int = 0


class AbandonedError(Exception):
    """Raised in the filling thread when the rest of this file is not wanted."""


class SampleBuffer:
    """A file in progress. One thread fills the buffer, another one empties it."""

    def __init__(self, task: Any, stop: threading.Event) -> None:
        self.task = task
        self.stamp = ContentStamp()
        self.info: MediaInfo | None = None
        self.fingerprint = b""
        """Of the whole content; there once the file is complete."""
        self.skipped = False
        self.changed = False
        self.error: MediaError | None = None
        self._stop = stop
        self._fatal: BaseException | None = None
        self._batches: deque[tuple[list[Pair], int]] = deque()
        self._bytes = 0
        self._known = False
        self._ended = False
        self._abandoned = False
        self._changes = threading.Condition()

    # The filling side

    def describe(self, info: MediaInfo) -> None:
        """Store the description of the file; from now on the file can be yielded."""
        with self._changes:
            self.info = info
            self._known = True
            self._changes.notify_all()

    def put(self, pairs: list[Pair], size_bytes: int) -> None:
        """Add samples of `size_bytes`; wait while the buffer is full. Raises AbandonedError."""
        with self._changes:
            while self._bytes > 0 and self._bytes + size_bytes > MOST_BYTES:
                self._check_wanted()
                self._changes.wait(_WAKE_S)
            self._check_wanted()
            self._batches.append((pairs, size_bytes))
            self._bytes += size_bytes
            self._changes.notify_all()

    def finish(
        self, error: MediaError | None = None, *, changed: bool = False, fingerprint: bytes = b""
    ) -> None:
        """Mark the file as complete, with its error if it has one."""
        with self._changes:
            self.fingerprint = fingerprint
            if changed and error is None and not self.skipped:
                error = MediaError("the file changed while it was read", stage="open")
            self.error, self.changed = error, changed
            self._known = self._ended = True
            self._changes.notify_all()

    def fail_all(self, error: BaseException) -> None:
        """End the whole run with this error when the turn of this file has come."""
        with self._changes:
            self._fatal = error
            self._known = self._ended = True
            self._changes.notify_all()

    def _check_wanted(self) -> None:
        if self._abandoned or self._stop.is_set():
            raise AbandonedError

    # The emptying side

    def wait_known(self, seconds: float) -> bool:
        """Wait at most `seconds`; tell whether the file is described or has failed."""
        with self._changes:
            return self._known or (self._changes.wait(seconds) and self._known)

    def pairs(self) -> Iterator[Pair]:
        """Yield samples as they come; then raise the file's MediaError, if it has one."""
        while True:
            with self._changes:
                while not self._batches and not self._ended and not self._stop.is_set():
                    self._changes.wait(_WAKE_S)
                if self._stop.is_set():
                    return
                if not self._batches:
                    break
                batch, size = self._batches.popleft()
                self._bytes -= size
                self._changes.notify_all()
            yield from batch
        self.raise_fatal()
        if self.error is not None:
            raise self.error

    def raise_fatal(self) -> None:
        """Raise the error that ends the whole run, if there is one."""
        if self._fatal is not None:
            raise self._fatal

    def abandon(self) -> None:
        """Drop the samples that are left."""
        with self._changes:
            self._abandoned = True
            self._batches.clear()
            self._bytes = 0
            self._changes.notify_all()
