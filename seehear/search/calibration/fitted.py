"""Fit the baselines of one state of a collection to samples of it, and keep what they need."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seehear.encoders.base import Model, Route
from seehear.search.calibration import baseline_store, query_bank
from seehear.search.calibration.baseline import (
    SAMPLE_SIZE,
    BaselineColumns,
    SegmentKind,
    SimilarityBaseline,
    VectorSample,
    fit_baseline,
    share_spread,
)
from seehear.search.calibration.query_bank_cache import encoded_bank
from seehear.stores import (
    Catalog,
    Generation,
    Passages,
    SegmentColumns,
    SegmentTable,
    VectorIndex,
    sorted_ids,
)
from seehear.types import EmbeddingSpace, Ids, Modality, Origin, Vectors

OWN_QUERIES = 256
"""Items of the collection that serve as bank for queries by example."""


class FittedBaselines(ABC):
    """What similarities mean in one state of a collection. Thread-safe.

    The half of a `CollectionSnapshot` that does not depend on a query; the other half reads rows
    and vectors for it.
    """

    def __init__(
        self, catalog: Catalog, generation: Generation, model: Model, change: int | None
    ) -> None:
        self._catalog = catalog
        self.generation = generation
        self._model = model
        self.change = change
        self.columns: SegmentTable | None = None
        """The rows of all segments in memory; None reads them from the catalog instead."""
        self._lock = threading.RLock()
        self._samples: dict[tuple[SegmentKind, EmbeddingSpace], VectorSample] = {}
        self._backgrounds: dict[tuple[Modality, SegmentKind], SimilarityBaseline] = {}
        self._origins: dict[int, list[Origin]] = {}
        """Those of the generation, once they are known: shared with restricted snapshots."""
        self._rivals: dict[EmbeddingSpace, Vectors] = {}
        self._columns: dict[Modality, list[BaselineColumns]] = {}
        self._routes: dict[tuple[Modality, Modality], Route] = {}
        self._items = [item for item in Modality if model.spaces_of(item)]

    @abstractmethod
    def index(self, space: EmbeddingSpace, item: Modality) -> VectorIndex:
        """Return the index of one modality's segments in one space."""

    @abstractmethod
    def vectors(
        self, ids: Ids | Sequence[int], space: EmbeddingSpace, item: Modality
    ) -> tuple[Ids, Vectors]:
        """Return the vectors of those segments that have one: ids (n,), float32 (n, dim)."""

    @abstractmethod
    def _columns_of(self, ids: Ids | Sequence[int]) -> SegmentColumns:
        """Return those of some segments that are not of deleted files, by ascending id."""

    def route(self, query: Modality, item: Modality) -> Route:
        found = self._routes.get((query, item))
        if found is None:
            found = self._routes[query, item] = self._model.route(query, item)
        return found

    def spaces_of(self, modality: Modality) -> tuple[EmbeddingSpace, ...]:
        return self._model.spaces_of(modality)

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

    def baselines(self, query: Modality) -> list[BaselineColumns]:
        """Return the baselines of all kinds of segments that one modality asks."""
        with self._lock:
            if query not in self._columns:
                own = {kind: self.baseline(query, *kind) for kind in self.kinds()}
                self._columns[query] = BaselineColumns.of(own)
            return self._columns[query]

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
                self.index(route.space, item).count(self._passages(item, origin)),
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
        return self._items

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

    def _passages(self, item: Modality, origin: Origin | None) -> Passages | None:
        """Return which segments of a modality are of one kind; None for all of them."""
        if item is not Modality.TEXT or not self.origins():
            return None

        def ids() -> Ids:
            if self.columns is None:
                return self._catalog.segments.passages_of(self.generation.id, origin)
            columns = self.columns.segment_columns
            return columns.ids[columns.of_origin(origin)]

        return Passages(origin, ids)

    def _drawn(self, kind: SegmentKind, space: EmbeddingSpace) -> dict[int, int]:
        """Return drawn segments and the assets that they are shown as, in the order of the draw."""
        index, passages = self.index(space, kind[0]), self._passages(*kind)
        most = SAMPLE_SIZE
        while True:
            ids = index.drawn(most, passages)
            # Segments of deleted files are left out, and others are drawn instead.
            pieces = self._columns_of(ids)
            assets = dict(zip(pieces.ids.tolist(), pieces.assets.tolist(), strict=True))
            drawn = [id_ for id_ in ids.tolist() if id_ in assets][:SAMPLE_SIZE]
            if len(drawn) == SAMPLE_SIZE or len(ids) < most:
                return {id_: assets[id_] for id_ in drawn}
            most *= 2

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
