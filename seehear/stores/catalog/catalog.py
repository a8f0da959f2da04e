"""Open and manage the catalog: the only copy of a collection's data."""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from sqlalchemy import Connection

from seehear.errors import CollectionReplacedError, StorageFullError, StoreError, UsageError
from seehear.files import make_folder, make_private
from seehear.sources import is_remote
from seehear.stores.catalog import integrity, reader
from seehear.stores.catalog.assets import Assets
from seehear.stores.catalog.change_log import ChangeLog
from seehear.stores.catalog.database import (
    FILE_NAME,
    connect,
    has_large_log,
    has_log,
    migrate,
    schema_too_new,
    schema_version,
    snapshot_wal_copy,
    store_errors,
)
from seehear.stores.catalog.database import HEAD as SCHEMA
from seehear.stores.catalog.generations import Generations
from seehear.stores.catalog.halfvecs import HalfvecTable, table_spaces
from seehear.stores.catalog.integrity import DamagedEncoding, IntegrityIssue
from seehear.stores.catalog.items import Items
from seehear.stores.catalog.jobs import JobTable
from seehear.stores.catalog.locations import Locations
from seehear.stores.catalog.lock import WriteLock, advisory_lock
from seehear.stores.catalog.readings import Readings
from seehear.stores.catalog.records import Counts, Generation
from seehear.stores.catalog.segments import Segments
from seehear.stores.catalog.transactions import Pin, Transactions
from seehear.stores.catalog.words import WordIndexes
from seehear.stores.catalog.writer import Batch
from seehear.types import EmbeddingSpace

CACHE_FOLDER = "cache"
MARK_NAME = "last-change"
_NO_CONTENT = {"lost+found", "thumbs.db", "desktop.ini"}
"""Files that systems create in a folder by themselves; names with a leading dot count, too."""
_OUR_OWN = {
    CACHE_FOLDER,
    "write.lock",
    "write.pid",
    MARK_NAME,
    *(f"{FILE_NAME}-{s}" for s in ("wal", "shm", "journal")),
}
"""Caches, and files that a process may have left that was killed while it made a collection."""


def _holds_other_files(folder: Path) -> bool:
    """Tell whether a folder has files that do not belong to a collection."""
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        return any(
            not entry.name.startswith(".")
            and entry.name.lower() not in _NO_CONTENT
            and entry.name not in _OUR_OWN
            for entry in entries
        )


def _file_id(folder: Path) -> tuple[int, ...]:
    """Return what tells a catalog's file from every other one that exists; empty for none."""
    with suppress(FileNotFoundError, NotADirectoryError):
        found = (folder / FILE_NAME).stat()
        return found.st_dev, found.st_ino
    return ()


def _not_a_collection(folder: Path) -> UsageError:
    name = str(folder)
    return UsageError(
        f"{name} holds other files and is not a collection; give the collection its own folder: "
        f"library = seehear.open(OTHER), then library.index({name!r}); "
        f"or seehear index {shlex.quote(name)} --collection OTHER"
    )


