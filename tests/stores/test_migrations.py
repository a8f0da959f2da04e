"""Collections of every earlier schema open, with all that was in them."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, inspect

from seehear.stores import Catalog
from seehear.stores.catalog.database import HEAD
from seehear.stores.catalog.filters import Compare, Field, Op
from seehear.stores.catalog.schema import metadata
from seehear.types import Modality
from tests.stores import schemas
from tests.stores.conftest import SPACE
from tests.stores.opener import open_catalog
from tests.words import search_words

EARLIER = sorted(path.stem for path in schemas.FOLDER.glob("*.sql"))


def test_every_earlier_schema_has_its_script() -> None:
    assert [f"{number:04}" for number in range(1, int(HEAD))] == EARLIER


@pytest.mark.parametrize("version", EARLIER)
def test_a_collection_of_an_earlier_schema(version: str, tmp_path: Path) -> None:
    schemas.restore(version, tmp_path / "old")
    catalog = Catalog.open(tmp_path / "old")
    generation = catalog.generations.serving()
    assert generation is not None
    assert (generation.model, generation.spaces) == ("fake", (SPACE,))
    counts = catalog.counts()
    assert (counts.assets, counts.segments, counts.locations, counts.failures) == (6, 8, 6, 1)
    ids = catalog.segments.ids(generation.id)
    assert np.allclose(
        np.linalg.norm(catalog.segments.vectors(ids, generation, SPACE), axis=1), 1.0
    )
    assert [found.path.name for found in catalog.segments.resolve(ids)] == [
        "IMG_2041.jpg", "snow.png", "song.mp3", "song.mp3", "song.mp3", "film.mp4", "film.mp4",
        "fox.md",
    ]  # fmt: skip
    july = Compare(Field.TAKEN, Op.GE, datetime(2024, 7, 1))
    assert catalog.segments.ids(generation.id, where=july).tolist() == [1]
    assert search_words(catalog, generation.id, "dawn") == ([7], [])
    assert catalog.generations.blob(generation.id, "text>image") == b"abc"
    assert catalog.integrity_issues() == []
    (root,) = catalog.locations.roots()
    catalog.locations.set_online(root.id, True, 12)
    assert catalog.locations.roots()[0].inode == 12
    catalog.close()
    _is_as_new(tmp_path / "old")


def test_details_that_no_filter_could_read_are_mended(tmp_path: Path) -> None:
    """Schema 0001 kept what files say of themselves as it came."""
    schemas.restore("0001", tmp_path / "old")
    with closing(sqlite3.connect(tmp_path / "old" / "catalog.db")) as database:
        told = {"latitude": float("nan"), "title": "half \ud83d", "camera": "Canon EOS R5"}
        database.execute("UPDATE assets SET details = ? WHERE id = 2", [json.dumps(told)])
        database.commit()
    catalog = Catalog.open(tmp_path / "old")
    canon = Compare(Field.CAMERA, Op.EQ, "Canon EOS R5")
    assert catalog.segments.ids(1, where=canon, item=Modality.IMAGE).tolist() == [1, 2]
    placed = Compare(Field.LATITUDE, Op.KNOWN)
    assert catalog.segments.ids(1, where=placed).tolist() == [1]
    catalog.close()


def test_a_new_catalog_has_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    Catalog.open(tmp_path / "new").close()
    _is_as_new(tmp_path / "new")


def _is_as_new(folder: Path) -> None:
    """The tables, columns, keys and indexes are those of schema.py."""
    expected = create_engine("sqlite://")
    metadata.create_all(expected)
    migrated = create_engine(f"sqlite:///{folder / 'catalog.db'}")
    wanted, found = inspect(expected), inspect(migrated)
    for table in metadata.tables:
        for name in ("get_columns", "get_foreign_keys", "get_indexes", "get_unique_constraints"):
            assert [_plain(part) for part in getattr(found, name)(table)] == [
                _plain(part) for part in getattr(wanted, name)(table)
            ], f"{name} of {table}"
    for engine in (expected, migrated):
        engine.dispose()


def _plain(part: dict[str, object]) -> dict[str, object]:
    return {
        name: _plain(value) if isinstance(value, dict) else str(value)
        for name, value in part.items()
    }


def test_processes_that_open_a_new_collection_at_once(tmp_path: Path) -> None:
    """Making the tables is one transaction, made by one of them."""
    start = multiprocessing.get_context("spawn").Process
    openers = [start(target=open_catalog, args=(tmp_path / "new",)) for _ in range(3)]
    for process in openers:
        process.start()
    for process in openers:
        process.join()
    assert [process.exitcode for process in openers] == [0, 0, 0]
    _is_as_new(tmp_path / "new")


def test_a_migration_that_is_cut_short_leaves_the_old_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic.operations import Operations

    schemas.restore("0001", tmp_path / "old")
    add_column = Operations.add_column

    def cut(self: Operations, *args: object, **options: object) -> None:
        add_column(self, *args, **options)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(Operations, "add_column", cut)
    with pytest.raises(KeyboardInterrupt):
        Catalog.open(tmp_path / "old")
    with closing(sqlite3.connect(tmp_path / "old" / "catalog.db")) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        columns = [row[1] for row in database.execute("PRAGMA table_info(roots)")]
        assert "inode" not in columns
    monkeypatch.undo()
    catalog = Catalog.open(tmp_path / "old")
    assert catalog.counts().assets == 6
    catalog.close()
