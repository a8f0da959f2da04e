"""Full text of passages, subtitles, file names, folders and embedded captions: SQLite's FTS5.

Two tables, each with the rowid of what it speaks of: `passage_words` of segments and `file_words`
of locations, written in the transaction of what they describe. Only SQLite has FTS5; elsewhere
words find nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, text

from seehear.errors import UsageError

# A name, a folder and a caption are short, so a word in them says more than one in a long passage.
_FILE_WEIGHTS = "4.0, 1.0, 2.0"


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
