"""Compile filters to SQL conditions; values are passed as bound parameters only.

Conditions use rows of `LOCATIONS`, one for each location where something is shown:

    own_location      the location of the file itself
    video_location    for a subtitle beside a video: a location of that video, else NULL
    display_asset     the asset that is shown: the video's, else the file's own

A whole filter is applied to one row, so that name, folder and time belong to the same location.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    SelectBase,
    Text,
    and_,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.sql.visitors import replacement_traverse
from sqlalchemy.types import NullType

from seehear.own_fields import FieldType, comparable_time
from seehear.stores.catalog.asked_words import AskedWord, asked_words
from seehear.stores.catalog.filters import (
    DETAILS,
    LISTS,
    ORIGINS,
    And,
    Compare,
    CompareOwn,
    Field,
    Filter,
    GeoCircle,
    Not,
    Op,
    Or,
)
from seehear.stores.catalog.paths import folder_range
from seehear.stores.catalog.schema import assets, item_values, locations, segments
from seehear.types import Ids, Modality

EARTH_RADIUS_KM = 6371.0
FIRST_YEAR, LAST_YEAR = 1678, 2261
"""Whole years of which every instant is a 64-bit number of nanoseconds since 1970."""

own_location = locations.alias("own_location")
video_location = locations.alias("video_location")
display_asset = assets.alias("display_asset")
LOCATIONS = own_location.outerjoin(
    video_location, video_location.c.asset_id == own_location.c.sidecar_of
).join(
    display_asset,
    display_asset.c.id == func.coalesce(video_location.c.asset_id, own_location.c.asset_id),
)

_here = locations.c.asset_id == assets.c.id
is_sidecar = and_(
    exists(select(1).where(_here, locations.c.sidecar_of.is_not(None))),
    not_(exists(select(1).where(_here, locations.c.sidecar_of.is_(None)))),
)
"""Subtitles that only exist beside their video: the video is counted instead of them."""


class folded(GenericFunction[str]):  # noqa: N801 - it stands among func.lower and the like
    """Text in a form that ignores case and the encoding of accents.

    SQLite's `lower` is our own (`paths.fold`). PostgreSQL has a function that does not depend on
    the locale of the database. It gives upper case, because that treats "\u00df" and "SS" as equal,
    as `fold` does.
    """

    type = Text()
    inherit_cache = True


class is_listed(GenericFunction[Any]):  # noqa: N801 - as folded
    """Whether an id is in a list, given as JSON: it may be too long for a parameter for each."""

    # Not Boolean, which SQLite's dialect compares with 1: then no index looks up the ids.
    type = NullType()
    inherit_cache = True


@compiles(is_listed, "sqlite")
def _listed_in_sqlite(element: is_listed, compiler: SQLCompiler, **options: Any) -> str:
    one, ids = (compiler.process(part, **options) for part in element.clauses)
    return f"{one} IN (SELECT value FROM json_each({ids}))"


@compiles(is_listed, "postgresql")
def _listed_in_postgresql(element: is_listed, compiler: SQLCompiler, **options: Any) -> str:
    one, ids = (compiler.process(part, **options) for part in element.clauses)
    found = f"SELECT CAST(json_array_elements_text(CAST({ids} AS json)) AS bigint)"
    return f"{one} IN ({found})"


@compiles(folded, "sqlite")
def _folded_by_us(element: folded, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower{compiler.function_argspec(element, **options)}"


@compiles(folded, "postgresql")
def _folded_by_icu(element: folded, compiler: SQLCompiler, **options: Any) -> str:
    return f'upper(normalize{compiler.function_argspec(element, **options)} COLLATE "und-x-icu")'


_SHOWN: dict[str, ColumnElement[Any]] = {
    name: func.coalesce(video_location.c[name], own_location.c[name])
    for name in locations.columns.keys()  # noqa: SIM118 - a collection of columns is no mapping
}
_OWN: dict[ColumnElement[Any], ColumnElement[Any]] = {
    shown: own_location.c[name] for name, shown in _SHOWN.items()
}


def location_condition(name: str) -> ColumnElement[Any]:
    """Return a column of the location that is shown."""
    return _SHOWN[name]


def _text(name: str) -> Any:
    return display_asset.c.details[name].as_string()


def _number(name: str) -> Any:
    return display_asset.c.details[name].as_float()


COLUMNS: dict[Field, Any] = {
    Field.MODALITY: display_asset.c.modality,
    Field.NAME: location_condition("name"),
    Field.MODIFIED: location_condition("modified_ns"),
    Field.FORMAT: display_asset.c.format,
    Field.TAKEN: display_asset.c.taken_at,
    Field.SIZE: display_asset.c.size_bytes,
    Field.DURATION: display_asset.c.duration_s,
    Field.WIDTH: display_asset.c.width_px,
    Field.HEIGHT: display_asset.c.height_px,
    Field.ORIENTATION: _text("orientation"),
    Field.LATITUDE: _number("latitude"),
    Field.LONGITUDE: _number("longitude"),
    Field.COORDINATES: _number("latitude") + _number("longitude"),
    Field.FOLDER: location_condition("folders"),
    **{field: _text(field.value) for field in DETAILS},
    Field.KEYWORD: _text("keywords"),
}
"""The column of each field, in a row of `LOCATIONS`."""


FindPassages = Callable[[Sequence[AskedWord]], Ids]
"""Returns the ids of the passages that have all of some words."""


def conditions(
    under: Path | None, where: Filter | None, find: FindPassages
) -> list[ColumnElement[bool]]:
    """Return conditions for rows of `LOCATIONS` that are below a folder and match a filter."""
    found = [] if under is None else [below(under)]
    return found if where is None else [*found, _condition(where, find)]


def _condition(part: Filter, find: FindPassages) -> ColumnElement[bool]:
    """Return the SQL condition of a filter. Items that lack a field do not match."""
    if isinstance(part, And):
        return and_(true(), *(_condition(p, find) for p in part.parts))
    if isinstance(part, Or):
        return or_(false(), *(_condition(p, find) for p in part.parts))
    if isinstance(part, Not):
        return not_(func.coalesce(_condition(part.part, find), false()))
    if isinstance(part, CompareOwn):
        return _compare_own(part)
    return _compare(part, find)


def own_ids(which: Sequence[ColumnElement[bool]]) -> SelectBase:
    """Select the ids of the assets with a location that meets conditions on `LOCATIONS`.

    A file is looked up by itself, where indexes serve the conditions, or by the video beside it.
    """
    alone = [_without_video(condition) for condition in which]
    files = own_location.join(display_asset, display_asset.c.id == own_location.c.asset_id)
    beside = select(own_location.c.asset_id).select_from(LOCATIONS)
    return union_all(
        select(own_location.c.asset_id)
        .select_from(files)
        .where(own_location.c.sidecar_of.is_(None), *alone),
        beside.where(own_location.c.sidecar_of.is_not(None), *which),
    )


def _without_video(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Rewrite a condition on `LOCATIONS` for files that are beside no video."""

    def replaced(element: Any, **_: Any) -> Any:
        return _OWN.get(element)

    return replacement_traverse(condition, {}, replaced)


