"""Allow one writer at a time: a lock of the operating system, which ends with its process.

Where the catalog is on a server, writers may be on several machines: they hold an advisory lock of
the server instead, which ends with their connection. A writer may lose it without noticing (its
connection is cut, its process is paused while another one takes over), so each writer gets a number
that is higher than those before, and each of its transactions first compares that with the newest.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from seehear.errors import CollectionLockedError, StorageFullError, StoreError
from seehear.files import OWNER_ONLY, write_private
from seehear.stores.catalog.database import store_errors, transaction

if TYPE_CHECKING:
    from filelock import FileLock


KEY = 0x5EE4EA1
"""The lock's key among the advisory locks of a database."""

POLL_S = 0.1

WRITER = "writer"
"""The counter of those who have held the lock on a server."""


class WriteLock:
    """The lock file of a collection; its holder's process id is in a file beside it.

    The thread that holds it may take it again; other threads wait like other processes.
    """

    def __init__(self, folder: Path, server: Engine | None = None) -> None:
        self._server = server
        self._on_server: int | None = None
        """The number of this writer while it holds the lock of a server."""
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
            if self._server is not None:
                with self._held_on_server(self._server, wait_s):
                    yield
                return
            self._acquire(wait_s)
            try:
                yield
            finally:
                self._lock.release()
        finally:
            self._thread.release()

    def check(self, connection: Connection) -> None:
        """Raise CollectionLockedError in a writing transaction if the lock was lost to another one.

        Who takes the lock waits for the transaction that runs, so none ends after it was lost.
        """
        if self._on_server is not None and self._on_server != _newest(connection):
            raise CollectionLockedError(
                "another process has taken over writing to this collection while this one was cut "
                "off; run the command again"
            )

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
    def _held_on_server(self, server: Engine, wait_s: float) -> Iterator[None]:
        if self._on_server is not None:  # by this thread
            yield
            return
        with advisory_lock(server, KEY, wait_s) as held:
            if not held:
                raise CollectionLockedError(
                    "another process is writing to this collection, perhaps on another machine; "
                    "wait for it to end and run the command again"
                )
            try:
                with store_errors("lock the collection"):
                    self._on_server = _next_writer(server)
                yield
            finally:
                self._on_server = None

    def _named(self) -> str:
        try:
            return f" (pid {int(self._holder.read_text(encoding='ascii'))})"
        except (OSError, ValueError):
            return ""


@contextmanager
def advisory_lock(server: Engine, key: int, wait_s: float) -> Iterator[bool]:
    """Hold an advisory lock of a server; gives False if it is not free within `wait_s` seconds."""
    with ExitStack() as opened:
        with store_errors("lock the collection"):
            # A connection that is open, but in no transaction, blocks nobody.
            connection = opened.enter_context(server.connect()).execution_options(
                isolation_level="AUTOCOMMIT"
            )
            held = _acquire_on_server(connection, key, wait_s)
        try:
            yield held
        finally:
            if held:
                # Unlock explicitly: the server notices a closed connection only later, and would
                # refuse the next holder until then. If the connection is lost, the lock is gone.
                with suppress(SQLAlchemyError):
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
                connection.invalidate()  # close it instead of returning it to the pool


def _acquire_on_server(connection: Connection, key: int, wait_s: float) -> bool:
    # After a power failure of its machine, a lock ends within two minutes, not two hours.
    connection.execute(text("SET tcp_keepalives_idle = 60"))
    connection.execute(text("SET tcp_keepalives_interval = 10"))
    give_up = time.monotonic() + wait_s
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
        if time.monotonic() >= give_up:
            return False
        time.sleep(POLL_S)
    return True


def _next_writer(server: Engine) -> int | None:
    """Count one more writer, after the transaction of an earlier one that may still run."""
    with transaction(server) as connection:
        if not inspect(connection).has_table("counters"):  # the lock to make the tables
            return None
        counted = "UPDATE counters SET value = value + 1 WHERE name = :name"
        if not connection.execute(text(counted), {"name": WRITER}).rowcount:
            first = "INSERT INTO counters (name, value) VALUES (:name, 1)"
            connection.execute(text(first), {"name": WRITER})
        return _newest(connection)


def _newest(connection: Connection) -> int:
    which = text("SELECT value FROM counters WHERE name = :name")
    return int(connection.execute(which, {"name": WRITER}).scalar_one())
