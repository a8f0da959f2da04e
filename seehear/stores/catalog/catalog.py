"""The catalog: the single truth of a collection."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from seehear.errors import StoreError
from seehear.stores.catalog.database import (
    FILE_NAME,
    connect,
    migrate,
    newer,
    schema_version,
)
from seehear.stores.catalog.database import HEAD as SCHEMA
from seehear.stores.catalog.generations import Generations
from seehear.stores.catalog.history import History
from seehear.stores.catalog.items import Items
from seehear.stores.catalog.lock import WriteLock
from seehear.stores.catalog.places import Places


class Catalog(Places, Items, Generations, History):
    """Assets, locations, segments and vectors of one collection. Safe from several threads.

    Made by `Catalog.open`. Every method raises StoreError where the database fails.
    """

    def __init__(self, folder: Path, url: str | None, *, read_only: bool) -> None:
        self.folder = folder
        self.read_only = read_only
        self._engine = connect(folder, url, read_only=read_only)
        self._lock = WriteLock(folder)
        self._writing = threading.RLock()

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        read_only: bool = False,
        create: bool = True,
        url: str | None = None,
    ) -> Catalog:
        """Open the catalog in a folder, made or migrated where needed.

        A folder that cannot be written is opened for reading. `url` names another database than
        the SQLite file in the folder. Raises StoreError where there is none and `create` is
        False, SchemaVersionError for one that a newer version wrote.
        """
        folder = folder.absolute()
        exists = url is not None or (folder / FILE_NAME).is_file()
        if not exists:
            if not create or read_only:
                raise StoreError(f"no collection in {folder}; make one with `seehear index PATH`")
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"cannot make {folder}: {error.strerror}") from None
        read_only = read_only or not os.access(folder, os.W_OK)
        catalog = cls(folder, url, read_only=read_only)
        if read_only:
            version = schema_version(catalog._engine)
            if version is not None and version > SCHEMA:
                raise newer(version)
            if version != SCHEMA:
                raise StoreError(
                    f"{folder} was written by an older seehear and cannot be migrated"
                    " because it is read-only; make it writable once"
                )
        elif schema_version(catalog._engine) != SCHEMA:
            with catalog.write_lock(wait_s=60):
                migrate(catalog._engine)
        return catalog

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    @contextmanager
    def write_lock(self, wait_s: float = 0.0) -> Iterator[None]:
        """Hold the collection for writing; raises CollectionLockedError where another has it.

        A process that dies lets go of it. The thread that holds it may take it again; other
        threads of this process wait as other processes do.
        """
        if self.read_only:
            raise StoreError(f"the collection in {self.folder} is read-only")
        with self._lock.held(wait_s):
            yield

    def check_integrity(self) -> list[str]:
        """Problems that the database finds in itself; empty where there are none."""
        with self._read() as connection:
            if connection.dialect.name != "sqlite":
                return []
            found = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check(20)"))]
        return [] if found == ["ok"] else found
