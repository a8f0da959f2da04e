"""One writer: a lock of the operating system, which a dead process cannot hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seehear.errors import CollectionLockedError, StoreError


class WriteLock:
    """The lock file of a collection; its holder's process id stands in a file beside it."""

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock

        self._lock = FileLock(folder / "write.lock", thread_local=False)
        self._holder = folder / "write.pid"

    @contextmanager
    def held(self, wait_s: float) -> Iterator[None]:
        """Hold it; raises CollectionLockedError where it is not free within the wait."""
        from filelock import Timeout

        try:
            self._lock.acquire(timeout=wait_s, poll_interval=0.1)
        except Timeout:
            raise CollectionLockedError(
                f"another process{self._named()} is writing to this collection; "
                "wait for it to end and run the command again"
            ) from None
        except OSError as error:
            raise StoreError(f"cannot lock the collection: {error.strerror or error}") from None
        try:
            # Only a help to people: a full disk must not keep anybody from going on.
            with suppress(OSError):
                self._holder.write_text(str(os.getpid()), encoding="ascii")
            yield
        finally:
            self._lock.release()

    def _named(self) -> str:
        try:
            return f" (pid {int(self._holder.read_text(encoding='ascii'))})"
        except (OSError, ValueError):
            return ""
