"""Allow one writer at a time: a lock of the operating system, which ends with its process.

Where the catalog is on a server, writers may be on several machines, with different folders: they
also hold an advisory lock of the server, which ends with their connection.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from seehear.errors import CollectionLockedError, StorageFullError, StoreError
from seehear.files import OWNER_ONLY, write_private

if TYPE_CHECKING:
    from filelock import FileLock


KEY = 0x5EE4EA1
"""The lock's key among the advisory locks of a database."""

POLL_S = 0.1


class WriteLock:
    """The lock file of a collection; its holder's process id is in a file beside it.

    The thread that holds it may take it again; other threads wait like other processes.
    """

    def __init__(self, folder: Path, server: Engine | None = None) -> None:
        self._server = server
        self._on_server: Connection | None = None
        self._file = folder / "write.lock"
        self._holder = folder / "write.pid"
        self._thread = threading.RLock()

    @cached_property
    def _lock(self) -> FileLock:
        from filelock import FileLock  # only writers need it

        return FileLock(self._file, mode=OWNER_ONLY, thread_local=False)

    @contextmanager
    def held(self, wait_s: float) -> Iterator[None]:
        """Hold the lock; raises CollectionLockedError if it is not free within `wait_s` seconds."""
        if not self._thread.acquire(timeout=max(0.0, wait_s)):
            raise CollectionLockedError(
                "this process is already writing to the collection; wait until it is done"
            )
        try:
            self._acquire(wait_s)
            try:
                with self._held_on_server(wait_s):
                    yield
            finally:
                self._lock.release()
        finally:
            self._thread.release()

    def _acquire(self, wait_s: float) -> None:
        from filelock import Timeout

        for file in (self._file, self._holder):
            if file.is_symlink():  # what is written would go to where it leads
                raise StoreError(f"{file} is a link; delete it and run the command again")
        try:
            self._lock.acquire(timeout=wait_s, poll_interval=POLL_S)
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
        # Only information for people: a full disk must not stop the writer here.
        with suppress(OSError):
            write_private(self._holder, str(os.getpid()))

    @contextmanager
    def _held_on_server(self, wait_s: float) -> Iterator[None]:
        if self._server is None or self._on_server is not None:  # already locked
            yield
            return
        give_up = time.monotonic() + wait_s
        with self._server.connect() as connected:
            # A connection that is open, but in no transaction, blocks nobody.
            connection = connected.execution_options(isolation_level="AUTOCOMMIT")
            # After a power failure of its machine, a lock ends within two minutes, not two hours.
            connection.execute(text("SET tcp_keepalives_idle = 60"))
            connection.execute(text("SET tcp_keepalives_interval = 10"))
            while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": KEY}):
                if time.monotonic() >= give_up:
                    raise CollectionLockedError(
                        "another process is writing to this collection, perhaps on another "
                        "machine; wait for it to end and run the command again"
                    )
                time.sleep(POLL_S)
            self._on_server = connection
            try:
                yield
            finally:
                self._on_server = None
                # Unlock explicitly: the server notices a closed connection only later, and would
                # refuse
                # the next writer until then. If the connection is lost, the lock is gone, too.
                with suppress(SQLAlchemyError):
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": KEY})
                connection.invalidate()  # close it instead of returning it to the pool

    def _named(self) -> str:
        try:
            return f" (pid {int(self._holder.read_text(encoding='ascii'))})"
        except (OSError, ValueError):
            return ""
