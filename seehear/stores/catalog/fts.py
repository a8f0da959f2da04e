"""Index the full text of passages, subtitles, file names, folders and embedded captions.

Two tables, with the rowid of the row that they describe: `passage_words` for segments and
`file_words` for locations, written in the same transaction as that row. `tokens` splits and folds
every text and query, so that both databases find the same; what differs between them is in
`fts_sqlite` and `fts_postgresql`. In both a name counts more than a caption, a caption more than a
folder (4 : 2 : 1), and each more than the stem of a word. A word in a short text counts more than
in a long passage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Select, select, text

from seehear.default_captions import is_default_caption
from seehear.stores.catalog import fts_postgresql, fts_sqlite
from seehear.stores.catalog.asked_words import AskedWord
from seehear.stores.catalog.schema import assets, locations, segments
from seehear.stores.catalog.statements import chunks
from seehear.stores.catalog.tokens import parted, stems_of, words_and_stems, words_of

REBUILT_AT_ONCE = 1_000


class Dialect(Protocol):
    """The full-text functions of a database.

    `MATCHED_` queries give id and score (higher is better) of the rows that match `:words`.
    """

    INSERT_PASSAGE: str
    INSERT_FILE: str
    MATCHED_PASSAGES: str
    MATCHED_FILES: str

    def passage_row(self, id_: int, passage: list[str], stems: list[str]) -> dict[str, Any]: ...

    def file_row(
        self,
        id_: int,
        names: Sequence[list[str]],
        folder: list[str],
        caption: list[str],
        stems: list[str],
    ) -> dict[str, Any]: ...

    def expression(self, asked: Sequence[AskedWord], *, every: bool) -> str: ...

    def create(self, connection: Connection) -> None: ...

    def integrity_ok(self, connection: Connection) -> bool: ...


_DIALECTS: dict[str, Dialect] = {"sqlite": fts_sqlite, "postgresql": fts_postgresql}


def dialect_of(connection: Connection) -> Dialect:
    """Return the full-text functions of a connection's database."""
    return _DIALECTS[connection.dialect.name]


def caption_of(details: Mapping[str, Any]) -> str:
    """Join the texts that a file has about itself to one text, without what cameras write."""
    names = ("title", "caption", "keywords", "people", "comment")
    told = (str(details[name]) for name in names if name in details)
    return " ".join(text for text in told if not is_default_caption(text)).strip()


def captions_of(connection: Connection, asset_ids: Sequence[int]) -> dict[int, str]:
    """Return the texts that assets have about themselves, as searchable text."""
    found: dict[int, str] = {}
    for chunk in chunks(asset_ids):
        query = select(assets.c.id, assets.c.details).where(assets.c.id.in_(chunk))
        for row in connection.execute(query):
            found[int(row.id)] = caption_of(row.details or {})
    return found


def put_passages(connection: Connection, passages: Iterable[tuple[int, str]]) -> None:
    """Index the texts of segments, given as (segment id, text)."""
    dialect = dialect_of(connection)
    rows = [dialect.passage_row(id_, *words_and_stems(one)) for id_, one in passages]
    if rows:
        connection.execute(text(dialect.INSERT_PASSAGE), rows)


def put_file(
    connection: Connection, location_id: int, name: str, folder: str, caption: str
) -> None:
    """Index name, folder and caption of a location; replaces an earlier entry."""
    put_files(connection, [(location_id, name, folder, caption)], replaced=[location_id])


def put_files(
    connection: Connection, rows: Sequence[tuple[int, str, str, str]], replaced: Sequence[int]
) -> None:
    """Index many locations, each (id, name, folder, caption); `replaced` are ids to replace."""
    remove(connection, "file_words", replaced)
    if rows:
        dialect = dialect_of(connection)
        connection.execute(text(dialect.INSERT_FILE), [_file_row(dialect, *row) for row in rows])


