"""The query layer: a query in, ranked hits out.

    query -> parts -> candidates -> evidence -> ranked assets -> folded, spread -> moments -> hits
             parts    retrieve      evidence    rank             diversity         moments
                                    (calibrate, compose, words)

Everything that an answer depends on is the query, the collection and the model: the engine keeps
nothing of the queries that it has answered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from seehear.encoders.base import Model
from seehear.errors import StoreError
from seehear.search import evidence, feedback, parts, retrieve
from seehear.search.calibrate import WEAK_BELOW, Floats
from seehear.search.diversity import Shown, fold, spread
from seehear.search.duplicates import DuplicateGroup, groups
from seehear.search.moments import Stretch, stretches
from seehear.search.parts import Part
from seehear.search.rank import Rerank, Result, rank, reranked
from seehear.search.shelf import Allowed, Shelf
from seehear.stores import Catalog, Found, VectorCache
from seehear.types import Hit, Modality, Mode, Moment, Query

SLACK = 2
"""Assets that are looked at for each hit wanted: some are near-duplicates of others."""
SPREAD_POOL = 5
"""The same where hits are spread over different things."""
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
            raise StoreError("the collection is empty; run `seehear index PATH` first")
        self._catalog = catalog
        self._cache = cache
        self._model = model
        self._rerank = rerank
        self._generation = generation
        self._lock = threading.Lock()
        self._change = catalog.change()
        self._shelf = self._new_shelf(self._change)

    def refresh(self) -> None:
        """Take notice of what was written to the catalog since."""
        with self._lock:
            change = self._catalog.change()
            if change != self._change:
                self._cache.refresh()
                self._shelf = self._new_shelf(change)
                self._change = change

    def prepare(self) -> None:
        """Keep in the catalog what every search needs and only encoding can give.

        For the writer, after indexing. Without it the first search of each process does the same
        work for itself, and answers are no different.
        """
        self._shelf.keep_banks()
        self._shelf.keep_backgrounds()

    def describe_index(self) -> str:
        """Kinds of the indexes and how many vectors they serve, for a person.

        One that is not exact says its recall, as measured on the collection's own vectors.
        """
        return self._shelf.describe_index()

    def search(self, query: Query) -> list[Hit]:
        """The hits of a query, best first, at most `query.k`.

        Where fewer segments than that meet the filters, all of them are hits. Hits that do not
        stand out from what any query would bring up are marked weak; `min_score` leaves them out.

        Raises UsageError for a query or a filter that makes no sense.
        """
        parts.check(query)
        shelf = self._shelf
        allowed = shelf.allowed(query)
        asked = parts.encode(query, self._model) + feedback.parts_of(query, shelf)
        return _Search(query, asked, allowed, shelf, self._rerank).hits()

    def duplicates(
        self,
        modalities: frozenset[Modality] | None = None,
        *,
        under: Path | None = None,
        where: str = "",
        progress: Callable[[int, int], None] | None = None,
    ) -> list[DuplicateGroup]:
        """Groups of files that are the same or nearly so. Raises UsageError for a bad filter."""
        shelf = self._shelf
        everything = Query((), modalities=modalities, under=under, where=where)
        return groups(shelf, shelf.allowed(everything), progress)

    def _new_shelf(self, change: int) -> Shelf:
        return Shelf(self._catalog, self._cache, self._generation, self._model, change)


class _Search:
    """One query under way."""

    def __init__(
        self,
        query: Query,
        asked: Sequence[Part],
        allowed: Allowed,
        shelf: Shelf,
        rerank: Rerank | None,
    ) -> None:
        self.query = query
        self.parts = asked
        self.allowed = allowed
        self.shelf = shelf
        self.rerank = rerank
        written = asked if query.mode is not Mode.SEMANTIC else []
        self.by_words, matched = retrieve.by_words(written, shelf, allowed)
        self.matched = matched or [{} for _ in asked]

    def hits(self) -> list[Hit]:
        wanted = self.query.k * (SPREAD_POOL if self.query.diverse else SLACK)
        seen = -1
        while True:
            candidates = self._candidates(wanted)
            ranked, _ = self._rank(candidates)
            results = [r for r in ranked if r.score >= self.query.min_score]
            chosen = self._choose(results, candidates, wanted)
            # There is no more to find below the least score, or at all.
            found_all = len(results) < len(ranked) or len(ranked) == seen
            if len(chosen) >= self.query.k or (found_all and len(results) <= wanted):
                return self._finish(chosen, results, candidates)
            seen = len(ranked)
            wanted *= retrieve.DEEPER

    def _candidates(self, wanted: int) -> list[Found]:
        found = {f.segment_id: f for f in self.by_words}
        near = retrieve.neighbours(self.parts, self.shelf, self.allowed, wanted)
        found |= {f.segment_id: f for f in near}
        if len(self.parts) > 1:
            beside = retrieve.companions(list(found.values()), self.shelf, self.allowed)
            found |= {f.segment_id: f for f in beside}
        return [found[id_] for id_ in sorted(found)]

    def _rank(self, candidates: Sequence[Found]) -> tuple[list[Result], list[evidence.Row]]:
        rows = evidence.gather(self.parts, self.matched, candidates, self.shelf)
        results = rank(self.parts, rows, candidates)
        if self.rerank is not None:
            results = reranked(results, self.rerank(self.query, results))
        return results, rows

    def _choose(
        self, results: list[Result], candidates: Sequence[Found], depth: int
    ) -> list[list[int]]:
        """Positions among the first `depth` results, one group for each hit; its first is shown."""
        most = self.query.k * (SPREAD_POOL if self.query.diverse else 1)
        if self.query.show_duplicates and not self.query.diverse:
            return [[position] for position in range(min(most, len(results)))]
        shown = self._shown(results[:depth], candidates)
        if self.query.show_duplicates:
            groups = [[position] for position in range(min(most, len(results)))]
        else:
            groups = fold(shown, most)
        if not self.query.diverse:
            return groups
        leaders = [group[0] for group in groups]
        order = spread(
            [shown[i] for i in leaders], [results[i].score for i in leaders], self.query.k
        )
        return [groups[i] for i in order]

    def _shown(self, results: Sequence[Result], candidates: Sequence[Found]) -> list[Shown]:
        vectors: dict[int, Floats] = {}
        for kind in Modality:
            ids = [
                candidates[r.best].segment_id
                for r in results
                if candidates[r.best].segment.modality is kind
            ]
            if ids:
                kept, rows = self.shelf.vectors(ids, self.shelf.route(kind, kind).space, kind)
                vectors |= dict(zip((int(id_) for id_ in kept), rows, strict=True))
        return [
            Shown(
                result.asset,
                candidates[result.best].segment.modality,
                vectors.get(candidates[result.best].segment_id),
            )
            for result in results
        ]

    def _finish(
        self, chosen: list[list[int]], results: Sequence[Result], candidates: Sequence[Found]
    ) -> list[Hit]:
        """Hits of the chosen groups. Their files are looked at whole, for the moments."""
        leaders = {results[group[0]].asset.id: group for group in chosen}
        timed = {
            candidates[results[group[0]].best].asset.id
            for group in chosen
            if results[group[0]].pieces
        }
        known = [found for found in candidates if found.asset.id in leaders]
        ids = {found.segment_id for found in known}
        whole = self.shelf.resolve(
            [int(i) for i in self.shelf.segments_of(timed) if int(i) not in ids]
        )
        final = known + [found for found in whole if self.allowed.holds(found)]
        ranked, rows = self._rank(final)
        if self.query.diverse:  # their order is that of `chosen`
            place = {asset_id: at for at, asset_id in enumerate(leaders)}
            ranked.sort(key=lambda result: place[result.asset.id])
        folded = {id_: [results[i].asset.id for i in group[1:]] for id_, group in leaders.items()}
        paths = self.shelf.paths_of({*folded, *(i for others in folded.values() for i in others)})
        return [
            self._hit(number, result, final, rows, _paths(result, final, paths, folded, self.query))
            for number, result in enumerate(ranked, 1)
        ]

    def _hit(
        self,
        number: int,
        result: Result,
        candidates: Sequence[Found],
        rows: Sequence[evidence.Row],
        paths: Sequence[Path],
    ) -> Hit:
        """One hit. `paths` has the one to show first, then those of its duplicates."""
        best = candidates[result.best]
        first = next(i for i, part in enumerate(self.parts) if not part.exclude)
        moments = tuple(
            _moment(stretch) for stretch in stretches(result.pieces, self.query.moments)
        )
        times = (best.segment.start_s, best.segment.stop_s)
        if moments and moments[0].segment_id == best.segment_id:
            times = (moments[0].start_s, moments[0].stop_s)
        return Hit(
            rank=number,
            score=result.score,
            similarity=float(rows[first].similarities[result.answered_by[first]]),
            path=paths[0],
            modality=result.asset.modality,
            asset_id=result.asset.id,
            segment_id=best.segment_id,
            matched=best.segment.modality,
            start_s=times[0],
            stop_s=times[1],
            snippet=_snippet(best.segment.text),
            weak=result.score < WEAK_BELOW,
            moments=moments,
            duplicates=tuple(paths[1:]),
            why=evidence.explain(self.parts, rows, result.answered_by)
            if self.query.explain
            else (),
        )


def _paths(
    result: Result,
    candidates: Sequence[Found],
    paths: Mapping[int, Sequence[Path]],
    folded: Mapping[int, Sequence[int]],
    query: Query,
) -> list[Path]:
    """The path to show (below the folder that was asked for), then copies and near-duplicates."""
    shown = candidates[result.best].path
    own = list(paths[result.asset.id])
    if query.under is not None:
        below = [path for path in own if path.is_relative_to(query.under)]
        shown = shown if shown in below or not below else below[0]
    others = [path for path in own if path != shown]
    for id_ in folded[result.asset.id]:
        others += paths[id_]
    return [shown, *others]


def _moment(stretch: Stretch) -> Moment:
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
