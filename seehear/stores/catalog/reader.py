"""Read rows of the database as the values that the other packages use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, ColumnElement, Connection, func, not_, select

from seehear.sources import stored_path
from seehear.stores.catalog.checksums import is_intact
from seehear.stores.catalog.filter_sql import (
    is_sidecar,
)
from seehear.stores.catalog.records import (
    Counts,
    Generation,
    GenerationState,
    Location,
    SegmentRecord,
    state_of,
)
from seehear.stores.catalog.schema import (
    assets,
    counters,
    failures,
    generations,
    locations,
    removals,
    segments,
    spaces,
    vectors,
)
from seehear.stores.catalog.statements import counter_values, plain_rows, rows_of
from seehear.types import (
    Asset,
    EmbeddingSpace,
    FileState,
    Ids,
    Modality,
    Vectors,
    segment_of,
)

CHANGE = "change"
"""Counter of the changes of segments and vectors."""
DRAWN = "drawn_pages"
"""Counter that is 1 once a page of a PDF was stored as an image."""
LOCATION_CHANGES = "locations"
"""Counter of the changes of locations and of what files say of themselves."""
MOVES = "moves"
"""Counter that grows when it changes which assets have a location, or are beside a video."""
BLOCK = 10_000
"""Vectors read at once where there may be millions."""

_KINDS = {kind.value: kind for kind in Modality}


def asset_from(row: Any) -> Asset:
    """Make an asset from a row with the columns of `assets`."""
    return Asset(
        id=int(row.id),
        content_hash=row.content_hash,
        modality=Modality(row.modality),
        format=row.format,
        size_bytes=int(row.size_bytes),
        width_px=row.width_px,
        height_px=row.height_px,
        duration_s=row.duration_s,
        taken_at=row.taken_at,
        details=row.details,
    )


def asset_of(connection: Connection, where: ColumnElement[bool]) -> Asset | None:
    """Return the asset that meets a condition, or None."""
    row = connection.execute(select(assets).where(where)).first()
    return None if row is None else asset_from(row)


def location_from(row: Any) -> Location:
    """Make a location from a row with the columns of `locations`."""
    return Location(
        id=int(row.id),
        asset_id=int(row.asset_id),
        root_id=int(row.root_id),
        path=stored_path(row.path),
        size_bytes=int(row.size_bytes),
        modified_ns=int(row.modified_ns),
        inode=int(row.inode) % (1 << 64),
    )


def space_ids(connection: Connection, generation_id: int) -> dict[EmbeddingSpace, int]:
    """Return the spaces of a generation, with their database ids, in order."""
    rows = connection.execute(
        select(spaces).where(spaces.c.generation_id == generation_id).order_by(spaces.c.id)
    )
    return {EmbeddingSpace(row.name, row.revision, row.dim): int(row.id) for row in rows}


def generations_of(connection: Connection) -> list[Generation]:
    """Return every generation, oldest first."""
    rows = connection.execute(select(generations).order_by(generations.c.id)).all()
    return [
        Generation(
            id=int(row.id),
            model=row.model,
            revision=row.revision,
            spaces=tuple(space_ids(connection, row.id)),
            state=GenerationState(row.state),
        )
        for row in rows
    ]


def serving(connection: Connection) -> Generation | None:
    """Return the serving generation, read in one statement because every search needs it."""
    rows = plain_rows(connection, "serving")
    if not rows:
        return None
    id_, model, revision, *_ = rows[0]
    found = [EmbeddingSpace(*row[3:]) for row in rows if row[3] is not None]
    return Generation(id_, model, revision, tuple(found), GenerationState.SERVING)


def resolve(connection: Connection, ids: Sequence[int] | Ids) -> list[SegmentRecord]:
    """Return what hits need of segments, in the given order, if they have a location.

    One statement reads all of it, and another one the videos that subtitles are beside.
    """
    rows: dict[int, list[Any]] = {}
    wanted = np.asarray(ids, dtype=np.int64).tolist()
    for row in rows_of(connection, "described", wanted):
        rows.setdefault(row[0], []).append(row)
    own = {id_: _located([row[_OF_SEGMENT:] for row in several]) for id_, several in rows.items()}
    videos = sorted({located.beside for located in own.values() if located.beside is not None})
    of_video: dict[int, list[Any]] = {}
    for row in rows_of(connection, "assets", videos):
        of_video.setdefault(row[0], []).append(row[1:])
    beside = {id_: _located(several) for id_, several in of_video.items()}
    found: dict[int, SegmentRecord] = {}
    for id_, several in rows.items():
        located, sidecar = own[id_], None
        if located.beside in beside:
            located, sidecar = beside[located.beside], located.paths[0]
        _, ordinal, modality, *values = several[0][:_OF_SEGMENT]
        found[id_] = SegmentRecord(
            segment_id=id_,
            ordinal=ordinal,
            segment=segment_of(modality, *values),
            asset=located.asset,
            raw_path=located.paths[0],
            online=located.online,
            modified_ns=located.modified_ns,
            raw_sidecar=sidecar,
            raw_paths=located.by_age,
            raw_fingerprint=located.fingerprint,
        )
    return [found[id_] for id_ in wanted if id_ in found]


_OF_SEGMENT = 11
"""Number of columns of a segment, before those of its asset and a location."""


class _Located(NamedTuple):
    """An asset and its locations."""

    asset: Asset
    paths: Sequence[bytes]
    """The one to show first: reachable ones, then the oldest."""
    by_age: Sequence[bytes]
    """The oldest first."""
    online: bool
    modified_ns: int
    beside: int | None
    """The video that the asset is a subtitle of."""
    fingerprint: bytes | None


def _located(rows: Sequence[Any]) -> _Located:
    """Return an asset and its locations from its rows, the location to show first."""
    _, path, modified_ns, sidecar_of, online, fingerprint, *asset = rows[0]
    id_, content_hash, modality, *rest = asset
    paths = by_age = [path]
    if len(rows) > 1:
        paths = [row[1] for row in rows]
        by_age = [row[1] for row in sorted(rows, key=lambda row: row[0])]
        sidecar_of = next((row[3] for row in rows if row[3] is not None), None)
    return _Located(
        asset=Asset(id_, content_hash, _KINDS[modality], *rest),
        paths=paths,
        by_age=by_age,
        online=bool(online),
        modified_ns=modified_ns,
        beside=sidecar_of,
        fingerprint=fingerprint,
    )


VECTOR = (
    vectors.c.segment_id,
    vectors.c.space_id,
    vectors.c.modality,
    vectors.c.change,
    vectors.c.data,
    vectors.c.crc,
)
"""The columns that `is_intact` takes."""


def vectors_since(
    connection: Connection, space_id: int, dim: int, item: Modality, change: int
) -> tuple[int, Iterator[tuple[Ids, Vectors]]]:
    """Return how many vectors were written after a change, and an iterator over blocks of them.

    Blocks are int64 (n,), ascending, and float32 (n, dim), with n at most `BLOCK`. They come in
    the order of writing: sorting them all would need all of them in memory. Damaged vectors are
    counted, but left out of the blocks.
    """
    written = (
        vectors.c.space_id == space_id,
        vectors.c.modality == item.value,
        vectors.c.change > change,
    )

    def blocks() -> Iterator[tuple[Ids, Vectors]]:
        found = connection.execute(
            select(*VECTOR).where(*written), execution_options={"yield_per": BLOCK}
        )
        for rows in found.partitions():
            kept = [row for row in rows if is_intact(*row)]
            ids = np.fromiter((row[0] for row in kept), dtype=np.int64, count=len(kept))
            order = np.argsort(ids)
            yield ids[order], to_vectors([kept[position][4] for position in order], dim)

    return count(connection, vectors, *written), blocks()


def removed_since(connection: Connection, generation_id: int, change: int) -> Ids:
    """Return sorted ids of segments removed from a generation after a change, int64 (m,)."""
    found = connection.scalars(
        select(removals.c.segment_id)
        .where(removals.c.generation_id == generation_id, removals.c.change > change)
        .order_by(removals.c.segment_id)
    )
    return np.fromiter(found, dtype=np.int64)


def to_vectors(blobs: Sequence[bytes], dim: int) -> Vectors:
    """Convert float16 blobs to unit vectors, float32 (n, dim)."""
    half: NDArray[np.float16] = np.frombuffer(b"".join(blobs), dtype="<f2").reshape(-1, dim)
    rows = half.astype(np.float32)
    # Rounding to float16 changes a norm by up to 1e-3, which could put a cosine above 1.
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = np.divide(rows, norms, out=rows, where=norms > 0)
    return unit


def counter(connection: Connection, name: str) -> int:
    """Return a counter's value; 0 if it was never increased."""
    return int(connection.scalar(select(counters.c.value).where(counters.c.name == name)) or 0)


