"""Build the statements that every search executes, each with a list of ids, once."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import Connection, Select, bindparam, cast, func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import UserDefinedType

from seehear.stores.catalog.records import GenerationState
from seehear.stores.catalog.schema import (
    assets,
    counters,
    fingerprints,
    generations,
    locations,
    roots,
    segments,
    spaces,
)
from seehear.types import Asset, Ids

T = TypeVar("T")
CHUNK = 500
"""Rows in one statement, where each is a parameter."""


class BigintArray(UserDefinedType[Any]):
    """The type of a list of ids that is one parameter of a PostgreSQL statement."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "bigint[]"


@dataclass(frozen=True, slots=True)
class _Statements:
    """Statements with a list of `ids` as parameter."""

    described: Select[*tuple[Any, ...]]
    """Segments, each with every location of its asset, the one to show first, and fingerprint."""
    assets: Select[*tuple[Any, ...]]
    """Assets, each with the same."""
    plain_assets: Select[*tuple[Any, ...]]
    texts: Select[*tuple[Any, ...]]
    """The passages of segments."""
    pieces: Select[*tuple[Any, ...]]
    placed: Select[*tuple[Any, ...]]
    """Assets that have a location."""
    videos: Select[*tuple[Any, ...]]
    """Assets beside a video, with the id of the video."""
    paths: Select[*tuple[Any, ...]]
    of_assets: Select[*tuple[Any, ...]]
    """Assets with the segments that a `generation` has of them."""
    first_of: Select[*tuple[Any, ...]]
    """Assets with the first segment that a `generation` has of them."""
    fingerprints: Select[*tuple[Any, ...]]
    counters: Select[*tuple[Any, ...]]
    """All counters, by name."""
    serving: Select[*tuple[Any, ...]]
    """The serving generation, once for each of its spaces."""


def chunks(ids: Sequence[T] | Ids) -> Iterator[list[T]]:
    """Split ids, or other values, into parts that fit one statement."""
    values: Sequence[T] = ids.tolist() if isinstance(ids, np.ndarray) else ids
    for start in range(0, len(values), CHUNK):
        yield list(values[start : start + CHUNK])


_ROWS_READ = "seehear_rows_read"
"""Option of a connection: what was read on it, by statement, generation and id."""


def remember_rows(connection: Connection) -> None:
    """Read no row twice on a connection, which must read one instant alone and be nobody else's."""
    connection.execution_options(**{_ROWS_READ: {}})


def _remembered(
    connection: Connection, which: str, generation_id: int | None = None
) -> dict[int, Any]:
    known = connection.get_execution_options().get(_ROWS_READ)
    return {} if known is None else known.setdefault((which, generation_id), {})


def rows_of(
    connection: Connection, which: str, ids: Sequence[Any], generation_id: int | None = None
) -> Iterator[Any]:
    """Rows of one of the statements, for any number of ids; those of one id stay in their order."""
    rows = _remembered(connection, which, generation_id)
    wanted = list(dict.fromkeys(ids))
    missing = [id_ for id_ in wanted if id_ not in rows]
    found: dict[int, list[Any]] = {id_: [] for id_ in missing}
    for row in _rows(connection, which, missing, generation_id):
        found[row[0]].append(row)
    rows |= found
    for id_ in wanted:
        yield from rows[id_]


def plain_rows(connection: Connection, which: str) -> Sequence[Any]:
    """Return the rows of one of the statements that take no ids."""
    if connection.dialect.name == "sqlite":
        return _driver_rows(connection, which, "", None)
    return connection.execute(getattr(_statements(sqlite=False), which)).all()


def placed_among(connection: Connection, asset_ids: Collection[int]) -> set[int]:
    """Return those of some assets that have a location."""
    known = _remembered(connection, "placed")
    missing = [id_ for id_ in asset_ids if id_ not in known]
    found = {row[0] for row in _rows(connection, "placed", missing, None)}
    known |= {id_: id_ in found for id_ in missing}
    return {id_ for id_ in asset_ids if known[id_]}


def any_beside(connection: Connection) -> bool:
    """Return whether any file lies beside a video, as its subtitles."""
    rows = _remembered(connection, "beside")
    if 0 not in rows:
        rows[0] = list(connection.execute(_BESIDE))
    return bool(rows[0])


def counter_values(connection: Connection) -> dict[str, int]:
    """Return the values of all counters by name."""
    rows = _remembered(connection, "counters")
    if 0 not in rows:
        rows[0] = {name: int(value) for name, value in plain_rows(connection, "counters")}
    return dict(rows[0])


_BESIDE = select(locations.c.id).where(locations.c.sidecar_of.is_not(None)).limit(1)


def _rows(
    connection: Connection, which: str, ids: Sequence[Any], generation_id: int | None
) -> Iterator[Any]:
    if connection.dialect.name == "sqlite":
        if ids:
            yield from _driver_rows(connection, which, json.dumps(ids), generation_id)
        return
    statement = getattr(_statements(sqlite=False), which)
    of_generation = {} if generation_id is None else {"generation": generation_id}
    if ids:
        yield from connection.execute(statement, {"ids": [*ids]} | of_generation).all()


