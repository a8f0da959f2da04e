"""Query the catalog's segments: select, count and describe them, and read their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seehear.stores.catalog import fts, reader
from seehear.stores.catalog.asked_words import AskedWord, asked_words
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
from seehear.types import EmbeddingSpace, Ids, Modality, Origin, Vectors


class Segments:
    """The segments of a catalog."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

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
        met = conditions(under, where)
        if assets is not None:
            met.append(shown_as(assets))
        with self._transactions.read() as connection:
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

    def search_words(
        self, generation_id: int, asked: str | Sequence[AskedWord], k: int, *, every: bool = True
    ) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
        """Search segments by words, all of them or any: by their passages, and by their files.

        The second list has the first segment of each asset whose file name, folder or caption
        matches. Each is (segment id, BM25 score), best first. Raises UsageError for a text with a
        null character.
        """
        words = asked_words(asked) if isinstance(asked, str) else asked
        with self._transactions.read() as connection:
            return (
                fts.search_passages(connection, generation_id, words, every, k),
                fts.search_files(connection, generation_id, words, every, k),
            )

    def vectors(
        self, segment_ids: Sequence[int] | Ids, generation: Generation, space: EmbeddingSpace
    ) -> Vectors:
        """Return vectors of segments in one space: float32 (n, dim) in the given order."""
        with self._transactions.read() as connection:
            known = reader.space_ids(connection, generation.id)
            return reader.vectors_of(connection, segment_ids, known[space], space.dim)
