"""A PostgreSQL server to test against: one for the session, a fresh database for each test.

Migrations and filling take long: most tests get a copy of a database in which they are done.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from seehear.stores import Catalog

OWN_SERVER = "SEEHEAR_TEST_POSTGRES"
"""Names the URL of a server that is there already; its user must be allowed to make databases."""

# Nothing here has to outlive a power cut, and connections come through a socket file alone.
_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "max_wal_size": "64MB",
}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server's maintenance database."""
    if given := os.environ.get(OWN_SERVER):
        yield given
        return
    pytest.importorskip("psycopg")
    programs = _programs()
    if programs is None:
        pytest.skip(f"no PostgreSQL server on this machine, and {OWN_SERVER} names none")
    as_user = _unprivileged()
    # Not below pytest's own folder: the server's user cannot enter that.
    with tempfile.TemporaryDirectory(prefix="seehear-pg-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        if as_user:
            shutil.chown(folder, as_user["user"])
        subprocess.run(
            [programs / "initdb", "--pgdata", folder / "data", "--username", "seehear",
             "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"],
            check=True, capture_output=True, cwd=folder, **as_user,
        )  # fmt: skip
        settings = [f"--{name}={value}" for name, value in _OPTIONS.items()]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", "-k", folder, *settings],
                stdout=log, stderr=log, cwd=folder, **as_user,
            )  # fmt: skip
        try:
            url = f"postgresql+psycopg://seehear@/postgres?host={folder}"
            while not _answers(url):
                assert server.poll() is None, (folder / "log").read_text(errors="replace")
                time.sleep(0.05)
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # ends the connections that are left as well
            server.wait()


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count()


@contextmanager
def _databases(server: str, numbers: Iterator[int]) -> Iterator[Callable[[str], str]]:
    """Makes databases as copies of one that is named; gives their URLs."""
    made = []
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    def make(template: str) -> str:
        name = f"seehear_{os.getpid()}_{next(numbers)}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'"))
        made.append(name)
        return make_url(server).set(database=name).render_as_string(hide_password=False)

    yield make
    with engine.connect() as connection:
        for name in made:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def empty_postgres(postgres_server: str, _numbers: Iterator[int]) -> Iterator[Callable[[], str]]:
    """Makes a database with nothing in it; gives its URL."""
    with _databases(postgres_server, _numbers) as make:
        yield lambda: make("template0")


def _nothing(catalog: Catalog) -> None:
    pass


@pytest.fixture
def postgres_database(
    postgres_copy: Callable[[Callable[[Catalog], object]], str],
) -> Callable[[], str]:
    """Makes a database with a catalog that is empty; gives its URL."""
    return lambda: postgres_copy(_nothing)


@pytest.fixture(scope="session")
def pgvector_server(postgres_server: str) -> str:
    """The URL of a server's maintenance database, if the server has pgvector."""
    offered = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
    engine = create_engine(postgres_server, poolclass=NullPool)
    with engine.connect() as connection:
        if connection.scalar(text(offered)) is None:
            pytest.skip("PostgreSQL has no pgvector here; `.ci/pgvector` installs it")
    return postgres_server


@pytest.fixture(scope="session")
def _templates(
    postgres_server: str, _numbers: Iterator[int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Callable[[Catalog], object]], str]]:
    """Names a database with a catalog in which so much was done: a copy takes less time."""
    with _databases(postgres_server, _numbers) as make:

        @cache
        def template(done: Callable[[Catalog], object]) -> str:
            url = make("template0")
            catalog = Catalog.open(tmp_path_factory.mktemp("postgres"), url=url)
            done(catalog)
            catalog.close()
            return str(make_url(url).database)

        yield template


@pytest.fixture
def postgres_copy(
    postgres_server: str,
    _templates: Callable[[Callable[[Catalog], object]], str],
    _numbers: Iterator[int],
) -> Iterator[Callable[[Callable[[Catalog], object]], str]]:
    """Makes databases with a catalog in which so much was done, each with an identity of its own;
    gives their URLs."""
    with _databases(postgres_server, _numbers) as make:

        def copy(done: Callable[[Catalog], object]) -> str:
            url = make(_templates(done))
            engine = create_engine(url, poolclass=NullPool)
            with engine.begin() as connection:
                renew = text("UPDATE counters SET value = :value WHERE name = 'identity'")
                connection.execute(renew, {"value": secrets.randbits(62)})
            return url

        yield copy


def _programs() -> Path | None:
    """Where `postgres` and `initdb` lie side by side."""
    found = shutil.which("postgres")
    places = [Path(found).resolve().parent] if found else []
    # Debian keeps them out of PATH.
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next(
        (at for at in places if all((at / n).exists() for n in ("postgres", "initdb"))), None
    )


def _unprivileged() -> dict[str, Any]:
    """For subprocess: the server refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    import pwd

    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_name, "group": entry.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no other user")


def _answers(url: str) -> bool:
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.connect():
            return True
    except OperationalError:
        return False
