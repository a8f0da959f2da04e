"""Read the stores for search, as of one moment. Nothing is written."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    SegmentFilter,
    SegmentRecord,
    SegmentTable,
    VectorIndex,
    VectorStore,
    sorted_ids,
)
from seehear.stores.catalog.asked_words import AskedWord
from seehear.stores.catalog.filters import Filter
from seehear.stores.catalog.records import MODALITY_CODES, NO_IDS
from seehear.stores.catalog.words import Looked
from seehear.types import Embeddings, EmbeddingSpace, Floats, Ids, Modality, Query, Vectors

LEAST_DEPTH = 128
"""Fewest neighbours to ask an index for: calibration changes their order, and the verdict on a
query and its first candidates then need one search."""
AHEAD_DEPTH = 256
"""The same for queries that are not known yet: enough for twenty hits."""

WIDE_ABOVE = 4_000
"""Vectors of a modality from which on a filter may be wide. Of fewer, all that meet it are read."""
DRAWN = 256
"""Segments of a modality by which the share is estimated that a filter lets through."""
SLACK = 1.25
"""How much deeper such a search looks than the estimate says."""

_ALL = frozenset(Modality)
_Asked = tuple[EmbeddingSpace, Modality, bytes]
"""A search of an index, and the vectors of the queries."""


def least_wide_share(count: int) -> float:
    """Return the share of an index of `count` vectors that a wide filter lets through.

    What is nearest is then found by a search without filter that looks deeper. It checks so many
    segments as the depth divided by the share; a list of all that meet the filter reads the share
    of the index. From this share on the former are fewer.
    """
    return math.sqrt(SLACK * AHEAD_DEPTH / max(count, 1))


@dataclass(frozen=True, slots=True)
class WideFilter:
    """A filter of which what meets it is not read as a list of ids."""

    which: SegmentFilter
    share: float
    """Estimated share of the segments that meet it."""


Allowed = Ids | WideFilter | None
"""Ascending ids of the segments of a modality that may be hit, or a filter; None allows all."""

NO_FILTER: Mapping[Modality, Allowed] = dict.fromkeys(Modality)


class CollectionSnapshot(FittedBaselines):
    """One generation of a collection as search sees it at one moment. Thread-safe.

    Samples and baselines depend on the state of the collection alone, so that it does not matter
    which query needs them first. `restricted` returns a snapshot that finds only the segments that
    meet a query's filters.
    """

    def __init__(
        self,
        catalog: Catalog,
        cache: VectorStore,
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
        self._probes: dict[Modality, Ids] = {}
        self._checked: dict[int, bool] = {}
        """Whether segments meet the wide filter of the query under way."""
        self._ahead: dict[_Asked, NDArray[np.int64]] = {}
        """What was searched ahead for the next queries."""
        self._nearest: dict[_Asked, NDArray[np.int64]] = {}
        """What searches without filters gave to the query under way."""
        self._products: dict[tuple[EmbeddingSpace, bytes], tuple[Ids, Floats]] = {}
        """Products that the query under way has needed, by ascending id."""
        self._read: dict[bytes, SegmentColumns] | None = None
        """The columns that the query under way has needed, by their ids."""

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
        asked = query.modalities or _ALL
        unfiltered = where is None and query.under is None
        found = copy.copy(self)
        found._where, found._under = where, query.under
        found._nearest = self._ahead.copy()
        found._products, found._read, found._checked = {}, {}, {}
        found._allowed = dict(NO_FILTER)
        if not unfiltered or asked != _ALL:
            found._allowed |= self._limited(asked, query.under, where)
        if not found.allowed_modalities:
            check_values(self._catalog, where, query.under)
        return found

    def _limited(
        self, asked: frozenset[Modality], under: Path | None, where: Filter | None
    ) -> dict[Modality, Allowed]:
        """Return which segments may be hit, by modality: a list of ids, unless they are many."""
        assets = None if asked == _ALL else asked
        which = self._catalog.segments.filtered(self.generation.id, assets, under, where)
        found: dict[Modality, Allowed] = dict.fromkeys(Modality, NO_IDS)
        shown = self._shown_as()
        some = {item for item, kinds in shown.items() if kinds & asked}
        if where is None and under is None:
            found |= dict.fromkeys(item for item in some if shown[item] <= asked)
            some = {item for item in some if found[item] is not None}
        found |= self._wide(some, which)
        narrow = [item for item in Modality if item in some and found[item] is NO_IDS]
        if narrow:
            most = self._cache.most_ids
            kinds = frozenset().union(*(shown[item] for item in narrow))
            for item, ids in which.ids(narrow, kinds, most).items():
                few = most is None or len(ids) <= most
                found[item] = ids if few else WideFilter(which, 0.0)
        return found

    def _shown_as(self) -> dict[Modality, frozenset[Modality]]:
        """Return as what segments of each modality may be shown: what they were cut from."""
        image, audio, video = Modality.IMAGE, Modality.AUDIO, Modality.VIDEO
        pages = {Modality.TEXT} if self._catalog.segments.any_drawn_pages() else set()
        said = bool(self.origins()) or self._catalog.segments.any_beside()
        return {
            Modality.TEXT: frozenset(Modality if said else {Modality.TEXT}),
            image: frozenset({image, *pages}),
            audio: frozenset({audio, video}),
            video: frozenset({video}),
        }

    def _wide(self, items: Iterable[Modality], which: SegmentFilter) -> dict[Modality, Allowed]:
        """Return the modalities of which a filter lets much through, by a sample of each."""
        counts = {
            item: len(self.index(self.route(item, item).space, item))
            for item in items
            if self.spaces_of(item)
        }
        drawn = {
            item: self._probes_of(item) for item, count in counts.items() if count > WIDE_ABOVE
        }
        if not drawn:
            return {}
        met = which.among(np.concatenate([*drawn.values()]))
        shares = {item: float(within(ids, met).mean()) for item, ids in drawn.items()}
        return {
            item: WideFilter(which, share)
            for item, share in shares.items()
            if share >= least_wide_share(counts[item])
        }

    def _probes_of(self, item: Modality) -> Ids:
        """Return some segments of a modality: the same for every query of this moment."""
        if item not in self._probes:
            self._probes[item] = self.index(self.route(item, item).space, item).drawn(DRAWN)
        return self._probes[item]

    def unrestricted(self) -> CollectionSnapshot:
        """Return this snapshot without filters."""
        found = copy.copy(self)
        found._where, found._under, found._allowed = None, None, NO_FILTER
        return found

    @property
    def allowed_modalities(self) -> list[Modality]:
        """The modalities of which any segment may be hit."""
        return [
            item
            for item, allowed in self._allowed.items()
            if allowed is None or isinstance(allowed, WideFilter) or len(allowed)
        ]

    def allowed_ids(self, item: Modality) -> Ids:
        """Return the ascending ids of the segments of one modality that may be hit."""
        allowed = self._allowed[item]
        if isinstance(allowed, WideFilter):
            return allowed.which.ids_of(item)
        if allowed is None:
            return self._catalog.segments.ids(self.generation.id, item=item)
        return allowed

    def index(self, space: EmbeddingSpace, item: Modality) -> VectorIndex:
        return self._cache.index(space, item)

    def nearest(
        self, queries: Vectors, space: EmbeddingSpace, item: Modality, depth: int
    ) -> NDArray[np.int64]:
        """Return the segments nearest to queries, float32 (n, dim), of those that may be hit.

        Returns ids, int64 (n, depth), best first; -1 where an index has no more.
        """
        allowed = self._allowed[item]
        index = self.index(space, item)
        if isinstance(allowed, WideFilter):
            return self._nearest_wide(queries, index, item, depth, allowed)
        if allowed is not None:
            return index.search(queries, depth, allowed)[1]
        asked = space, item, queries.tobytes()
        found = self._nearest.get(asked)
        if found is None or found.shape[1] < depth:
            _, found = index.search(queries, depth)
            self._nearest[asked] = found
        return found[:, :depth]

    def search_deeply(self, asked: Iterable[tuple[Vectors, EmbeddingSpace, Modality, int]]) -> None:
        """Search the indexes that no filter limits as deep as a query will ask `nearest` for.

        What asks for less then needs no search of its own.
        """
        for queries, space, item, depth in asked:
            if self._allowed[item] is None:
                self.nearest(queries, space, item, depth)

    def _nearest_wide(
        self, queries: Vectors, index: VectorIndex, item: Modality, depth: int, wide: WideFilter
    ) -> NDArray[np.int64]:
        """Return what `nearest` does, by a search without filter that looks deeper."""
        deeper = int(SLACK * depth / wide.share) if wide.share else len(index)
        while 2 * deeper < len(index):
            _, near = index.search(queries, deeper)
            meets = self._meets(near.ravel(), wide).reshape(near.shape)
            if (meets.sum(axis=1) >= depth).all():
                return np.stack([ids[met][:depth] for ids, met in zip(near, meets, strict=True)])
            deeper *= 2
        return index.search_where(queries, depth, wide.which, item)[1]

    def _meets(self, ids: Ids, wide: WideFilter) -> NDArray[np.bool_]:
        """Return which of some segments meet a wide filter; each is checked once for a query."""
        named = ids.tolist()
        new = [id_ for id_ in set(named) if id_ not in self._checked]
        if new:
            met = set(wide.which.among(np.array(new, dtype=np.int64)).tolist())
            self._checked |= {id_: id_ in met for id_ in new}
        return np.array([self._checked[id_] for id_ in named], dtype=np.bool_)

    def with_nearest(
        self, asked: Iterable[tuple[Vectors, EmbeddingSpace, Modality, int]]
    ) -> CollectionSnapshot:
        """Return this snapshot with what several queries will ask `nearest` for.

        The snapshot must be without filters.
        """
        found = copy.copy(self)
        found._ahead = self._search_together(asked)
        return found

    def search_ahead(self, modality: Modality, vectors: Mapping[EmbeddingSpace, Vectors]) -> None:
        """Search for several queries together, which costs less than one by one.

        `vectors` has a row for each; forgets those of the call before.
        """
        routes = [(item, self.route(modality, item).space) for item in self.items()]
        self._ahead = self._search_together(
            (row[None], space, item, AHEAD_DEPTH * self.count_kinds(item))
            for item, space in routes
            for row in vectors[space]
        )

    def _search_together(
        self, asked: Iterable[tuple[Vectors, EmbeddingSpace, Modality, int]]
    ) -> dict[_Asked, NDArray[np.int64]]:
        """Search each index once for all that is asked of it."""
        groups: dict[tuple[EmbeddingSpace, Modality, int], dict[bytes, Vectors]] = {}
        for queries, space, item, depth in asked:
            groups.setdefault((space, item, depth), {})[queries.tobytes()] = queries
        found: dict[_Asked, NDArray[np.int64]] = {}
        for (space, item, depth), several in groups.items():
            rows = np.concatenate([*several.values()])
            _, near = self.index(space, item).search(rows, depth)
            first = 0
            for key, queries in several.items():
                found[space, item, key] = near[first : first + len(queries)]
                first += len(queries)
        return found

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
            rows = found.of_kind(item)
            if isinstance(allowed, WideFilter):
                kept[rows] = self._meets(found.ids[rows], allowed)
            elif allowed is not None:
                kept[rows] = within(found.ids[rows], allowed)
        return found if kept.all() else found.at(kept)

    def _columns_of(self, ids: Ids | Sequence[int]) -> SegmentColumns:
        wanted = sorted_ids.distinct(np.asarray(ids, dtype=np.int64))
        known = {} if self._read is None else self._read
        asked = wanted.tobytes()
        if asked not in known:
            table = self._catalog.segments.columns if self.columns is None else self.columns.of
            known[asked] = table(wanted)
        return known[asked]

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
        return self.index(space, item).find(np.asarray(ids, dtype=np.int64))

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
        wanted = columns.ids[rows]
        ids, products = self._products.get(asked, (NO_IDS, np.zeros((0, len(probes)), np.float32)))
        at = sorted_ids.positions_in(ids, wanted)
        if (at < 0).any():
            new = rows[at < 0]
            kinds, found = columns.kinds[new], [(ids, products)]
            for code in set(kinds.tolist()):
                kept, vectors = self.vectors(
                    columns.ids[new[kinds == code]], space, MODALITY_CODES[code]
                )
                found.append((kept, vectors @ probes.T))
            ids, products = map(np.concatenate, zip(*found, strict=True))
            order = np.argsort(ids)
            ids, products = self._products[asked] = ids[order], products[order]
            at = sorted_ids.positions_in(ids, wanted)
        there = at >= 0
        return (rows, products[at]) if there.all() else (rows[there], products[at[there]])
