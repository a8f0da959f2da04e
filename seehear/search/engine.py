"""Answer queries: from words, images and sounds to ranked hits.

    query -> encoded parts -> candidates -> scores -> ranked files -> merged, spread -> hits
             encode_query     retrieve      scoring   ranking         dedup             moments

An answer depends on the query, the collection and the model alone: the engine keeps nothing of the
queries that it has answered.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from seehear.cancellation import check_current, interruptible
from seehear.encoders.base import Model
from seehear.errors import StoreError
from seehear.media.fingerprints import Fingerprint
from seehear.media.fingerprints import read as read_fingerprint
from seehear.search import encode_query, feedback, presence, retrieve, scoring
from seehear.search.calibration.fitted import within
from seehear.search.calibration.precompute import missing_blobs
from seehear.search.dedup import collapse, mmr
from seehear.search.duplicates import DuplicateGroup, groups
from seehear.search.encode_query import EncodedPart
from seehear.search.filter_text import parse_where
from seehear.search.hits import make_hits
from seehear.search.lexical import strip_stop_words
from seehear.search.ranking import RankedAsset, Rerank, apply_rerank, rank
from seehear.search.scoring import Scores
from seehear.search.snapshot import CollectionSnapshot
from seehear.sources import stored_path
from seehear.stores import Catalog, SegmentColumns, SegmentRecord, SegmentTable, VectorStore
from seehear.stores.catalog.asked_words import AskedWord, asked_words
from seehear.stores.catalog.change_log import State
from seehear.stores.catalog.filters import Filter
from seehear.stores.vectors.base import WARMUP_QUERIES
from seehear.types import EmbeddingSpace, Floats, Hit, Ids, Modality, Mode, Query, Vectors

OVERFETCH = 2
"""Assets to rank for each hit wanted: some are near-duplicates of others."""
SPREAD_POOL = 5
"""The same for `Query.diverse`."""
RANKED_AT_ONCE = max(1, min(4, (os.cpu_count() or 1) // 2))
"""Queries to rank at the same time. Sixteen threads that pass the interpreter's lock to each other
at every short call need twice the processor time of queries in sequence. Large indexes are searched
without that lock, so that several queries keep more cores busy."""


class Engine:
    """Answers queries over one generation of a collection. Safe to use from several threads."""

    def __init__(
        self, catalog: Catalog, cache: VectorStore, model: Model, rerank: Rerank | None = None
    ) -> None:
        """`rerank` gives results other scores before near-duplicates are merged.

        Raises StoreError if the collection has no generation to search yet.
        """
        generation = catalog.generations.serving()
        if generation is None:
            raise StoreError("the collection is empty; run `seehear index FOLDER` first")
        self._catalog = catalog
        self._cache = cache
        self._model = model
        self._rerank = rerank
        self._generation = generation
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(RANKED_AT_ONCE)
        self._state = catalog.changes.state()
        self._snapshot = self._new_snapshot(self._state.change)
        self._asked = 0

    def current(self) -> CollectionSnapshot:
        """Return the snapshot that a search would read now."""
        with self._read_snapshot() as snapshot:
            return snapshot

    @contextmanager
    def _read_snapshot(self) -> Iterator[CollectionSnapshot]:
        """Open the snapshot of the catalog as it is now; all reads inside see the same instant."""
        seen = State(0, 0)
        while True:
            with self._catalog.read_snapshot():
                state = self._catalog.changes.state()
                with self._lock:
                    # Another thread may have started later, seen more, and been here first.
                    late = seen <= state < self._state
                    seen = self._state
                    snapshot = None if late else self._snapshot_of(state)
                if snapshot is not None:
                    yield snapshot
                    return

    def _snapshot_of(self, state: State) -> CollectionSnapshot:
        """Return the snapshot of a state, that of the instant that is being read."""
        if state.change != self._state.change:
            self._cache.refresh()
            self._snapshot = self._new_snapshot(state.change, self._snapshot.columns)
        elif state != self._state:
            self._snapshot = self._snapshot.relocated()
        self._state = state
        return self._snapshot

    def missing_calibration(self) -> dict[str, bytes]:
        """Return, by name, the calibration of this state that the catalog does not hold.

        An index run stores it. Without it, the first search of each process computes the same and
        gives the same answers.
        """
        self._catalog.words.refresh(self._generation.id)
        self._cache.prepare()
        return missing_blobs(self.current(), self._model)

    def warm_up(self) -> None:
        """Load into memory what the first searches would otherwise wait for."""
        with self._read_snapshot() as snapshot:
            snapshot.load_columns()
            snapshot.warm_up_indexes()
            for item, origin in snapshot.kinds():
                snapshot.baseline(Modality.TEXT, item, origin)
                snapshot.rivals(Modality.TEXT, snapshot.route(Modality.TEXT, item).space)

    def describe_index(self) -> str:
        """Return the kinds of the indexes and how many vectors they hold, as text for a person.

        For an approximate index, the text has its recall on the collection's own vectors.
        """
        return self.current().describe_index()

    def search_ahead(self, modality: Modality, vectors: Mapping[EmbeddingSpace, Vectors]) -> None:
        """Search the indexes for several queries to come together, by their encoded samples.

        `vectors` has a row for each query. `search` gives the same with and without it.
        """
        with self._read_snapshot() as snapshot:
            snapshot.search_ahead(modality, vectors)

    def search(
        self, query: Query, parse: Callable[[str], Filter | None] = parse_where
    ) -> list[Hit]:
        """Return the hits of a query, best first, at most `query.k`.

        `parse` reads the text of its filter, if folders are not named by path.

        If fewer files than that meet the filters, all of them are hits. Hits that any query might
        bring up are marked weak; `min_score` leaves them out.

        Raises UsageError for a query or a filter that makes no sense.
        """
        return self.search_many([query], parse)[0]

    def search_many(
        self, queries: Sequence[Query], parse: Callable[[str], Filter | None] = parse_where
    ) -> list[list[Hit]]:
        """Return the hits of each query, as `search` does, all of one moment.

        Each index is searched once for all of them.
        """
        for query in queries:
            encode_query.check_query(query)
        encoded = [encode_query.encode_query(query, self._model) for query in queries]
        with self._turns, self._read_snapshot() as snapshot:
            check_current()  # it may have waited long for its turn
            for _ in queries:
                self._count(snapshot)
            with interruptible():
                parts = [
                    own + feedback.parts_of(query, snapshot)
                    for query, own in zip(queries, encoded, strict=True)
                ]
                searched = snapshot
                if len(queries) > 1:
                    searched = snapshot.with_nearest(
                        asked
                        for query, own in zip(queries, parts, strict=True)
                        for asked in retrieve.first_searches(own, snapshot, _first_wanted(query))
                    )
                return [
                    _Search(query, own, searched.restricted(query, parse), self._rerank).hits()
                    for query, own in zip(queries, parts, strict=True)
                ]

    def duplicates(
        self,
        modalities: frozenset[Modality] | None = None,
        *,
        under: Path | None = None,
        where: str = "",
        parse: Callable[[str], Filter | None] = parse_where,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[DuplicateGroup]:
        """Return groups of near-identical files; `parse` as in `search`.

        Raises UsageError for a bad filter.
        """
        everything = Query((), modalities=modalities, under=under, where=where)
        return groups(self.current(), everything, parse, progress)

    def _count(self, snapshot: CollectionSnapshot) -> None:
        """Count a query. After WARMUP_QUERIES, read the rows of all segments into memory."""
        with self._lock:
            self._asked += 1
            if self._asked > WARMUP_QUERIES:
                snapshot.load_columns()

    def _new_snapshot(self, change: int, columns: SegmentTable | None = None) -> CollectionSnapshot:
        return CollectionSnapshot(
            self._catalog, self._cache, self._generation, self._model, change, columns
        )


def _first_wanted(query: Query) -> int:
    return query.k * (SPREAD_POOL if query.diverse else OVERFETCH)


class _Search:
    """One query under way, on a snapshot that is restricted to its filters."""

    def __init__(
        self,
        query: Query,
        parts: Sequence[EncodedPart],
        snapshot: CollectionSnapshot,
        rerank: Rerank | None,
    ) -> None:
        self.query = query
        snapshot.search_deeply(retrieve.first_searches(parts, snapshot, _first_wanted(query)))
        self.parts: Sequence[EncodedPart] = presence.judged(parts, snapshot.unrestricted())
        self.snapshot = snapshot
        self.rerank = rerank
        self.by_words = SegmentColumns.of()
        if query.mode is not Mode.SEMANTIC:
            self.parts, self.by_words = retrieve.match_words(self.parts, snapshot, query.typing)
        if any("\0" in part.text for part in parts):
            self.words()  # refuses it
        self.described: dict[int, SegmentRecord] = {}
        self.prints: dict[int, Fingerprint | None] = {}

    def words(self) -> list[AskedWord]:
        """Return the words to mark in passages."""
        wanted = [strip_stop_words(part.text) for part in self.parts if not part.exclude]
        return [word for text in wanted for word in asked_words(text, typing=self.query.typing)]

    def hits(self) -> list[Hit]:
        wanted = _first_wanted(self.query)
        seen = -1
        while True:
            scores, best = self._rank(self._candidates(wanted))
            results = best[scores.total[best] >= self.query.min_score]
            groups = self._choose(scores, results, wanted)
            # Stop, too, if a deeper search finds no more, or only results below the least score.
            found_all = len(results) < len(best) or len(best) == seen
            if len(groups) >= self.query.k or (found_all and len(results) <= wanted):
                assets = scores.candidates.assets[results].tolist()
                merged = {assets[first]: [assets[i] for i in more] for first, *more in groups}
                return self._finish(merged, scores)
            seen = len(best)
            wanted *= retrieve.DEPTH_GROWTH

    def _candidates(self, wanted: int) -> SegmentColumns:
        """Return distinct candidates by ascending id, with `wanted` assets of each modality."""
        found = SegmentColumns.of(
            self.by_words, retrieve.neighbours(self.parts, self.snapshot, wanted)
        )
        if len(self.parts) > 1:
            found = SegmentColumns.of(found, retrieve.cooccurring_segments(found, self.snapshot))
        return found.at(np.unique(found.ids, return_index=True)[1])

    def _rank(self, candidates: SegmentColumns) -> tuple[Scores, Ids]:
        """Score candidates; return with them the best row of each asset, best first."""
        scores = scoring.score(self.parts, candidates, self.snapshot)
        best = rank(scores)
        if self.rerank is None:
            return scores, best
        records = self._describe(candidates.ids[best])
        results = [
            RankedAsset(found.asset, float(value), found.segment)
            for found, value in zip(records, scores.total[best], strict=True)
        ]
        return apply_rerank(scores, best, self.rerank(self.query, results))

    def _describe(self, ids: Ids) -> list[SegmentRecord]:
        """Return segments with their assets; each is read once for a query."""
        wanted = ids.tolist()
        new = [id_ for id_ in wanted if id_ not in self.described]
        if new:
            self.described |= {found.segment_id: found for found in self.snapshot.resolve(new)}
        return [self.described[id_] for id_ in wanted]

    def _choose(self, scores: Scores, results: Ids, depth: int) -> list[list[int]]:
        """Group positions among the first `depth` results, a group for each hit, to show its first.

        `results` are rows of candidates, best first.
        """
        most = self.query.k * (SPREAD_POOL if self.query.diverse else 1)
        groups = [[position] for position in range(min(most, len(results)))]
        if self.query.show_duplicates and not self.query.diverse:
            return groups
        candidates = scores.candidates.at(results[:depth])
        records, own_vectors = (
            self._describe(candidates.ids),
            partial(self._own_vectors, candidates),
        )
        if not self.query.show_duplicates:
            groups = collapse(records, own_vectors, [*map(self._fingerprint, records)], most)
        if not self.query.diverse:
            return groups
        leaders, vectors = [group[0] for group in groups], own_vectors()
        order = mmr(
            [records[i] for i in leaders],
            [vectors[i] for i in leaders],
            scores.total[results[leaders]].tolist(),
            self.query.k,
        )
        return [groups[i] for i in order]

    def _fingerprint(self, found: SegmentRecord) -> Fingerprint | None:
        """Return the fingerprint of a segment's asset; each is read once for a query."""
        if found.asset.id not in self.prints:
            data = found.raw_fingerprint
            self.prints[found.asset.id] = None if data is None else read_fingerprint(data)
        return self.prints[found.asset.id]

    def _own_vectors(self, candidates: SegmentColumns) -> list[Floats | None]:
        """Return the vector of each candidate in the space of its own modality, float32 (dim,)."""
        found: dict[int, Floats] = {}
        for item in Modality:
            ids = candidates.ids[candidates.of_kind(item)]
            if len(ids):
                space = self.snapshot.route(item, item).space
                kept, rows = self.snapshot.vectors(ids, space, item)
                found |= dict(zip(kept.tolist(), rows, strict=True))
        return [found.get(id_) for id_ in candidates.ids.tolist()]

    def _finish(self, merged: Mapping[int, Sequence[int]], scores: Scores) -> list[Hit]:
        """Return the hits of the chosen assets, each with its near-duplicates.

        All segments of their files are scored, to find the moments.
        """
        rows = within(scores.candidates.assets, np.array(sorted(merged), dtype=np.int64))
        known = scores.candidates.at(rows)
        timed = set(known.assets[~np.isnan(known.start_s)].tolist())
        ids = self.snapshot.segments_of(timed) if timed else known.ids
        whole = self.snapshot.segment_columns(ids[~within(ids, known.ids)])
        if len(whole) or self.rerank is not None:
            final, best = self._rank(SegmentColumns.of(known, whole))
        else:
            final = scores.at(np.flatnonzero(rows))
            best = rank(final)
        if self.query.diverse:  # keep the order of `merged`
            position = {asset: at for at, asset in enumerate(merged)}
            order = [position[asset] for asset in final.candidates.assets[best].tolist()]
            best = best[np.argsort(order)]
        if self.rerank is not None:  # its scores say all
            final = replace(final, confidence=final.total.astype(np.float32))
        paths_of_asset = self._paths_to_show(merged, final.candidates.ids[best])
        return make_hits(
            self.query, final, best, paths_of_asset, self._describe, self.words, self.snapshot
        )

    def _paths_to_show(
        self, merged: Mapping[int, Sequence[int]], ids: Ids
    ) -> dict[int, list[Path]]:
        """Return by asset the path to show, one that meets the filters, then those of copies and
        near-duplicates; `ids` are the segments to show."""
        fitting = self.snapshot.matching_paths(merged)
        known = {found.asset.id: found for found in self.described.values()}
        paths_of_asset = {}
        for found in self._describe(ids):
            asset = found.asset.id
            first = found.raw_path
            fits = [os.fsencode(path) for path in fitting.get(asset, ())]
            if fits and first not in fits:
                first = fits[0]
            paths = [first, *(path for path in found.raw_paths if path != first)]
            for one in merged[asset]:
                paths += known[one].raw_paths
            paths_of_asset[asset] = [stored_path(path) for path in paths]
        return paths_of_asset
