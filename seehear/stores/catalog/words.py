"""Full text of passages, subtitles, file names, folders and embedded captions: SQLite's FTS5.

Two tables, each with the rowid of what it speaks of: `passage_words` of segments and `file_words`
of locations, written in the transaction of what they describe. Only SQLite has FTS5; elsewhere
words find nothing.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DatabaseError

from seehear.errors import UsageError
from seehear.stores.catalog.schema import assets, locations

REBUILT_AT_ONCE = 1_000

# A name, a folder and a caption are short, so a word in them says more than one in a long passage.
_FILE_WEIGHTS = "4.0, 1.0, 2.0"
_TABLES = {"passage_words": "passage", "file_words": "name, folder, caption"}
_TOKENS = "unicode61 remove_diacritics 2"


def caption_of(details: Mapping[str, Any]) -> str:
    """What a file says about itself in words."""
    return " ".join(str(details.get(name, "")) for name in ("title", "caption", "keywords")).strip()


def put_passages(connection: Connection, passages: Iterable[tuple[int, str]]) -> None:
    """Index the texts of segments, by id."""
    rows = [{"id": id_, "passage": passage} for id_, passage in passages]
    if rows and _has_words(connection):
        statement = "INSERT INTO passage_words(rowid, passage) VALUES (:id, :passage)"
        connection.execute(text(statement), rows)


def put_file(
    connection: Connection, location_id: int, name: str, folder: str, caption: str
) -> None:
    """Index what a location is called and captioned; replaces what was there."""
    if not _has_words(connection):
        return
    remove(connection, "file_words", [location_id])
    connection.execute(
        text("INSERT INTO file_words(rowid, name, folder, caption) VALUES (:id, :n, :f, :c)"),
        {"id": location_id, "n": name, "f": folder, "c": caption},
    )


def put_files(
    connection: Connection, rows: Sequence[tuple[int, str, str, str]], replaced: Sequence[int]
) -> None:
    """Index many locations: (id, name, folder, caption) each; `replaced` were indexed before."""
    if not rows or not _has_words(connection):
        return
    remove(connection, "file_words", replaced)
    connection.execute(
        text("INSERT INTO file_words(rowid, name, folder, caption) VALUES (:id, :n, :f, :c)"),
        [{"id": id_, "n": name, "f": folder, "c": caption} for id_, name, folder, caption in rows],
    )


def remove(connection: Connection, table: str, ids: Sequence[int]) -> None:
    """Forget segments ("passage_words") or locations ("file_words")."""
    if ids and _has_words(connection):
        statement = text(f"DELETE FROM {table} WHERE rowid = :id")
        connection.execute(statement, [{"id": id_} for id_ in ids])


def search_passages(
    connection: Connection, generation_id: int, wanted: str, k: int
) -> list[tuple[int, float]]:
    """Segments whose passages have the words: (segment id, BM25 score, higher is better)."""
    expression = match_expression(wanted)
    if not expression or not _has_words(connection):
        return []
    found = connection.execute(
        text(
            "SELECT s.id, -bm25(passage_words) FROM passage_words "
            "JOIN segments s ON s.id = passage_words.rowid "
            "WHERE passage_words MATCH :words AND s.generation_id = :generation "
            "ORDER BY bm25(passage_words), s.id LIMIT :k"
        ),
        {"words": expression, "generation": generation_id, "k": k},
    )
    return [(int(id_), float(score)) for id_, score in found]


def search_files(
    connection: Connection, generation_id: int, wanted: str, k: int
) -> list[tuple[int, float]]:
    """First segments of the assets whose name, folder or caption has the words."""
    expression = match_expression(wanted)
    if not expression or not _has_words(connection):
        return []
    found = connection.execute(
        text(
            # Materialised, because bm25 is only known to a query on its own table alone.
            "WITH f AS MATERIALIZED ("
            f"SELECT rowid AS location_id, -bm25(file_words, {_FILE_WEIGHTS}) AS score "
            "FROM file_words WHERE file_words MATCH :words) "
            "SELECT MIN(s.id), MAX(f.score) AS best FROM f "
            "JOIN locations l ON l.id = f.location_id "
            "JOIN segments s ON s.asset_id = l.asset_id AND s.generation_id = :generation "
            "GROUP BY s.asset_id ORDER BY best DESC, 1 LIMIT :k"
        ),
        {"words": expression, "generation": generation_id, "k": k},
    )
    return [(int(id_), float(score)) for id_, score in found]


def match_expression(wanted: str) -> str:
    """What a person typed, as FTS5's own syntax: every word quoted, phrases in quotes kept whole.

    All words must occur. Text without a word gives "". Raises UsageError for a null character.
    """
    if "\0" in wanted:
        raise UsageError("a query cannot hold a null character")
    terms = []
    for phrase, word in re.findall(r'"([^"]*)"|([^\s"]+)', wanted):
        term = phrase or word
        # FTS5 splits a quoted string into the tokens that the index has; one without any is void.
        if re.search(r"\w", term):
            terms.append('"' + term.replace('"', '""') + '"')
    return " ".join(terms)


def _has_words(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def is_whole(connection: Connection) -> bool:
    """Whether the two tables are whole in themselves; needs a transaction that may write."""
    try:
        for table in _TABLES if _has_words(connection) else ():
            connection.execute(text(f"INSERT INTO {table}({table}) VALUES ('integrity-check')"))
    except DatabaseError as error:
        code = getattr(error.orig, "sqlite_errorcode", 0)
        if code & 0xFF == sqlite3.SQLITE_CORRUPT:
            return False
        raise
    return True


def rebuild(connection: Connection) -> None:
    """Make the two tables anew from the segments and locations that they speak of."""
    if not _has_words(connection):
        return
    for table, columns in _TABLES.items():
        connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
        connection.execute(
            text(f"CREATE VIRTUAL TABLE {table} USING fts5({columns}, tokenize='{_TOKENS}')")
        )
    connection.execute(
        text(
            "INSERT INTO passage_words(rowid, passage) "
            "SELECT id, text FROM segments WHERE text <> '' ORDER BY id"
        )
    )
    found = connection.execute(
        select(locations.c.id, locations.c.name, locations.c.folders, assets.c.details)
        .join(assets, assets.c.id == locations.c.asset_id)
        .order_by(locations.c.id)
    )
    while rows := found.fetchmany(REBUILT_AT_ONCE):
        put_files(
            connection,
            [(r.id, r.name, r.folders[:-1], caption_of(r.details or {})) for r in rows],
            replaced=(),
        )