def shown_ids(which: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """Select the ids of the assets that are shown in rows of `LOCATIONS` that meet conditions."""
    return select(display_asset.c.id).select_from(LOCATIONS).where(*which)


def _compare_own(part: CompareOwn) -> ColumnElement[bool]:
    known = item_values.c.name == part.field.name
    having = select(item_values.c.asset_id).where(known)
    if part.op is Op.KNOWN:
        return display_asset.c.id.in_(having)
    value: Any = part.value
    column: Any = item_values.c.number
    if part.field.type in {FieldType.TEXT, FieldType.TEXTS}:
        column = folded(item_values.c.text)
    elif isinstance(value, date):
        column, value = item_values.c.time, comparable_time(value)
    else:
        value = float(value)
    op = Op.EQ if part.op is Op.NE else part.op
    equal = display_asset.c.id.in_(having.where(_operate(column, op, value)))
    if part.op is Op.NE:
        return and_(display_asset.c.id.in_(having), not_(equal))
    return equal


def below(folder: Path) -> ColumnElement[bool]:
    """Return the condition for locations at a path or below it."""
    low, high = folder_range(folder)
    path = location_condition("path")
    return or_(path == os.fsencode(folder), and_(path >= low, path < high))


def shown_as(kinds: frozenset[Modality]) -> ColumnElement[bool]:
    """Return the condition for locations whose hits are shown as one of these modalities."""
    return display_asset.c.modality.in_([kind.value for kind in kinds])


def _compare(part: Compare, find: FindPassages) -> ColumnElement[bool]:
    value: Any = part.value
    if isinstance(value, Path):
        return below(value)
    if isinstance(value, GeoCircle):
        return _within(value)
    if part.field in ORIGINS:
        return _passages(part, find)
    column = COLUMNS[part.field]
    if part.field in LISTS and part.op is not Op.KNOWN:
        return _one_of_list(column, part.op, str(value))
    if part.field is Field.MODIFIED and isinstance(value, datetime):
        value = _nanoseconds(value)
    elif isinstance(value, float) and isinstance(column.type, BigInteger):
        value = _whole(part.op, value)
    compared = folded(column) if isinstance(value, str) else column
    return _operate(compared, part.op, value)


def _whole(op: Op, value: float) -> float:
    """Return the integer that is as good for comparing integers with, where there is one.

    PostgreSQL uses no index of integers for another kind of number.
    """
    if abs(value) >= 1 << 63 or (op in {Op.EQ, Op.NE} and not value.is_integer()):
        return value
    return math.ceil(value) if op in {Op.LT, Op.GE} else math.floor(value)


def _passages(part: Compare, find: FindPassages) -> ColumnElement[bool]:
    """Return the condition for files with such a passage, in them or in subtitles beside them."""
    which: list[ColumnElement[bool]] = [
        segments.c.origin.in_([origin.value for origin in ORIGINS[part.field]])
    ]
    if part.op is Op.LIKE:
        asked = asked_words(str(part.value))
        if not asked:
            return false()
        which.append(is_listed(segments.c.id, json.dumps(find(asked).tolist())))
    elif part.field is Field.LANGUAGE:
        known = segments.c.language
        which.append(known.is_not(None) if part.op is Op.KNOWN else known == part.value)
    inside = select(segments.c.asset_id).where(*which)
    beside = select(locations.c.sidecar_of).where(
        locations.c.sidecar_of.is_not(None), locations.c.asset_id.in_(inside)
    )
    has = or_(display_asset.c.id.in_(inside), display_asset.c.id.in_(beside))
    return not_(has) if part.op is Op.NE else has


def _nanoseconds(when: datetime) -> int:
    """Return the time since the epoch in ns, or a bound of the 64-bit column for other years.

    No file has such a time, so that all of them lie on the right side of the bound.
    """
    if not FIRST_YEAR <= when.year <= LAST_YEAR:
        return -(2**63) if when.year < FIRST_YEAR else 2**63 - 1
    # Compute the seconds apart from the fraction: a float cannot hold today's time in ns.
    return int(when.replace(microsecond=0).timestamp()) * 10**9 + when.microsecond * 1000


def _one_of_list(column: Any, op: Op, value: str) -> ColumnElement[bool]:
    # Semicolons on both sides let each text of a list be found as a whole.
    texts = folded("; " + func.coalesce(column, "") + "; ")
    if op is Op.LIKE:
        return _like(texts, f"*; {value}; *")
    has = _fits(texts, f"%; {_escaped(value)}; %")
    return not_(has) if op is Op.NE else has


def _within(location: GeoCircle) -> ColumnElement[bool]:
    """Compare the great-circle distance, by the haversine formula.

    R. W. Sinnott, Sky and Telescope, 1984.
    """
    latitude = func.radians(COLUMNS[Field.LATITUDE])
    longitude = func.radians(COLUMNS[Field.LONGITUDE])
    lat, lon = math.radians(location.latitude), math.radians(location.longitude)
    chord = func.power(func.sin((latitude - lat) / 2), 2) + math.cos(lat) * func.cos(
        latitude
    ) * func.power(func.sin((longitude - lon) / 2), 2)
    limit = math.sin(min(location.radius_km / (2 * EARTH_RADIUS_KM), math.pi / 2)) ** 2
    near: ColumnElement[bool] = chord <= limit
    return near


def _like(column: Any, pattern: str) -> ColumnElement[bool]:
    """Match the whole text with a pattern of * and ?."""
    return _fits(column, _escaped(pattern).replace("*", "%").replace("?", "_"))


def _fits(column: Any, pattern: str) -> ColumnElement[bool]:
    fits: ColumnElement[bool] = column.like(folded(literal(pattern)), escape="\\")
    return fits


def _escaped(text: str) -> str:
    """Escape text that is to be matched literally in a pattern."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return text


def _operate(column: Any, op: Op, value: Any) -> ColumnElement[bool]:
    if op is Op.KNOWN:
        known: ColumnElement[bool] = column.is_not(None)
        return known
    if op is Op.LIKE:
        return _like(column, value)
    if isinstance(value, str):
        value = folded(literal(value))
    compared: dict[Op, ColumnElement[bool]] = {
        Op.EQ: column == value,
        Op.NE: column != value,
        Op.LT: column < value,
        Op.LE: column <= value,
        Op.GT: column > value,
        Op.GE: column >= value,
    }
    return compared[op]
