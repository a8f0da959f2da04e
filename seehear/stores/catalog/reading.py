"""Reading: rows of the database as the values that the other rooms work with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select, bindparam, case, exists, func, select

from seehear.stores.catalog.conditions import PLACES, held, of_place
from seehear.stores.catalog.conditions import shown as shown_asset
from seehear.stores.catalog.records import KINDS, Found, Generation, Location, Pieces, State
from seehear.stores.catalog.schema import (
    assets,
    generations,
    locations,
    removals,
    roots,
    segments,
    spaces,
    vectors,
)
from seehear.types import Asset, EmbeddingSpace, Ids, Modality, Segment, Vectors

CHUNK = 500
BLOCK = 10_000
"""Vectors that are read at once where there may be millions."""

_KINDS = {kind.value: kind for kind in Modality}
_NUMBERS = {kind.value: number for number, kind in enumerate(KINDS)}


def chunks(ids: Sequence[int] | Ids) -> Iterator[list[int]]:
    """Ids in runs that fit one statement."""
    for start in range(0, len(ids), CHUNK):
        yield [int(id_) for id_ in ids[start : start + CHUNK]]


def asset_from(row: Any) -> Asset:
    """An asset from a row that has the columns of `assets`."""
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
    )


def asset_of(connection: Connection, where: ColumnElement[bool]) -> Asset | None:
    """The asset that a condition names, or None."""
    row = connection.execute(select(assets).where(where)).first()
    return None if row is None else asset_from(row)


def location_from(row: Any) -> Location:
    """A location from a row that has the columns of `locations`."""
    return Location(
        id=int(row.id),
        asset_id=int(row.asset_id),
        root_id=int(row.root_id),
        path=Path(os.fsdecode(row.path)),
        size_bytes=int(row.size_bytes),
        modified_ns=int(row.modified_ns),
        inode=int(row.inode) % (1 << 64),
    )


def space_ids(connection: Connection, generation_id: int) -> dict[EmbeddingSpace, int]:
    """The spaces of a generation, with their keys in the database, in order."""
    rows = connection.execute(
        select(spaces).where(spaces.c.generation_id == generation_id).order_by(spaces.c.id)
    )
    return {EmbeddingSpace(row.name, row.revision, row.dim): int(row.id) for row in rows}


def generations_of(connection: Connection) -> list[Generation]:
    """Every generation, oldest first."""
    rows = connection.execute(select(generations).order_by(generations.c.id)).all()
    return [
        Generation(
            id=int(row.id),
            model=row.model,
            revision=row.revision,
            spaces=tuple(space_ids(connection, row.id)),
            state=State(row.state),
        )
        for row in rows
    ]


def serving(connection: Connection) -> Generation | None:
    """The generation that answers queries, read in one statement: every search asks for it."""
    rows = connection.execute(_SERVING).all()
    if not rows:
        return None
    first = rows[0]
    found = [EmbeddingSpace(r.name, r.space_revision, r.dim) for r in rows if r.name is not None]
    return Generation(first.id, first.model, first.revision, tuple(found), State.SERVING)


_SERVING = (
    select(
        generations.c.id,
        generations.c.model,
        generations.c.revision,
        spaces.c.name,
        spaces.c.revision.label("space_revision"),
        spaces.c.dim,
    )
    .join_from(generations, spaces, spaces.c.generation_id == generations.c.id, isouter=True)
    .where(generations.c.state == State.SERVING.value)
    .order_by(spaces.c.id)
)


def segment_ids(
    connection: Connection,
    generation_id: int,
    item: Modality | None,
    conditions: Sequence[ColumnElement[bool]],
) -> Ids:
    """Sorted ids of a generation's segments at a place that meets conditions on `PLACES`."""
    query = select(segments.c.id).where(segments.c.generation_id == generation_id)
    if item is not None:
        query = query.where(segments.c.modality == item.value)
    chosen = select(locations.c.asset_id)
    if conditions:
        chosen = select(held.c.asset_id).select_from(PLACES).where(*conditions)
    query = query.where(segments.c.asset_id.in_(chosen)).order_by(segments.c.id)
    return np.fromiter(connection.scalars(query), dtype=np.int64)


def fitting_paths(
    connection: Connection, asset_ids: Sequence[int], conditions: Sequence[ColumnElement[bool]]
) -> dict[int, list[Path]]:
    """Where assets are shown at places that meet conditions on `PLACES`, the best to show first."""
    found: dict[int, list[Path]] = {}
    for chunk in chunks(asset_ids):
        rows = connection.execute(
            select(shown_asset.c.id, of_place("path"))
            .select_from(PLACES)
            .join(roots, roots.c.id == of_place("root_id"))
            .where(shown_asset.c.id.in_(chunk), *conditions)
            .order_by(roots.c.online.desc(), of_place("id"))
        )
        for asset_id, raw in rows:
            paths = found.setdefault(int(asset_id), [])
            if (path := Path(os.fsdecode(raw))) not in paths:  # a film's subtitles lie there too
                paths.append(path)
    return found


