"""Check what an archive contains against one declared shape, before any of it is used.

Whoever made an archive chose every byte of it. Its manifest, its schema and each value of each row
are compared with what seehear writes; the first that differs refuses the archive.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from seehear.errors import StoreError
from seehear.own_fields import FieldType, value_rows, values_from
from seehear.stores.archive_rules import (
    BLOB,
    BOX,
    CRC,
    DETAILS,
    FIELD,
    FLAG,
    HASH,
    ID,
    JSON,
    LANGUAGE,
    LINES,
    MAX_DIM,
    MAX_LINE,
    MAX_PATH,
    MODALITY,
    NUMBER,
    PATH,
    PIXELS,
    SECONDS,
    SHARE,
    SIGNED,
    SIZE,
    WHEN,
    Rule,
    choice_rule,
    line_rule,
    pattern_rule,
    text_rule,
    whole_rule,
)
from seehear.stores.catalog.database import FILE_NAME, HEAD, connect, migrate
from seehear.stores.catalog.paths import shown_parts
from seehear.stores.catalog.records import GenerationState, ReadingState
from seehear.stores.catalog.schema import NO_CONTENT
from seehear.types import Origin

UNIT = 0.01
"""Largest difference from 1 of the length of a vector."""
_WORDS = {"passage_words", "file_words"}
"""Virtual tables of FTS5, which keep their data in tables named after them."""

SHAPE: Mapping[str, Mapping[str, Rule]] = {
    "counters": {
        "name": choice_rule("change", "locations", "identity", "drawn_pages", "moves"),
        "value": SIZE,
    },
    "roots": {
        "id": ID,
        "path": PATH,
        "online": FLAG,
        "inode": SIGNED.or_none(),
    },
    "assets": {
        "id": ID,
        "content_hash": HASH,
        "modality": MODALITY,
        "format": line_rule(32),
        "size_bytes": SIZE,
        "width_px": PIXELS,
        "height_px": PIXELS,
        "duration_s": SECONDS.or_none(),
        "taken_at": WHEN.or_none(),
        "details": DETAILS,
    },
    "locations": {
        "id": ID,
        "asset_id": ID,
        "root_id": ID,
        "path": PATH,
        "name": text_rule(MAX_PATH),
        "shown": text_rule(MAX_PATH),
        "folders": text_rule(MAX_PATH),
        "size_bytes": SIZE,
        "modified_ns": SIGNED,
        "inode": SIGNED,
        "sidecar_of": ID.or_none(),
        "change": SIZE,
    },
    "fingerprints": {"asset_id": ID, "version": whole_rule(0, 255), "data": BLOB},
    "failures": {
        "id": ID,
        "root_id": ID,
        "path": PATH,
        "stage": line_rule(16),
        "reason": text_rule(),
        "failed_at": WHEN,
        "size_bytes": SIGNED,
        "modified_ns": SIGNED,
    },
    "generations": {
        "id": ID,
        "model": line_rule(),
        "revision": line_rule(),
        "state": choice_rule(*GenerationState),
        "created_at": WHEN,
    },
    "spaces": {
        "id": ID,
        "generation_id": ID,
        "name": line_rule(),
        "revision": line_rule(),
        "dim": whole_rule(1, MAX_DIM),
    },
    "encodings": {"generation_id": ID, "asset_id": ID, "damaged": FLAG},
    "segments": {
        "id": ID,
        "generation_id": ID,
        "asset_id": ID,
        "ordinal": whole_rule(NO_CONTENT, (1 << 31) - 1),
        "modality": MODALITY,
        "start_s": SECONDS.or_none(),
        "stop_s": SECONDS.or_none(),
        "text": text_rule().or_none(),
        "crc": CRC,
        "page": whole_rule(1, (1 << 31) - 1).or_none(),
        "origin": choice_rule(*Origin).or_none(),
        "language": LANGUAGE.or_none(),
        "confidence": SHARE.or_none(),
        "box": BOX.or_none(),
    },
    "readings": {
        "asset_id": ID,
        "reader": line_rule(10),
        "engine": line_rule(),
        "state": choice_rule(*ReadingState),
        "reason": text_rule(),
        "language": LANGUAGE.or_none(),
        "cost_s": SECONDS,
        "lines": LINES,
    },
    "items": {
        "asset_id": ID,
        "key": text_rule(MAX_LINE),
        "added_at": WHEN,
        "changed_at": WHEN,
        "content_name": line_rule().or_none(),
        "content": BLOB.or_none(),
    },
    "item_fields": {"name": FIELD, "type": choice_rule(*FieldType)},
    "item_values": {
        "asset_id": ID,
        "name": FIELD,
        "position": SIZE,
        "text": text_rule(),
        "number": NUMBER.or_none(),
        "time": WHEN.or_none(),
    },
    "settings": {"name": line_rule(32), "value": JSON},
    "vectors": {
        "segment_id": ID,
        "space_id": ID,
        "modality": MODALITY,
        "change": SIZE,
        "data": BLOB,
        "crc": CRC,
    },
    "removals": {"segment_id": ID, "generation_id": ID, "change": SIZE},
    "generation_blobs": {"generation_id": ID, "name": line_rule(200), "data": BLOB},
}
"""What each column of the newest schema may hold."""

MANIFEST: Mapping[str, Rule] = {
    "magic": choice_rule("seehear-collection"),
    "layout": whole_rule(1),
    "schema": choice_rule(*(f"{number:04}" for number in range(1, int(HEAD) + 1))),
    "size_bytes": SIZE,
    "digest": HASH,
    "model": line_rule().or_none(),
    "assets": SIZE,
    "roots": Rule(
        "a list of printable paths",
        lambda value: (
            type(value) is list and all(line_rule(4 * MAX_PATH).fits(one) for one in value)
        ),
    ),
    "exported_at": pattern_rule(
        "a date and time", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
    ),
}


def manifest_fault(values: Any) -> str | None:
    """Return what is wrong with the values of a manifest, in words, or None."""
    if type(values) is not dict or values.keys() != MANIFEST.keys():
        return "it does not have the fields of an export"
    for name, rule in MANIFEST.items():
        if not rule.fits(values[name]):
            return f"{name} must be {rule.wanted}"
    return None


def check_schema(path: Path, archive: Path, version: str) -> None:
    """Raise StoreError unless a database has exactly the schema that we write in a version.

    Tables, columns, types, defaults, checks and indexes are compared, as the database keeps them.
    Triggers and views are refused: seehear has none.
    """
    reference = path.with_name("reference.db")
    engine = connect(reference, None, read_only=False)
    migrate(engine, version)
    engine.dispose()
    wanted, found = _schema_of(reference), _schema_of(path)
    for suffix in ("", "-wal", "-shm"):
        reference.with_name(f"{reference.name}{suffix}").unlink(missing_ok=True)
    for kind, name in [*found, *wanted]:
        if (kind, name) not in wanted:
            told = kind if kind in {"table", "index", "trigger", "view"} else "thing"
            raise StoreError(f"{archive} contains more than a catalog (a {told}); not imported")
        if found.get((kind, name)) != wanted[kind, name]:
            raise StoreError(
                f"{archive} was not imported: the {kind} {name} of its catalog is missing or not "
                f"that of schema {version}; export it again"
            )


def _schema_of(path: Path) -> dict[tuple[str, str], str]:
    """Return the statements that made a database, by kind and name; without FTS5's own tables."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    return {
        (str(kind), str(name)): _plain(f"{table} {sql}")
        for kind, name, table, sql in rows
        if not any(str(table).startswith(f"{words}_") for words in _WORDS)
    }


