"""What holds for every test."""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sqlalchemy import Engine

if find_spec("hypothesis"):  # which the smoke suite runs without
    from hypothesis import settings

    settings.register_profile("few", max_examples=16, deadline=None)
    settings.register_profile("many", max_examples=100, deadline=None)
    settings.load_profile("few")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the cache folder of whoever runs it, nor do processes it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEEHEAR_CACHE", str(tmp_path_factory.mktemp("user-cache")))
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
        patch.setattr(database, "_prepare", prepare_quick)
        patch.setattr(catalog, "migrate", lambda engine: _fill(engine, made))
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
