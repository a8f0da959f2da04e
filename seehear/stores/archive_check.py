"""Check what an archive contains against one declared shape, before any of it is used.

Whoever made an archive chose every byte of it. Its manifest, its schema and each value of each row
are compared with what seehear writes; the first that differs refuses the archive.
"""

from __future__ import annotations

import json
import math
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from seehear.errors import StoreError
from seehear.stores.catalog.database import FILE_NAME, HEAD, connect, migrate
from seehear.stores.catalog.paths import shown_parts
from seehear.stores.catalog.readings import unpack_lines
from seehear.stores.catalog.records import GenerationState, ReadingState
from seehear.stores.catalog.schema import NO_CONTENT
from seehear.types import Modality, Origin

MAX_LINE = 1_000
MAX_TEXT = 1 << 20
"""Characters of a passage, of a reason or of details."""
MAX_PATH = 1 << 14
MAX_DIM = 1 << 16
UNIT = 0.01
"""Largest difference from 1 of the length of a vector."""

_HASH = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
_WORDS = {"passage_words", "file_words"}
"""Virtual tables of FTS5, which keep their data in tables named after them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be; `wanted` completes the sentence "it must be"."""

    wanted: str
    fits: Callable[[Any], bool]

    def or_none(self) -> Rule:
        return Rule(f"{self.wanted} or empty", lambda value: value is None or self.fits(value))


def _whole(low: int = 0, high: int = (1 << 63) - 1) -> Rule:
    return Rule(
        f"a whole number from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
    )


def _one_of(*values: str) -> Rule:
    return Rule(f"one of {', '.join(values)}", lambda value: value in values)


def _text(most: int = MAX_TEXT) -> Rule:
    return Rule(
        f"text of at most {most:,} characters",
        lambda value: type(value) is str and len(value) <= most and "\0" not in value,
    )


def _line(most: int = MAX_LINE) -> Rule:
    return Rule(
        f"one line of at most {most:,} printable characters",
        lambda value: type(value) is str and 0 < len(value) <= most and value.isprintable(),
    )


def _matching(wanted: str, pattern: re.Pattern[str]) -> Rule:
    return Rule(wanted, lambda v: type(v) is str and pattern.fullmatch(v) is not None)


def _is_path(value: Any) -> bool:
    return (
        type(value) is bytes
        and len(value) <= MAX_PATH
        and b"\0" not in value
        and Path(os.fsdecode(value)).is_absolute()
        and os.path.normpath(value) == value
        and not value.startswith(b"//")
    )


