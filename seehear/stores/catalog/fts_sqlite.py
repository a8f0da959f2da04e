"""Index words in SQLite: FTS5, which splits and folds words itself and ranks by BM25."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError

INSERT_PASSAGE = "INSERT INTO passage_words(rowid, passage) VALUES (:id, :passage)"
INSERT_FILE = (
    "INSERT INTO file_words(rowid, name, folder, caption) VALUES (:id, :name, :folder, :caption)"
)
MATCHED_PASSAGES = (
    "SELECT rowid AS id, -bm25(passage_words) AS score"
    " FROM passage_words WHERE passage_words MATCH :words"
)
MATCHED_FILES = (
    "SELECT rowid AS id, -bm25(file_words, 4.0, 1.0, 2.0) AS score"
    " FROM file_words WHERE file_words MATCH :words"
)
_TABLES = {"passage_words": "passage", "file_words": "name, folder, caption"}
_TOKENS = "unicode61 remove_diacritics 2"


def passage_row(id_: int, passage: str) -> dict[str, Any]:
    """Return the parameters of `INSERT_PASSAGE`."""
    return {"id": id_, "passage": passage}


def file_row(id_: int, name: str, folder: str, caption: str) -> dict[str, Any]:
    """Return the parameters of `INSERT_FILE`."""
    return {"id": id_, "name": name, "folder": folder, "caption": caption}


def expression(terms: Sequence[str]) -> str:
    """Return words and phrases that must all occur in FTS5's syntax.

    Each is a quoted string, which FTS5 splits as it splits the indexed text.
    """
    return " ".join('"' + term.replace('"', '""') + '"' for term in terms)


def create(connection: Connection) -> None:
    """Create the two tables, empty; replaces existing ones."""
    for table, columns in _TABLES.items():
        connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
        connection.execute(
            text(f"CREATE VIRTUAL TABLE {table} USING fts5({columns}, tokenize='{_TOKENS}')")
        )


def integrity_ok(connection: Connection) -> bool:
    """Tell whether both tables are internally consistent; needs a writing transaction."""
    try:
        for table in _TABLES:
            connection.execute(text(f"INSERT INTO {table}({table}) VALUES ('integrity-check')"))
    except DatabaseError as error:
        code = getattr(error.orig, "sqlite_errorcode", 0)
        if code & 0xFF == sqlite3.SQLITE_CORRUPT:
            return False
        raise
    return True
