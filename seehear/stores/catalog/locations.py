"""Query the catalog's locations: roots, files below them, files that could not be indexed."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from seehear.errors import UsageError
from seehear.sources import is_remote, stored_path
from seehear.stores.catalog import reader
from seehear.stores.catalog.filter_sql import (
    LOCATIONS,
    conditions,
    display_asset,
    location_condition,
    own_location,
)
from seehear.stores.catalog.filters import Filter
from seehear.stores.catalog.paths import folder_range, shown_parts
from seehear.stores.catalog.records import (
    STATES,
    Failure,
    FileRecord,
    Location,
    Remark,
    Root,
    state_of,
)
from seehear.stores.catalog.schema import failures, locations, roots
from seehear.stores.catalog.statements import chunks, rows_of
from seehear.stores.catalog.transactions import Transactions
from seehear.stores.catalog.words import WordIndexes
from seehear.types import ITEMS, FileState, Ids


class Locations:
    """The locations of a catalog: its roots, the files below them, and the files that failed."""

    def __init__(self, transactions: Transactions, words: WordIndexes) -> None:
        self._transactions = transactions
        self._words = words

    def roots(self) -> list[Root]:
        """Return every folder or file that was indexed, in the order in which they were added."""
        indexed = select(roots).where(roots.c.path != ITEMS.encode())
        with self._transactions.read() as connection:
            rows = connection.execute(indexed.order_by(roots.c.id))
            return [
                Root(row.id, stored_path(row.path), bool(row.online), row.inode) for row in rows
            ]

    def add_root(self, path: Path) -> Root:
        """Return the root of that absolute path; create it if it is missing."""
        for root in self.roots():
            if root.path == path:
                return root
        with self._transactions.batch() as batch:
            batch.connection.execute(insert(roots).values(path=os.fsencode(path), online=True))
        return self.add_root(path)

    def set_online(self, root_id: int, online: bool, inode: int | None = None) -> None:
        """Store whether a root can be reached, and its folder's inode (63 bits) if it can."""
        values = {"online": online} if inode is None else {"online": online, "inode": inode}
        with self._transactions.batch() as batch:
            batch.connection.execute(update(roots).where(roots.c.id == root_id).values(values))
            batch.count(reader.MOVES)

    def in_root(self, root_id: int, most: int | None = None) -> list[Location]:
        """Return the locations below a root, by ascending id: all of them, or the first ones."""
        query = select(locations).where(locations.c.root_id == root_id)
        with self._transactions.read() as connection:
            rows = connection.execute(query.order_by(locations.c.id).limit(most))
            return [reader.location_from(row) for row in rows]

    def is_known(self, path: Path) -> bool:
        """Tell whether a path is a root, or a file was met at it or below it."""
        with self._transactions.read() as connection:
            at = roots.c.path == os.fsencode(path)
            conditions = [at, *(_below(table.c.path, path) for table in (locations, failures))]
            found = (select(1).where(condition).limit(1) for condition in conditions)
            return any(connection.scalar(query) for query in found)

    def in_folder(self, folder: Path) -> list[Location]:
        """Return the locations in a folder, without those in the folders below it."""
        here = shown_parts(os.fsencode(folder / "file"))["folders"]
        query = select(locations).where(
            _below(locations.c.path, folder), locations.c.folders == here
        )
        with self._transactions.read() as connection:
            return [reader.location_from(row) for row in connection.execute(query)]

    def of_assets(self, asset_ids: Sequence[int] | Ids) -> dict[int, list[Location]]:
        """Return the locations of assets, by asset id."""
        found: dict[int, list[Location]] = {int(id_): [] for id_ in asset_ids}
        with self._transactions.read() as connection:
            for chunk in chunks(asset_ids):
                rows = connection.execute(
                    select(locations)
                    .where(locations.c.asset_id.in_(chunk))
                    .order_by(locations.c.id)
                )
                for row in rows:
                    found[int(row.asset_id)].append(reader.location_from(row))
        return found

    def paths(self, asset_ids: Sequence[int]) -> dict[int, list[Path]]:
        """Return the paths of assets, by asset id, the oldest location first."""
        found: dict[int, list[Path]] = {id_: [] for id_ in asset_ids}
        with self._transactions.read() as connection:
            for asset_id, path in rows_of(connection, "paths", asset_ids):
                found[asset_id].append(stored_path(path))
        return found

    def matching_paths(
        self,
        asset_ids: Sequence[int],
        *,
        under: Path | None = None,
        where: Filter | None = None,
    ) -> dict[int, list[Path]]:
        """Return the paths of assets that are below a folder and match a filter.

        One location must meet both conditions. Reachable locations come first, then the oldest;
        assets without such a location are left out.
        """
        found: dict[int, list[Path]] = {}
        own, beside = own_location.c.asset_id, own_location.c.sidecar_of
        with self._transactions.read() as connection:
            met = conditions(under, where, partial(self._words.passages_with, connection))
            for chunk in chunks(asset_ids):
                leads_there = or_(own.in_(chunk), beside.in_(chunk))  # has an index
                rows = connection.execute(
                    select(display_asset.c.id, location_condition("path"))
                    .select_from(LOCATIONS)
                    .join(roots, roots.c.id == location_condition("root_id"))
                    .where(display_asset.c.id.in_(chunk), leads_there, *met)
                    .order_by(roots.c.online.desc(), location_condition("id"))
                )
                for asset_id, raw in rows:
                    paths = found.setdefault(int(asset_id), [])
                    if (path := stored_path(raw)) not in paths:  # repeated for a video's subtitles
                        paths.append(path)
        return found

    def any_matching(self, where: Filter | None) -> bool:
        """Tell whether any file meets a filter."""
        with self._transactions.read() as connection:
            met = conditions(None, where, partial(self._words.passages_with, connection))
            found = select(1).select_from(LOCATIONS).where(*met).limit(1)
            return connection.execute(found).first() is not None

    def folders(self) -> list[Path]:
        """Return the folders that hold files, sorted."""
        first = select(func.min(locations.c.id)).group_by(locations.c.folders)
        with self._transactions.read() as connection:
            paths = connection.scalars(select(locations.c.path).where(locations.c.id.in_(first)))
            found = {stored_path(path).parent for path in paths}
        return sorted(found - {Path(ITEMS)})

    def any_below(self, folder: Path) -> bool:
        """Tell whether the catalog has a location at a path or below it."""
        found = select(1).where(_below(locations.c.path, folder)).limit(1)
        with self._transactions.read() as connection:
            return connection.execute(found).first() is not None

    def asset_at(self, path: Path) -> int | None:
        """Return the asset whose file lies at a path, None where the catalog has none."""
        found = select(locations.c.asset_id).where(locations.c.path == os.fsencode(path))
        with self._transactions.read() as connection:
            asset_id = connection.scalar(found)
        return None if asset_id is None else int(asset_id)

    def remove(self, path: Path) -> int:
        """Remove a path and everything below it from the collection; return the number of files."""
        with self._transactions.batch() as batch:
            gone = list(
                batch.connection.scalars(
                    select(locations.c.id).where(_below(locations.c.path, path))
                )
            )
            for id_ in gone:
                batch.remove_location(int(id_))
            batch.remove_orphans()
            batch.connection.execute(delete(failures).where(_below(failures.c.path, path)))
            used = select(locations.c.root_id).union(select(failures.c.root_id))
            batch.connection.execute(
                delete(roots).where(_below(roots.c.path, path), roots.c.id.not_in(used))
            )
        return len(gone)

    def failures(self) -> list[Failure]:
        """Return every file that could not be indexed, by path."""
        with self._transactions.read() as connection:
            rows = connection.execute(
                select(failures).where(failures.c.stage.not_in(STATES)).order_by(failures.c.path)
            )
            return [failure_from(row) for row in rows]

    def unsupported(self) -> dict[str, int]:
        """Return how many files are of kinds that are not read, by suffix."""
        by_suffix = (
            select(failures.c.reason, func.count())
            .where(failures.c.stage == Remark.KIND)
            .group_by(failures.c.reason)
        )
        with self._transactions.read() as connection:
            return {suffix: int(number) for suffix, number in connection.execute(by_suffix)}

    def files(
        self, states: Collection[FileState] = (), under: Path | None = None
    ) -> list[FileRecord]:
        """Return the files that were met, by path: of some states, and below a folder.

        Without `states`, files of every state.
        """
        found: list[FileRecord] = []
        with self._transactions.read() as connection:
            remarked = select(failures.c.path, failures.c.stage, failures.c.reason)
            if under is not None:
                remarked = remarked.where(_below(failures.c.path, under))
            for path, stage, reason in connection.execute(remarked):
                told = {
                    Remark.KIND: f"files of this kind are not read ({reason})",
                    Remark.BESIDE: "",
                }.get(stage, reason)
                found.append(FileRecord(stored_path(path), state_of(stage), told))
            if not states or FileState.COMPLETE in states:
                complete = select(locations.c.path).where(
                    ~exists().where(failures.c.path == locations.c.path)
                )
                if under is not None:
                    complete = complete.where(_below(locations.c.path, under))
                found += [
                    FileRecord(stored_path(path), FileState.COMPLETE)
                    for path in connection.scalars(complete)
                ]
        wanted = [one for one in found if not states or one.state in states]
        return sorted(wanted, key=lambda one: os.fsencode(one.path))

    def relocate(self, mapping: Mapping[Path, Path]) -> None:
        """Map stored paths from old folders to new ones, as after a move to another machine.

        The longest old folder that matches a path is used. A folder that leaves its root becomes
        a root. Raises UsageError for an old folder that no path matches, and where two paths would
        become the same.
        """
        folders = sorted(
            ((os.fsencode(old).rstrip(b"/"), os.fsencode(new).rstrip(b"/"))
             for old, new in mapping.items()),
            key=lambda pair: -len(pair[0]),
        )  # fmt: skip
        used: set[bytes] = set()
        with self._transactions.batch() as batch:
            for table in (roots, locations, failures):
                found = batch.connection.execute(select(table.c.id, table.c.path)).all()
                moved = [(int(row.id), _moved(bytes(row.path), folders, used)) for row in found]
                try:
                    _put_paths(batch.connection, table, [(id_, to) for id_, to in moved if to])
                except IntegrityError:
                    raise UsageError(
                        "two files would get the same path; --map their folders to different ones"
                    ) from None
            unused = [old for old, _ in folders if old not in used]
            if unused:
                raise UsageError(
                    f"the export has no folder {os.fsdecode(unused[0]) or '/'}; its folders "
                    f"are {', '.join(str(root.path) for root in self.roots()) or 'none'}"
                )
            for _, new in folders:
                _put_in_roots(batch.connection, new or b"/")
            indexed = select(roots.c.id, roots.c.path).where(roots.c.path != ITEMS.encode())
            for row in batch.connection.execute(indexed).all():
                there = is_remote(stored_path(row.path)) or os.path.lexists(row.path)
                batch.connection.execute(
                    update(roots).where(roots.c.id == row.id).values(online=there, inode=None)
                )
            batch.connection.execute(
                update(locations).values(change=batch.count(reader.LOCATION_CHANGES))
            )