def _file_row(dialect: Dialect, id_: int, name: str, folder: str, caption: str) -> dict[str, Any]:
    stem, dot, suffix = name.rpartition(".")
    apart = f"{parted(stem)}.{suffix}" if dot else parted(name)
    names = [words_of(name), words_of(apart)]
    stems = stems_of(f"{apart} {caption}")
    return dialect.file_row(
        id_, names[: 1 + (names[0] != names[1])], words_of(folder), words_of(caption), stems
    )


def remove(connection: Connection, table: str, ids: Sequence[int]) -> None:
    """Remove segments ("passage_words") or locations ("file_words") from the index."""
    if ids:
        statement = text(f"DELETE FROM {table} WHERE rowid = :id")
        connection.execute(statement, [{"id": id_} for id_ in ids])


def search_passages(
    connection: Connection, generation_id: int, asked: Sequence[AskedWord], every: bool, k: int
) -> list[tuple[int, float]]:
    """Return segments whose passages have the words: (segment id, score), best first.

    `every`: all of the words; otherwise any of them.
    """
    segments_of = (
        "SELECT s.id, f.score AS best FROM found f "
        "JOIN segments s ON s.id = f.id AND s.generation_id = :generation"
    )
    matched = dialect_of(connection).MATCHED_PASSAGES
    return _search(connection, matched, segments_of, generation_id, asked, every, k)


def search_files(
    connection: Connection, generation_id: int, asked: Sequence[AskedWord], every: bool, k: int
) -> list[tuple[int, float]]:
    """Return the first segment of each asset whose name, folder or caption has the words."""
    segments_of = (
        "SELECT MIN(s.id), MAX(f.score) AS best FROM found f "
        "JOIN locations l ON l.id = f.id "
        "JOIN segments s ON s.asset_id = l.asset_id AND s.generation_id = :generation "
        "GROUP BY s.asset_id"
    )
    matched = dialect_of(connection).MATCHED_FILES
    return _search(connection, matched, segments_of, generation_id, asked, every, k)


def _search(
    connection: Connection,
    matched: str,
    segments_of: str,
    generation_id: int,
    asked: Sequence[AskedWord],
    every: bool,
    k: int,
) -> list[tuple[int, float]]:
    if not asked:
        return []
    expression = dialect_of(connection).expression(asked, every=every)
    # Materialised, because SQLite's bm25 only works in a query on its own table alone.
    query = f"WITH found AS MATERIALIZED ({matched}) {segments_of} ORDER BY best DESC, 1 LIMIT :k"
    rows = connection.execute(
        text(query), {"words": expression, "generation": generation_id, "k": k}
    )
    return [(int(id_), float(score)) for id_, score in rows]


def integrity_ok(connection: Connection) -> bool:
    """Tell whether both tables are internally consistent; needs a writing transaction."""
    return dialect_of(connection).integrity_ok(connection)


def rebuild(connection: Connection) -> None:
    """Rebuild both tables from the segments and locations."""
    dialect_of(connection).create(connection)
    passages = select(segments.c.id, segments.c.text).where(segments.c.text != "")
    for rows in _rows_at_once(connection, passages.order_by(segments.c.id)):
        put_passages(connection, ((row.id, row.text) for row in rows))
    files = (
        select(locations.c.id, locations.c.name, locations.c.folders, assets.c.details)
        .join(assets, assets.c.id == locations.c.asset_id)
        .order_by(locations.c.id)
    )
    for rows in _rows_at_once(connection, files):
        put_files(
            connection,
            [(r.id, r.name, r.folders[:-1], caption_of(r.details or {})) for r in rows],
            replaced=(),
        )


def _rows_at_once(
    connection: Connection, query: Select[*tuple[Any, ...]]
) -> Iterator[Sequence[Any]]:
    """Yield the rows of a query in parts that fit into memory, whatever the collection's size."""
    yield from connection.execute(query.execution_options(yield_per=REBUILT_AT_ONCE)).partitions()
