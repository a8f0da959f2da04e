"""What holds for every test."""

from __future__ import annotations

import os

# Before numpy, torch and FAISS are loaded: what tests compute gains nothing from threads, and rooms
# that run at once would wait for each other's.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
import secrets
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sqlalchemy import Engine

if find_spec("hypothesis"):  # which the smoke suite runs without
    from hypothesis import settings

    # The same examples in every run: a change passes or fails by itself, never by luck.
    settings.register_profile("few", max_examples=8, deadline=None, derandomize=True)
    settings.register_profile("many", max_examples=100, deadline=None)
    settings.load_profile("few")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the cache folder of whoever runs it, nor do processes it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEEHEAR_CACHE", str(tmp_path_factory.mktemp("user-cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_workers() -> Iterator[None]:
    from tests.quick_workers import quick_workers

    with quick_workers():
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_catalogs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Wait for no disk, and fill new SQLite files from one: migrations take long.

    Nothing here has to outlive a power cut. Processes that a test starts do as usual.
    """
    from seehear.stores.catalog import catalog, database

    prepare = database._prepare

    def prepare_quick(connection: sqlite3.Connection, record: object) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    made = tmp_path_factory.mktemp("catalogs") / "catalog.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(database, "_prepare", prepare_quick)
        patch.setattr(catalog, "migrate", lambda engine: _fill(engine, made))
        yield


@pytest.fixture(scope="session", autouse=True)
def _shared_statements() -> Iterator[None]:
    """Compile each statement once, not again for each of the thousands of catalogs."""
    from sqlalchemy.engine.default import DefaultDialect
    from sqlalchemy.util import LRUCache

    from seehear.stores.catalog import database

    create, compiled = vars(database)["create_engine"], LRUCache[Any, Any](5_000)

    def create_engine(*arguments: Any, **options: Any) -> Engine:
        engine: Engine = create(*arguments, **options)
        engine._compiled_cache = compiled  # what is compiled is found by its dialect, too
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "create_engine", create_engine)
        patch.setattr(DefaultDialect, "__eq__", lambda one, other: type(one) is type(other))
        patch.setattr(DefaultDialect, "__hash__", lambda one: hash(type(one)))
        yield


def _fill(engine: Engine, made: Path) -> None:
    """Do what `migrate` does; a copy gets an identity of its own."""
    from seehear.stores.catalog.database import connect, migrate, schema_version

    if engine.dialect.name != "sqlite" or schema_version(engine) is not None:
        migrate(engine)
        return
    if not made.exists():
        first = connect(made, None, read_only=False)
        migrate(first)
        first.dispose()
    with engine.connect() as connection, closing(sqlite3.connect(made)) as source:
        target = connection.connection.driver_connection
        assert isinstance(target, sqlite3.Connection)
        source.backup(target)
        with target:
            renew = "UPDATE counters SET value = ? WHERE name = 'identity'"
            target.execute(renew, [secrets.randbits(62)])


def pytest_collection_finish() -> None:
    """Look no more for garbage among thousands of tests and what they import, which stay.

    That took a part of the time of each test.
    """
    gc.collect()
    gc.freeze()


def pytest_configure() -> None:
    """Let Ctrl-C interrupt, and keep compiled modules.

    The background of a shell ignores Ctrl-C in its children. Without compiled modules each process
    that a test starts takes seconds to compile what it imports: three for torch, twelve for
    open_clip.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