def counters_of(connection: Connection, names: Sequence[str]) -> list[int]:
    """Return the values of some counters, 0 for those that were never increased."""
    found = counter_values(connection)
    return [found.get(name, 0) for name in names]


def count(connection: Connection, table: Any, *where: ColumnElement[bool]) -> int:
    """Count the rows of a table that meet the conditions."""
    return int(connection.scalar(select(func.count()).select_from(table).where(*where)) or 0)


def counts(connection: Connection, generation_id: int | None) -> Counts:
    """Count the collection's content; segments of the serving generation without an id."""
    if generation_id is None:
        generation_id = connection.scalar(
            select(generations.c.id).where(generations.c.state == GenerationState.SERVING.value)
        )
    kinds = _by_modality(connection, assets.c.modality, not_(is_sidecar))
    own = (segments.c.generation_id == generation_id) & (segments.c.ordinal >= 0)
    cut = _by_modality(connection, segments.c.modality, own)
    total = count(connection, assets)
    return Counts(
        assets=total,
        subtitles=total - sum(kinds.values()),
        by_modality=kinds,
        segments=sum(cut.values()),
        segments_by_modality=cut,
        locations=count(connection, locations),
        files=_files_by_state(connection),
        size_bytes=int(connection.scalar(select(func.sum(assets.c.size_bytes))) or 0),
    )


def _files_by_state(connection: Connection) -> dict[FileState, int]:
    """Count the files that were met; one with a row of `failures` has the state of that row."""
    found = dict.fromkeys(FileState, 0)
    remarked = select(failures.c.stage, func.count()).group_by(failures.c.stage)
    for stage, number in connection.execute(remarked):
        found[state_of(stage)] += int(number)
    located = locations.join(failures, failures.c.path == locations.c.path)
    found[FileState.COMPLETE] += count(connection, locations) - count(connection, located)
    return found


def _by_modality(
    connection: Connection, column: Column[str], where: ColumnElement[bool]
) -> dict[Modality, int]:
    rows = connection.execute(select(column, func.count()).where(where).group_by(column))
    return dict.fromkeys(Modality, 0) | {_KINDS[kind]: int(number) for kind, number in rows}
