"""Query the catalog's segments: select, count and describe them, and read their vectors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, exists, func, or_, select

from seehear.stores.catalog import reader
from seehear.stores.catalog.checksums import is_intact
from seehear.stores.catalog.facets import FacetValue
from seehear.stores.catalog.filter_sql import (
    LOCATIONS,
    conditions,
    is_listed,
    own_ids,
    own_location,
    shown_as,
)
from seehear.stores.catalog.filters import Filter
from seehear.stores.catalog.records import Generation, SegmentColumns, SegmentRecord
from seehear.stores.catalog.schema import locations, segments, vectors
from seehear.stores.catalog.segment_table import (
    NO_COLUMNS,
    SegmentTable,
    segment_table,
    select_columns,
)
from seehear.stores.catalog.statements import any_beside, chunks, rows_of
from seehear.stores.catalog.transactions import Transactions
from seehear.stores.catalog.words import WordIndexes
from seehear.types import EmbeddingSpace, Ids, Modality, Origin, Vectors

_ALL = frozenset(Modality)


class SegmentFilter:
    """A condition for segments of a generation: which of them a query may find.

    It belongs to one query: what meets it is read from the instant that the query's thread reads.
    """

    def __init__(
        self,
        segments_: Segments,
        generation_id: int,
        assets: frozenset[Modality] | None,
        under: Path | None,
        where: Filter | None,
    ) -> None:
        self._segments = segments_
        self._generation_id = generation_id
        self._assets = assets
        self._under = under
        self._where = where
        self._read: dict[Modality, Ids] = {}

    def conditions(self, connection: Connection) -> list[ColumnElement[bool]]:
        """Return the same as conditions for rows of `LOCATIONS`."""
        find = partial(self._segments.words.passages_with, connection)
        met = conditions(self._under, self._where, find)
        return met if self._assets is None else [*met, shown_as(self._assets)]

    def ids(
        self,
        items: Sequence[Modality],
        kinds: frozenset[Modality] = _ALL,
        most: int | None = None,
    ) -> dict[Modality, Ids]:
        """Return by modality the sorted ids of the segments that meet it, int64 (n,).

        `kinds` are what segments of these modalities can be shown as. With `most`, a modality with
        more than that has any `most` + 1 of them.
        """
        with self._segments.transactions.read() as connection:
            met = self.conditions(connection)
            if kinds != _ALL:
                met.append(shown_as(kinds))
            # A sum, so that SQLite looks up the segments of what meets the conditions.
            own = segments.c.generation_id + 0 == self._generation_id
            query = select(segments.c.modality, segments.c.id).where(
                own, segments.c.modality.in_([item.value for item in items])
            )
            if most is None:
                query = query.where(segments.c.asset_id.in_(own_ids(met)))
                return _by_modality(items, connection.execute(query))
            chosen = own_ids(met).subquery()
            some = connection.scalars(select(chosen.c.asset_id).distinct().limit(most + 1)).all()
            if len(some) <= most:
                query = query.where(is_listed(segments.c.asset_id, json.dumps([*some])))
                return _by_modality(items, connection.execute(query))
            query = select(segments.c.modality, segments.c.id).limit(most + 1)
            query = query.where(own, _meets(segments.c.asset_id, met))
            each = (query.where(segments.c.modality == item.value) for item in items)
            return _by_modality(items, chain.from_iterable(map(connection.execute, each)))

    def ids_of(self, item: Modality) -> Ids:
        """Return the same of one modality, however many; they are read once."""
        if item not in self._read:
            self._read |= self.ids([item])
        return self._read[item]

    def for_assets(
        self, connection: Connection, asset_id: ColumnElement[int]
    ) -> ColumnElement[bool]:
        """Return the same as a condition for a column of assets that segments were cut from."""
        return _meets(asset_id, self.conditions(connection))

    def among(self, ids: Ids) -> Ids:
        """Return those of some segments that meet it, sorted, int64 (n,)."""
        with self._segments.transactions.read() as connection:
            query = select(segments.c.id).where(
                is_listed(segments.c.id, json.dumps(ids.tolist())),
                _meets(segments.c.asset_id, self.conditions(connection)),
            )
            return np.sort(np.fromiter(connection.scalars(query), dtype=np.int64))


def _by_modality(items: Sequence[Modality], rows: Iterable[Any]) -> dict[Modality, Ids]:
    found: dict[str, list[int]] = {item.value: [] for item in items}
    for kind, id_ in rows:
        found[kind].append(id_)
    return {item: np.array(sorted(found[item.value]), dtype=np.int64) for item in items}


def _meets(
    asset_id: ColumnElement[int], conditions_: Sequence[ColumnElement[bool]]
) -> ColumnElement[bool]:
    """Return the condition for rows of an asset with a location that meets conditions.

    It is looked up for each row by itself, so that a few cost little in any collection.
    """
    here = own_location.c.asset_id == asset_id
    return exists(select(1).select_from(LOCATIONS).where(here, *conditions_))


class Segments:
    """The segments of a catalog."""

    def __init__(self, transactions: Transactions, words: WordIndexes) -> None:
        self.transactions = transactions
        self.words = words

    def ids(
        self,
        generation_id: int,
        *,
        item: Modality | None = None,
        assets: frozenset[Modality] | None = None,
        under: Path | None = None,
        where: Filter | None = None,
    ) -> Ids:
        """Return sorted ids of segments, int64 (n,), that meet all given conditions.

        `item`: of one modality; `assets`: of assets shown as one of some modalities; `under`: below
        a folder; `where`: matching a filter. Raises UsageError for an invalid filter.
        """
        with self.transactions.read() as connection:
            met = SegmentFilter(self, generation_id, assets, under, where).conditions(connection)
            query = select(segments.c.id).where(segments.c.generation_id == generation_id)
            if item is not None:
                query = query.where(segments.c.modality == item.value)
            chosen = own_ids(met) if met else select(locations.c.asset_id)
            query = query.where(segments.c.asset_id.in_(chosen)).order_by(segments.c.id)
            return np.fromiter(connection.scalars(query), dtype=np.int64)

    def filtered(
        self,
        generation_id: int,
        assets: frozenset[Modality] | None,
        under: Path | None,
        where: Filter | None,
    ) -> SegmentFilter:
        """Return the condition that `ids` takes, without reading what meets it."""
        return SegmentFilter(self, generation_id, assets, under, where)

    def passages_of(self, generation_id: int, origin: Origin | None) -> Ids:
        """Return sorted ids of the passages of one origin, int64 (n,); None: of texts themselves.

        Those of deleted files are among them.
        """
        same = segments.c.origin.is_(None) if origin is None else segments.c.origin == origin.value
        query = select(segments.c.id).where(*_passages(generation_id), same).order_by(segments.c.id)
        with self.transactions.read() as connection:
            return np.fromiter(connection.scalars(query), dtype=np.int64)

    def origins(self, generation_id: int) -> list[Origin]:
        """Return the origins that passages of a generation have, without that of texts."""
        of_any = segments.c.origin.is_not(None)
        query = select(segments.c.origin).where(*_passages(generation_id), of_any).distinct()
        with self.transactions.read() as connection:
            found = set(connection.scalars(query))
        return [origin for origin in Origin if origin.value in found]

    def languages(self) -> list[FacetValue]:
        """Return the languages of passages with how many passages have each, most first."""
        number = func.count()
        query = (
            select(segments.c.language, number)
            .where(segments.c.language.is_not(None))
            .group_by(segments.c.language)
            .order_by(number.desc(), segments.c.language)
        )
        with self.transactions.read() as connection:
            return [FacetValue(name, int(count)) for name, count in connection.execute(query)]

    def words_of(self, asset_id: int, generation_id: int, most: int) -> Ids:
        """Return ids of what is said and written in a file and beside it, in order of time."""
        beside = select(locations.c.asset_id).where(locations.c.sidecar_of == asset_id)
        here = or_(segments.c.asset_id == asset_id, segments.c.asset_id.in_(beside))
        query = (
            select(segments.c.id)
            .where(*_passages(generation_id), segments.c.origin.is_not(None), here)
            .order_by(segments.c.start_s, segments.c.id)
            .limit(most)
        )
        with self.transactions.read() as connection:
            return np.fromiter(connection.scalars(query), dtype=np.int64)

    def any_drawn_pages(self) -> bool:
        """Return whether images may belong to texts: pages of PDFs were ever stored as images."""
        with self.transactions.read() as connection:
            return reader.counter(connection, reader.DRAWN) > 0

    def any_beside(self) -> bool:
        """Return whether any file lies beside a video, as its subtitles."""
        with self.transactions.read() as connection:
            return any_beside(connection)

    def of_assets(self, asset_ids: Sequence[int] | Ids, generation_id: int) -> Ids:
        """Sorted ids of the segments of some assets."""
        ids = np.asarray(asset_ids, dtype=np.int64).tolist()
        with self.transactions.read() as connection:
            rows = rows_of(connection, "of_assets", ids, generation_id)
            return np.array(sorted(id_ for _, id_ in rows), dtype=np.int64)

    def columns(self, segment_ids: Sequence[int] | Ids) -> SegmentColumns:
        """Return what ranking needs of segments, by ascending id, if they have a location."""
        with self.transactions.read() as connection:
            return select_columns(connection, segment_ids)

    def table(self, generation_id: int, known: SegmentTable = NO_COLUMNS) -> SegmentTable:
        """Load all segments of a generation into memory; `known` is an earlier result to extend."""
        with self.transactions.read() as connection:
            return segment_table(connection, generation_id, known)

    def resolve(self, segment_ids: Sequence[int] | Ids) -> list[SegmentRecord]:
        """Return what hits need of segments, in the given order, if they have a location."""
        with self.transactions.read() as connection:
            return reader.resolve(connection, segment_ids)

    def texts(self, segment_ids: Sequence[int] | Ids) -> dict[int, str]:
        """Return the passages of segments by id; "" for a segment without one."""
        ids = np.asarray(segment_ids, dtype=np.int64).tolist()
        with self.transactions.read() as connection:
            return {int(id_): words or "" for id_, words in rows_of(connection, "texts", ids)}

    def first_of(self, asset_ids: Sequence[int] | Ids, generation_id: int) -> dict[int, int]:
        """Return the first segment of each asset that has one in a generation."""
        ids = np.asarray(asset_ids, dtype=np.int64).tolist()
        with self.transactions.read() as connection:
            return dict(rows_of(connection, "first_of", ids, generation_id))

    def vectors(
        self, segment_ids: Sequence[int] | Ids, generation: Generation, space: EmbeddingSpace
    ) -> Vectors:
        """Return vectors of segments in one space: float32 (n, dim) in the given order.

        A segment without a vector, or with a damaged one, gets zeros.
        """
        known: dict[int, bytes] = {}
        with self.transactions.read() as connection:
            own = vectors.c.space_id == reader.space_ids(connection, generation.id)[space]
            for chunk in chunks(segment_ids):
                rows = connection.execute(
                    select(*reader.VECTOR).where(own, vectors.c.segment_id.in_(chunk))
                )
                known.update((int(row.segment_id), row.data) for row in rows if is_intact(*row))
        empty = bytes(2 * space.dim)
        return reader.to_vectors([known.get(int(id_), empty) for id_ in segment_ids], space.dim)


def _passages(generation_id: int) -> Sequence[ColumnElement[bool]]:
    is_text = segments.c.modality == Modality.TEXT.value
    return segments.c.generation_id == generation_id, is_text