@dataclass(frozen=True, slots=True)
class _Statements:
    """What every search asks, each by a list of `ids`."""

    segments: Select[*tuple[Any, ...]]
    assets: Select[*tuple[Any, ...]]
    """With the places where they lie."""
    plain_assets: Select[*tuple[Any, ...]]
    pieces: Select[*tuple[Any, ...]]
    paths: Select[*tuple[Any, ...]]


@cache
def _statements(sqlite: bool) -> _Statements:
    """Made once; and SQLite is given its list as one JSON text, because hundreds of bound
    parameters cost more than the query itself."""
    listed: Any = bindparam("ids", expanding=True)
    if sqlite:
        listed = select(func.json_each(bindparam("ids")).table_valued("value").c.value)
    described = select(
        segments.c.id,
        segments.c.ordinal,
        segments.c.modality,
        segments.c.start_s,
        segments.c.stop_s,
        segments.c.text,
        segments.c.asset_id,
    ).where(segments.c.id.in_(listed))
    shown = (
        select(
            locations.c.path,
            locations.c.modified_ns,
            locations.c.sidecar_of,
            roots.c.online,
            *(assets.c[field.name] for field in fields(Asset)),
        )
        .join_from(assets, locations, locations.c.asset_id == assets.c.id)
        .join(roots, roots.c.id == locations.c.root_id)
        .where(assets.c.id.in_(listed))
        .order_by(roots.c.online.desc(), locations.c.id)
    )
    plain = select(*(assets.c[field.name] for field in fields(Asset)))
    here = locations.c.asset_id == segments.c.asset_id
    video = (  # only text lies beside a video
        select(locations.c.sidecar_of)
        .join(roots, roots.c.id == locations.c.root_id)
        .where(here, locations.c.sidecar_of.is_not(None))
        .order_by(roots.c.online.desc(), locations.c.id)
        .limit(1)
        .scalar_subquery()
    )
    pieces = select(
        segments.c.id,
        segments.c.asset_id,
        segments.c.modality,
        segments.c.start_s,
        segments.c.stop_s,
        case((segments.c.modality == Modality.TEXT.value, video)),
    )
    placed = pieces.where(segments.c.id.in_(listed), exists(select(1).where(here)))
    paths = (
        select(locations.c.asset_id, locations.c.path)
        .where(locations.c.asset_id.in_(listed))
        .order_by(locations.c.id)
    )
    return _Statements(
        segments=described,
        assets=shown,
        plain_assets=plain.where(assets.c.id.in_(listed)),
        pieces=placed.order_by(segments.c.id),
        paths=paths,
    )


def _rows(connection: Connection, which: str, ids: Sequence[int]) -> Iterator[Any]:
    """Rows of one of the statements, for any number of ids."""
    sqlite = connection.dialect.name == "sqlite"
    statement = getattr(_statements(sqlite), which)
    for chunk in [ids] if sqlite and ids else chunks(ids):
        yield from connection.execute(
            statement, {"ids": json.dumps(chunk) if sqlite else chunk}
        ).all()


def pieces(connection: Connection, ids: Sequence[int] | Ids) -> Pieces:
    """What ranking needs of segments, by growing id; those that lie nowhere are left out."""
    wanted = sorted(set(np.asarray(ids, dtype=np.int64).tolist()))
    columns = list(zip(*_rows(connection, "pieces", wanted), strict=True))
    if not columns:
        return Pieces.of()
    own, videos = columns[1], columns[5]
    beside = {video for video in videos if video is not None}
    if beside:
        beside &= {row[0] for row in _rows(connection, "paths", sorted(beside))}
    return Pieces(
        ids=np.array(columns[0], dtype=np.int64),
        assets=np.array(
            [v if v in beside else asset for asset, v in zip(own, videos, strict=True)],
            dtype=np.int64,
        ),
        kinds=np.array([_NUMBERS[kind] for kind in columns[2]], dtype=np.int8),
        start_s=np.array(columns[3], dtype=np.float64),
        stop_s=np.array(columns[4], dtype=np.float64),
    )


def assets_of(connection: Connection, ids: Sequence[int]) -> dict[int, Asset]:
    """The assets of some ids, those that there are."""
    found = {}
    for id_, content_hash, modality, *rest in _rows(connection, "plain_assets", ids):
        found[id_] = Asset(id_, content_hash, _KINDS[modality], *rest)
    return found


def paths_of(connection: Connection, asset_ids: Sequence[int]) -> dict[int, list[Path]]:
    """Every path where assets lie, the oldest place first."""
    found: dict[int, list[Path]] = {id_: [] for id_ in asset_ids}
    for asset_id, path in _rows(connection, "paths", asset_ids):
        found[asset_id].append(Path(os.fsdecode(path)))
    return found


