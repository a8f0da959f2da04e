"""Compare the files of a scan with the catalog, by joins with a temporary table.

    file now, location before                              found by
    ------------------------------------------------------ ----------------------------------
    same size, time and inode, and encoded                 unchanged: the join
    no change since an earlier failure, or not read        failed or skipped before: the join
    not a regular file                                     skipped: a link
    anything else                                          a task: the rest of the join
    no file, and the scan knows that it is gone            gone: the join the other way

The tables are not part of the catalog: writing to them takes no lock of it, and each statement that
reads the catalog ends before the next one begins, so that readers and the writer go on. SQLite
keeps them in a file without a name in the collection's folder, PostgreSQL on its server; both
delete them when the connection ends, even if the process is killed. Any number of files needs the
same memory.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Index,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from seehear.sources import stored_path
from seehear.stores.catalog.database import attach, store_errors
from seehear.stores.catalog.locations import failure_from
from seehear.stores.catalog.paths import folder_range
from seehear.stores.catalog.records import (
    RACY_INODE,
    STATES,
    Failure,
    FileTask,
    Remark,
    ScannedFile,
)
from seehear.stores.catalog.schema import Key, assets, encodings, failures, locations
from seehear.stores.catalog.statements import CHUNK, chunks

SCRATCH_FILE = ".scan.db"
"""Without a name from the moment that it is open, where the system allows it."""


class ScanTable:
    """The files of one scan, and what follows from them. May be used from several threads.

    Raises StoreError, or StorageFullError where the disk cannot hold the tables.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.gone = 0
        """Number of locations that are gone and not taken yet."""
        self.task_count = 0
        self.task_bytes = 0
        """Total size of the files of the tasks."""
        self.remarks = Counter[Remark]()
        """Files without a task that are partial, without content, or links."""
        self._lock = threading.Lock()
        is_sqlite = engine.dialect.name == "sqlite"
        self._files, self._tasks, self._gone = _tables(is_sqlite)
        with store_errors("list the files"):
            self._connection = engine.connect()
            try:
                self._connection.detach()  # closing it ends the tables
                if is_sqlite:
                    attach(self._connection, folder / SCRATCH_FILE)
                self._files.metadata.create_all(self._connection, checkfirst=False)
                self._connection.commit()
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _step(self) -> Iterator[Connection]:
        """Open one short transaction."""
        with self._lock, store_errors("list the files"):
            try:
                yield self._connection
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise

    def add(self, root_id: int, files: Sequence[ScannedFile]) -> None:
        """Add scanned files of a root."""
        rows = [
            {
                "root_id": root_id,
                "path": os.fsencode(file.path),
                "size_bytes": file.size_bytes,
                "modified_ns": file.modified_ns,
                "inode": file.inode,
                "skipped": file.skipped,
            }
            for file in files
        ]
        if rows:
            with self._step() as connection:
                connection.execute(insert(self._files), rows)

    def find_gone(
        self, root_id: int, below: Path | None, is_gone: Callable[[str], bool] | None
    ) -> list[str]:
        """Find locations of a root, or of a part of it, whose file was not scanned.

        `is_gone` tells whether a file with that path would have been scanned; without it, all
        would have been. Returns the paths of failures whose file is gone.
        """
        files, gone = self._files, self._gone
        with self._step() as connection:
            last = connection.scalar(select(func.max(gone.c.id))) or 0
            missing = select(locations.c.id, locations.c.asset_id, locations.c.size_bytes).where(
                *_at_root(locations, root_id, below),
                ~exists().where(files.c.path == locations.c.path, files.c.skipped.is_(None)),
            )
            connection.execute(
                insert(gone).from_select(
                    ["location_id", "asset_id", "size_bytes"], missing.order_by(locations.c.id)
                )
            )
            failed = select(failures.c.path).where(
                *_at_root(failures, root_id, below),
                ~exists().where(files.c.path == failures.c.path),
            )
            cured = [os.fsdecode(path) for path in connection.scalars(failed)]
            if is_gone is not None:
                cured = [path for path in cured if is_gone(path)]
                query = (
                    select(gone.c.id, locations.c.path)
                    .join(locations, locations.c.id == gone.c.location_id)
                    .order_by(gone.c.id)
                    .limit(CHUNK)
                )
                while rows := connection.execute(query.where(gone.c.id > last)).all():
                    kept = [row.id for row in rows if not is_gone(os.fsdecode(row.path))]
                    connection.execute(delete(gone).where(gone.c.id.in_(kept)))
                    last = rows[-1].id
            self.gone = int(connection.scalar(select(func.count()).select_from(gone)) or 0)
        return cured

    def compare(
        self,
        generation_id: int,
        *,
        retry_failed: bool,
        readable: Collection[str] = (),
        by_mark: Collection[int] = (),
    ) -> tuple[int, list[Failure]]:
        """Compare all files with the catalog and make the tasks.

        Files of a kind that was not read become tasks again if their suffix is in `readable`. In
        the roots `by_mark`, what stands in place of the inode tells by itself whether a file has
        changed. Returns the number of unchanged, complete files, and the failures whose file has
        not changed since; `remarks` counts the other files without a task.
        """
        files, tasks, gone = self._files, self._tasks, self._gone
        same = and_(
            locations.c.id.is_not(None),
            files.c.size_bytes == locations.c.size_bytes,
            or_(
                files.c.modified_ns == locations.c.modified_ns,
                files.c.root_id.in_(by_mark) if by_mark else false(),
            ),
            files.c.inode == locations.c.inode,
            files.c.inode != RACY_INODE,
        )
        failed = and_(
            failures.c.id.is_not(None),
            failures.c.stage.not_in([Remark.PARTIAL, Remark.CONTENT, Remark.LINK]),
            or_(failures.c.stage != Remark.KIND, failures.c.reason.not_in(readable)),
            literal(not retry_failed),
            files.c.size_bytes == failures.c.size_bytes,
            files.c.modified_ns == failures.c.modified_ns,
        )
        known = (
            files.outerjoin(
                locations,
                # A sum, so that SQLite uses the index of paths.
                and_(
                    locations.c.path == files.c.path,
                    locations.c.root_id + 0 == files.c.root_id,
                ),
            )
            .outerjoin(
                encodings,
                and_(
                    encodings.c.asset_id == locations.c.asset_id,
                    encodings.c.generation_id == generation_id,
                    encodings.c.damaged.is_(False),
                ),
            )
            .outerjoin(failures, failures.c.path == files.c.path)
        )
        in_doubt = and_(failures.c.id.is_not(None), failures.c.stage.not_in(STATES))
        unchanged = and_(encodings.c.asset_id.is_not(None), same, ~in_doubt)
        rows = (
            select(
                *(files.c[name] for name in ("id", "root_id", "path", *_STATE)),
                locations.c.id,
                locations.c.asset_id,
                locations.c.size_bytes,
                same,
                failures.c.id.is_not(None),
            )
            .select_from(known)
            .where(files.c.skipped.is_(None), ~failed, ~unchanged)
            .order_by(files.c.id)
        )
        names = [column.name for column in tasks.c if column.name != "early"]
        with self._step() as connection:
            if connection.dialect.name != "sqlite":
                connection.exec_driver_sql("ANALYZE scan_files")
            connection.execute(insert(tasks).from_select(names, rows, include_defaults=False))
            # A file of the size of a content that disappears may have that content, and hashing
            # it early lets hits follow a renamed file at once.
            sizes = select(gone.c.size_bytes).union(
                select(tasks.c.before_bytes).where(tasks.c.before_bytes.is_not(None))
            )
            connection.execute(update(tasks).values(early=tasks.c.size_bytes.in_(sizes)))
            counted = select(func.count(), func.coalesce(func.sum(tasks.c.size_bytes), 0))
            count, size_bytes = connection.execute(counted.select_from(tasks)).one()
            self.task_count, self.task_bytes = int(count), int(size_bytes)
            rest = failures.join(files, files.c.path == failures.c.path)
            by_stage = select(failures.c.stage, func.count()).where(
                failures.c.stage.in_(STATES),
                files.c.skipped.is_(None),
                ~exists().where(tasks.c.id == files.c.id),
            )
            by_stage = by_stage.select_from(rest).group_by(failures.c.stage)
            for stage, number in connection.execute(by_stage):
                self.remarks[Remark(stage)] += int(number)
            failed_rows = select(failures).select_from(rest)
            failed_rows = failed_rows.where(failed, failures.c.stage.not_in(STATES))
            failed_before = [failure_from(row) for row in connection.execute(failed_rows).all()]
            totals = select(func.count(), func.count(files.c.skipped))
            scanned, links = connection.execute(totals).one()
            self.remarks[Remark.LINK] += int(links)
        with_remark = len(failed_before) + self.remarks.total()
        del self.remarks[Remark.KIND], self.remarks[Remark.BESIDE]  # counted at the end
        return int(scanned) - self.task_count - with_remark, failed_before

    def skipped(self) -> Counter[tuple[Remark, str, str]]:
        """Count the files that are not read by themselves: by remark, suffix, and what is new."""
        files, tasks = self._files, self._tasks
        is_new = case((tasks.c.failed, "updated"), (tasks.c.id.is_not(None), "added"))
        met = failures.join(files, files.c.path == failures.c.path)
        by = failures.c.stage, failures.c.reason
        query = (
            select(*by, func.coalesce(is_new, "unchanged").label("new"), func.count())
            .select_from(met.outerjoin(tasks, tasks.c.id == files.c.id))
            .where(failures.c.stage.in_([Remark.KIND, Remark.BESIDE]))
            .group_by(*by, "new")
        )
        with self._step() as connection:
            rows = connection.execute(query).all()
        return Counter({(Remark(stage), why, new): int(n) for stage, why, new, n in rows})

    def new_links(self) -> Iterator[list[tuple[int, Path, str]]]:
        """Yield root, path and reason of what is not a regular file and not recorded as that."""
        files = self._files
        recorded = exists().where(
            failures.c.path == files.c.path,
            failures.c.stage == Remark.LINK,
            failures.c.reason == files.c.skipped,
        )
        query = select(files.c.id, files.c.root_id, files.c.path, files.c.skipped)
        for rows in self._pages(query.where(files.c.skipped.is_not(None), ~recorded), files.c.id):
            yield [(root_id, stored_path(path), why) for _, root_id, path, why in rows]

    def tasks(self) -> Iterator[FileTask]:
        """Yield the tasks: those that may be moves first, otherwise as scanned."""
        table = self._tasks
        names = ("root_id", "path", *_STATE, "location_id", "asset_id", "intact", "failed")
        columns = [table.c[name] for name in names]
        for early in (True, False):
            query = select(*columns, table.c.id).where(table.c.early == early)
            for rows in self._pages(query, table.c.id):
                for root_id, path, *rest, _ in rows:
                    yield FileTask(root_id, stored_path(path), *rest)

    def known_contents(self, generation_id: int) -> Iterator[tuple[int, str]]:
        """Yield size and hash of each encoded content that has the size of a task."""
        query = (
            select(assets.c.id, assets.c.size_bytes, assets.c.content_hash)
            .join(encodings, encodings.c.asset_id == assets.c.id)
            .where(encodings.c.generation_id == generation_id, encodings.c.damaged.is_(False))
            .where(assets.c.size_bytes.in_(select(self._tasks.c.size_bytes)))
        )
        for rows in self._pages(query, assets.c.id):
            yield from ((size_bytes, content_hash) for _, size_bytes, content_hash in rows)

    def altered_paths(self) -> Iterator[str]:
        """Yield the paths of all tasks, and of locations that are gone."""
        tasks, gone = self._tasks, self._gone
        there = select(gone.c.id, locations.c.path)
        there = there.join(locations, locations.c.id == gone.c.location_id)
        for query, key in ((select(tasks.c.id, tasks.c.path), tasks.c.id), (there, gone.c.id)):
            for rows in self._pages(query, key):
                yield from (os.fsdecode(row.path) for row in rows)

    def _pages(self, query: Select[Any], key: Column[Any]) -> Iterator[Sequence[Any]]:
        """Yield the rows of a query in the order of its `id`, some at a time."""
        last = 0
        while True:
            with self._step() as connection:
                page = query.where(key > last).order_by(key).limit(CHUNK)
                rows = connection.execute(page).all()
            if not rows:
                return
            last = rows[-1].id
            yield rows

    def take_gone(self, *, if_moved: bool) -> Iterator[list[int]]:
        """Yield the ids of locations that are gone, some at a time, and forget them.

        Without `if_moved`, those that may have moved are left: a task has a file of their size.
        """
        gone, last = self._gone, 0
        may_be_moved = exists().where(self._tasks.c.size_bytes == gone.c.size_bytes)
        while True:
            which = [gone.c.id > last] if if_moved else [gone.c.id > last, ~may_be_moved]
            query = select(gone.c.id, gone.c.location_id).where(*which).order_by(gone.c.id)
            with self._step() as connection:
                rows = connection.execute(query.limit(CHUNK)).all()
                ids = [row.id for row in rows]
                connection.execute(delete(gone).where(gone.c.id.in_(ids)))
            if not rows:
                return
            last, self.gone = ids[-1], self.gone - len(rows)
            yield [int(row.location_id) for row in rows]

    def take_moved(self, asset_ids: Sequence[int]) -> list[int | None]:
        """For each asset, take a location of it that is gone, the last one first.

        Each location is taken once; None for an asset without one.
        """
        if not self.gone:
            return [None] * len(asset_ids)
        gone, found = self._gone, defaultdict[int, list[Any]](list)
        with self._step() as connection:
            for chunk in chunks(sorted(set(asset_ids))):
                which = select(gone).where(gone.c.asset_id.in_(chunk)).order_by(gone.c.id)
                for row in connection.execute(which):
                    found[row.asset_id].append(row)
            taken = [found[id_].pop() if found[id_] else None for id_ in asset_ids]
            used = [row.id for row in taken if row is not None]
            for chunk in chunks(used):
                connection.execute(delete(gone).where(gone.c.id.in_(chunk)))
            self.gone -= len(used)
        return [None if row is None else int(row.location_id) for row in taken]


