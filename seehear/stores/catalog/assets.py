"""Query the catalog's assets and their segments: select, count and describe them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, func, not_, select

from seehear.stores.catalog import facets, fts, reader
from seehear.stores.catalog.base import CatalogBase
from seehear.stores.catalog.filter_sql import condition, is_sidecar, shown_as
from seehear.stores.catalog.filter_sql import under as below_folder
from seehear.stores.catalog.filters import Filter
from seehear.stores.catalog.records import Counts, GenerationState, SegmentColumns, SegmentRecord
from seehear.stores.catalog.schema import assets as asset_table
from seehear.stores.catalog.schema import failures, generations, locations, segments
from seehear.stores.catalog.segment_table import (
    NO_COLUMNS,
    SegmentTable,
    segment_table,
    select_columns,
    shown_columns,
)
from seehear.stores.catalog.statements import rows_of
from seehear.types import Asset, Ids, Modality


class AssetQueries(CatalogBase):
    """Queries about assets and segments."""

    def find_asset(self, content_hash: str) -> Asset | None:
        """Return the asset with that content, or None."""
        with self._read() as connection:
            return reader.asset_of(connection, asset_table.c.content_hash == content_hash)

    def asset(self, asset_id: int) -> Asset | None:
        """Return the asset of that id, or None."""
        with self._read() as connection:
            return reader.asset_of(connection, asset_table.c.id == asset_id)

    def assets_of(self, asset_ids: Sequence[int]) -> dict[int, Asset]:
        """Return the assets of some ids; unknown ids are left out."""
        with self._read() as connection:
            return reader.assets_of(connection, asset_ids)

    def counts(self, generation_id: int | None = None) -> Counts:
        """Count the collection's content; segments of the serving generation by default."""
        with self._read() as connection:
            if generation_id is None:
                generation_id = connection.scalar(
                    select(generations.c.id).where(
                        generations.c.state == GenerationState.SERVING.value
                    )
                )
            kinds = _counted(
                connection,
                select(asset_table.c.modality, func.count())
                .where(not_(is_sidecar))
                .group_by(asset_table.c.modality),
            )
            total = reader.count(connection, asset_table)
            cut = _counted(
                connection,
                select(segments.c.modality, func.count())
                .where(segments.c.generation_id == generation_id)
                .group_by(segments.c.modality),
            )
            return Counts(
                assets=total,
                subtitles=total - sum(kinds.values()),
                by_modality={kind: int(kinds.get(kind.value, 0)) for kind in Modality},
                segments=sum(cut.values()),
                segments_by_modality={kind: int(cut.get(kind.value, 0)) for kind in Modality},
                locations=reader.count(connection, locations),
                failures=reader.count(connection, failures),
                size_bytes=int(connection.scalar(select(func.sum(asset_table.c.size_bytes))) or 0),
            )

    def count_segments(self, generation_id: int) -> int:
        """Count the segments of a generation."""
        with self._read() as connection:
            return reader.count(connection, segments, segments.c.generation_id == generation_id)

    def segment_ids(
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
        conditions = _conditions(under, where)
        if assets is not None:
            conditions.append(shown_as(assets))
        with self._read() as connection:
            return reader.segment_ids(connection, generation_id, item, conditions)

    def matching_paths(
        self,
        asset_ids: Sequence[int],
        *,
        under: Path | None = None,
        where: Filter | None = None,
    ) -> dict[int, list[Path]]:
        """Return the paths of assets that are below a folder and match a filter.

        One location must meet both conditions. Reachable locations come first, then the oldest;
        assets without such a location are left out.
        """
        with self._read() as connection:
            return reader.matching_paths(connection, asset_ids, _conditions(under, where))

    def segments_of(self, asset_ids: Sequence[int] | Ids, generation_id: int) -> Ids:
        """Sorted ids of the segments of some assets."""
        ids = np.asarray(asset_ids, dtype=np.int64).tolist()
        with self._read() as connection:
            rows = rows_of(connection, "of_assets", ids, generation_id)
            return np.array(sorted(id_ for _, id_ in rows), dtype=np.int64)

    def facet(self, facet: facets.Facet, top: int | None = None) -> facets.FacetValues:
        """Return the values of a facet with how many items have each, most frequent first."""
        with self._read() as connection:
            return facets.facet_values(connection, facet, top)

    def anything_below(self, folder: Path) -> bool:
        """Tell whether the catalog has a location at a path or below it."""
        with self._read() as connection:
            return facets.anything_below(connection, folder)

    def segment_columns(self, segment_ids: Sequence[int] | Ids) -> SegmentColumns:
        """Return what ranking needs of segments, by ascending id, if they have a location."""
        with self._read() as connection:
            return select_columns(connection, segment_ids)

    def shown(self, own: SegmentColumns) -> SegmentColumns:
        """Return the same rows with the assets that are shown; `own` is part of `columns`."""
        with self._read() as connection:
            return shown_columns(connection, own)

    def columns(self, generation_id: int, known: SegmentTable = NO_COLUMNS) -> SegmentTable:
        """Load all segments of a generation into memory; `known` is an earlier result to extend."""
        with self._read() as connection:
            return segment_table(connection, generation_id, known)

    def resolve(self, segment_ids: Sequence[int] | Ids) -> list[SegmentRecord]:
        """Return what hits need of segments, in the given order, if they have a location."""
        with self._read() as connection:
            return reader.resolve(connection, segment_ids)

    def search_words(
        self, generation_id: int, wanted: str, k: int
    ) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
        """Search segments by words: by their passages, and by their files.

        The second list has the first segment of each asset whose file name, folder or caption
        matches. Each is (segment id, BM25 score), best first.
        """
        with self._read() as connection:
            return (
                fts.search_passages(connection, generation_id, wanted, k),
                fts.search_files(connection, generation_id, wanted, k),
            )


def _conditions(under: Path | None, where: Filter | None) -> list[ColumnElement[bool]]:
    found = [] if under is None else [below_folder(under)]
    return found if where is None else [*found, condition(where)]


def _counted(connection: Connection, query: Select[*tuple[Any, ...]]) -> dict[str, int]:
    """Return rows of (name, count) as a dictionary."""
    return {str(row[0]): int(row[1]) for row in connection.execute(query)}
