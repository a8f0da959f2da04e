"""Open the transactions in which every part of the catalog reads and writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine

from seehear.files import write_private
from seehear.stores.catalog import reader
from seehear.stores.catalog.database import store_errors, transaction
from seehear.stores.catalog.statements import remember_rows
from seehear.stores.catalog.writer import Batch


class Pin:
    """One instant of a catalog, kept open by a connection until `close`.

    While one is open, SQLite's log can only grow: pins are for seconds.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.change = reader.counter(connection, "change")
        """The number of the last change at that instant."""

    def close(self) -> None:
        self.connection.close()


class _Local(threading.local):
    """The connections that one thread reads on."""

    connection: Connection | None = None
    pinned: Connection | None = None


class Transactions:
    """One database, read and written in transactions. Safe from several threads.

    The file `mark` beside the database keeps the number of the last change, so that it can be told
    if the database has lost changes; None keeps it nowhere.
    """

    def __init__(
        self,
        engine: Engine,
        mark: Path | None = None,
        check: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        """`check` raises in a transaction that must not write any more."""
        self.engine = engine
        self._mark = mark
        self._check = check
        self.writing = threading.RLock()
        """Held by the thread that writes."""
        self._local = _Local()

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Open one transaction: committed at the end, rolled back completely on any exception."""
        with self.writing:
            with store_errors("write to the catalog"), transaction(self.engine) as connection:
                self._check(connection)
                batch = Batch(connection)
                yield batch
            if batch.change is not None:
                self.mark_change(batch.change)

    def mark_change(self, change: int) -> None:
        """Keep the number of the last change, if the disk lets us."""
        if self._mark is not None:
            with suppress(OSError):
                write_private(self._mark, str(change))

    def marked_change(self) -> int:
        """Return the number that was kept last, or 0."""
        try:
            return int(self._mark.read_text(encoding="ascii")) if self._mark is not None else 0
        except (OSError, ValueError):
            return 0

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Make all reads of this thread in the block see one instant; nothing may be written."""
        with self.read() as connection:
            outermost = self._local.connection is None
            if outermost:
                remember_rows(connection)
            self._local.connection = connection
            try:
                yield
            finally:
                if outermost:
                    self._local.connection = None

    def pin(self) -> Pin:
        """Open the present instant, for reads of this thread until another one is used."""
        with store_errors("read the catalog"):
            return Pin(self._begin(self.engine.connect()))

    def use(self, pin: Pin | None) -> None:
        """Read from a pin in this thread from now on; from each present instant without one."""
        self._local.pinned = None if pin is None else pin.connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection on which all reads see one instant."""
        if (held := self._held()) is not None:
            yield held
            return
        with store_errors("read the catalog"), self.engine.connect() as connection:
            yield self._begin(connection)

    def _begin(self, connection: Connection) -> Connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        else:
            connection.execution_options(isolation_level="REPEATABLE READ")
        return connection

    def _held(self) -> Connection | None:
        return self._local.connection or self._local.pinned
