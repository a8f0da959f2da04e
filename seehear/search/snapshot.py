"""Read the stores for search, as of one moment. Nothing is written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seehear.address import collection_name
from seehear.encoders.base import Model
from seehear.media.fingerprints import Fingerprint
from seehear.media.fingerprints import read as read_fingerprint
from seehear.search.calibration.fitted import FittedBaselines, within
from seehear.search.filter_text import parse_where
from seehear.search.unknown import check_values
from seehear.stores import (
    Catalog,
    Generation,
    SegmentColumns,
    SegmentRecord,
    SegmentTable,
    VectorCache,
    VectorIndex,
    sorted_ids,
)
from seehear.stores.catalog.asked_words import AskedWord
from seehear.stores.catalog.filters import Filter
from seehear.stores.catalog.records import MODALITY_CODES
from seehear.stores.catalog.words import Looked
from seehear.types import Embeddings, EmbeddingSpace, Floats, Ids, Modality, Query, Vectors

LEAST_DEPTH = 128
"""Fewest neighbours to ask an index for: calibration changes their order, and the verdict on a
query and its first candidates then need one search."""


NO_FILTER: Mapping[Modality, Ids | None] = dict.fromkeys(Modality)


class CollectionSnapshot(FittedBaselines):
    """One generation of a collection as search sees it at one moment. Thread-safe.

    Samples and baselines depend on the state of the collection alone, so that it does not matter
    which query needs them first. `restricted` returns a snapshot that finds only the segments that
    meet a query's filters.
    """

    def __init__(
        self,
        catalog: Catalog,
        cache: VectorCache,
        generation: Generation,
        model: Model,
        change: int | None = None,
        columns: SegmentTable | None = None,
    ) -> None:
        """`change` is the catalog's last change at that moment; without it, no stored baseline is
        used. `columns` are those of an earlier moment."""
        super().__init__(catalog, generation, model, change)
        self._cache = cache
        self.collection = collection_name(catalog.changes.identity())
        """How addresses of moments name the collection."""
        if columns is not None:
            self.columns = cache.segment_table(columns)
        self._where: Filter | None = None
        self._under: Path | None = None
        self._allowed = NO_FILTER
        """Ascending ids of the segments that may be hit, by modality; None allows all of them."""
        self._nearest: dict[tuple[EmbeddingSpace, Modality, int, bytes], NDArray[np.int64]] = {}
        """What searches without filters gave to the query under way."""
        self._products: dict[tuple[EmbeddingSpace, bytes], tuple[Ids, Floats]] = {}
        """Products that the query under way has needed, by ascending id."""

    def load_columns(self) -> None:
        """Read the rows of all segments into memory, unless they are there."""
        if self.columns is None:
            self.columns = self._cache.segment_table()

    def relocated(self) -> CollectionSnapshot:
        """Return the snapshot after files were moved, added or removed, but no segments."""
        found = copy.copy(self)
        if self.columns is not None:
            found.columns = self._cache.segment_table(self.columns)
        return found

    def warm_up_indexes(self) -> None:
        """Open every index, ready for many searches."""
        for space in self.generation.spaces:
            for item in Modality:
                self.index(space, item).warm_up()

    def restricted(
        self, query: Query, parse: Callable[[str], Filter | None] = parse_where
    ) -> CollectionSnapshot:
        """Return this snapshot with only the segments that meet the query's filters.

        `parse` reads the text of its filter. Raises UsageError for a filter that cannot be read,
        and for one that finds nothing because of a folder, camera, tag or the like that the
        collection does not have.
        """
        where = parse(query.where)
        asked = query.modalities or frozenset(Modality)
        unfiltered = where is None and query.under is None
        found = copy.copy(self)
        found._where, found._under = where, query.under
        found._allowed, found._nearest, found._products = {}, {}, {}
        for item in Modality:
            whole = unfiltered and asked == frozenset(Modality)
            # Images belong to other assets only as pages of PDFs: mostly, no list of ids is needed.
            if item is Modality.IMAGE and unfiltered and Modality.IMAGE in asked:
                whole = Modality.TEXT in asked or not self._catalog.segments.any_drawn_pages()
            found._allowed[item] = (
                None
                if whole
                else self._catalog.segments.ids(
                    self.generation.id,
                    item=item,
                    assets=None if asked == frozenset(Modality) else asked,
                    under=query.under,
                    where=where,
                )
            )
        if not found.allowed_modalities:
            check_values(self._catalog, where, query.under)
        return found

    def unrestricted(self) -> CollectionSnapshot:
        """Return this snapshot without filters."""
        found = copy.copy(self)
        found._where, found._under, found._allowed = None, None, NO_FILTER
        return found

    @property
    def allowed_modalities(self) -> list[Modality]:
        """The modalities of which any segment may be hit."""
        return [item for item, ids in self._allowed.items() if ids is None or len(ids)]

    def allowed_ids(self, item: Modality) -> Ids:
        """Return the ascending ids of the segments of one modality that may be hit."""
        ids = self._allowed[item]
        return self._catalog.segments.ids(self.generation.id, item=item) if ids is None else ids

    def index(self, space: EmbeddingSpace, item: Modality) -> VectorIndex:
        return self._cache.index(space, item)

    def nearest(
        self, queries: Vectors, space: EmbeddingSpace, item: Modality, depth: int
    ) -> NDArray[np.int64]:
        """Return the segments nearest to queries, float32 (n, dim), of those that may be hit.

        Returns ids, int64 (n, depth), best first; -1 where an index has no more.
        """
        allowed = self._allowed[item]
        known = self._nearest if allowed is None else {}
        asked = space, item, depth, queries.tobytes()
        if asked not in known:
            _, known[asked] = self.index(space, item).search(queries, depth, allowed)
        return known[asked]

    def describe_index(self) -> str:
        return self._cache.describe()

    def paths_of(self, asset_ids: Iterable[int]) -> dict[int, list[Path]]:
        """Return every path of some assets."""
        return self._catalog.locations.paths(sorted(asset_ids))

    def matching_paths(self, asset_ids: Iterable[int]) -> dict[int, list[Path]]:
        """Return the paths of assets that meet the filters, the one to show first."""
        if self._where is None and self._under is None:
            return {}
        return self._catalog.locations.matching_paths(
            sorted(asset_ids), under=self._under, where=self._where
        )

    def fingerprints(self, asset_ids: Sequence[int]) -> dict[int, Fingerprint]:
        """Return what tells copies of some assets; those without it are left out."""
        found = self._catalog.assets.fingerprints(asset_ids)
        prints = {id_: read_fingerprint(data) for id_, data in found.items()}
        return {id_: print_ for id_, print_ in prints.items() if print_ is not None}

    def count(self) -> int:
        """Return the number of segments in the generation."""
        return self._catalog.segments.count(self.generation.id)

    def resolve(self, ids: Ids | Sequence[int]) -> list[SegmentRecord]:
        """Return segments with their assets, in the order given; without those of deleted files."""
        return self._catalog.segments.resolve(np.asarray(ids, dtype=np.int64))

    def segment_columns(self, ids: Ids | Sequence[int]) -> SegmentColumns:
        """Return those of some segments that may be hit, by ascending id.

        Segments of deleted files are left out.
        """
        found = self._columns_of(ids)
        kept = np.ones(len(found), dtype=np.bool_)
        for item, allowed in self._allowed.items():
            if allowed is not None:
                rows = found.of_kind(item)
                kept[rows] = within(found.ids[rows], allowed)
        return found if kept.all() else found.at(kept)

    def _columns_of(self, ids: Ids | Sequence[int]) -> SegmentColumns:
        if self.columns is None:
            return self._catalog.segments.columns(ids)
        return self.columns.of(np.asarray(ids, dtype=np.int64))

    def segments_of(self, asset_ids: Iterable[int]) -> Ids:
        """Return the ascending ids of the segments of some assets."""
        ids = sorted(asset_ids)
        if self.columns is None:
            return self._catalog.segments.of_assets(ids, self.generation.id)
        return self.columns.segments_of(np.array(ids, dtype=np.int64))

    def look_up_words(
        self, asked: Sequence[AskedWord], names: Sequence[AskedWord] = ()
    ) -> tuple[Looked, Looked]:
        """Look up words in the passages of the generation, and in all files, there with `names`."""
        return self._catalog.words.look_up(self.generation.id, asked, names)

    def first_segments(self, asset_ids: Sequence[int]) -> dict[int, int]:
        """Return the first segment of each asset that has one."""
        return self._catalog.segments.first_of(asset_ids, self.generation.id)

    def vectors(
        self, ids: Ids | Sequence[int], space: EmbeddingSpace, item: Modality
    ) -> tuple[Ids, Vectors]:
        """Return the vectors of those segments that have one: ids (n,), float32 (n, dim)."""
        wanted = np.asarray(ids, dtype=np.int64)
        index = self.index(space, item)
        try:
            return wanted, index.vectors(wanted)
        except KeyError:  # some were written after the index was read, or have no content
            wanted = wanted[within(wanted, index.ids)]
            return wanted, index.vectors(wanted)

    def embeddings(self, segment_id: int) -> Embeddings | None:
        """Return the vectors of one segment in each space; None for one without content."""
        item = self.resolve([segment_id])[0].segment.modality
        found = {
            space: self.vectors([segment_id], space, item)[1] for space in self.spaces_of(item)
        }
        return Embeddings(item, found) if all(map(len, found.values())) else None

    def products(
        self, columns: SegmentColumns, rows: Ids, space: EmbeddingSpace, probes: Vectors
    ) -> tuple[Ids, Floats]:
        """Return which of some rows have a vector, and its products with p probes.

        Gives rows (m,) and float32 (m, p). No vector is read twice for a query and its probes.
        """
        asked = space, probes.tobytes()
        ids, products = self._products.get(asked, (_NONE, np.zeros((0, len(probes)), np.float32)))
        new = rows[~within(columns.ids[rows], ids)]
        found: list[tuple[Ids, Floats]] = []
        for code, item in enumerate(MODALITY_CODES):
            wanted = columns.ids[new[columns.kinds[new] == code]]
            if len(wanted):
                kept, vectors = self.vectors(wanted, space, item)
                found.append((kept, vectors @ probes.T))
        if found:
            ids = np.concatenate([ids, *(kept for kept, _ in found)])
            order = np.argsort(ids)
            products = np.concatenate([products, *(some for _, some in found)])[order]
            ids = ids[order]
            self._products[asked] = ids, products
        at = sorted_ids.positions_in(ids, columns.ids[rows])
        return rows[at >= 0], products[at[at >= 0]]


_NONE: Ids = np.zeros(0, dtype=np.int64)
