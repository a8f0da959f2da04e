"""The catalog: the single truth of a collection."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from seehear.errors import StoreError
from seehear.stores.catalog import reading, words
from seehear.stores.catalog.batch import Batch
from seehear.stores.catalog.conditions import condition, shown_as, shown_modality
from seehear.stores.catalog.conditions import under as below_folder
from seehear.stores.catalog.database import (
    FILE_NAME,
    connect,
    migrate,
    newer,
    schema_version,
    translated,
)
from seehear.stores.catalog.database import HEAD as SCHEMA
from seehear.stores.catalog.filters import Filter
from seehear.stores.catalog.lock import WriteLock
from seehear.stores.catalog.paths import folder_range
from seehear.stores.catalog.records import (
    Counts,
    Failure,
    Found,
    Generation,
    Location,
    Root,
    State,
)
from seehear.stores.catalog.schema import (
    assets,
    calibrations,
    counters,
    encodings,
    failures,
    generations,
    locations,
    removals,
    roots,
    segments,
    spaces,
)
from seehear.types import Asset, EmbeddingSpace, Ids, Modality, Vectors

DROPPED_AT_ONCE = 2_000
"""Assets whose segments go in one transaction when a generation is dropped."""


class Catalog:
    """Assets, locations, segments and vectors of one collection. Safe from several threads.

    Made by `Catalog.open`. Every method raises StoreError where the database fails.
    """

    def __init__(self, folder: Path, url: str | None, *, read_only: bool) -> None:
        self.folder = folder
        self.read_only = read_only
        self._engine = connect(folder, url, read_only=read_only)
        self._lock = WriteLock(folder)
        self._writing = threading.RLock()

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        read_only: bool = False,
        create: bool = True,
        url: str | None = None,
    ) -> Catalog:
        """Open the catalog in a folder, made or migrated where needed.

        A folder that cannot be written is opened for reading. `url` names another database than
        the SQLite file in the folder. Raises StoreError where there is none and `create` is
        False, SchemaVersionError for one that a newer version wrote.
        """
        folder = folder.absolute()
        exists = url is not None or (folder / FILE_NAME).is_file()
        if not exists:
            if not create or read_only:
                raise StoreError(f"no collection in {folder}; make one with `seehear index PATH`")
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"cannot make {folder}: {error.strerror}") from None
        read_only = read_only or not os.access(folder, os.W_OK)
        catalog = cls(folder, url, read_only=read_only)
        if read_only:
            version = schema_version(catalog._engine)
            if version is not None and version > SCHEMA:
                raise newer(version)
            if version != SCHEMA:
                raise StoreError(
                    f"{folder} was written by an older seehear and cannot be migrated"
                    " because it is read-only; make it writable once"
                )
        elif schema_version(catalog._engine) != SCHEMA:
            with catalog.write_lock(wait_s=60):
                migrate(catalog._engine)
        return catalog

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    @contextmanager
    def write_lock(self, wait_s: float = 0.0) -> Iterator[None]:
        """Hold the collection for writing; raises CollectionLockedError where another has it.

        A process that dies lets go of it. Within one process it may be taken again by its holder.
        """
        if self.read_only:
            raise StoreError(f"the collection in {self.folder} is read-only")
        with self._lock.held(wait_s):
            yield

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """One transaction: committed at the end, rolled back whole when anything is raised."""
        with self._writing, translated("write to the catalog"), self._begin() as connection:
            yield Batch(connection)

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        """A transaction that takes SQLite's write lock at once, so that it cannot fail midway."""
        with self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """A connection on which everything read is of one instant."""
        with translated("read the catalog"), self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            yield connection

    # Roots and locations

    def roots(self) -> list[Root]:
        """Every root, in the order in which they were added."""
        with self._read() as connection:
            rows = connection.execute(select(roots).order_by(roots.c.id))
            return [Root(row.id, Path(os.fsdecode(row.path)), bool(row.online)) for row in rows]

    def add_root(self, path: Path) -> Root:
        """The root of that absolute path, made if there is none yet."""
        for root in self.roots():
            if root.path == path:
                return root
        with self.batch() as batch:
            batch.connection.execute(insert(roots).values(path=os.fsencode(path), online=True))
        return self.add_root(path)

    def set_online(self, root_id: int, online: bool) -> None:
        """Say whether a root can be reached."""
        with self.batch() as batch:
            batch.connection.execute(
                update(roots).where(roots.c.id == root_id).values(online=online)
            )

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

    # Assets

    def find_asset(self, content_hash: str) -> Asset | None:
        """The asset of that content, if it is known."""
        with self._read() as connection:
            return reading.asset_of(connection, assets.c.content_hash == content_hash)

    def asset(self, asset_id: int) -> Asset | None:
        """The asset of that id, if there is one."""
        with self._read() as connection:
            return reading.asset_of(connection, assets.c.id == asset_id)

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

    def counts(self, generation_id: int | None = None) -> Counts:
        """How much the collection holds; segments of the serving generation unless another is
        asked for."""
        serving = self.serving()
        if generation_id is None and serving is not None:
            generation_id = serving.id
        with self._read() as connection:
            kinds = _counted(
                connection,
                select(shown_modality, func.count()).select_from(assets).group_by(shown_modality),
            )
            pieces = _counted(
                connection,
                select(segments.c.modality, func.count())
                .where(segments.c.generation_id == generation_id)
                .group_by(segments.c.modality),
            )
            return Counts(
                assets=reading.count(connection, assets),
                by_modality={kind: int(kinds.get(kind.value, 0)) for kind in Modality},
                segments=sum(pieces.values()),
                segments_by_modality={kind: int(pieces.get(kind.value, 0)) for kind in Modality},
                locations=reading.count(connection, locations),
                failures=reading.count(connection, failures),
                size_bytes=int(connection.scalar(select(func.sum(assets.c.size_bytes))) or 0),
            )

    # Generations

    def generations(self) -> list[Generation]:
        """Every generation, oldest first."""
        with self._read() as connection:
            return reading.generations_of(connection)

    def serving(self) -> Generation | None:
        """The generation that answers queries; None before the first index run."""
        return next((g for g in self.generations() if g.state is State.SERVING), None)

    def create_generation(
        self, model: str, revision: str, spaces_: Sequence[EmbeddingSpace]
    ) -> Generation:
        """A new generation, still building."""
        with self.batch() as batch:
            made = batch.connection.execute(
                insert(generations).values(
                    model=model,
                    revision=revision,
                    state=State.BUILDING.value,
                    created_at=datetime.now(UTC).replace(tzinfo=None),
                )
            )
            id_ = int(made.inserted_primary_key[0])  # type: ignore[index]
            for space in spaces_:
                batch.connection.execute(
                    insert(spaces).values(
                        generation_id=id_, name=space.name, revision=space.revision, dim=space.dim
                    )
                )
        return Generation(id_, model, revision, tuple(spaces_), State.BUILDING)

    def promote(self, generation_id: int) -> None:
        """Let a generation serve; the one that served is retired in the same step."""
        with self.batch() as batch:
            execute = batch.connection.execute
            execute(
                update(generations)
                .where(generations.c.state == State.SERVING.value)
                .values(state=State.RETIRED.value)
            )
            execute(
                update(generations)
                .where(generations.c.id == generation_id)
                .values(state=State.SERVING.value)
            )

    def drop_generation(self, generation_id: int) -> None:
        """Take a generation out, a bounded number of assets at a time.

        Raises StoreError for the one that serves.
        """
        serving = self.serving()
        if serving is not None and serving.id == generation_id:
            raise StoreError("the serving generation cannot be dropped; promote another one first")
        while True:
            with self.batch() as batch:
                if not batch.drop_encodings(generation_id, DROPPED_AT_ONCE):
                    break
        with self.batch() as batch:
            for table in (removals, calibrations, spaces):
                batch.connection.execute(
                    delete(table).where(table.c.generation_id == generation_id)
                )
            batch.connection.execute(delete(generations).where(generations.c.id == generation_id))

    def unencoded(self, generation_id: int) -> list[int]:
        """Assets at a reachable place that a generation has not encoded yet."""
        done = select(encodings.c.asset_id).where(encodings.c.generation_id == generation_id)
        with self._read() as connection:
            found = connection.scalars(
                select(locations.c.asset_id)
                .join(roots, roots.c.id == locations.c.root_id)
                .where(roots.c.online, locations.c.asset_id.not_in(done))
                .distinct()
                .order_by(locations.c.asset_id)
            )
            return [int(id_) for id_ in found]

    def is_encoded(self, generation_id: int, asset_id: int) -> bool:
        """Whether a generation has encoded an asset."""
        with self._read() as connection:
            mark = {"generation_id": generation_id, "asset_id": asset_id}
            return connection.execute(select(encodings).filter_by(**mark)).first() is not None

    # Segments and vectors

    def segment_ids(
        self,
        generation_id: int,
        *,
        item: Modality | None = None,
        assets: frozenset[Modality] | None = None,
        under: Path | None = None,
        where: Filter | None = None,
    ) -> Ids:
        """Sorted ids of segments: of one modality, of assets shown as some modalities, below a
        folder, meeting a filter. Raises UsageError for a filter that makes no sense."""
        conditions = []
        if assets is not None:
            conditions.append(shown_as(assets))
        if under is not None:
            conditions.append(below_folder(under))
        if where is not None:
            conditions.append(condition(where))
        with self._read() as connection:
            return reading.segment_ids(connection, generation_id, item, conditions)

    def segments_of(self, asset_ids: Sequence[int] | Ids, generation_id: int) -> Ids:
        """Sorted ids of the segments of some assets."""
        found: list[int] = []
        with self._read() as connection:
            for chunk in reading.chunks(asset_ids):
                found += connection.scalars(
                    select(segments.c.id).where(
                        segments.c.asset_id.in_(chunk), segments.c.generation_id == generation_id
                    )
                )
        import numpy as np

        return np.array(sorted(found), dtype=np.int64)

    def resolve(self, segment_ids: Sequence[int] | Ids) -> list[Found]:
        """What hits need of segments, in the order asked; those that lie nowhere are left out."""
        with self._read() as connection:
            return reading.resolve(connection, segment_ids)

    @cached_property
    def identity(self) -> int:
        """A number that tells this catalog from every other one."""
        with self._read() as connection:
            return int(
                connection.scalar(select(counters.c.value).where(counters.c.name == "identity"))
                or 0
            )

    def change(self) -> int:
        """The number of the last change; it grows with every write of segments."""
        with self._read() as connection:
            return int(
                connection.scalar(select(counters.c.value).where(counters.c.name == "change")) or 0
            )

    def vectors_since(
        self, generation: Generation, space: EmbeddingSpace, item: Modality, change: int
    ) -> tuple[Ids, Vectors, Ids, int]:
        """What happened to one index after a change, as one consistent reading.

        Returns ids int64 (n,) and vectors float32 (n, dim) written since, removed ids int64 (m,),
        and the number of the last change.
        """
        with self._read() as connection:
            last = int(
                connection.scalar(select(counters.c.value).where(counters.c.name == "change")) or 0
            )
            known = reading.space_ids(connection, generation.id)
            ids, rows = reading.vectors_since(connection, known[space], space.dim, item, change)
            removed = reading.removed_since(connection, generation.id, change)
        return ids, rows, removed, last

    def vectors_of(
        self, segment_ids: Sequence[int] | Ids, generation: Generation, space: EmbeddingSpace
    ) -> Vectors:
        """Vectors of segments in one space: float32 (n, dim) in the order asked."""
        with self._read() as connection:
            known = reading.space_ids(connection, generation.id)
            return reading.vectors_of(connection, segment_ids, known[space], space.dim)

    def search_words(
        self, generation_id: int, wanted: str, k: int
    ) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
        """Segments by words: those whose passages have them, and the first ones of assets whose
        file name, folder or caption has them. Each (segment id, BM25 score), best first."""
        with self._read() as connection:
            return (
                words.search_passages(connection, generation_id, wanted, k),
                words.search_files(connection, generation_id, wanted, k),
            )

    # Calibrations

    def calibration(self, generation_id: int, name: str) -> bytes | None:
        """What search kept under a name for a generation: its banks and backgrounds."""
        key = {"generation_id": generation_id, "route": name}
        with self._read() as connection:
            data = connection.scalar(select(calibrations.c.data).filter_by(**key))
            return None if data is None else bytes(data)

    def put_calibration(self, generation_id: int, name: str, data: bytes) -> None:
        """Keep something under a name for a generation; replaces what was kept."""
        key = {"generation_id": generation_id, "route": name}
        with self.batch() as batch:
            batch.connection.execute(delete(calibrations).filter_by(**key))
            batch.connection.execute(insert(calibrations).values(data=data, **key))

    def check_integrity(self) -> list[str]:
        """Problems that the database finds in itself; empty where there are none."""
        with self._read() as connection:
            if connection.dialect.name != "sqlite":
                return []
            found = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check(20)"))]
        return [] if found == ["ok"] else found


def _counted(connection: Connection, query: Select[*tuple[Any, ...]]) -> dict[str, int]:
    """Rows of (name, count) as a dictionary."""
    return {str(row[0]): int(row[1]) for row in connection.execute(query)}
