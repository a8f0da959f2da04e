"""Check the consistency of a catalog, with queries that find nothing in a consistent one."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, LargeBinary, cast, select, text
from sqlalchemy.exc import DatabaseError

from seehear.stores.catalog.checksums import is_intact, segment_crc
from seehear.stores.catalog.reader import BLOCK, VECTOR
from seehear.stores.catalog.schema import locations, segments, vectors

EXAMPLES = 5
"""Number of example rows that an issue names."""


class Severity(StrEnum):
    """How bad an issue is: data that exists nowhere else, rows that the next index run makes from
    their files again, or derived data that can be rebuilt at once."""

    DATA_LOSS = "truth"
    DAMAGED = "damaged"
    DERIVED = "derived"


@dataclass(frozen=True, slots=True)
class IntegrityIssue:
    """An inconsistency in a catalog, and how often it occurs."""

    what: str
    count: int
    kind: Severity = Severity.DATA_LOSS
    examples: tuple[str, ...] = ()


_RULES = {
    "segments have no vector": """
        SELECT s.id FROM segments s
        WHERE s.ordinal >= 0 AND s.modality <> 'text'
        AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.segment_id = s.id)""",
    "vectors have no segment": """
        SELECT v.segment_id FROM vectors v
        WHERE NOT EXISTS (SELECT 1 FROM segments s WHERE s.id = v.segment_id)""",
    "vectors do not match the modality or generation of their segment": """
        SELECT v.segment_id FROM vectors v
        JOIN segments s ON s.id = v.segment_id JOIN spaces p ON p.id = v.space_id
        WHERE v.modality <> s.modality OR p.generation_id <> s.generation_id""",
    "vectors are shorter or longer than their space": """
        SELECT v.segment_id FROM vectors v JOIN spaces p ON p.id = v.space_id
        WHERE length(v.data) <> 2 * p.dim""",
    "vectors or removals carry a change number from the future": """
        SELECT segment_id FROM vectors
        WHERE change > (SELECT value FROM counters WHERE name = 'change')
        UNION SELECT segment_id FROM removals
        WHERE change > (SELECT value FROM counters WHERE name = 'change')""",
    "segments are both present and removed": """
        SELECT r.segment_id FROM removals r JOIN segments s ON s.id = r.segment_id""",
    "segments belong to assets that are not marked as encoded": """
        SELECT s.id FROM segments s
        WHERE NOT EXISTS (SELECT 1 FROM encodings e
            WHERE e.asset_id = s.asset_id AND e.generation_id = s.generation_id)""",
    "segments are duplicated": """
        SELECT max(id) FROM segments GROUP BY generation_id, asset_id, ordinal
        HAVING count(*) > 1""",
    "readings belong to contents that are gone": """
        SELECT r.asset_id FROM readings r
        WHERE NOT EXISTS (SELECT 1 FROM assets a WHERE a.id = r.asset_id)""",
    "items have no location": """
        SELECT i.asset_id FROM items i
        WHERE NOT EXISTS (SELECT 1 FROM locations l WHERE l.asset_id = i.asset_id)""",
    "fields belong to items that are gone": """
        SELECT v.asset_id FROM item_values v
        WHERE NOT EXISTS (SELECT 1 FROM items i WHERE i.asset_id = v.asset_id)""",
    "generations are in use beside another one": """
        SELECT id FROM generations WHERE state = 'serving'
        AND id <> (SELECT max(id) FROM generations WHERE state = 'serving')""",
    "counters are missing": """
        SELECT name FROM (
            SELECT 'change' AS name UNION SELECT 'locations' UNION SELECT 'identity') AS wanted
        WHERE name NOT IN (SELECT name FROM counters)""",
}


@dataclass(frozen=True, slots=True)
class DamagedEncoding:
    """An asset with rows that are not as they were written, in one generation."""

    generation_id: int
    asset_id: int
    name: str
    """Its path, or its content hash if it has no location."""


_INDEX_WORDS = ("missing from index", "wrong # of entries in index", "non-unique entry in index")
"""SQLite's words for errors in an index, which can be rebuilt from the table."""


