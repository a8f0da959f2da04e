"""Collections as earlier versions wrote them: one SQL script for each schema before the newest.

When a schema is left behind, its script is made with the last version that writes it:

    python -m tests.stores.schemas COLLECTION > tests/stores/schemas/0001.sql
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

FOLDER = Path(__file__).parent


def script(catalog: Path) -> Iterator[str]:
    """A catalog's tables, indexes and rows as statements of SQL."""
    with closing(sqlite3.connect(catalog)) as database:
        made = database.execute(
            "SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        ).fetchall()
        virtual = [name for name, _, sql in made if sql.startswith("CREATE VIRTUAL")]
        for name, kind, sql in made:
            # What lies behind a virtual table makes itself.
            if name.startswith("sqlite_") or any(name.startswith(f"{of}_") for of in virtual):
                continue
            yield f"{sql};"
            if kind == "table":
                yield from _rows(database, name, rowid=name in virtual)
        yield from _rows(database, "sqlite_sequence")


def _rows(database: sqlite3.Connection, table: str, *, rowid: bool = False) -> Iterator[str]:
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    columns = ["rowid", *columns] if rowid else columns
    values = " || ', ' || ".join(f'quote("{name}")' for name in columns)
    names = ", ".join(columns)
    for (row,) in database.execute(f"SELECT {values} FROM {table}"):
        yield f"INSERT INTO {table} ({names}) VALUES ({row});"


def restore(version: str, folder: Path) -> None:
    """Make a collection's folder with the catalog of an earlier schema."""
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "catalog.db")) as database:
        database.executescript((FOLDER / f"{version}.sql").read_text(encoding="utf-8"))
