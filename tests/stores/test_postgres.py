"""Test a whole collection with its catalog in PostgreSQL, and the errors that can happen."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, event, inspect, text

from seehear import media
from seehear.config import Settings
from seehear.encoders.base import SingleSpaceModel
from seehear.errors import CollectionLockedError, SchemaVersionError, StoreError, UsageError
from seehear.indexers import verify
from seehear.search import Engine
from seehear.stores import Catalog, Remark, VectorCache
from seehear.stores.catalog.database import HEAD
from seehear.stores.catalog.schema import metadata
from seehear.types import Mode, Query, QueryPart
from tests.cli.conftest import Run
from tests.indexers.helpers import InProcess, Library, counts, note, picture, sound
from tests.stores.opener import open_catalog

NewDatabase = Callable[[], str]


@pytest.fixture
def url(postgres_database: NewDatabase) -> str:
    return postgres_database()


@pytest.fixture
def library(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """Four files, indexed with the fake encoder."""
    monkeypatch.setattr(media, "decode_all", InProcess())
    folder = tmp_path / "media"
    picture(folder / "red.png")
    picture(folder / "other" / "blue.bmp", "blue")
    sound(folder / "tone.wav", "red", "blue")
    note(folder / "notes.md", "The siren of the fire engine is red.")
    made = Library(
        tmp_path / "collection", settings=Settings(batch_size=4, decode_workers=1, database=url)
    )
    made.index(folder)
    yield made
    made.close()


def search(library: Library, wanted: str, mode: str = "auto", **options: object) -> list[str]:
    generation = library.catalog.generations.serving()
    assert generation is not None
    cache = VectorCache(library.folder, library.catalog, generation)
    engine = Engine(library.catalog, cache, SingleSpaceModel("fake", library.encoder))
    query = Query((QueryPart((wanted,), label=wanted),), mode=Mode(mode), **options)  # type: ignore[arg-type]
    return [hit.path.name for hit in engine.search(query)]


def test_a_collection_lives_in_postgresql(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "media"
    assert counts(library.index(folder)) == {"unchanged": 4}
    assert not (library.folder / "catalog.db").exists()
    assert search(library, "red", mode="semantic")[0] == "red.png"
    assert search(library, "siren", mode="words") == ["notes.md"]
    assert search(library, '"fire engine"', mode="words") == ["notes.md"]
    assert search(library, "blue.bmp")[0] == "blue.bmp"
    assert search(library, "red", where="kind = image and width >= 80 and not name ~ 'BLUE*'") == [
        "red.png"
    ]
    assert search(library, "red", under=folder / "other") == ["blue.bmp"]
    (folder / "other" / "blue.bmp").rename(folder / "sea.bmp")
    before = library.encoded
    assert counts(library.index(folder)) == {"moved": 1, "unchanged": 3}
    assert library.encoded == before
    assert search(library, "sea", mode="words") == ["sea.bmp"]
    assert search(library, "blue.bmp", mode="words") == []
    (folder / "notes.md").unlink()
    assert counts(library.index(folder)) == {"removed": 1, "unchanged": 3}
    assert search(library, "siren", mode="words") == []
    found = verify(library.catalog, hashes=True)
    assert (found.good, found.faults, found.loose_ends, found.assets) == (True, (), (), 3)


def test_caches_are_made_anew_from_postgresql(library: Library) -> None:
    verify(library.catalog)
    for file in (library.folder / "cache").iterdir():
        file.write_bytes(b"")
    assert verify(library.catalog).renewed_files
    assert search(library, "blue", mode="semantic")[0] == "blue.bmp"


def test_two_machines_share_a_catalog(library: Library, url: str, tmp_path: Path) -> None:
    """Each has a folder of its own for caches; one of them writes at a time."""
    with closing(Catalog.open(tmp_path / "elsewhere", url=url)) as other:
        assert other.counts() == library.catalog.counts()
        with library.catalog.write_lock():
            with library.catalog.write_lock():  # the same thread may
                pass
            with pytest.raises(CollectionLockedError, match="another machine"), other.write_lock():
                pass
        with other.write_lock():
            pass


def test_a_writer_finds_the_lock_free_as_soon_as_another_gave_it_back(
    url: str, tmp_path: Path
) -> None:
    """Not only once the server notices that the connection is closed: before it is."""
    one, two = (Catalog.open(tmp_path / name, url=url) for name in ("one", "two"))
    watcher = create_engine(url)
    query = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        " WHERE locktype = 'advisory' AND datname = current_database()"
    )

    def held() -> int:
        with watcher.connect() as connection:
            return int(connection.execute(query).scalar_one())

    at_closing = []
    with closing(one), closing(two):
        event.listen(one.engine, "invalidate", lambda *_: at_closing.append(held()))
        with one.write_lock():
            assert held() == 1
        assert at_closing == [0]
        with two.write_lock():
            assert held() == 1
    watcher.dispose()


def test_a_dead_writer_holds_nothing(url: str, tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from seehear.stores import Catalog;"
        "c = Catalog.open(pathlib.Path(sys.argv[1]), url=sys.argv[2]);"
        "lock = c.write_lock(); lock.__enter__(); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "one"), url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as writer:  # fmt: skip
        assert writer.stdout is not None
        assert writer.stdout.readline() == "held\n"
        with closing(Catalog.open(tmp_path / "two", url=url)) as catalog:
            with pytest.raises(CollectionLockedError), catalog.write_lock():
                pass
            writer.send_signal(signal.SIGKILL)
            with catalog.write_lock(wait_s=60.0):
                pass


def test_processes_that_open_an_empty_database_at_once(
    empty_postgres: NewDatabase, tmp_path: Path
) -> None:
    url = empty_postgres()
    start = multiprocessing.get_context("spawn").Process
    openers = [start(target=open_catalog, args=(tmp_path / str(n), url)) for n in range(3)]
    for process in openers:
        process.start()
    for process in openers:
        process.join()
    assert [process.exitcode for process in openers] == [0, 0, 0]
    engine = create_engine(url)
    found = inspect(engine)
    assert set(found.get_table_names()) == {*metadata.tables, "alembic_version"}
    for name, table in metadata.tables.items():
        assert [column["name"] for column in found.get_columns(name)] == table.columns.keys()
        wanted = {index.name for index in table.indexes}
        assert {
            index["name"]
            for index in found.get_indexes(name)
            if not index.get("duplicates_constraint")
        } == wanted
    engine.dispose()


def test_a_catalog_of_an_early_schema_is_brought_up_to_date(library: Library, url: str) -> None:
    library.close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "DROP TABLE fingerprints, readings, settings, item_values, item_fields, items,"
                " jobs, sign_outs"
            )
        )
        connection.execute(text("DROP INDEX assets_by_time, assets_by_size"))
        connection.execute(text("ALTER TABLE locations DROP COLUMN change"))
        connection.execute(text("DELETE FROM counters WHERE name = 'locations'"))
        for column in ("page", "origin", "language", "confidence", "box"):
            connection.execute(text(f"ALTER TABLE segments DROP COLUMN {column}"))
        connection.execute(text("ALTER TABLE encodings DROP COLUMN damaged"))
        for table in ("segments", "vectors"):
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN crc"))
        connection.execute(text("ALTER TABLE generation_blobs RENAME TO calibrations"))
        connection.execute(text("ALTER TABLE calibrations RENAME COLUMN name TO route"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    library.catalog = Catalog.open(library.folder, url=url)
    assert library.catalog.integrity_issues() == []
    assert search(library, "siren", mode="words") == ["notes.md"]
    (root,) = library.catalog.locations.roots()
    with library.catalog.batch() as batch:
        batch.put_failure(root.id, root.path / "a.doc", Remark.KIND, ".doc", 5, 6)
    assert library.catalog.locations.unsupported() == {".doc": 1}
    with engine.begin() as connection:
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        assert version == HEAD
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(SchemaVersionError, match="update seehear"):
        Catalog.open(library.folder, url=url)


def test_readers_see_one_instant(library: Library, url: str) -> None:
    with closing(Catalog.open(library.folder, url=url)) as reader, reader.read_snapshot():
        before = reader.counts()
        library.catalog.locations.remove(library.catalog.locations.roots()[0].path)
        assert reader.counts() == before
    assert library.catalog.counts().assets == 0


def test_vectors_come_back_bit_for_bit(library: Library, tmp_path: Path) -> None:
    """The same as a catalog in SQLite holds."""
    with closing(Library(tmp_path / "sqlite")) as other:
        other.index(tmp_path / "media")
        kept = []
        for catalog in (library.catalog, other.catalog):
            generation = catalog.generations.serving()
            assert generation is not None
            ids = catalog.segments.ids(generation.id)
            kept.append(catalog.segments.vectors(ids, generation, generation.spaces[0]))
        ours, theirs = (np.sort(rows, axis=0) for rows in kept)
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("database", "told"),
    [
        ("nonsense", "must be a URL such as postgresql://"),
        ("mysql://root@localhost/x", "not in mysql"),
        ("sqlite:///x.db", "not in sqlite"),
    ],
)
def test_a_url_that_is_none_is_told(database: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        Catalog.open(tmp_path, url=database)


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match=r"cannot open the catalog: .*connection") as caught:
        Catalog.open(tmp_path, url=f"postgresql://me:secret@/x?host={tmp_path}")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_collection_none_is_made(empty_postgres: NewDatabase, tmp_path: Path) -> None:
    url = empty_postgres()
    with pytest.raises(StoreError, match="no collection in"):
        Catalog.open(tmp_path, create=False, url=url)
    engine = create_engine(url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_the_command_line_takes_the_database_from_the_environment(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEHEAR_DATABASE", url)
    run = Run(tmp_path / "collection", tmp_path / "state")
    note(tmp_path / "media" / "siren.md", "A red fire engine.")
    run("index", tmp_path / "media")
    assert "siren.md" in run("search", "--mode", "words", "fire engine").stdout
    assert "OK: 1 asset," in run("verify").stderr
    assert not (tmp_path / "collection" / "catalog.db").exists()
    moved = run("export", tmp_path / "all.seehear", check=False)
    assert (moved.returncode, "with pg_dump" in moved.stderr) == (1, True)
