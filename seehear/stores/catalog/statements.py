"""Build the statements that every search executes, each with a list of ids, once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, bindparam, func, select

from seehear.stores.catalog.schema import assets, locations, roots, segments
from seehear.types import Asset, Ids

CHUNK = 500
"""Ids in one statement, where each is a parameter."""


@dataclass(frozen=True, slots=True)
class _Statements:
    """Statements with a list of `ids` as parameter."""

    segments: Select[*tuple[Any, ...]]
    assets: Select[*tuple[Any, ...]]
    """Assets with their locations."""
    plain_assets: Select[*tuple[Any, ...]]
    pieces: Select[*tuple[Any, ...]]
    placed: Select[*tuple[Any, ...]]
    """Assets that have a location."""
    videos: Select[*tuple[Any, ...]]
    """Assets beside a video, with the id of the video."""
    paths: Select[*tuple[Any, ...]]


def chunks(ids: Sequence[int] | Ids) -> Iterator[list[int]]:
    """Split ids into parts that fit one statement."""
    for start in range(0, len(ids), CHUNK):
        yield np.asarray(ids[start : start + CHUNK], dtype=np.int64).tolist()


def rows_of(connection: Connection, which: str, ids: Sequence[int]) -> Iterator[Any]:
    """Yield rows of one of the statements, for any number of ids."""
    sqlite = connection.dialect.name == "sqlite"
    statement = getattr(_statements(sqlite), which)
    for chunk in [ids] if sqlite and ids else chunks(ids):
        yield from connection.execute(
            statement, {"ids": json.dumps(chunk) if sqlite else chunk}
        ).all()


@cache
def _statements(sqlite: bool) -> _Statements:
    """Build the statements.

    SQLite gets its list as one JSON text, because hundreds of bound parameters cost more than the
    query itself.
    """
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
    )
    asset = [assets.c[field.name] for field in fields(Asset)]
    shown = (
        select(
            locations.c.path,
            locations.c.modified_ns,
            locations.c.sidecar_of,
            roots.c.online,
            *asset,
        )
        .join_from(assets, locations, locations.c.asset_id == assets.c.id)
        .join(roots, roots.c.id == locations.c.root_id)
        .order_by(roots.c.online.desc(), locations.c.id)
    )
    return _Statements(
        segments=described.where(segments.c.id.in_(listed)),
        assets=shown.where(assets.c.id.in_(listed)),
        plain_assets=select(*asset).where(assets.c.id.in_(listed)),
        pieces=select(*PIECE).where(segments.c.id.in_(listed)).order_by(segments.c.id),
        placed=select(locations.c.asset_id).where(locations.c.asset_id.in_(listed)).distinct(),
        videos=select(locations.c.asset_id, locations.c.sidecar_of)
        .join(roots, roots.c.id == locations.c.root_id)
        .where(locations.c.asset_id.in_(listed), locations.c.sidecar_of.is_not(None))
        .order_by(roots.c.online.desc(), locations.c.id),
        paths=select(locations.c.asset_id, locations.c.path)
        .where(locations.c.asset_id.in_(listed))
        .order_by(locations.c.id),
    )


PIECE = (
    segments.c.id,
    segments.c.asset_id,
    segments.c.modality,
    segments.c.start_s,
    segments.c.stop_s,
)
"""The columns of `SegmentColumns`."""
