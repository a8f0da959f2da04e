"""List the values in a collection, with the number of items that have each: `seehear facets`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, String, case, cast, func, null, select

from seehear.stores.catalog.filter_sql import COLUMNS, display_asset
from seehear.stores.catalog.filters import LISTS, Field
from seehear.stores.catalog.paths import fold
from seehear.stores.catalog.schema import locations
from seehear.types import ITEMS


class Facet(StrEnum):
    """Fields whose values can be listed, in display order."""

    TYPE = "type"
    FORMAT = "format"
    FOLDER = "folder"
    YEAR = "year"
    MONTH = "month"
    TAG = "tag"
    PERSON = "person"
    CAMERA = "camera"
    LENS = "lens"
    ORIENTATION = "orientation"
    ARTIST = "artist"
    ALBUM = "album"
    GENRE = "genre"
    CITY = "city"
    COUNTRY = "country"
    ZONE = "zone"
    DATE_FROM = "date_from"


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value, and the number of items that have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class FacetValues:
    """The most frequent values of a facet; `distinct` is the number of all its values."""

    facet: str
    """A `Facet`, or the name of a field of one's own."""
    values: tuple[FacetValue, ...]
    distinct: int


FIELDS: dict[Facet, Field] = {
    Facet.TYPE: Field.MODALITY,
    Facet.TAG: Field.KEYWORD,
    Facet.PERSON: Field.PEOPLE,
    **{facet: Field(facet.value) for facet in Facet if facet.value in set(Field)},
}
"""The filter field that finds the items with a value of the facet."""

_TAKEN = cast(display_asset.c.taken_at, String)  # "2024-06-01 14:30:00", in both databases


def facet_values(connection: Connection, facet: Facet, top: int | None) -> FacetValues:
    """Return the values of a facet with the number of items that have each, most frequent first.

    Spellings that differ in case only are one value, as in filters. Folders are an exception: each
    counts the items directly in it. Subtitles beside a video count as that video.
    """
    rows: Iterable[Any]
    if facet is Facet.FOLDER:
        rows = [
            (text.rstrip("/") or "/", count)
            for text, count in connection.execute(_FOLDERS)
            if text != f"{ITEMS}/"
        ]
    else:
        column = _column(facet)
        rows = connection.execute(
            select(column, func.count())
            .where(column.is_not(None), column != "", display_asset.c.id.in_(_LYING_SOMEWHERE))
            .group_by(column)
        )
        rows = merged(rows, "; " if FIELDS.get(facet) in LISTS else None)
    return ranked_values(facet, rows, top)


def ranked_values(facet: str, rows: Iterable[Any], top: int | None) -> FacetValues:
    """Return the values of rows of (value, count), most frequent first."""
    ranked = sorted((FacetValue(value, int(count)) for value, count in rows), key=_order)
    return FacetValues(facet, tuple(ranked[:top]), len(ranked))


_LYING_SOMEWHERE = select(locations.c.asset_id).where(locations.c.sidecar_of.is_(None))
_FOLDERS = (
    select(locations.c.folders, func.count(locations.c.asset_id.distinct()))
    .where(locations.c.sidecar_of.is_(None))
    .group_by(locations.c.folders)
)


def _column(facet: Facet) -> Any:
    if facet is Facet.YEAR:
        return func.substr(_TAKEN, 1, 4)
    if facet is Facet.MONTH:
        only_year = func.coalesce(COLUMNS[Field.DATE_PRECISION], "") == "year"
        return case((only_year, null()), else_=func.substr(_TAKEN, 1, 7))
    return COLUMNS[FIELDS[facet]]


def _order(value: FacetValue) -> tuple[int, str]:
    return -value.count, value.value


def merged(rows: Iterable[Any], joined: str | None = None) -> list[tuple[str, int]]:
    """Merge values that differ in case only; split texts that hold several values by `joined`.

    Done here and not in the database, which groups equal texts fast but folds case slowly.
    """
    counts: Counter[str] = Counter()
    spelled: dict[str, str] = {}
    for text, count in rows:
        for value in {text} if joined is None else set(text.split(joined)):
            counts[value] += int(count) if value else 0
    folded: Counter[str] = Counter()
    for value, count in counts.items():
        if count:
            folded[key := fold(value)] += count
            spelled[key] = min(value, spelled.get(key, value))
    return [(spelled[key], count) for key, count in folded.items()]
