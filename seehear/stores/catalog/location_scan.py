"""Read known locations for an index run: by path, or one by one, never all at once."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select

from seehear.stores.catalog.base import CatalogBase
from seehear.stores.catalog.paths import folder_range
from seehear.stores.catalog.schema import encodings, locations

ASKED_AT_ONCE = 500
"""Paths in one statement."""

STREAMED_AT_ONCE = 1_000
"""Rows kept in memory while the locations of a whole root are read."""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the catalog knows of a file, for one generation.

    A `Location` without its path: an index run keeps one for each file that it works on.
    """

    id: int
    """Id of the location."""
    asset_id: int
    size_bytes: int
    modified_ns: int
    inode: int
    encoded: bool
    """Whether the generation has encoded the asset."""


@dataclass(frozen=True, slots=True)
class KnownLocation:
    """A location with its path as text."""

    id: int
    asset_id: int
    size_bytes: int
    path: str
    """Absolute. Bytes that are not UTF-8 are kept as surrogates (surrogateescape)."""


class LocationScan(CatalogBase):
    """Queries about the locations of a root, of any number."""

    def known_files(
        self, root_id: int, generation_id: int, paths: Sequence[str]
    ) -> dict[str, KnownFile]:
        """Return what the catalog knows of some paths in a root; unknown paths are left out."""
        found: dict[str, KnownFile] = {}
        with self._read() as connection:
            for start in range(0, len(paths), ASKED_AT_ONCE):
                chunk = [os.fsencode(path) for path in paths[start : start + ASKED_AT_ONCE]]
                asked = {"generation": generation_id, "paths": chunk}
                rows = connection.execute(_KNOWN_FILES, asked)
                for path, root, id_, asset, size_bytes, modified_ns, inode, done in rows:
                    if root == root_id:
                        found[os.fsdecode(path)] = KnownFile(
                            id_, asset, size_bytes, modified_ns, inode % (1 << 64), done is not None
                        )
        return found

    def count_locations(self, root_id: int, below: Path | None = None) -> int:
        """Count the locations of a root; with `below`, those at that path and below it."""
        with self._read() as connection:
            query = select(func.count()).select_from(locations).where(*_at_root(root_id, below))
            return int(connection.scalar(query) or 0)

    def known_locations(self, root_id: int, below: Path | None = None) -> Generator[KnownLocation]:
        """Yield the locations of a root, or those at a path and below it, by ascending id.

        They are read lazily, so that few are in memory; nothing should be written meanwhile.
        """
        query = (
            select(locations.c.id, locations.c.asset_id, locations.c.size_bytes, locations.c.path)
            .where(*_at_root(root_id, below))
            .order_by(locations.c.id)
            .execution_options(yield_per=STREAMED_AT_ONCE)
        )
        with self._read() as connection, connection.execute(query) as rows:
            for id_, asset_id, size_bytes, path in rows:
                yield KnownLocation(id_, asset_id, size_bytes, os.fsdecode(path))


_KNOWN_FILES = (
    select(
        locations.c.path,
        locations.c.root_id,
        locations.c.id,
        locations.c.asset_id,
        locations.c.size_bytes,
        locations.c.modified_ns,
        locations.c.inode,
        encodings.c.asset_id.label("encoded"),
    )
    .join_from(
        locations,
        encodings,
        and_(
            encodings.c.asset_id == locations.c.asset_id,
            encodings.c.generation_id == bindparam("generation"),
        ),
        isouter=True,
    )
    # The root is compared in Python: SQLite would otherwise scan the whole root by its index.
    .where(locations.c.path.in_(bindparam("paths", expanding=True)))
)


def _at_root(root_id: int, below: Path | None) -> list[ColumnElement[bool]]:
    if below is None:
        return [locations.c.root_id == root_id]
    raw, (low, high), path = os.fsencode(below), folder_range(below), locations.c.path
    return [
        # A sum, so that SQLite uses the index of paths and does not scan the whole root.
        locations.c.root_id + 0 == root_id,
        # One range of the index; paths in it that only have the same beginning are left out.
        and_(path >= raw, path < high, or_(path == raw, path >= low)),
    ]