class Catalog:
    """Assets, locations, segments and vectors of one collection. Safe from several threads.

    Opened by `Catalog.open`. Every method, also of its parts, raises StoreError where the database
    fails.
    """

    def __init__(
        self, folder: Path, url: str | None, *, read_only: bool, frozen: bool = False
    ) -> None:
        self.folder = folder
        self.read_only = read_only
        self._full = False
        copied = url is None and frozen and has_log(folder)
        self._scratch = ExitStack()
        location = self._scratch.enter_context(snapshot_wal_copy(folder)) if copied else folder
        self.file_id = () if url is not None else _file_id(folder)
        """Which file is open; empty for a server."""
        self.engine = connect(
            location / FILE_NAME,
            url,
            read_only=read_only,
            frozen=frozen and not copied,
            check=self.check_file,
        )
        self._lock = WriteLock(folder, self.engine if url is not None else None)
        mark = folder / MARK_NAME if url is None and not read_only else None
        self._transactions = Transactions(self.engine, mark, self._lock.check)
        self.words = WordIndexes(self._transactions, folder / CACHE_FOLDER, read_only=read_only)
        self.assets = Assets(self._transactions, self.words)
        self.locations = Locations(self._transactions, self.words)
        self.segments = Segments(self._transactions, self.words)
        self.generations = Generations(self._transactions)
        self.changes = ChangeLog(self._transactions)
        self.items = Items(self._transactions, self.words)
        self.readings = Readings(self._transactions)
        # With connections of their own: a lease must not wait until queries give one back.
        self.jobs = JobTable(self.engine if url is None else connect(folder, url, read_only=False))

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        read_only: bool = False,
        create: bool = True,
        url: str | None = None,
    ) -> Catalog:
        """Open the catalog in a folder; create or migrate it where needed.

        A folder that cannot be written is opened for reading. `url` names another database than
        the SQLite file in the folder, which then contains only caches and the lock. Raises
        StoreError where the catalog is missing and `create` is False, SchemaVersionError for one
        of a newer version, UsageError for an invalid URL, for a file in place of the folder, and
        for a folder without a collection that contains other files.
        """
        folder = folder.absolute()
        if is_remote(folder):
            raise UsageError(
                f"the collection {folder} cannot be kept there: media may lie at a URL, but a "
                "collection only in a folder. Choose one with --collection or SEEHEAR_COLLECTION"
            )
        if folder.is_file():
            raise UsageError(
                f"the collection {folder} is a file, not a folder. Choose another place with "
                "--collection or SEEHEAR_COLLECTION"
            )
        exists = url is not None or (folder / FILE_NAME).is_file()
        if not folder.is_dir() or not exists:
            if not exists and (not create or read_only):
                raise StoreError(f"no collection in {folder}; make one with `seehear index FOLDER`")
            try:
                if not exists and _holds_other_files(folder):
                    raise _not_a_collection(folder)
                make_folder(folder)
                if not exists:
                    # SQLite gives the files beside it the same mode.
                    make_private(folder / FILE_NAME)
            except OSError as error:
                raise StoreError(f"cannot make {folder}: {error.strerror}") from None
        frozen = exists and not os.access(folder, os.W_OK)
        read_only = read_only or frozen
        catalog = cls(folder, url, read_only=read_only, frozen=frozen)
        try:
            version = schema_version(catalog.engine)
        except StorageFullError:
            # SQLite needs some disk space even to read; on a full disk nobody writes either.
            catalog.close()
            if url is not None or not exists:
                raise
            read_only = True
            catalog = cls(folder, None, read_only=True, frozen=True)
            catalog._full = True
            version = schema_version(catalog.engine)
        try:
            catalog._bring_up_to_date(version, create)
        except BaseException:
            catalog.close()
            raise
        return catalog

    def _bring_up_to_date(self, version: str | None, create: bool) -> None:
        if version is None and not create:
            raise StoreError("no collection in the database; make one with `seehear index FOLDER`")
        if version is not None and version > SCHEMA:
            raise schema_too_new(version)
        if self.read_only and version != SCHEMA:
            raise StoreError(
                f"{self.folder} was written by an older seehear and must be updated,"
                " but it is read-only; make it writable and open it once"
            )
        if version != SCHEMA:
            with self.write_lock(wait_s=60):
                migrate(self.engine)

    def check_file(self) -> None:
        """Raise CollectionReplacedError if the file that was opened is not in the folder any more.

        Each transaction checks: SQLite would read and write a file that nobody else can open.
        """
        if not self.file_id or (found := _file_id(self.folder)) == self.file_id:
            return
        raise CollectionReplacedError(
            f"the collection in {self.folder} was replaced while it was open; open it again"
            if found
            else f"the collection in {self.folder} was deleted while it was open; put it back, or "
            "make it again with `seehear index FOLDER`"
        )

    def disconnect(self) -> None:
        """Close the connections that nobody uses now; the next statement opens one."""
        self.engine.dispose()
        self.jobs.close()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
        self.jobs.close()
        self._scratch.close()

    @contextmanager
    def write_lock(self, wait_s: float = 0.0) -> Iterator[None]:
        """Hold the collection for writing; raises CollectionLockedError if another process has it.

        The lock ends with its process. The thread that holds it may take it again; other threads
        of this process wait like other processes. Raises StoreError for a read-only collection and
        StorageFullError on a full disk.
        """
        if self._full:
            raise StorageFullError(
                f"the disk that holds {self.folder} is full; make room and run the command again"
            )
        if self.read_only:
            raise StoreError(f"the collection in {self.folder} is read-only")
        self.check_file()
        with self._lock.held(wait_s):
            yield

    def engine_lock(self, name: str) -> AbstractContextManager[bool]:
        """Hold what a name stands for, of all processes of the database; False if another does."""
        key = int.from_bytes(blake2b(name.encode(), digest_size=7).digest())
        return advisory_lock(self.engine, key, 0.0)

    def batch(self) -> AbstractContextManager[Batch]:
        """Open one transaction: committed at the end, rolled back completely on any exception."""
        return self._transactions.batch()

    def read_snapshot(self) -> AbstractContextManager[None]:
        """Make all reads of this thread in the block see one instant; nothing may be written."""
        return self._transactions.snapshot()

    def reading(self) -> AbstractContextManager[Connection]:
        """Open a connection on which all reads see one instant, for indexes in the database."""
        return self._transactions.read()

    def halfvec_tables(self, generation: Generation) -> dict[EmbeddingSpace, HalfvecTable]:
        """Return the tables of pgvector for the spaces of a generation; they may not exist."""
        with self._transactions.read() as connection:
            known = reader.space_ids(connection, generation.id)
        return {space: HalfvecTable(id_, space.dim) for space, id_ in known.items()}

    def has_halfvecs(self, generation: Generation) -> bool:
        """Return whether pgvector has vectors of a generation."""
        with self._transactions.read() as connection:
            known = table_spaces(connection)
            return any(t.space_id in known for t in self.halfvec_tables(generation).values())

    def pin(self) -> Pin:
        """Keep the present instant open, for `use`; its `close` ends it."""
        return self._transactions.pin()

    def use(self, pin: Pin | None) -> None:
        """Let all reads of this thread see the instant of a pin; with None, the present again."""
        self._transactions.use(pin)

    def has_large_log(self) -> bool:
        """Tell whether SQLite's log has grown large: then nobody should hold a pin for long."""
        return has_large_log(self.folder)

    def empty_log(self) -> None:
        """Copy the log to the database, as far as readers allow; the next writer begins it anew."""
        if not self.read_only:
            with store_errors("write to the catalog"), self.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def counts(self, generation_id: int | None = None) -> Counts:
        """Count the collection's content; segments of the serving generation by default."""
        with self._transactions.read() as connection:
            return reader.counts(connection, generation_id)

    def integrity_issues(self) -> list[IntegrityIssue]:
        """Return everything that is inconsistent in the catalog, as of one instant.

        Nothing is lost with issues of kind DERIVED: `rebuild_derived` rebuilds those parts.
        """
        with self._transactions.read() as connection:
            return integrity.integrity_issues(connection)

    def damaged_encodings(self) -> list[DamagedEncoding]:
        """Return the assets with vectors, passages or times that were damaged after writing.

        Reads every vector.
        """
        with self._transactions.read() as connection:
            return integrity.damaged_encodings(connection)

    def pending_work(self) -> list[IntegrityIssue]:
        """Return the work that an interrupted run leaves for the next one; it is not a fault."""
        with self._transactions.read() as connection:
            return integrity.pending_work(connection)

    def rebuild_derived(self) -> None:
        """Rebuild derived data: SQLite's own indexes."""
        with self.batch() as batch:
            if batch.connection.dialect.name == "sqlite":
                batch.connection.exec_driver_sql("REINDEX")

    def copy_to(self, path: Path) -> None:
        """Copy the database, as of one instant, into a new file; writers can go on meanwhile."""
        with self._raw("copy the catalog") as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it

    def fill_from(self, path: Path) -> None:
        """Replace the database by a copy of a file, completely or not at all."""
        with (
            self._transactions.writing,
            self._raw("write to the catalog") as target,
            closing(sqlite3.connect(path)) as source,
        ):
            source.backup(target)
        self.changes.accept_loss()

    @contextmanager
    def _raw(self, action: str) -> Iterator[sqlite3.Connection]:
        """Open a connection of SQLite itself, for functions that SQLAlchemy lacks."""
        if self.engine.dialect.name != "sqlite":
            raise StoreError("move a catalog in PostgreSQL with pg_dump, not with `seehear export`")
        with store_errors(action), self.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            yield raw