def integrity_issues(connection: Connection) -> list[IntegrityIssue]:
    """Return every inconsistency; on SQLite also in the database's own structure."""
    try:
        found = _structure(connection) if connection.dialect.name == "sqlite" else []
    except DatabaseError as error:
        if not is_corrupt(error):
            raise
        return [IntegrityIssue("the database is damaged", 1, examples=(str(error.orig),))]
    if any(fault.kind is Severity.DATA_LOSS for fault in found):
        return found  # nothing read from a damaged database can be trusted
    found += [_fault(connection, what, query) for what, query in _RULES.items()]
    return [fault for fault in found if fault.count]


def damaged_encodings(connection: Connection) -> list[DamagedEncoding]:
    """Return the encodings with segments or vectors that no longer have their checksum.

    Reads every vector of the catalog.
    """
    in_blocks = {"yield_per": BLOCK}
    words: Any = segments.c.text
    if connection.dialect.name == "sqlite":  # damaged text need not be valid Unicode
        words = cast(words, LargeBinary)
    described = select(
        segments.c.generation_id,
        segments.c.asset_id,
        segments.c.ordinal,
        segments.c.modality,
        segments.c.start_s,
        segments.c.stop_s,
        words,
        segments.c.page,
        segments.c.origin,
        segments.c.language,
        segments.c.confidence,
        segments.c.box,
        segments.c.crc,
    )
    damaged: set[tuple[int, int]] = set()
    for *row, crc in connection.execute(described, execution_options=in_blocks):
        try:
            whole = crc == segment_crc(*row)
        except (TypeError, AttributeError):  # a value of another type
            whole = False
        if not whole:
            damaged.add((row[0], row[1]))
    of_vectors = select(segments.c.generation_id, segments.c.asset_id, *VECTOR).join_from(
        vectors, segments, segments.c.id == vectors.c.segment_id
    )
    for generation_id, asset_id, *row in connection.execute(
        of_vectors, execution_options=in_blocks
    ):
        if not is_intact(*row):
            damaged.add((generation_id, asset_id))
    return [
        DamagedEncoding(generation_id, asset_id, _name(connection, asset_id))
        for generation_id, asset_id in sorted(damaged)
    ]


def _name(connection: Connection, asset_id: int) -> str:
    at = select(locations.c.path).where(locations.c.asset_id == asset_id).order_by(locations.c.id)
    path = connection.scalar(at.limit(1))
    return f"content {asset_id}" if path is None else os.fsdecode(path)


def is_corrupt(error: DatabaseError) -> bool:
    """Tell whether SQLite reports a damaged file."""
    code = getattr(error.orig, "sqlite_errorcode", 0)
    return bool(code & 0xFF == sqlite3.SQLITE_CORRUPT)


def pending_work(connection: Connection) -> list[IntegrityIssue]:
    """Return the work that an interrupted run leaves for the next one; it is not a fault."""
    queries = {
        "contents no longer have a file": """
            SELECT id FROM assets WHERE id NOT IN (SELECT asset_id FROM locations)""",
        "contents are not encoded yet": """
            SELECT DISTINCT l.asset_id FROM locations l JOIN roots r ON r.id = l.root_id
            WHERE r.online AND l.asset_id NOT IN (SELECT e.asset_id FROM encodings e
                JOIN generations g ON g.id = e.generation_id
                WHERE g.state = 'serving' AND NOT e.damaged)""",
    }
    found = [_fault(connection, what, query) for what, query in queries.items()]
    return [fault for fault in found if fault.count]


def _fault(
    connection: Connection, what: str, query: str, kind: Severity = Severity.DATA_LOSS
) -> IntegrityIssue:
    rows = [str(row[0]) for row in connection.execute(text(query))]
    return IntegrityIssue(what, len(rows), kind, tuple(rows[:EXAMPLES]))


def _structure(connection: Connection) -> list[IntegrityIssue]:
    told = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(100)")]
    told = [line for line in told if line != "ok"]
    of_index = [line for line in told if any(words in line for words in _INDEX_WORDS)]
    broken = [line for line in told if line not in of_index]
    loose = [
        f"{row[0]} row {row[1]} refers to no row of {row[2]}"
        for row in connection.exec_driver_sql("PRAGMA foreign_key_check")
    ]
    listed = (
        ("the database is damaged", broken, Severity.DATA_LOSS),
        ("indexes of the database are damaged", of_index, Severity.DERIVED),
        ("rows refer to missing rows", loose, Severity.DATA_LOSS),
    )
    return [
        IntegrityIssue(what, len(lines), kind, tuple(lines[:EXAMPLES]))
        for what, lines, kind in listed
        if lines
    ]