def resolve(connection: Connection, ids: Sequence[int] | Ids) -> list[Found]:
    """What hits need of segments, in the order asked; those that lie nowhere are left out."""
    wanted = [int(id_) for id_ in ids]
    rows = {row[0]: row for row in _rows(connection, "segments", wanted)}
    places = _places(connection, sorted({row[-1] for row in rows.values()}))
    found = []
    for id_ in wanted:
        if id_ not in rows:
            continue
        _, ordinal, modality, start_s, stop_s, text, asset_id = rows[id_]
        if (place := places.get(asset_id)) is None:
            continue
        segment = Segment(_KINDS[modality], start_s, stop_s, text)
        found.append(
            Found(
                segment_id=id_,
                ordinal=ordinal,
                segment=segment,
                asset=place.asset,
                raw_path=place.path,
                online=place.online,
                modified_ns=place.modified_ns,
                raw_sidecar=place.sidecar,
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    """How and where an asset is shown."""

    asset: Asset
    path: bytes
    online: bool
    modified_ns: int
    sidecar: bytes | None = None


def _places(connection: Connection, asset_ids: Sequence[int]) -> dict[int, _Place]:
    """For each asset the place that is shown: reachable ones first, then the oldest."""
    shown: dict[int, _Place] = {}
    videos: dict[int, int] = {}
    for row in _rows(connection, "assets", asset_ids):
        raw, modified_ns, sidecar_of, online, id_, content_hash, modality, *rest = row
        if sidecar_of is not None:
            videos.setdefault(id_, sidecar_of)
        if id_ not in shown:
            asset = Asset(id_, content_hash, _KINDS[modality], *rest)
            shown[id_] = _Place(asset, raw, bool(online), modified_ns)
    if videos:
        beside = _places(connection, sorted(set(videos.values())))
        for asset_id, video_id in videos.items():
            if video_id in beside:
                shown[asset_id] = replace(beside[video_id], sidecar=shown[asset_id].path)
    return shown


def vectors_since(
    connection: Connection, space_id: int, dim: int, item: Modality, change: int
) -> tuple[int, Iterator[tuple[Ids, Vectors]]]:
    """How many vectors were written after a change, and blocks of them while they are read.

    Blocks are int64 (n,), growing, and float32 (n, dim); n is `BLOCK` at most. The blocks come in
    the order in which they were written: to sort all would mean to hold all.
    """
    written = (
        vectors.c.space_id == space_id,
        vectors.c.modality == item.value,
        vectors.c.change > change,
    )

    def blocks() -> Iterator[tuple[Ids, Vectors]]:
        found = connection.execution_options(yield_per=BLOCK).execute(
            select(vectors.c.segment_id, vectors.c.data).where(*written)
        )
        for rows in found.partitions():
            ids = np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))
            order = np.argsort(ids)
            yield ids[order], unpacked([rows[place][1] for place in order], dim)

    return count(connection, vectors, *written), blocks()


def removed_since(connection: Connection, generation_id: int, change: int) -> Ids:
    """Segments taken out of a generation after a change, sorted."""
    found = connection.scalars(
        select(removals.c.segment_id)
        .where(removals.c.generation_id == generation_id, removals.c.change > change)
        .order_by(removals.c.segment_id)
    )
    return np.fromiter(found, dtype=np.int64)


def vectors_of(
    connection: Connection, ids: Sequence[int] | Ids, space_id: int, dim: int
) -> Vectors:
    """Vectors of segments in one space, float32 (n, dim) in the order asked; zeros where none."""
    known: dict[int, bytes] = {}
    for chunk in chunks(ids):
        rows = connection.execute(
            select(vectors.c.segment_id, vectors.c.data).where(
                vectors.c.space_id == space_id, vectors.c.segment_id.in_(chunk)
            )
        )
        known.update((int(row.segment_id), row.data) for row in rows)
    empty = bytes(2 * dim)
    return unpacked([known.get(int(id_), empty) for id_ in ids], dim)


def unpacked(blobs: Sequence[bytes], dim: int) -> Vectors:
    """Float16 blobs as float32 (n, dim)."""
    half: NDArray[np.float16] = np.frombuffer(b"".join(blobs), dtype="<f2").reshape(-1, dim)
    rows = half.astype(np.float32)
    # Rounding to float16 moves a norm off one by up to 1e-3, and a cosine beyond it.
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = np.divide(rows, norms, out=rows, where=norms > 0)
    return unit


def count(connection: Connection, table: Any, *where: ColumnElement[bool]) -> int:
    """Rows of a table."""
    return int(connection.scalar(select(func.count()).select_from(table).where(*where)) or 0)
