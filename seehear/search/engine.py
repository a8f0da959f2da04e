"""The query layer: a query in, ranked hits out.

    query -> parts -> candidates -> evidence -> ranked assets -> folded, spread -> moments -> hits
             parts    retrieve      evidence    rank             diversity         moments
                                    (calibrate, compose, words)

Everything that an answer depends on is the query, the collection and the model: the engine keeps
nothing of the queries that it has answered.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seehear.cancellation import check_current, interruptible
from seehear.encoders.base import Model
from seehear.errors import StoreError
from seehear.search import encode_query, feedback, retrieve, scoring
from seehear.search.calibration.baseline import WEAK_BELOW
from seehear.search.calibration.precompute import missing_blobs
from seehear.search.dedup import ResultView, collapse, mmr
from seehear.search.duplicates import DuplicateGroup, groups
from seehear.search.encode_query import EncodedPart
from seehear.search.lexical import WordMatch
from seehear.search.moments import Interval, merge_adjacent
from seehear.search.ranking import (
    RankedAsset,
    Ranking,
    Rerank,
    Scored,
    apply_rerank,
    rank,
    score,
    timed_segments,
)
from seehear.search.snapshot import CollectionSnapshot, IdFilter, within
from seehear.stores import Catalog, SegmentColumns, SegmentRecord, SegmentTable, VectorCache
from seehear.stores.vectors.base import WARMUP_QUERIES
from seehear.types import Floats, Hit, Ids, Modality, Mode, Moment, Query

OVERFETCH = 2
"""Assets that are looked at for each hit wanted: some are near-duplicates of others."""
SPREAD_POOL = 5
"""The same where hits are spread over different things."""
RANKED_AT_ONCE = max(1, min(4, (os.cpu_count() or 1) // 2))
"""Queries that are ranked at once. Sixteen threads that take the interpreter's lock from each other
at every short call need twice the processor's time of one after the other; large indexes are
searched without that lock, so that a machine with more cores has work for some."""
MAX_SNIPPET = 200
"""Characters of a passage that a hit shows."""


class Engine:
    """Answers queries over one generation of a collection. Safe to use from several threads."""

    def __init__(
        self, catalog: Catalog, cache: VectorCache, model: Model, rerank: Rerank | None = None
    ) -> None:
        """`rerank` gives what was found other scores, before near-duplicates are folded.

        Raises StoreError where no generation serves yet.
        """
        generation = catalog.serving()
        if generation is None:
            raise StoreError("the collection is empty; run `seehear index FOLDER` first")
        self._catalog = catalog
        self._cache = cache
        self._model = model
        self._rerank = rerank
        self._generation = generation
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(RANKED_AT_ONCE)
        self._change = catalog.change()
        self._snapshot = self._new_snapshot(self._change)
        self._asked = 0

    def current(self) -> CollectionSnapshot:
        """What of the collection is searched, as of now."""
        with self._read_snapshot() as snapshot:
            return snapshot

    @contextmanager
    def _read_snapshot(self) -> Iterator[CollectionSnapshot]:
        """The shelf as the catalog is now; whatever is read within is of the same instant."""
        seen = 0
        while True:
            with self._catalog.read_snapshot():
                change = self._catalog.change()
                with self._lock:
                    # Another thread may have come later, and seen more, before this one got here.
                    late = seen <= change < self._change
                    seen = self._change
                    snapshot = None if late else self._snapshot_of(change)
                if snapshot is not None:
                    yield snapshot
                    return

    def _snapshot_of(self, change: int) -> CollectionSnapshot:
        """The shelf after a change, which is the last one at the instant that is being read."""
        if change != self._change:
            self._cache.refresh()
            self._snapshot = self._new_snapshot(change, self._snapshot.columns)
            self._change = change
        return self._snapshot

    def missing_calibration(self) -> dict[str, bytes]:
        """Return, by name, the calibration of this state that the catalog does not hold.

        An index run keeps it. Without it the first search of each process computes the same, and
        answers are no different.
        """
        return missing_blobs(self.current(), self._model)

    def describe_index(self) -> str:
        """Kinds of the indexes and how many vectors they serve, for a person.

        One that is not exact says its recall, as measured on the collection's own vectors.
        """
        return self.current().describe_index()

    def search(self, query: Query) -> list[Hit]:
        """The hits of a query, best first, at most `query.k`.

        Where fewer segments than that meet the filters, all of them are hits. Hits that do not
        stand out from what any query would bring up are marked weak; `min_score` leaves them out.

        Raises UsageError for a query or a filter that makes no sense.
        """
        encode_query.check_query(query)
        encoded = encode_query.encode_query(query, self._model)
        with self._turns, self._read_snapshot() as snapshot:
            check_current()  # it may have waited long for its turn
            self._count(snapshot)
            with interruptible():
                allowed = snapshot.id_filter(query)
                asked = encoded + feedback.parts_of(query, snapshot)
                return _Search(query, asked, allowed, snapshot, self._rerank).hits()

    def duplicates(
        self,
        modalities: frozenset[Modality] | None = None,
        *,
        under: Path | None = None,
        where: str = "",
        progress: Callable[[int, int], None] | None = None,
    ) -> list[DuplicateGroup]:
        """Groups of files that are the same or nearly so. Raises UsageError for a bad filter."""
        everything = Query((), modalities=modalities, under=under, where=where)
        return groups(self.current(), everything, progress)

    def _count(self, snapshot: CollectionSnapshot) -> None:
        """One query more; after some, what segments are is held in memory for many more."""
        with self._lock:
            self._asked += 1
            if self._asked > WARMUP_QUERIES:
                snapshot.load_columns()

    def _new_snapshot(self, change: int, columns: SegmentTable | None = None) -> CollectionSnapshot:
        return CollectionSnapshot(
            self._catalog, self._cache, self._generation, self._model, change, columns
        )


class _Search:
    """One query under way."""

    def __init__(
        self,
        query: Query,
        asked: Sequence[EncodedPart],
        allowed: IdFilter,
        snapshot: CollectionSnapshot,
        rerank: Rerank | None,
    ) -> None:
        self.query = query
        self.parts = asked
        self.allowed = allowed
        self.snapshot = snapshot
        self.rerank = rerank
        self.by_words = SegmentColumns.of()
        self.matched: list[Mapping[int, WordMatch]] = [{} for _ in asked]
        if query.mode is not Mode.SEMANTIC:
            self.by_words, self.matched = retrieve.by_words(asked, snapshot, allowed)
        self.described: dict[int, SegmentRecord] = {}

    def hits(self) -> list[Hit]:
        wanted = self.query.k * (SPREAD_POOL if self.query.diverse else OVERFETCH)
        seen = -1
        while True:
            candidates = self._candidates(wanted)
            ranked, _, rows = self._rank(candidates)
            results = ranked.at(ranked.scores >= self.query.min_score)
            chosen = self._choose(results, candidates, wanted)
            # There is no more to find below the least score, or at all.
            found_all = len(results) < len(ranked) or len(ranked) == seen
            if len(chosen) >= self.query.k or (found_all and len(results) <= wanted):
                return self._finish(chosen, results, candidates, [row.support for row in rows])
            seen = len(ranked)
            wanted *= retrieve.DEPTH_GROWTH

    def _candidates(self, wanted: int) -> SegmentColumns:
        found = SegmentColumns.of(
            self.by_words, retrieve.neighbours(self.parts, self.snapshot, self.allowed, wanted)
        )
        if len(self.parts) > 1:
            found = SegmentColumns.of(
                found, retrieve.cooccurring_segments(found, self.snapshot, self.allowed)
            )
        order = np.argsort(found.ids, kind="stable")
        first = np.ones(len(order), dtype=np.bool_)
        first[1:] = found.ids[order][1:] != found.ids[order][:-1]
        return found.at(order[first])

    def _rank(
        self, candidates: SegmentColumns, crowds: Sequence[Floats] | None = None
    ) -> tuple[Ranking, Scored, list[scoring.PartScores]]:
        rows = scoring.score_parts(self.parts, self.matched, candidates, self.snapshot, crowds)
        scored = score(self.parts, rows, candidates)
        ranking = rank(scored, candidates)
        if self.rerank is not None:
            results = [
                RankedAsset(found.asset, float(value), found.segment)
                for found, value in zip(
                    self._describe(candidates.ids[ranking.best]), ranking.scores, strict=True
                )
            ]
            ranking = apply_rerank(ranking, self.rerank(self.query, results))
        return ranking, scored, rows

    def _describe(self, ids: Ids) -> list[SegmentRecord]:
        """What some segments are."""
        wanted = ids.tolist()
        new = [id_ for id_ in wanted if id_ not in self.described]
        self.described |= {found.segment_id: found for found in self.snapshot.resolve(new)}
        return [self.described[id_] for id_ in wanted]

    def _choose(self, results: Ranking, candidates: SegmentColumns, depth: int) -> list[list[int]]:
        """Places among the first `depth` results, one group for each hit; its first is shown."""
        most = self.query.k * (SPREAD_POOL if self.query.diverse else 1)
        if self.query.show_duplicates and not self.query.diverse:
            return [[position] for position in range(min(most, len(results)))]
        shown = self._shown(results.best[:depth], candidates)
        if self.query.show_duplicates:
            groups = [[place] for place in range(min(most, len(results)))]
        else:
            groups = collapse(shown, most)
        if not self.query.diverse:
            return groups
        leaders = [group[0] for group in groups]
        order = mmr([shown[i] for i in leaders], results.scores[leaders].tolist(), self.query.k)
        return [groups[i] for i in order]

    def _shown(self, best: NDArray[np.int64], candidates: SegmentColumns) -> list[ResultView]:
        pieces = candidates.at(best)
        vectors: dict[int, Floats] = {}
        for kind in Modality:
            ids = pieces.ids[pieces.of_kind(kind)]
            if len(ids):
                kept, rows = self.snapshot.vectors(ids, self.snapshot.route(kind, kind).space, kind)
                vectors |= dict(zip(kept.tolist(), rows, strict=True))
        return [
            ResultView(found.asset, found.segment.modality, vectors.get(found.segment_id))
            for found in self._describe(pieces.ids)
        ]

    def _finish(
        self,
        chosen: list[list[int]],
        results: Ranking,
        candidates: SegmentColumns,
        crowds: Sequence[Floats],
    ) -> list[Hit]:
        """Hits of the chosen groups. Their files are looked at whole, for the moments, beside the
        crowds of all candidates."""
        assets = results.assets.tolist()
        folded = {assets[group[0]]: [assets[i] for i in group[1:]] for group in chosen}
        known = candidates.at(within(candidates.assets, np.array(sorted(folded), dtype=np.int64)))
        timed = set(known.assets[~np.isnan(known.start_s)].tolist())
        ids = self.snapshot.segments_of(timed)
        whole = self.snapshot.segment_columns(ids[~within(ids, known.ids)])
        final = SegmentColumns.of(known, self.allowed.of(whole))
        ranking, scored, rows = self._rank(final, crowds)
        if self.query.diverse:  # their order is that of `chosen`
            position = {asset: at for at, asset in enumerate(folded)}
            ranking = ranking.at(np.argsort([position[asset] for asset in ranking.assets.tolist()]))
        paths = self.snapshot.paths_of(
            {*folded, *(i for others in folded.values() for i in others)}
        )
        fitting = self.snapshot.matching_paths(folded, self.query)
        best = self._describe(final.ids[ranking.best])
        return [
            self._hit(
                number,
                found,
                final,
                ranking,
                scored,
                rows,
                _paths(found, paths, fitting, folded),
            )
            for number, found in enumerate(best, 1)
        ]

    def _hit(
        self,
        number: int,
        found: SegmentRecord,
        final: SegmentColumns,
        ranking: Ranking,
        scored: Scored,
        rows: Sequence[scoring.PartScores],
        paths: Sequence[Path],
    ) -> Hit:
        """One hit. `paths` has the one to show first, then those of its duplicates."""
        position = int(ranking.best[number - 1])
        value = float(ranking.scores[number - 1])
        pieces = timed_segments(found.asset.id, scored, final)
        moments = tuple(_moment(stretch) for stretch in merge_adjacent(pieces, self.query.moments))
        times = (found.segment.start_s, found.segment.stop_s)
        if moments and moments[0].segment_id == found.segment_id:
            times = (moments[0].start_s, moments[0].stop_s)
        answered_by = scored.answering_candidate[:, position].tolist()
        first = scored.wanted[0]
        return Hit(
            rank=number,
            score=value,
            similarity=float(scored.similarities[answered_by[first]]),
            path=paths[0],
            modality=found.asset.modality,
            asset_id=found.asset.id,
            segment_id=found.segment_id,
            matched_modality=found.segment.modality,
            start_s=times[0],
            stop_s=times[1],
            snippet=_snippet(found.segment.text),
            weak=value < WEAK_BELOW,
            moments=moments,
            duplicates=tuple(paths[1:]),
            why=scoring.explain(self.parts, rows, answered_by) if self.query.explain else (),
        )


def _paths(
    found: SegmentRecord,
    paths: Mapping[int, Sequence[Path]],
    fitting: Mapping[int, Sequence[Path]],
    folded: Mapping[int, Sequence[int]],
) -> list[Path]:
    """The path to show (one that meets the filters), then copies and near-duplicates."""
    fits = fitting.get(found.asset.id, [found.path])
    shown = found.path if found.path in fits else fits[0]
    others = [path for path in paths[found.asset.id] if path != shown]
    for id_ in folded[found.asset.id]:
        others += paths[id_]
    return [shown, *others]


def _moment(stretch: Interval) -> Moment:
    best = stretch.best
    return Moment(
        start_s=stretch.start_s,
        stop_s=stretch.stop_s,
        score=best.score,
        similarity=best.similarity,
        segment_id=best.segment_id,
        matched=best.matched,
    )


def _snippet(text: str | None) -> str | None:
    """A passage, shortened at a word."""
    if text is None or len(text) <= MAX_SNIPPET:
        return text
    return text[:MAX_SNIPPET].rsplit(maxsplit=1)[0] + " …"