def failure_from(row: Any) -> Failure:
    """Return the failure of a row of `failures`."""
    return Failure(
        path=stored_path(row.path),
        stage=row.stage,
        reason=row.reason,
        failed_at=row.failed_at.replace(tzinfo=UTC),
        size_bytes=int(row.size_bytes),
        modified_ns=int(row.modified_ns),
        root_id=int(row.root_id),
    )


def _below(column: Column[bytes], path: Path) -> ColumnElement[bool]:
    low, high = folder_range(path)
    return or_(column == os.fsencode(path), and_(column >= low, column < high))


def _moved(path: bytes, folders: Sequence[tuple[bytes, bytes]], used: set[bytes]) -> bytes | None:
    """Return the new path, or None for a path that stays."""
    for old, new in folders:
        if path == old or path.startswith(old + b"/"):
            used.add(old)
            return new + path[len(old) :] or b"/"
    return None


def _put_in_roots(connection: Connection, folder: bytes) -> None:
    """Make a folder a root if it has paths that are outside their root, and give them to it."""
    known = {bytes(row.path): int(row.id) for row in connection.execute(select(roots))}
    for table in (locations, failures):
        below = _below(table.c.path, stored_path(folder))
        rows = connection.execute(select(table.c.id, table.c.path, table.c.root_id).where(below))
        outside = [
            int(row.id)
            for row in rows
            if not any(
                id_ == row.root_id
                and (row.path == root or row.path.startswith(root.rstrip(b"/") + b"/"))
                for root, id_ in known.items()
            )
        ]
        if not outside:
            continue
        if folder not in known:
            made = connection.execute(insert(roots).values(path=folder, online=True))
            known[folder] = int(made.inserted_primary_key[0])  # type: ignore[index]
        for chunk in chunks(outside):
            inside = update(table).where(table.c.id.in_(chunk))
            connection.execute(inside.values(root_id=known[folder]))


def _put_paths(connection: Connection, table: Table, paths: Sequence[tuple[int, bytes]]) -> None:
    """Write paths by id, first under temporary names, so that two paths can be exchanged."""
    for aside in (b"\0", b""):
        rows = []
        for id_, path in paths:
            row: dict[str, Any] = {"row": id_, "to": aside + path}
            if table is locations:
                row |= {f"new_{name}": value for name, value in shown_parts(path).items()}
            rows.append(row)
        if rows:
            names = [name.removeprefix("new_") for name in rows[0] if name.startswith("new_")]
            connection.execute(
                update(table)
                .where(table.c.id == bindparam("row"))
                .values(path=bindparam("to"), **{n: bindparam(f"new_{n}") for n in names}),
                rows,
            )
