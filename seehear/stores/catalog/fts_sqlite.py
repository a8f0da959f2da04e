"""Index words in SQLite: FTS5, which ranks by BM25. Words come split and folded."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError

from seehear.stores.catalog.asked_words import AskedWord, Phrase

INSERT_PASSAGE = "INSERT INTO passage_words(rowid, passage, stems) VALUES (:id, :passage, :stems)"
INSERT_FILE = (
    "INSERT INTO file_words(rowid, name, folder, caption, stems)"
    " VALUES (:id, :name, :folder, :caption, :stems)"
)
MATCHED_PASSAGES = (
    "SELECT rowid AS id, -bm25(passage_words, 1.0, 0.1) AS score"
    " FROM passage_words WHERE passage_words MATCH :words"
)
MATCHED_FILES = (
    "SELECT rowid AS id, -bm25(file_words, 4.0, 1.0, 2.0, 0.1) AS score"
    " FROM file_words WHERE file_words MATCH :words"
)
_TABLES = {"passage_words": "passage, stems", "file_words": "name, folder, caption, stems"}
_TOKENS = "ascii"
"""Splits at blanks: words have no other characters of ASCII than letters and digits."""
_APART = " · "
"""A word of its own between two texts, which no phrase can cross."""


def passage_row(id_: int, passage: list[str], stems: list[str]) -> dict[str, Any]:
    """Return the parameters of `INSERT_PASSAGE`."""
    return {"id": id_, "passage": " ".join(passage), "stems": " ".join(stems)}


def file_row(
    id_: int,
    names: Sequence[list[str]],
    folder: list[str],
    caption: list[str],
    stems: list[str],
) -> dict[str, Any]:
    """Return the parameters of `INSERT_FILE`."""
    texts = {"folder": folder, "caption": caption, "stems": stems}
    joined = {column: " ".join(words) for column, words in texts.items()}
    return {"id": id_, "name": _APART.join(" ".join(words) for words in names), **joined}


def expression(asked: Sequence[AskedWord], *, every: bool) -> str:
    """Return the words that must all (or any of which must) occur, in FTS5's syntax."""
    return (" AND " if every else " OR ").join(f"({_forms(word, every)})" for word in asked)


def _forms(word: AskedWord, exact_first: bool) -> str:
    stems = f"stems : ({' OR '.join(f'{_quoted((one,))} *' for one in word.stem_prefixes)})"
    if word.stems and not exact_first:
        return stems  # the word as it is written has them, too
    written = [_quoted(phrase) for phrase in word.phrases]
    written += [f"{_quoted(phrase)} *" for phrase in word.prefixes]
    exact = f"- stems : ({' OR '.join(written)})"
    return f"{exact} OR {stems}" if word.stems else exact


def _quoted(phrase: Phrase) -> str:
    return f'"{" ".join(phrase)}"'


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
