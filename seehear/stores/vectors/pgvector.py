"""Search vectors in the catalog's own PostgreSQL, by its extension pgvector.

The vectors are in the same database and transaction as their segments, so an index needs no
catching up: it reads the instant that its thread reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seehear.stores.catalog.catalog import Catalog
from seehear.stores.catalog.halfvecs import HalfvecTable, drop_table
from seehear.stores.catalog.records import Generation
from seehear.stores.catalog.segments import SegmentFilter
from seehear.stores.vectors import exact
from seehear.stores.vectors.base import Passages, Similarities
from seehear.stores.vectors.remote import MORE, RemoteIndex, RemoteVectors
from seehear.stores.vectors.vector_file import to_unit_float32
from seehear.types import EmbeddingSpace, Ids, Modality, Vectors

GRAPH_ABOVE = 10_000
"""Vectors of one modality above which a graph is built; fewer are compared one by one."""
MOST_IDS = 20_000
"""Longest list of ids that a search is limited to: it then compares exactly these vectors."""
SCANNED = 50
"""Vectors that a search with a filter may look at, for each that a search without one would."""


class PgVectorIndex(RemoteIndex):
    """Nearest neighbours among the vectors of one space and modality."""

    engine = "pgvector"

    def __init__(
        self, catalog: Catalog, generation: Generation, space: EmbeddingSpace, table: HalfvecTable,
        item: Modality,
    ) -> None:  # fmt: skip
        name = f"pgvector/{table.space_id}/{item.value}"
        super().__init__(catalog, generation, space, item, name)
        self.table = table

    def count(self, passages: Passages | None = None) -> int:
        with self._catalog.reading() as connection:
            if passages is None:
                return self.table.count_all(connection, self.item)
            return self.table.count(connection, self.item, passages.origin)

    def drawn(self, most: int, passages: Passages | None = None) -> Ids:
        with self._catalog.reading() as connection:
            origins = [] if passages is None else [passages.origin]
            return self.table.drawn(connection, self.item, origins, most)

    def search(
        self, queries: Vectors, k: int, allowed: Ids | None = None
    ) -> tuple[Similarities, Ids]:
        if allowed is None:
            return self._search(queries, k)
        if not len(allowed):
            return exact.pad([exact.NOTHING] * len(queries), k)
        return self._search(queries, k, [self.table.listed(allowed)], compare_all=True)

    def search_where(
        self, queries: Vectors, k: int, which: SegmentFilter, item: Modality
    ) -> tuple[Similarities, Ids]:
        assert item is self.item
        with self._catalog.reading() as connection:
            met = which.for_assets(connection, self.table.table.c.asset_id)
            scanned = SCANNED * max(k, MOST_IDS // 20)
            found = self._search(queries, k, [met], most_scanned=scanned)
            if (found[1][:, -1] >= 0).all():
                return found
            # The graph gave up before it had k, if there are so many: compare with every vector.
            return self._search(queries, k, [met], compare_all=True)

    def _nearest(self, queries: Vectors, k: int, ef: int) -> Ids:
        return self._search(queries, k, ef=ef)[1]

    def _truth(self, queries: Vectors, k: int) -> Ids:
        return self._search(queries, k, compare_all=True)[1]

    def _read(self, ids: Ids) -> tuple[Ids, Vectors]:
        with self._catalog.reading() as connection:
            found, halves = self.table.find(connection, self.item, ids)
        return found, to_unit_float32(halves)

    def _search(
        self,
        queries: Vectors,
        k: int,
        where: Sequence[Any] = (),
        *,
        compare_all: bool = False,
        ef: int | None = None,
        most_scanned: int = 20_000,
    ) -> tuple[Similarities, Ids]:
        tuning = self.tuning()
        if ef is None and tuning is not None and not compare_all:
            ef = max(tuning.ef, k)
        found = []
        with self._catalog.reading() as connection:
            for query in np.ascontiguousarray(queries, dtype=np.float32):
                ids, halves = self.table.nearest(
                    connection, self.item, query, k + MORE,
                    ef=ef, where=where, most_scanned=max(most_scanned, 2 * (k + MORE)),
                )  # fmt: skip
                rows = to_unit_float32(halves)
                self._keep(ids, rows)
                found.append(exact.rerank(query, rows, ids, k))
        return exact.pad(found, k)


class PgVectors(RemoteVectors[PgVectorIndex]):
    """The indexes of one generation in pgvector. Safe from several threads."""

    most_ids: int | None = MOST_IDS

    def __init__(self, catalog: Catalog, generation: Generation) -> None:
        """Make the tables that are missing, and fill them. Raises StoreError without pgvector."""
        super().__init__(catalog, generation)
        self._tables = catalog.halfvec_tables(generation)
        self._make_missing()

    def _make_missing(self) -> None:
        with self._catalog.reading() as connection:
            missing = [table for table in self._tables.values() if not table.exists(connection)]
        if missing:
            with self._catalog.write_lock(wait_s=60), self._catalog.batch() as batch:
                for table in missing:
                    if not table.exists(batch.connection):
                        table.create(batch.connection)

    def rebuild(self) -> None:
        """Delete the tables of the generation and make them anew from the catalog."""
        with self._catalog.batch() as batch:
            for table in self._tables.values():
                drop_table(batch.connection, table.space_id)
        self._make_missing()
        self.prepare()

    def _open(self, space: EmbeddingSpace, item: Modality) -> PgVectorIndex:
        return PgVectorIndex(self._catalog, self._generation, space, self._tables[space], item)

    def prepare(self) -> None:
        """Build the graphs that searches need, and measure how far to look in them."""
        for space in self._tables:
            for item in Modality:
                self._prepare(self.index(space, item))
        self.refresh()

    def _prepare(self, index: PgVectorIndex) -> None:
        if len(index) <= GRAPH_ABOVE or not index.needs_tuning():
            return
        with self._catalog.write_lock(wait_s=60):
            with self._catalog.batch() as batch:
                if not index.table.has_graph(batch.connection, index.item):
                    index.table.build_graph(batch.connection, index.item)
            blob = {index.blob_name: index.tuned().to_bytes()}
            self._catalog.generations.put_blobs(self._generation.id, blob)
