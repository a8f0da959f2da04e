"""One writer: a lock of the operating system, which a dead process cannot hold."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from seehear.errors import CollectionLockedError, StorageFullError, StoreError

if TYPE_CHECKING:
    from filelock import FileLock


class WriteLock:
    """The lock file of a collection; its holder's process id stands in a file beside it.

    The thread that holds it may take it again; other threads wait as other processes do.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "write.lock"
        self._holder = folder / "write.pid"
        self._thread = threading.RLock()

    @cached_property
    def _lock(self) -> FileLock:
        from filelock import FileLock  # only writers need it

        return FileLock(self._file, thread_local=False)

    @contextmanager
    def held(self, wait_s: float) -> Iterator[None]:
        """Hold it; raises CollectionLockedError where it is not free within the wait."""
        if not self._thread.acquire(timeout=max(0.0, wait_s)):
            raise CollectionLockedError(
                "this process is writing to the collection already; wait for that to end"
            )
        try:
            self._acquire(wait_s)
            try:
                yield
            finally:
                self._lock.release()
        finally:
            self._thread.release()

    def _acquire(self, wait_s: float) -> None:
        from filelock import Timeout

        try:
            self._lock.acquire(timeout=wait_s, poll_interval=0.1)
        except Timeout:
            raise CollectionLockedError(
                f"another process{self._named()} is writing to this collection; "
                "wait for it to end and run the command again"
            ) from None
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise StorageFullError(
                    "cannot lock the collection: the disk is full; make room and run the command "
                    "again"
                ) from None
            raise StoreError(f"cannot lock the collection: {error.strerror or error}") from None
        # Only a help to people: a full disk must not keep anybody from going on.
        with suppress(OSError):
            self._holder.write_text(str(os.getpid()), encoding="ascii")

    def _named(self) -> str:
        try:
            return f" (pid {int(self._holder.read_text(encoding='ascii'))})"
        except (OSError, ValueError):
            return ""
