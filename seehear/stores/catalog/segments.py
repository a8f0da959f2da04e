"""Query the catalog's segments: select, count and describe them, and read their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from sqlalchemy import func, select

from seehear.stores.catalog import reader
from seehear.stores.catalog.facets import FacetValue
from seehear.stores.catalog.filter_sql import conditions, shown_as
from seehear.stores.catalog.filters import Filter
from seehear.stores.catalog.records import Generation, SegmentColumns, SegmentRecord
from seehear.stores.catalog.schema import segments
from seehear.stores.catalog.segment_table import (
    NO_COLUMNS,
    SegmentTable,
    segment_table,
    select_columns,
)
from seehear.stores.catalog.statements import rows_of
from seehear.stores.catalog.transactions import Transactions
from seehear.stores.catalog.words import WordIndexes
from seehear.types import EmbeddingSpace, Ids, Modality, Origin, Vectors


class Segments:
    """The segments of a catalog."""

    def __init__(self, transactions: Transactions, words: WordIndexes) -> None:
        self._transactions = transactions
        self._words = words

    def count(self, generation_id: int) -> int:
        """Count the segments of a generation that have content."""
        own = (segments.c.generation_id == generation_id, segments.c.ordinal >= 0)
        with self._transactions.read() as connection:
            return reader.count(connection, segments, *own)

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
        with self._transactions.read() as connection:
            met = conditions(under, where, partial(self._words.passages_with, connection))
            if assets is not None:
                met.append(shown_as(assets))
            return reader.segment_ids(connection, generation_id, item, met)

    def passages_of(self, generation_id: int, origin: Origin | None) -> Ids:
        """Return sorted ids of the passages of one origin, int64 (n,); None: of texts themselves.

        Those of deleted files are among them.
        """
        with self._transactions.read() as connection:
            return reader.passages_of(connection, generation_id, origin)

    def origins(self, generation_id: int) -> list[Origin]:
        """Return the origins that passages of a generation have, without that of texts."""
        with self._transactions.read() as connection:
            return reader.origins(connection, generation_id)

    def languages(self) -> list[FacetValue]:
        """Return the languages of passages with how many passages have each, most first."""
        number = func.count()
        query = (
            select(segments.c.language, number)
            .where(segments.c.language.is_not(None))
            .group_by(segments.c.language)
            .order_by(number.desc(), segments.c.language)
        )
        with self._transactions.read() as connection:
            return [FacetValue(name, int(count)) for name, count in connection.execute(query)]

    def words_of(self, asset_id: int, generation_id: int, most: int) -> Ids:
        """Return ids of what is said and written in a file and beside it, in order of time."""
        with self._transactions.read() as connection:
            return reader.words_of(connection, asset_id, generation_id, most)

    def any_drawn_pages(self) -> bool:
        """Return whether images may belong to texts: pages of PDFs were ever stored as images."""
        with self._transactions.read() as connection:
            return reader.counter(connection, reader.DRAWN) > 0

    def of_assets(self, asset_ids: Sequence[int] | Ids, generation_id: int) -> Ids:
        """Sorted ids of the segments of some assets."""
        ids = np.asarray(asset_ids, dtype=np.int64).tolist()
        with self._transactions.read() as connection:
            rows = rows_of(connection, "of_assets", ids, generation_id)
            return np.array(sorted(id_ for _, id_ in rows), dtype=np.int64)

    def columns(self, segment_ids: Sequence[int] | Ids) -> SegmentColumns:
        """Return what ranking needs of segments, by ascending id, if they have a location."""
        with self._transactions.read() as connection:
            return select_columns(connection, segment_ids)

    def table(self, generation_id: int, known: SegmentTable = NO_COLUMNS) -> SegmentTable:
        """Load all segments of a generation into memory; `known` is an earlier result to extend."""
        with self._transactions.read() as connection:
            return segment_table(connection, generation_id, known)

    def resolve(self, segment_ids: Sequence[int] | Ids) -> list[SegmentRecord]:
        """Return what hits need of segments, in the given order, if they have a location."""
        with self._transactions.read() as connection:
            return reader.resolve(connection, segment_ids)

    def texts(self, segment_ids: Sequence[int] | Ids) -> dict[int, str]:
        """Return the passages of segments by id; "" for a segment without one."""
        ids = np.asarray(segment_ids, dtype=np.int64).tolist()
        with self._transactions.read() as connection:
            return {int(id_): words or "" for id_, words in rows_of(connection, "texts", ids)}

    def first_of(self, asset_ids: Sequence[int] | Ids, generation_id: int) -> dict[int, int]:
        """Return the first segment of each asset that has one in a generation."""
        ids = np.asarray(asset_ids, dtype=np.int64).tolist()
        with self._transactions.read() as connection:
            return dict(rows_of(connection, "first_of", ids, generation_id))

    def vectors(
        self, segment_ids: Sequence[int] | Ids, generation: Generation, space: EmbeddingSpace
    ) -> Vectors:
        """Return vectors of segments in one space: float32 (n, dim) in the given order."""
        with self._transactions.read() as connection:
            known = reader.space_ids(connection, generation.id)
            return reader.vectors_of(connection, segment_ids, known[space], space.dim)
