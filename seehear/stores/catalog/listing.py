"""List all assets with what a person sorts them by: their date, kind and folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, String, cast, select

from seehear.stores.catalog.filter_sql import (
    COLUMNS,
    LOCATIONS,
    display_asset,
    location_condition,
    own_location,
)
from seehear.stores.catalog.filters import Field
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
    found = connection.execute(
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
    )
    rows = sorted(found.fetchall(), key=itemgetter(0, 5))
    first = [row for n, row in enumerate(rows) if not n or row[0] != rows[n - 1][0]]
    ids, kinds, taken, precisions, modified, location_ids, paths = (
        zip(*first, strict=True) if first else ((),) * 7
    )
    texts = list(map(_time, taken, modified))
    days = [
        text[: _DAY_LENGTHS.get(precision, 10) if known else 10]
        for text, precision, known in zip(texts, precisions, taken, strict=True)
    ]
    return AssetListing(
        np.array(ids, dtype=np.int64),
        np.array(kinds, dtype=np.str_),
        np.array(texts, dtype="datetime64[s]"),
        np.array(days, dtype=np.str_),
        np.array(location_ids, dtype=np.int64),
        np.array([path.rpartition(b"/")[0] or b"/" for path in paths], dtype=np.object_),
    )


def _time(taken: str | None, modified_ns: int) -> str:
    """Return a time as ISO 8601 to the second, the same in SQLite's and PostgreSQL's spelling."""
    if taken:
        return taken[:19].replace(" ", "T")
    try:
        return datetime.fromtimestamp(modified_ns // 10**9).isoformat()
    except (OverflowError, ValueError, OSError):  # no file system's clock was set to that
        return "1970-01-01T00:00:00"
