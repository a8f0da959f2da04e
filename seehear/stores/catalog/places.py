"""The catalog's places: roots, locations below them, files that could not be indexed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path

from sqlalchemy import Column, ColumnElement, and_, delete, insert, or_, select, update

from seehear.stores.catalog import reading
from seehear.stores.catalog.drawer import Drawer
from seehear.stores.catalog.paths import folder_range
from seehear.stores.catalog.records import Failure, Location, Root
from seehear.stores.catalog.schema import failures, locations, roots
from seehear.types import Ids


class Places(Drawer):
    """Where things lie."""

    def roots(self) -> list[Root]:
        """Every root, in the order in which they were added."""
        with self._read() as connection:
            rows = connection.execute(select(roots).order_by(roots.c.id))
            return [
                Root(row.id, Path(os.fsdecode(row.path)), bool(row.online), row.inode)
                for row in rows
            ]

    def add_root(self, path: Path) -> Root:
        """The root of that absolute path, made if there is none yet."""
        for root in self.roots():
            if root.path == path:
                return root
        with self.batch() as batch:
            batch.connection.execute(insert(roots).values(path=os.fsencode(path), online=True))
        return self.add_root(path)

    def set_online(self, root_id: int, online: bool, inode: int | None = None) -> None:
        """Say whether a root can be reached, and which folder (63 bits) it is where it can."""
        values = {"online": online} if inode is None else {"online": online, "inode": inode}
        with self.batch() as batch:
            batch.connection.execute(update(roots).where(roots.c.id == root_id).values(values))

    def locations(self, root_id: int) -> list[Location]:
        """Every location below a root."""
        with self._read() as connection:
            rows = connection.execute(
                select(locations).where(locations.c.root_id == root_id).order_by(locations.c.id)
            )
            return [reading.location_from(row) for row in rows]

    def locations_of(self, asset_ids: Sequence[int] | Ids) -> dict[int, list[Location]]:
        """Where assets lie."""
        found: dict[int, list[Location]] = {int(id_): [] for id_ in asset_ids}
        with self._read() as connection:
            for chunk in reading.chunks(asset_ids):
                rows = connection.execute(
                    select(locations)
                    .where(locations.c.asset_id.in_(chunk))
                    .order_by(locations.c.id)
                )
                for row in rows:
                    found[int(row.asset_id)].append(reading.location_from(row))
        return found

    def forget(self, path: Path) -> int:
        """Take a path and all below it out of the collection; returns how many files that were."""
        raw = os.fsencode(path)
        low, high = folder_range(path)

        def below(column: Column[bytes]) -> ColumnElement[bool]:
            return or_(column == raw, and_(column >= low, column < high))

        with self.batch() as batch:
            gone = list(
                batch.connection.scalars(select(locations.c.id).where(below(locations.c.path)))
            )
            for id_ in gone:
                batch.remove_location(int(id_))
            batch.remove_orphans()
            batch.connection.execute(delete(failures).where(below(failures.c.path)))
            used = select(locations.c.root_id).union(select(failures.c.root_id))
            batch.connection.execute(
                delete(roots).where(below(roots.c.path), roots.c.id.not_in(used))
            )
        return len(gone)

    def failures(self) -> list[Failure]:
        """Every file that could not be indexed, by path."""
        with self._read() as connection:
            rows = connection.execute(select(failures).order_by(failures.c.path))
            return [
                Failure(
                    path=Path(os.fsdecode(row.path)),
                    stage=row.stage,
                    reason=row.reason,
                    failed_at=row.failed_at.replace(tzinfo=UTC),
                    size_bytes=int(row.size_bytes),
                    modified_ns=int(row.modified_ns),
                    root_id=int(row.root_id),
                )
                for row in rows
            ]
