"""Where things lie: the collection, its lock, the disk, the cache."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from seehear.collection import Collection
from seehear.config import Settings
from seehear.diagnostics import Level, places
from seehear.stores.catalog.database import HEAD
from tests.diagnostics.conftest import FAKE, row_of


def test_a_whole_collection_is_well(collection: Path) -> None:
    rows = places.collection_rows(collection, FAKE)
    assert {row.level for row in rows} == {Level.OK}
    assert f"schema {HEAD}" in row_of(rows, "collection").found
    assert places.newest_schema() == HEAD
    assert places.model_of(collection, Settings()) == ("fake", "auto")


def test_no_collection_yet_is_well(tmp_path: Path) -> None:
    row = row_of(places.collection_rows(tmp_path / "a" / "b", FAKE), "collection")
    assert row.level is Level.OK
    assert not (tmp_path / "a").exists()


def test_a_url_is_no_place_for_a_collection() -> None:
    (row,) = places.collection_rows(Path("s3://bucket/x"), FAKE)
    assert row.level is Level.FAULT
    assert row.found.startswith("s3://bucket/x cannot hold a collection")


def test_a_folder_of_other_files_and_a_file_are_faults(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    for folder, found in ((tmp_path, "holds other files"), (tmp_path / "a.png", "is a file")):
        row = row_of(places.collection_rows(folder, FAKE), "collection")
        assert row.level is Level.FAULT
        assert found in row.found


def test_a_read_only_collection_is_a_warning(
    collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may do all
    row = row_of(places.collection_rows(collection, FAKE), "collection")
    assert row.level is Level.WARNING
    assert "can be searched, not indexed" in row.found


def test_a_catalog_that_is_damaged_or_newer_is_a_fault(collection: Path) -> None:
    with closing(sqlite3.connect(collection / "catalog.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9000'")
    row = row_of(places.collection_rows(collection, FAKE), "collection")
    assert row.level is Level.FAULT
    assert "newer seehear" in row.found
    for left in collection.glob("catalog.db*"):
        left.unlink()
    (collection / "catalog.db").write_bytes(b"no database" * 1000)
    row = row_of(places.collection_rows(collection, FAKE), "collection")
    assert row.level is Level.FAULT
    assert "seehear verify" in row.remedy


def test_who_holds_the_lock_is_named(collection: Path) -> None:
    assert places.lock_row(collection).level is Level.OK
    with Collection(collection, FAKE) as library, library._catalog.write_lock():
        row = places.lock_row(collection)
    assert row.level is Level.WARNING
    assert f"process {os.getpid()} is writing" in row.found
    assert places.lock_row(collection).level is Level.OK


@pytest.mark.parametrize(
    ("free", "level"), [(10 << 20, Level.FAULT), (1 << 30, Level.WARNING), (1 << 40, Level.OK)]
)
def test_free_disk_is_judged(
    free: int, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert places.disk_row("disk", tmp_path / "not" / "there").level is level


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_database_that_does_not_answer_is_a_fault(tmp_path: Path, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
    url = f"{scheme}://me:s3cret@127.0.0.1:{port}/media"
    row = row_of(places.collection_rows(tmp_path, Settings(database=url)), "database")
    assert row.level is Level.FAULT
    assert f"port {port} failed: Connection refused" in row.found
    assert "s3cret" not in row.found
    assert "\n" not in row.found
    assert "SEEHEAR_DATABASE" in str(row.remedy)


def test_a_server_for_vectors_that_does_not_answer_is_a_fault(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        url = f"milvus://me:s3cret@127.0.0.1:{port}"
        settings = Settings(database="postgresql:///a", vectors=url)
        row = row_of(places.collection_rows(tmp_path, settings), "vectors")
        assert (row.level, row.found) == (
            Level.OK,
            f"a server answers at milvus://127.0.0.1:{port}",
        )
    row = row_of(places.collection_rows(tmp_path, settings), "vectors")
    assert row.level is Level.FAULT
    assert "s3cret" not in row.found


@pytest.mark.parametrize(("kind", "share"), [("nfs4", True), ("cifs", True), ("ext4", False)])
def test_a_network_share_is_a_warning(
    kind: str, share: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my disk"
    folder.mkdir()
    mounts = tmp_path / "mounts"
    point = str(folder).replace(" ", "\\040")
    mounts.write_text(f"root / ext4 rw 0 0\nserver:/x {point} {kind} rw 0 0\n")
    monkeypatch.setattr(places, "MOUNTS", mounts)
    assert places.network_share(folder / "collection") == (kind if share else None)
    assert places.network_share(tmp_path) is None
    rows = places.collection_rows(folder / "collection", FAKE)
    assert any(row.topic == "share" for row in rows) is share


def test_a_cache_that_cannot_be_written_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEHEAR_CACHE", str(tmp_path / "cache"))
    assert places.cache_rows()[0].level is Level.OK
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "x").write_bytes(bytes(3_000_000))
    assert "3.0 MB" in places.cache_rows()[0].found
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert places.cache_rows()[0].level is Level.WARNING