_STATE = ("size_bytes", "modified_ns", "inode")


def _tables(is_sqlite: bool) -> tuple[Table, Table, Table]:
    """Return the tables of scanned files, of tasks, and of locations that are gone."""
    made = MetaData(schema="scan" if is_sqlite else None)
    options: dict[str, Any] = {} if is_sqlite else {"prefixes": ["TEMPORARY"]}

    def file_columns() -> list[Column[Any]]:
        return [
            Column("id", Key, primary_key=True),
            Column("root_id", BigInteger, nullable=False),
            Column("path", LargeBinary, nullable=False),
            *(Column(name, BigInteger, nullable=False) for name in _STATE),
        ]

    files = Table(
        "scan_files",
        made,
        *file_columns(),
        Column("skipped", Text),
        Index("scan_files_by_path", "path"),
        **options,
    )
    tasks = Table(
        "scan_tasks",
        made,
        *file_columns(),
        *(Column(name, BigInteger) for name in ("location_id", "asset_id", "before_bytes")),
        Column("intact", Boolean, nullable=False),
        Column("failed", Boolean, nullable=False),
        Column("early", Boolean),
        Index("scan_tasks_by_turn", "early", "id"),
        Index("scan_tasks_by_size", "size_bytes"),
        **options,
    )
    gone = Table(
        "scan_gone",
        made,
        Column("id", Key, primary_key=True),
        *(Column(n, BigInteger, nullable=False) for n in ("location_id", "asset_id", "size_bytes")),
        Index("scan_gone_by_asset", "asset_id"),
        **options,
    )
    return files, tasks, gone


def _at_root(table: Table, root_id: int, below: Path | None) -> list[ColumnElement[bool]]:
    """Return the conditions for the rows of a root, or of those at a path and below it."""
    if below is None:
        return [table.c.root_id == root_id]
    raw, (low, high), path = os.fsencode(below), folder_range(below), table.c.path
    return [
        # A sum, so that SQLite uses the index of paths and does not scan the whole root.
        table.c.root_id + 0 == root_id,
        # One range of the index; paths in it that only have the same beginning are left out.
        and_(path >= raw, path < high, or_(path == raw, path >= low)),
    ]
