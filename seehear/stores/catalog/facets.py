"""The values of a collection, with how many items have each: `seehear facets`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, String, cast, func, select

from seehear.stores.catalog.conditions import COLUMNS, PLACES, condition, folded, shown
from seehear.stores.catalog.filters import Field, Filter
from seehear.stores.catalog.paths import fold


class Facet(StrEnum):
    """What values can be listed of, in the order in which people ask for it."""

    TYPE = "type"
    FORMAT = "format"
    FOLDER = "folder"
    YEAR = "year"
    MONTH = "month"
    TAG = "tag"
    CAMERA = "camera"
    LENS = "lens"
    ORIENTATION = "orientation"
    ARTIST = "artist"
    ALBUM = "album"
    GENRE = "genre"
    CITY = "city"
    COUNTRY = "country"


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value, and how many items have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class FacetValues:
    """The values of a facet, most frequent first: the first of `distinct`."""

    facet: Facet
    values: tuple[FacetValue, ...]
    distinct: int


FIELDS: dict[Facet, Field] = {
    Facet.TYPE: Field.MODALITY,
    Facet.TAG: Field.KEYWORD,
    **{facet: Field(facet.value) for facet in Facet if facet.value in set(Field)},
}
"""The field of a filter that finds the items of a value."""

_TAKEN = cast(shown.c.taken_at, String)  # "2024-06-01 14:30:00", in both databases


def _column(facet: Facet) -> Any:
    if facet is Facet.YEAR:
        return func.substr(_TAKEN, 1, 4)
    if facet is Facet.MONTH:
        return func.substr(_TAKEN, 1, 7)
    return COLUMNS[FIELDS[facet]]


def facet_values(connection: Connection, facet: Facet, top: int | None) -> FacetValues:
    """Return the values of a facet with the number of items that have each, most frequent first.

    Spellings that differ in case alone are one value, as they are for filters; but not of folders,
    each of which counts what lies directly in it.
    """
    column = _column(facet)
    rows: Iterable[Any] = connection.execute(
        select(func.min(column), func.count(shown.c.id.distinct()))
        .select_from(PLACES)
        .where(column.is_not(None), column != "")
        .group_by(column if facet is Facet.FOLDER else folded(column))
    )
    if facet is Facet.TAG:
        rows = _tags(rows)
    elif facet is Facet.FOLDER:
        rows = [(str(value).rstrip("/") or "/", count) for value, count in rows]
    ranked = sorted((FacetValue(str(value), int(count)) for value, count in rows), key=_order)
    return FacetValues(facet, tuple(ranked[:top]), len(ranked))


def _order(value: FacetValue) -> tuple[int, str]:
    return -value.count, value.value


def _tags(rows: Iterable[Any]) -> list[tuple[str, int]]:
    """The tags of an item lie in one text, joined by semicolons."""
    counts: Counter[str] = Counter()
    spelled: dict[str, str] = {}
    for text, count in rows:
        tags = {fold(tag): tag for one in str(text).split(";") if (tag := one.strip())}
        for key, tag in tags.items():
            counts[key] += int(count)
            spelled[key] = min(tag, spelled.get(key, tag))
    return [(spelled[key], count) for key, count in counts.items()]


def any_match(connection: Connection, where: Filter) -> bool:
    """Whether anything in the collection meets a filter."""
    query = select(1).select_from(PLACES).where(condition(where)).limit(1)
    return connection.execute(query).first() is not None
