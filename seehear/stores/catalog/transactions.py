"""Open the transactions in which every part of the catalog reads and writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine

from seehear.files import write_private
from seehear.stores.catalog.database import store_errors, transaction
from seehear.stores.catalog.statements import remember_rows
from seehear.stores.catalog.writer import Batch


class Transactions:
    """One database, read and written in transactions. Safe from several threads.

    The file `mark` beside the database keeps the number of the last change, so that it can be told
    if the database has lost changes; None keeps it nowhere.
    """

    def __init__(self, engine: Engine, mark: Path | None = None) -> None:
        self.engine = engine
        self._mark = mark
        self.writing = threading.RLock()
        """Held by the thread that writes."""
        self._snapshot = threading.local()

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Open one transaction: committed at the end, rolled back completely on any exception."""
        with self.writing:
            with store_errors("write to the catalog"), transaction(self.engine) as connection:
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
            outermost = self._held() is None
            if outermost:
                remember_rows(connection)
            self._snapshot.connection = connection
            try:
                yield
            finally:
                if outermost:
                    self._snapshot.connection = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection on which all reads see one instant."""
        if (held := self._held()) is not None:
            yield held
            return
        with store_errors("read the catalog"), self.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    def _held(self) -> Connection | None:
        held: Connection | None = getattr(self._snapshot, "connection", None)
        return held
