"""What the parts of the catalog share: one database, read and written in transactions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from seehear.stores.catalog.batch import Batch
from seehear.stores.catalog.database import transaction, translated


class Drawer:
    """A part of `Catalog`."""

    _engine: Engine
    _writing: threading.RLock

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """One transaction: committed at the end, rolled back whole when anything is raised."""
        with (
            self._writing,
            translated("write to the catalog"),
            transaction(self._engine) as connection,
        ):
            yield Batch(connection)

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """A connection on which everything read is of one instant."""
        with translated("read the catalog"), self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            yield connection
