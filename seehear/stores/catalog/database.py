"""Connect to the database: open it, migrate it, and translate its errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from seehear.cancellation import CancelledQueryError, is_interrupted
from seehear.errors import (
    SchemaVersionError,
    StorageFullError,
    StoreError,
    StoreUnreachableError,
    UsageError,
)
from seehear.files import scratch_folder
from seehear.stores.catalog.paths import fold

FILE_NAME = "catalog.db"
HEAD = "0012"
"""The newest schema, as numbered in migrations/versions."""

EXAMPLE_URL = "postgresql://user@host/name"

WRITING = 0x5EE4EA2
"""The advisory lock of a writing transaction, in PostgreSQL."""

BUSY_TIMEOUT_MS = 30_000
"""Readers never wait in WAL mode; this is for two short writes at the same time."""

LOG_BYTES = 64 << 20
"""Size of SQLite's log above which it is large: it only shrinks while nobody reads from it."""

PROGRESS_STEPS = 20_000
"""Steps of SQLite's machine, a millisecond or so, between looks at whether anybody still waits."""

_WAITS = {"connect_timeout": "10", "tcp_user_timeout": "30000"}
"""How long to wait for a server that does not answer (seconds), or whose machine has gone without
a word (milliseconds); a URL may say otherwise."""

_GONE = {"57P01", "57P02", "57P03", "57P05", "53300"}
"""PostgreSQL's codes for a connection that it ends, or does not take now."""

# SQLite also reports a full disk as an error of the log's shared memory, which cannot grow.
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}


def connect(
    file: Path,
    url: str | None,
    *,
    read_only: bool,
    frozen: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Engine:
    """Make an engine for a catalog's file or a server; nothing is opened yet.

    `frozen`: nothing can be written beside the file, and no log is beside it. `check` raises where
    the file must not be used any more.
    """
    if url is not None:
        return _connect_to_server(url)
    mode = "ro" if read_only else "rwc"
    if frozen:
        # A database with a log needs to write its shared memory. Nobody can write in this folder,
        # so nothing changes while it is read.
        mode = "ro&immutable=1"
    # Only a URI has these modes; quoted as bytes, because names need not be UTF-8.
    target = f"file:{quote(os.fsencode(file))}?mode={mode}"

    def opened() -> sqlite3.Connection:
        check()  # SQLite would make a new file
        timeout_s = BUSY_TIMEOUT_MS / 1000
        return sqlite3.connect(target, uri=True, timeout=timeout_s, check_same_thread=False)

    # A connection is an open file: whoever asks gets one, and five are kept.
    engine = create_engine("sqlite://", creator=opened, poolclass=QueuePool, max_overflow=-1)
    event.listen(engine, "connect", _prepare_read_only if read_only else _prepare)
    event.listen(engine, "checkout", lambda *_: check())  # it would use the one that is gone
    return engine


def _connect_to_server(url: str) -> Engine:
    """Make an engine for PostgreSQL; raises UsageError for an invalid or another URL."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UsageError(f"the database must be a URL such as {EXAMPLE_URL}") from None
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise UsageError(
            f"a catalog can be in PostgreSQL ({EXAMPLE_URL}) or in the collection's folder,"
            f" not in {parsed.get_backend_name()}"
        )
    waits = {name: value for name, value in _WAITS.items() if name not in parsed.query}
    # pool_pre_ping notices connections that a restart of the server has ended.
    return create_engine(
        parsed.set(drivername="postgresql+psycopg").update_query_dict(waits), pool_pre_ping=True
    )


def name_connections(url: str, name: str) -> str:
    """Return a URL whose connections have a name in PostgreSQL's own lists."""
    named = make_url(url).update_query_dict({"application_name": name})
    return named.render_as_string(hide_password=False)


def attach(connection: Connection, file: Path) -> None:
    """Add a database of its own to a connection of SQLite, which ends with it."""
    with suppress(OSError):  # left by a process that was killed between the next two steps
        file.unlink()
    target = f"file:{quote(os.fsencode(file))}?mode=rwc"
    connection.exec_driver_sql("ATTACH ? AS scan", (target,))
    with suppress(OSError):
        file.unlink()
    # Nothing in it outlives the process; the file has no name that a journal could be beside.
    for pragma in ("journal_mode=MEMORY", "synchronous=OFF", "locking_mode=EXCLUSIVE"):
        connection.exec_driver_sql(f"PRAGMA scan.{pragma}")


def is_collection(folder: str) -> bool:
    """Tell whether a folder is a collection, by the tables of its catalog's file."""
    file = os.path.join(os.fsencode(folder), FILE_NAME.encode())  # noqa: PTH118
    target = f"file:{quote(file)}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(target, uri=True)) as database:
            rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in rows}
    except sqlite3.Error:
        return False
    # No tables but a log: a collection whose first commit is still in the log.
    return tables >= {"roots", "generations"} or (not tables and has_log(Path(folder)))