def _driver_rows(
    connection: Connection, which: str, ids: str, generation_id: int | None
) -> list[Any]:
    """Execute a statement by SQLite's driver, in a fifth of the time that a `Connection` takes."""
    sql, names, constants, converters = _compiled(which)
    driver: Any = connection.connection.driver_connection
    values = {**constants, "ids": ids, "generation": generation_id}
    rows: list[Any] = driver.execute(sql, [values[name] for name in names]).fetchall()
    if not converters:
        return rows
    converted = []
    for row in rows:
        cells = list(row)
        for position, convert in converters:
            cells[position] = convert(cells[position])
        converted.append(cells)
    return converted


@cache
def _compiled(
    which: str,
) -> tuple[str, Sequence[str], Mapping[str, Any], list[tuple[int, Callable[[Any], Any]]]]:
    """Return a statement as text, the names of its parameters in order, the values of constant
    ones, and what converts columns from SQLite's types, by their position."""
    dialect = sqlite.dialect()
    statement = getattr(_statements(sqlite=True), which)
    compiled = statement.compile(dialect=dialect)
    converters = [
        (position, convert)
        for position, column in enumerate(statement.selected_columns)
        if (convert := column.type.dialect_impl(dialect).result_processor(dialect, None))
    ]
    return str(compiled), compiled.positiontup or (), compiled.params, converters


@cache
def _statements(*, sqlite: bool) -> _Statements:
    """Build the statements.

    The list is one parameter, because hundreds of them cost more than the query itself: an array,
    or in SQLite a JSON text.
    """

    def among(column: Any) -> Any:
        if sqlite:
            given = func.json_each(bindparam("ids")).table_valued("value")
            return column.in_(select(given.c.value))
        return column == func.any(cast(bindparam("ids"), BigintArray()))

    asset = [assets.c[field.name] for field in fields(Asset)]
    located = (
        locations.c.id,
        locations.c.path,
        locations.c.modified_ns,
        locations.c.sidecar_of,
        roots.c.online,
        fingerprints.c.data,
        *asset,
    )
    placed = (
        assets.join(locations, locations.c.asset_id == assets.c.id)
        .join(roots, roots.c.id == locations.c.root_id)
        .outerjoin(fingerprints, fingerprints.c.asset_id == assets.c.id)
    )
    described = (
        select(
            segments.c.id,
            segments.c.ordinal,
            segments.c.modality,
            segments.c.start_s,
            segments.c.stop_s,
            segments.c.text,
            segments.c.page,
            segments.c.origin,
            segments.c.language,
            segments.c.confidence,
            segments.c.box,
            *located,
        )
        .select_from(placed.join(segments, segments.c.asset_id == assets.c.id))
        .order_by(roots.c.online.desc(), locations.c.id)
    )
    shown = (
        select(assets.c.id, *located)
        .select_from(placed)
        .order_by(roots.c.online.desc(), locations.c.id)
    )
    return _Statements(
        described=described.where(among(segments.c.id)),
        assets=shown.where(among(assets.c.id)),
        plain_assets=select(*asset).where(among(assets.c.id)),
        texts=select(segments.c.id, segments.c.text).where(among(segments.c.id)),
        pieces=select(*PIECE).where(among(segments.c.id)).order_by(segments.c.id),
        placed=select(locations.c.asset_id).where(among(locations.c.asset_id)).distinct(),
        videos=select(locations.c.asset_id, locations.c.sidecar_of)
        .join(roots, roots.c.id == locations.c.root_id)
        .where(among(locations.c.asset_id), locations.c.sidecar_of.is_not(None))
        .order_by(roots.c.online.desc(), locations.c.id),
        paths=select(locations.c.asset_id, locations.c.path)
        .where(among(locations.c.asset_id))
        .order_by(locations.c.id),
        of_assets=select(segments.c.asset_id, segments.c.id).where(
            among(segments.c.asset_id), segments.c.generation_id == bindparam("generation")
        ),
        first_of=select(segments.c.asset_id, func.min(segments.c.id))
        .where(among(segments.c.asset_id), segments.c.generation_id == bindparam("generation"))
        .group_by(segments.c.asset_id),
        serving=select(
            generations.c.id,
            generations.c.model,
            generations.c.revision,
            spaces.c.name,
            spaces.c.revision,
            spaces.c.dim,
        )
        .join_from(generations, spaces, spaces.c.generation_id == generations.c.id, isouter=True)
        .where(generations.c.state == GenerationState.SERVING.value)
        .order_by(spaces.c.id),
        counters=select(counters.c.name, counters.c.value),
        fingerprints=select(fingerprints.c.asset_id, fingerprints.c.data).where(
            among(fingerprints.c.asset_id)
        ),
    )


PIECE = (
    segments.c.id,
    segments.c.asset_id,
    segments.c.modality,
    segments.c.origin,
    segments.c.start_s,
    segments.c.stop_s,
)
"""The columns of `SegmentColumns`."""