def _is_time(value: Any) -> bool:
    if type(value) is not str or _TIME.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _parse(value: Any) -> Any:
    """Return the value of a JSON text, or None; NaN and infinity are not JSON."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    if type(value) is not str or len(value) > MAX_TEXT:
        return None
    try:
        return json.loads(value, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def _is_details(value: Any) -> bool:
    found = _parse(value)
    return type(found) is dict and all(
        type(one) is str or (type(one) in {int, float} and math.isfinite(one))
        for one in found.values()
    )


def _is_lines(value: Any) -> bool:
    try:
        return type(value) is bytes and unpack_lines(value) is not None
    except ValueError:
        return False


def _is_box(value: Any) -> bool:
    found = _parse(value)
    return type(found) is list and len(found) == 4 and all(_is_share(one) for one in found)


def _is_share(value: Any) -> bool:
    return type(value) in {int, float} and 0 <= value <= 1


ID = _whole(1)
SIZE = _whole()
SIGNED = _whole(-(1 << 63))
FLAG = _whole(0, 1)
PIXELS = _whole(0, (1 << 31) - 1).or_none()
MODALITY = _one_of(*Modality)
PATH = Rule("an absolute path without . and ..", _is_path)
WHEN = Rule("a date and time", _is_time)
SECONDS = Rule(
    "a finite number of seconds, not negative",
    lambda value: type(value) is float and math.isfinite(value) and value >= 0,
)
SHARE = Rule("a number from 0 to 1", _is_share)
LANGUAGE = _matching("a code of a language", re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{2,4})?"))
BLOB = Rule("bytes", lambda value: type(value) is bytes)
LINES = Rule("lines as a reader stores them", _is_lines)
CRC = _whole(0, (1 << 32) - 1)

SHAPE: Mapping[str, Mapping[str, Rule]] = {
    "counters": {"name": _one_of("change", "identity", "drawn_pages", "moves"), "value": SIZE},
    "roots": {
        "id": ID,
        "path": PATH,
        "online": FLAG,
        "inode": SIGNED.or_none(),
    },
    "assets": {
        "id": ID,
        "content_hash": _matching("a hash of 64 hexadecimal digits", _HASH),
        "modality": MODALITY,
        "format": _line(32),
        "size_bytes": SIZE,
        "width_px": PIXELS,
        "height_px": PIXELS,
        "duration_s": SECONDS.or_none(),
        "taken_at": WHEN.or_none(),
        "details": Rule("texts and finite numbers by name, as JSON", _is_details),
    },
    "locations": {
        "id": ID,
        "asset_id": ID,
        "root_id": ID,
        "path": PATH,
        "name": _text(MAX_PATH),
        "shown": _text(MAX_PATH),
        "folders": _text(MAX_PATH),
        "size_bytes": SIZE,
        "modified_ns": SIGNED,
        "inode": SIGNED,
        "sidecar_of": ID.or_none(),
    },
    "fingerprints": {"asset_id": ID, "version": _whole(0, 255), "data": BLOB},
    "failures": {
        "id": ID,
        "root_id": ID,
        "path": PATH,
        "stage": _line(16),
        "reason": _text(),
        "failed_at": WHEN,
        "size_bytes": SIGNED,
        "modified_ns": SIGNED,
    },
    "generations": {
        "id": ID,
        "model": _line(),
        "revision": _line(),
        "state": _one_of(*GenerationState),
        "created_at": WHEN,
    },
    "spaces": {
        "id": ID,
        "generation_id": ID,
        "name": _line(),
        "revision": _line(),
        "dim": _whole(1, MAX_DIM),
    },
    "encodings": {"generation_id": ID, "asset_id": ID, "damaged": FLAG},
    "segments": {
        "id": ID,
        "generation_id": ID,
        "asset_id": ID,
        "ordinal": _whole(NO_CONTENT, (1 << 31) - 1),
        "modality": MODALITY,
        "start_s": SECONDS.or_none(),
        "stop_s": SECONDS.or_none(),
        "text": _text().or_none(),
        "crc": CRC,
        "page": _whole(1, (1 << 31) - 1).or_none(),
        "origin": _one_of(*Origin).or_none(),
        "language": LANGUAGE.or_none(),
        "confidence": SHARE.or_none(),
        "box": Rule("four shares of a picture's size, as JSON", _is_box).or_none(),
    },
    "readings": {
        "asset_id": ID,
        "reader": _line(10),
        "engine": _line(),
        "state": _one_of(*ReadingState),
        "reason": _text(),
        "language": LANGUAGE.or_none(),
        "cost_s": SECONDS,
        "lines": LINES,
    },
    "settings": {"name": _line(32), "value": Rule("JSON", lambda value: _parse(value) is not None)},
    "vectors": {
        "segment_id": ID,
        "space_id": ID,
        "modality": MODALITY,
        "change": SIZE,
        "data": BLOB,
        "crc": CRC,
    },
    "removals": {"segment_id": ID, "generation_id": ID, "change": SIZE},
    "generation_blobs": {"generation_id": ID, "name": _line(200), "data": BLOB},
}
"""What each column of the newest schema may hold."""

MANIFEST: Mapping[str, Rule] = {
    "magic": _one_of("seehear-collection"),
    "layout": _whole(1),
    "schema": _one_of(*(f"{number:04}" for number in range(1, int(HEAD) + 1))),
    "size_bytes": SIZE,
    "digest": _matching("a hash of 64 hexadecimal digits", _HASH),
    "model": _line().or_none(),
    "assets": SIZE,
    "roots": Rule(
        "a list of printable paths",
        lambda value: type(value) is list and all(_line(4 * MAX_PATH).fits(one) for one in value),
    ),
    "exported_at": _matching(
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
    dims = dict(database.execute("SELECT id, dim FROM spaces"))
    for key, space_id, data in database.execute("SELECT segment_id, space_id, data FROM vectors"):
        if space_id not in dims or len(data) != 2 * dims[space_id]:
            yield "vectors", key, "data", "as long as its space says"
        else:
            row = np.frombuffer(data, dtype="<f2").astype(np.float32)
            if not abs(float(np.sqrt(row @ row)) - 1.0) < UNIT:  # also true of NaN
                yield "vectors", key, "data", "finite numbers of length 1"