def has_log(folder: Path) -> bool:
    """Tell whether the log has commits that the catalog's file lacks.

    A reader of the file alone would miss them.
    """
    with suppress(OSError):
        return (folder / f"{FILE_NAME}-wal").stat().st_size > 0
    return False


def has_large_log(folder: Path) -> bool:
    """Tell whether the log has grown because readers leave it no moment to begin anew."""
    with suppress(OSError):
        return (folder / f"{FILE_NAME}-wal").stat().st_size > LOG_BYTES
    return False


@contextmanager
def snapshot_wal_copy(folder: Path) -> Iterator[Path]:
    """Copy a catalog's file and its log to a folder where SQLite can merge them."""
    import shutil
    import tempfile

    with scratch_folder(Path(tempfile.gettempdir())) as scratch:
        try:
            for name in (FILE_NAME, f"{FILE_NAME}-wal"):
                shutil.copyfile(folder / name, scratch / name)
        except OSError as error:
            raise StoreError(f"cannot read the collection in {folder}: {error.strerror}") from None
        yield scratch


def _prepare(connection: Any, _record: object) -> None:
    """Set WAL and synchronous FULL.

    WAL: readers go on while one process writes. Synchronous FULL: a commit waits for the disk, so
    that a power failure loses nothing that was reported as done. A commit has a second of encoding,
    so the wait does not matter.
    """
    shrinks_to = f"journal_size_limit={LOG_BYTES // 2}"
    for pragma in ("journal_mode=WAL", shrinks_to, "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    _prepare_functions(connection)


def _prepare_read_only(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON")
    _prepare_functions(connection)


def _prepare_functions(connection: Any) -> None:
    """Replace SQLite's `lower`, which only knows English letters; let queries be cancelled."""
    connection.create_function("lower", 1, _lower, deterministic=True)
    connection.set_progress_handler(is_interrupted, PROGRESS_STEPS)


def _lower(text_: object) -> object:
    return fold(text_) if isinstance(text_, str) else text_


def schema_version(engine: Engine) -> str | None:
    """Return the schema version of a database; None for an empty one."""
    with store_errors("open the catalog"), engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)


def migrate(engine: Engine, to: str = HEAD) -> None:
    """Migrate a database to a schema; raises SchemaVersionError for a newer one."""
    version = schema_version(engine)
    if version == to:
        return
    if version is not None and version > HEAD:
        raise schema_too_new(version)
    from alembic import command
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with store_errors("prepare the catalog"), transaction(engine) as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, to)


def schema_too_new(version: str) -> SchemaVersionError:
    """Make the error for a catalog with a schema newer than this version."""
    return SchemaVersionError(
        f"the collection was written by a newer seehear (schema {version}, this one knows {HEAD}); "
        "update seehear, or index into another --collection"
    )


@contextmanager
def store_errors(action: str) -> Iterator[None]:
    """Turn database errors into StoreError, or StorageFullError where the disk is full.

    Raises CancelledQueryError for work that was interrupted because its client has gone.
    """
    try:
        yield
    except PoolTimeoutError:
        raise StoreError(f"cannot {action}: all connections are in use; try again") from None
    except DBAPIError as error:
        reason = error.orig or error
        if error.connection_invalidated or _has_gone(reason):
            told = str(reason).strip().partition("\n")[0]
            raise StoreUnreachableError(
                f"cannot {action}: no connection to the database ({told})"
            ) from error
        raise _translation(reason, action) from error
    except sqlite3.Error as error:
        raise _translation(error, action) from error


def _has_gone(error: BaseException) -> bool:
    """Tell whether an error of PostgreSQL's driver is about the connection, not the statement."""
    code = getattr(error, "sqlstate", "")
    if code is None:  # no server has answered
        return type(error).__name__ in {"OperationalError", "ConnectionTimeout"}
    return code in _GONE or code.startswith("08")


def _translation(error: BaseException, action: str) -> StoreError:
    reason = str(error).strip().partition("\n")[0]
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_INTERRUPT:  # by `is_interrupted`, and by nothing else
        raise CancelledQueryError from None
    if code in _FULL or "disk is full" in reason or "No space left" in reason:
        return StorageFullError(
            f"cannot {action}: the disk is full; what was written before is kept, make room and "
            "run the command again"
        )
    if code & 0xFF == sqlite3.SQLITE_READONLY:
        return StoreError(f"cannot {action}: the collection is read-only")
    if code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return StoreError(
            f"cannot {action}: the catalog is damaged ({reason}); import an export, restore "
            "a backup, or move its folder away and index again"
        )
    return StoreError(f"cannot {action}: {reason}")


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that takes the write lock at once, so that it cannot fail midway."""
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITING})
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def increase(connection: Connection, name: str) -> int:
    """Increase and return a counter, within the running transaction."""
    which = {"name": name}
    grown = text("UPDATE counters SET value = value + 1 WHERE name = :name")
    if not connection.execute(grown, which).rowcount:
        connection.execute(text("INSERT INTO counters (name, value) VALUES (:name, 1)"), which)
    value = connection.execute(text("SELECT value FROM counters WHERE name = :name"), which)
    return int(value.scalar_one())
