"""Give the parts of the catalog one database, read and written in transactions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from seehear.stores.catalog.database import store_errors, transaction
from seehear.stores.catalog.statements import remember_rows
from seehear.stores.catalog.writer import Batch


class CatalogBase:
    """A part of `Catalog`."""

    _engine: Engine
    _writing: threading.RLock
    _reading: threading.local

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Open one transaction: committed at the end, rolled back completely on any exception."""
        with (
            self._writing,
            store_errors("write to the catalog"),
            transaction(self._engine) as connection,
        ):
            yield Batch(connection)

    @contextmanager
    def read_snapshot(self) -> Iterator[None]:
        """Make all reads of this thread in the block see one instant; nothing may be written."""
        with self._read() as connection:
            outermost = self._held() is None
            if outermost:
                remember_rows(connection)
            self._reading.connection = connection
            try:
                yield
            finally:
                if outermost:
                    self._reading.connection = None

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """Open a connection on which all reads see one instant."""
        if (held := self._held()) is not None:
            yield held
            return
        with store_errors("read the catalog"), self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    def _held(self) -> Connection | None:
        held: Connection | None = getattr(self._reading, "connection", None)
        return held