def _plain(sql: str) -> str:
    """Return a statement without what versions of SQLite write differently."""
    return re.sub(r"\s*([(),])\s*", r"\1", " ".join(sql.replace('"', "").split()))


def check_values(folder: Path, refusal: str) -> None:
    """Raise StoreError unless every value of a catalog is one that seehear could have written.

    The catalog must have the newest schema. `refusal` begins the message.
    """
    try:
        with closing(sqlite3.connect(folder / FILE_NAME)) as database:
            database.execute("REINDEX")
            for table, key, column, wanted in _unfit(database):
                raise StoreError(f"{refusal}: in row {key} of {table}, {column} must be {wanted}")
    except sqlite3.Error as error:
        raise StoreError(f"{refusal}: its catalog cannot be read") from error


def _unfit(database: sqlite3.Connection) -> Iterator[tuple[str, int, str, str]]:
    """Yield the values that do not fit, as (table, row, column, what it must be)."""
    for table, rules in SHAPE.items():
        for key, *row in database.execute(f"SELECT rowid, {', '.join(rules)} FROM {table}"):
            for (column, rule), value in zip(rules.items(), row, strict=True):
                if not rule.fits(value):
                    yield table, key, column, rule.wanted
    yield from _relations(database)


def _relations(database: sqlite3.Connection) -> Iterator[tuple[str, int, str, str]]:
    """Yield the values that do not fit others, as `_unfit` does."""
    roots = dict(database.execute("SELECT id, path FROM roots"))
    for table in ("locations", "failures"):
        for key, root_id, path in database.execute(f"SELECT id, root_id, path FROM {table}"):
            root = roots.get(root_id)
            if root is None or not (path == root or path.startswith(root.rstrip(b"/") + b"/")):
                yield table, key, "path", "a path inside its root"
    for key, path, *parts in database.execute(
        "SELECT id, path, name, shown, folders FROM locations"
    ):
        if shown_parts(path) != dict(zip(("name", "shown", "folders"), parts, strict=True)):
            yield "locations", key, "name, shown, folders", "those of its path"
    for (key,) in database.execute(
        "SELECT l.id FROM locations l JOIN assets a ON a.id = l.sidecar_of "
        "WHERE a.modality NOT IN ('audio', 'video')"
    ):
        yield "locations", key, "sidecar_of", "a video or sound"
    for (key,) in database.execute(
        "SELECT id FROM segments WHERE (start_s IS NULL) <> (stop_s IS NULL) OR start_s > stop_s"
    ):
        yield "segments", key, "stop_s", "a time that is not before start_s"
    for (key,) in database.execute(
        "SELECT id FROM segments s WHERE ordinal = ? AND (start_s IS NOT NULL OR text IS NOT NULL "
        "OR page IS NOT NULL OR EXISTS (SELECT 1 FROM vectors WHERE segment_id = s.id))",
        (NO_CONTENT,),
    ):
        yield "segments", key, "ordinal", "0 or more where the segment has content"
    yield from _field_values(database)
    dims = dict(database.execute("SELECT id, dim FROM spaces"))
    for key, space_id, data in database.execute("SELECT segment_id, space_id, data FROM vectors"):
        if space_id not in dims or len(data) != 2 * dims[space_id]:
            yield "vectors", key, "data", "as long as its space says"
        else:
            row = np.frombuffer(data, dtype="<f2").astype(np.float32)
            if not abs(float(np.sqrt(row @ row)) - 1.0) < UNIT:  # also true of NaN
                yield "vectors", key, "data", "finite numbers of length 1"


def _field_values(database: sqlite3.Connection) -> Iterator[tuple[str, int, str, str]]:
    """Yield the values of fields that do not fit the type of their field, as `_unfit` does."""
    for key, kind, *value in database.execute(
        "SELECT v.rowid, f.type, v.asset_id, v.name, v.position, v.text, v.number, v.time "
        "FROM item_values v LEFT JOIN item_fields f ON f.name = v.name"
    ):
        if not _is_as_written(kind, *value):
            yield "item_values", key, "text, number, time", f"those of a {kind}"


def _is_as_written(
    kind: str, asset_id: int, name: str, position: int, text: str, *compared: Any
) -> bool:
    """Tell whether a value of a field is what seehear writes for one of that type."""
    try:
        (row,) = value_rows(asset_id, values_from([(name, kind, text)]))
    except (ValueError, OverflowError, AttributeError):
        return False
    when = None if row["time"] is None else row["time"].isoformat(" ", "microseconds")
    return (row["text"], row["number"], when) == (text, *compared)
