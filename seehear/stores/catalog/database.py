"""Connections: how the database is opened, migrated and spoken of when it fails."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError

from seehear.errors import SchemaVersionError, StorageFullError, StoreError

FILE_NAME = "catalog.db"
HEAD = "0002"
"""The newest schema, as numbered in migrations/versions."""

BUSY_TIMEOUT_MS = 30_000
"""Readers never wait in WAL mode; this is for two short writes that meet."""


def connect(folder: Path, url: str | None, *, read_only: bool) -> Engine:
    """An engine on the collection's database; nothing is opened yet."""
    if url is not None:
        return create_engine(url)
    file = folder / FILE_NAME
    if read_only:
        # `immutable` because a WAL database in a folder that cannot be written has no place for
        # its shared memory; nobody can write there, so nothing changes under the reader either.
        mode = "mode=ro" if os.access(folder, os.W_OK) else "mode=ro&immutable=1"
        target = f"sqlite:///file:{_quoted(file)}?{mode}&uri=true"
    else:
        target = f"sqlite:///{file}"
    engine = create_engine(target, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _prepare_read_only if read_only else _prepare)
    return engine


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))


def _prepare(connection: Any, _record: object) -> None:
    """WAL: readers go on while one process writes. Synchronous FULL: a commit waits for the disk,
    so that a power cut takes back nothing that was reported as done. A commit holds a second of
    encoding, so the wait is lost in it."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_read_only(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON")


def schema_version(engine: Engine) -> str | None:
    """The schema that a database was written with; None for an empty one."""
    with translated("open the catalog"), engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)


def migrate(engine: Engine) -> None:
    """Bring a database to `HEAD`; raises SchemaVersionError for one that is newer."""
    version = schema_version(engine)
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise newer(version)
    from alembic import command
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with translated("prepare the catalog"), transaction(engine) as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")


def newer(version: str) -> SchemaVersionError:
    """The error for a catalog of a schema that this version does not know."""
    return SchemaVersionError(
        f"the collection has schema {version}, newer than {HEAD} of this seehear; "
        "update seehear, or index into another --collection"
    )


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Database errors as StoreError: one line, and StorageFullError where the disk is full."""
    try:
        yield
    except DBAPIError as error:
        raise _translation(error, action) from error
    except sqlite3.Error as error:
        raise StoreError(f"cannot {action}: {error}") from error


def _translation(error: DBAPIError, action: str) -> StoreError:
    reason = str(error.orig or error)
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_FULL or "disk is full" in reason or "No space left" in reason:
        return StorageFullError(
            f"cannot {action}: the disk is full; what was written before is kept, make room and "
            "run the command again"
        )
    if isinstance(error, OperationalError) and "readonly" in reason:
        return StoreError(f"cannot {action}: the collection is read-only")
    if isinstance(error, DatabaseError) and code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return StoreError(
            f"cannot {action}: the catalog is damaged ({reason}); run `seehear verify`"
        )
    return StoreError(f"cannot {action}: {reason}")


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that takes SQLite's write lock at once, so that it cannot fail midway."""
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def next_change(connection: Connection) -> int:
    """Draw the next change number: larger than all before, within the running transaction."""
    connection.execute(text("UPDATE counters SET value = value + 1 WHERE name = 'change'"))
    return int(
        connection.execute(text("SELECT value FROM counters WHERE name = 'change'")).scalar_one()
    )
