"""Read the stores for search, as of one moment. Nothing is written."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seehear.address import collection_name
from seehear.encoders.base import Model, Route
from seehear.media.fingerprints import Fingerprint
from seehear.media.fingerprints import read as read_fingerprint
from seehear.search.calibration import baseline_store, query_bank
from seehear.search.calibration.baseline import (
    SAMPLE_SIZE,
    SimilarityBaseline,
    VectorSample,
    fit_baseline,
    share_spread,
)
from seehear.search.calibration.query_bank_cache import encoded_bank
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
from seehear.stores.catalog.words import Looked
from seehear.types import Embeddings, EmbeddingSpace, Ids, Modality, Origin, Query, Vectors

SegmentKind = tuple[Modality, Origin | None]
"""A modality of segments, and where they come from, if they are passages of something else."""

OWN_QUERIES = 256
"""Items of the collection that serve as bank for queries by example."""
LEAST_DEPTH = 128
"""Fewest neighbours to ask an index for: calibration changes their order, and the verdict on a
query and its first candidates then need one search."""


NO_FILTER: Mapping[Modality, Ids | None] = dict.fromkeys(Modality)


class CollectionSnapshot:
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
        self._catalog = catalog
        self._cache = cache
        self.generation = generation
        self.collection = collection_name(catalog.changes.identity())
        """How addresses of moments name the collection."""
        self._model = model
        self.change = change
        self.columns: SegmentTable | None = None
        """The rows of all segments in memory; None reads them from the catalog instead."""
        if columns is not None:
            self.columns = catalog.segments.table(generation.id, columns)
        self._where: Filter | None = None
        self._under: Path | None = None
        self._allowed = NO_FILTER
        """Ascending ids of the segments that may be hit, by modality; None allows all of them."""
        self._lock = threading.RLock()
        self._samples: dict[tuple[SegmentKind, EmbeddingSpace], VectorSample] = {}
        self._backgrounds: dict[tuple[Modality, SegmentKind], SimilarityBaseline] = {}
        self._origins: dict[int, list[Origin]] = {}
        """Those of the generation, once they are known: shared with restricted snapshots."""
        self._rivals: dict[EmbeddingSpace, Vectors] = {}
        self._nearest: dict[tuple[EmbeddingSpace, Modality, int, bytes], NDArray[np.int64]] | None
        """What searches without filters gave to the query under way; None between queries."""
        self._nearest = None

    def load_columns(self) -> None:
        """Read the rows of all segments into memory, unless they are there."""
        if self.columns is None:
            self.columns = self._catalog.segments.table(self.generation.id)

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
        found._allowed, found._nearest = {}, {}
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
        known = self._nearest if allowed is None and self._nearest is not None else {}
        asked = space, item, depth, queries.tobytes()
        if asked not in known:
            _, known[asked] = self.index(space, item).search(queries, depth, allowed)
        return known[asked]

    def describe_index(self) -> str:
        return self._cache.describe()

    def route(self, query: Modality, item: Modality) -> Route:
        return self._model.route(query, item)

    def spaces_of(self, modality: Modality) -> tuple[EmbeddingSpace, ...]:
        return self._model.spaces_of(modality)

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
        return self._catalog.segments.shown(self.columns.of(np.asarray(ids, dtype=np.int64)))

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

    def baseline(
        self, query: Modality, item: Modality, origin: Origin | None = None
    ) -> SimilarityBaseline:
        """Return the baseline of one route; fit it when it is first needed.

        Passages of each origin have their own: what is said is shorter than what is written.
        """
        kind = (item, origin)
        with self._lock:
            if (query, kind) not in self._backgrounds:
                kept = self.kept_baseline(query, item, origin)
                self._backgrounds |= {(query, kind): kept} if kept else self._fit(query)
            return self._backgrounds[query, kind]

    def kept_baseline(
        self, query: Modality, item: Modality, origin: Origin | None = None
    ) -> SimilarityBaseline | None:
        """Return the baseline that the last index run stored, if nothing was written since."""
        if query is not Modality.TEXT or self.change is None:
            return None
        name = baseline_store.name_of(query, item, origin)
        data = self._catalog.generations.blob(self.generation.id, name)
        route = self.route(query, item)
        return None if data is None else baseline_store.from_bytes(data, route, self.change)

    def _fit(self, query: Modality) -> dict[tuple[Modality, SegmentKind], SimilarityBaseline]:
        """Return the baselines of all routes from one modality, which are fitted together."""
        fitted = {}
        for item, origin in self.kinds():
            route = self.route(query, item)
            own = None
            if query is not Modality.TEXT:
                sample = self.sample(query, route.space)
                own = VectorSample(sample.vectors[:OWN_QUERIES], sample.assets[:OWN_QUERIES])
            fitted[item, origin] = fit_baseline(
                route,
                self.bank(query, route.space),
                own,
                self.sample(item, route.space, origin),
                len(self._ids_of((item, origin), route.space)),
            )
        plain = {kind: baseline for kind, baseline in fitted.items() if kind[1] is None}
        shared = dict(zip(plain, share_spread([*plain.values()]), strict=True))
        for kind, baseline in fitted.items():
            if kind not in plain:  # what is said changes nothing about how other files are scored
                shared[kind] = share_spread([*plain.values(), baseline])[-1]
        return {(query, kind): baseline for kind, baseline in shared.items()}

    def kinds(self) -> list[SegmentKind]:
        """Return the kinds of segments: the modalities, and the passages of each origin."""
        return [(item, None) for item in self.items()] + [
            (Modality.TEXT, origin) for origin in self.origins()
        ]

    def count_kinds(self, item: Modality) -> int:
        """Return how many kinds of segments of one modality there may be."""
        return 1 + len(self.origins()) if item is Modality.TEXT else 1

    def origins(self) -> list[Origin]:
        """Return the origins that passages have here, without that of texts themselves."""
        if Modality.TEXT not in self.items():
            return []
        with self._lock:
            if self.generation.id not in self._origins:
                self._origins[self.generation.id] = self._found_origins()
            return self._origins[self.generation.id]

    def _found_origins(self) -> list[Origin]:
        if self.columns is not None:
            return self.columns.segment_columns.found_origins()
        text = Modality.TEXT
        if self.kept_baseline(text, text) is None:
            return self._catalog.segments.origins(self.generation.id)
        # Baselines are kept for all origins at once: no segment has to be read.
        return [origin for origin in Origin if self.kept_baseline(text, text, origin) is not None]

    def items(self) -> list[Modality]:
        """Return the modalities that the model encodes."""
        return [item for item in Modality if self._model.spaces_of(item)]

    def sample(
        self, item: Modality, space: EmbeddingSpace, origin: Origin | None = None
    ) -> VectorSample:
        """Return a sample of the segments of one kind: those whose ids hash lowest.

        The choice depends on which segments there are, not on the order in which they were added,
        and changes little as the collection grows.
        """
        kind = (item, origin)
        with self._lock:
            known = self._samples.get((kind, space))
            if known is None:
                assets = self._drawn(kind, space)
                kept, vectors = self.vectors(list(assets), space, item)
                known = VectorSample(
                    vectors, np.array([assets[i] for i in kept.tolist()], np.int64)
                )
                self._samples[kind, space] = known
            return known

    def _ids_of(self, kind: SegmentKind, space: EmbeddingSpace) -> Ids:
        """Return the ascending ids of the segments of one kind that have content."""
        item, origin = kind
        indexed = self.index(space, item).ids
        if item is not Modality.TEXT or not self.origins():
            return indexed
        if self.columns is None:
            ids = self._catalog.segments.passages_of(self.generation.id, origin)
        else:
            ids = self.columns.segment_columns.ids[self.columns.segment_columns.of_origin(origin)]
        return ids[within(ids, indexed)]

    def _drawn(self, kind: SegmentKind, space: EmbeddingSpace) -> dict[int, int]:
        """Return drawn segments and the assets that they are shown as, in the order of the draw."""
        ids = self._ids_of(kind, space)
        ids = ids[np.argsort(_mixed(ids), kind="stable")]
        drawn: dict[int, int] = {}
        # Segments of deleted files are left out, and others are drawn instead.
        while len(drawn) < SAMPLE_SIZE and len(ids):
            turn, ids = np.split(ids, [SAMPLE_SIZE - len(drawn)])
            pieces = self._columns_of(turn)
            assets = dict(zip(pieces.ids.tolist(), pieces.assets.tolist(), strict=True))
            drawn |= {id_: assets[id_] for id_ in turn.tolist() if id_ in assets}
        return drawn

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

    def bank(self, query: Modality, space: EmbeddingSpace) -> Vectors:
        """Return the bank's queries in one space, if possible from the catalog: float32 (n, dim).

        n is 0 if the collection has enough items of its own.
        """
        if self.is_own_bank(query, space):
            return np.zeros((0, space.dim), dtype=np.float32)
        data = self._catalog.generations.blob(
            self.generation.id, query_bank.bank_name(query, space)
        )
        vectors = query_bank.unpack(data, space.dim) if data is not None else None
        return encoded_bank(query, self._model)[space] if vectors is None else vectors

    def rivals(self, query: Modality, space: EmbeddingSpace) -> Vectors:
        """Return the generic queries that compete with one by words: float32 (n, dim).

        n is 0 for queries by example.
        """
        if query is not Modality.TEXT:
            return np.zeros((0, space.dim), dtype=np.float32)
        with self._lock:
            if space not in self._rivals:
                self._rivals[space] = self.bank(query, space)
            return self._rivals[space]

    def holds_bank(self, query: Modality, space: EmbeddingSpace) -> bool:
        """Return whether the catalog has the bank's queries in one space."""
        name = query_bank.bank_name(query, space)
        return self._catalog.generations.blob(self.generation.id, name) is not None

    def is_own_bank(self, query: Modality, space: EmbeddingSpace) -> bool:
        """Return whether the collection has enough items of its own to serve as bank of queries.

        Synthetic queries would add a sixteenth to OWN_QUERIES. Items never serve as text queries.
        """
        if query is Modality.TEXT:
            return False
        return len(self.sample(query, space).without_empty.vectors) >= OWN_QUERIES


def within(ids: Ids, among: Ids) -> NDArray[np.bool_]:
    """Return which ids are among others, which must be ascending: bool (n,).

    Not np.isin, which may load numpy.ma and delay a search by command by 20 ms.
    """
    return np.asarray(sorted_ids.positions_in(among, ids) >= 0)


def _mixed(ids: Ids) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return a hash of each id, uint64 (n,), to draw the same sample every time.

    The finaliser of splitmix64 (Steele, Lea and Flood, 2014).
    """
    x = ids.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
