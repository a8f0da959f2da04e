"""List all assets with what a person sorts them by: their date, kind and folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, String, cast, func, select

from seehear.stores.catalog.filter_sql import (
    COLUMNS,
    LOCATIONS,
    display_asset,
    location_condition,
    own_location,
)
from seehear.stores.catalog.filters import Field
from seehear.stores.catalog.schema import locations, segments
from seehear.types import Ids


@dataclass(frozen=True, slots=True, eq=False)
class AssetListing:
    """Assets that lie somewhere, a row for each, ascending by id; at its oldest location."""

    ids: Ids
    """int64 (n,)"""
    kinds: NDArray[np.str_]
    """Modalities, (n,)."""
    times: NDArray[np.datetime64]
    """When each was taken, in local time, else when its file was modified: datetime64[s] (n,)."""
    days: NDArray[np.str_]
    """The same by days: "2024-06-01"; "2024-06" and "2024" for dates that are known to no day."""
    location_ids: Ids
    folders: NDArray[np.object_]
    """Folders as the system spells them, bytes (n,)."""

    def __len__(self) -> int:
        return len(self.ids)


_DAY_LENGTHS = {"month": 7, "year": 4}


def listing_of(connection: Connection, where: Sequence[ColumnElement[bool]]) -> AssetListing:
    """Return the assets with a location that meets conditions on `LOCATIONS`.

    Subtitles beside a video are not listed: the video is.
    """
    rows = connection.execute(
        select(
            display_asset.c.id,
            display_asset.c.modality,
            cast(display_asset.c.taken_at, String),
            COLUMNS[Field.DATE_PRECISION],
            location_condition("modified_ns"),
            own_location.c.id,
            location_condition("path"),
        )
        .select_from(LOCATIONS)
        .where(own_location.c.sidecar_of.is_(None), *where)
        .order_by(display_asset.c.id, own_location.c.id)
    )
    first: dict[int, Any] = {}
    for row in rows:
        first.setdefault(row[0], row)
    texts = [_time(taken, modified_ns) for _, _, taken, _, modified_ns, _, _ in first.values()]
    lengths = [_DAY_LENGTHS.get(row[3], 10) if row[2] else 10 for row in first.values()]
    return AssetListing(
        np.array(list(first), dtype=np.int64),
        np.array([row[1] for row in first.values()], dtype=np.str_),
        np.array(texts, dtype="datetime64[s]"),
        np.array(
            [text[:length] for text, length in zip(texts, lengths, strict=True)], dtype=np.str_
        ),
        np.array([row[5] for row in first.values()], dtype=np.int64),
        np.array([os.path.dirname(row[6]) for row in first.values()], dtype=np.object_),  # noqa: PTH120
    )


def _time(taken: str | None, modified_ns: int) -> str:
    """Return a time as ISO 8601 to the second, the same in SQLite's and PostgreSQL's spelling."""
    if taken:
        return taken[:19].replace(" ", "T")
    try:
        return datetime.fromtimestamp(modified_ns // 10**9).isoformat()
    except (OverflowError, ValueError, OSError):  # no file system's clock was set to that
        return "1970-01-01T00:00:00"


def listing_mark(connection: Connection) -> tuple[int, ...]:
    """Return numbers that change with every file that comes, goes, moves or is touched."""
    touched = func.sum(locations.c.modified_ns % 1_000_003)  # the sum of whole ones overflows
    row = connection.execute(select(func.count(), func.max(locations.c.id), touched)).one()
    return tuple(int(value or 0) for value in row)


def first_segments(
    connection: Connection, asset_ids: Sequence[int], generation_id: int
) -> dict[int, int]:
    """Return the id of the first segment with content of each of some assets, by asset."""
    rows = connection.execute(
        select(segments.c.asset_id, func.min(segments.c.id))
        .where(
            segments.c.asset_id.in_(list(asset_ids)),
            segments.c.generation_id == generation_id,
            segments.c.ordinal >= 0,
        )
        .group_by(segments.c.asset_id)
    )
    return {int(asset): int(segment) for asset, segment in rows}
