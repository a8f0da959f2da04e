"""What a similarity means: from a raw cosine to a score that compares across routes.

A cosine of 0.25 is a strong answer when words ask for pictures, and nothing at all when a picture
asks for pictures. What tells them apart is the background: the cosine that this query and this
item would have if they had nothing to do with each other. We expect it to be

    expected(q, i) = middle + a (q.I - Q.I) + b (i.Q - Q.I)

with Q the centre of a bank of generic queries and I the centre of a sample of the collection: the
route's usual cosine, plus how near this query is to everything, plus how near this item is to
everything (a hub). With a = b = 1 this is the cosine between query and item after each side's own
centre was taken away. What stands above it, in units of the spread of unrelated pairs, is z.
Two questions follow:

    does the item belong, if the collection holds anything like the query?
        odds = (z - EVEN) / Z_STEP                      growing slower above ODDS_SLOW
    does the collection hold anything like the query?
        presence = max over k of (z of the kth file / Z_STEP + log k) - SIZE_WEIGHT log n
                   + RIVAL_WEIGHT margin + SHIFT
    score = 1 / (1 + exp(doubt - odds)),   doubt = DOUBT log(1 + exp(-highest presence of any kind))

The first depends on query and item alone. The second is one number for a query and a kind of item,
whatever else is asked for. In it, n items reach log n farther by chance, as the tails of unrelated
pairs fall off like an exponential, and k files as high as chance brings one are evidence, as in the
false discovery rate of Benjamini and Hochberg (1995). The margin is what the best items have above
the generic query that fits each of them best: a bear is near "elephant", and nearer to "a bear".

A hit is weak if its score is below WEAK_BELOW, or its confidence: the chance that it belongs times
that of the presence of its own kind. There may be dogs among the pictures, none among the sounds.
For its confidence the best of its kind counts, too: where one dog is heard far above chance, what
lies halfway is another sound. EVEN then rises to BEST_SHARE of the best z.

A background depends on the collection and the model only, never on what was asked before.
docs/quality.md, "Ranking", has the measurements behind the constants, and the alternatives (CSLS,
QB-Norm, a spread for each query) that did no better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np
from numpy.typing import NDArray

from seehear.encoders.base import Route
from seehear.stores.catalog.records import MOST_CODES, code_of
from seehear.types import EmbeddingSpace, Floats, Ids, Modality, Origin, Vectors

SegmentKind = tuple[Modality, Origin | None]
"""A modality of segments, and where they come from, if they are passages of something else."""

SAMPLE_SIZE = 512
"""Items of each modality that stand for the collection: the error of the spread is about 3 %."""
HUB_SHARE = 0.75
"""b: how much of an item's nearness to everything is taken away."""
QUERY_SHARE = 0.5
"""a: how much of a query's nearness to everything is taken away, in a large collection. Less than
all, because a collection may be all about one thing, and then a query for it is near everything
for a good reason."""
QUERY_SHARE_ITEMS = 64
"""Number of sampled items at which half of QUERY_SHARE counts."""
GENERIC_WEIGHT = 16
"""The made-up queries weigh as much as this many of the collection's own items."""
MIN_SPREAD = 0.01
"""Smallest spread of a route; keeps a collection of identical items from making every z huge."""

REACH_TOP = 5
"""Of a query's similarities to a sample, so many at the top show how far a route reaches up."""
REACH_SHARE = 0.25
"""How much of the difference between the reaches of a model's routes goes into their spreads."""
REACH_ITEMS = 64
"""Number of sampled items at which half of that is believed."""

Z_STEP = 0.9
EVEN = 2.5
"""The z at which an item as likely belongs as not, in a collection that holds such items."""
ODDS_SLOW = 3.0
"""Log odds above this grow with the logarithm of z: no tail of real similarities falls off as fast
as the logistic, and two good answers stay apart instead of both reading 1.0."""
NEARLY_EQUAL = 0.97
"""Cosine, within one modality, from which an item is nearly the query itself."""
SIZE_WEIGHT = 1.25
"""How much the logarithm of a collection's size counts against a query."""
RIVAL_WEIGHT = 2.0
"""How much the margin over rivals counts, in spreads."""
RIVAL_BEST, RIVAL_LEAST, RIVAL_PER = 10, 3, 10
"""Best items whose margin counts; in a collection of less than a hundred, one of each ten."""
RIVAL_COSINE = 0.6
"""Generic queries as near as this to the query say the same, and are no rivals."""
SHIFT, EXAMPLE_SHIFT = 3.0, 1.25
"""Put queries that may as well be answered as not at even odds: those with rivals, and those by
example, which have none."""
LENIENT = 0.55
"""Added to the log odds of an item for its mark: where the collection holds what was asked for, a
hit that may well be right is not called weak."""
BEST_SHARE = 0.65
"""How much of the z of the best file of its kind a hit needs, to belong as likely as not for its
mark; in collections that hold good answers this is more than EVEN."""
DOUBT = 1.0
"""How fast scores fall where the collection seems to hold nothing like the query."""
WEAK_BELOW = 0.3
"""Scores below this are weak."""


def log_odds(z: Floats) -> Floats:
    """Return the log odds that items belong, from standardised similarities, any shape."""
    odds = (z - EVEN) / Z_STEP
    slow = ODDS_SLOW + np.log1p(np.maximum(odds - ODDS_SLOW, 0.0))
    return np.asarray(np.minimum(odds, slow), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Presence:
    """What the items of one kind hold that is like a query."""

    odds: float
    """Log odds that they hold anything like it."""
    best: float
    """z of the file that is most like it."""


def fall(z: Floats, best: Floats) -> Floats:
    """Return what items lose of their log odds beside the best of their kind, for their mark.

    `z` and `best`, that of the best file of the same kind, have any shape.
    """
    lower = z - np.maximum(np.float32(BEST_SHARE) * best - np.float32(EVEN), 0.0)
    return np.asarray(log_odds(z) - log_odds(lower), dtype=np.float32)


def presence_odds(z: Floats, margins: Floats, count: int) -> float:
    """Return the log odds that `count` items hold anything like a query.

    `z` has that of the best files, best first: float32 (m,). `margins` has what the first of them
    have above their best rival, in spreads: float32 (<= m,), empty if there are no rivals.
    """
    reached = z / Z_STEP + np.log(np.arange(1, len(z) + 1))
    told = RIVAL_WEIGHT * float(margins.mean()) + SHIFT if len(margins) else EXAMPLE_SHIFT
    return float(reached.max()) - SIZE_WEIGHT * log(max(count, 1)) + told


def doubt(presence: Floats) -> Floats:
    """Return what is taken from the log odds of items, from log odds of presence, any shape."""
    return np.asarray(DOUBT * np.logaddexp(0.0, -presence), dtype=np.float32)


def rivals_of(count: int) -> int:
    """Return how many of the best of `count` items are compared with rivals."""
    return min(RIVAL_BEST, max(RIVAL_LEAST, count // RIVAL_PER))


def score_of(odds: Floats) -> Floats:
    """Scores in [0, 1] from log odds, any shape; -inf gives 0."""
    with np.errstate(over="ignore"):
        scores = 1.0 / (1.0 + np.exp(-odds.astype(np.float64)))
    return np.asarray(scores, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class SimilarityBaseline:
    """The similarities of unrelated pairs on one route."""

    route: Route
    queries: Floats
    """Q, the centre of the bank of queries: float32 (dim,)."""
    items: Floats
    """I, the centre of the collection's sample: float32 (dim,)."""
    middle: float
    spread: float
    """Standard deviation of unrelated pairs around what is expected of them."""
    query_share: float
    hub_share: float
    reach: float = 0.0
    """The spread that a normal distribution would need to reach up as far as the nearest items of
    generic queries do."""
    sampled: float = 0.0
    """Number of items that this was measured on."""
    count: int = 0
    """Number of items that the route searches."""

    def expected(self, query: Floats, items: Vectors) -> Floats:
        """The cosine that unrelated pairs of this query and these items would have: (n,).

        `query` is float32 (dim,), `items` float32 (n, dim), both of this route's space.
        """
        centre = float(self.queries @ self.items)
        of_query = self.query_share * (float(query @ self.items) - centre)
        of_items = self.hub_share * (items @ self.queries - centre)
        return np.asarray(self.middle + of_query + of_items, dtype=np.float32)

    def z(self, similarities: Floats, expected: Floats) -> Floats:
        """Return how many spreads cosines (n,) lie above those expected: float32 (n,)."""
        return np.asarray((similarities - expected) / self.spread, dtype=np.float32)

    @property
    def of_items(self) -> bool:
        """False for a route on which there is nothing to find."""
        return bool(self.items.any())


@dataclass(frozen=True, slots=True, eq=False)
class BaselineColumns:
    """The baselines of m kinds of segments that queries of one modality reach in one space."""

    space: EmbeddingSpace
    kinds: Sequence[SegmentKind]
    numbers: Ids
    """Number of each kind by its code, int64 (MOST_CODES,); -1 for other kinds."""
    rows: Sequence[SimilarityBaseline]
    queries: Floats
    """Q, which they have in common: float32 (dim,)."""
    items: Floats
    """float32 (m, dim)."""
    middles: NDArray[np.float64]
    spreads: Floats
    query_shares: NDArray[np.float64]
    hub_shares: Floats
    centres: Floats
    """The cosine of both centres: float32 (m,)."""

    @classmethod
    def of(cls, baselines: Mapping[SegmentKind, SimilarityBaseline]) -> list[BaselineColumns]:
        """Group baselines by what they have in common."""
        groups: dict[tuple[EmbeddingSpace, bytes], list[SegmentKind]] = {}
        for kind, one in baselines.items():
            groups.setdefault((one.route.space, one.queries.tobytes()), []).append(kind)
        found = []
        for (space, _), kinds in groups.items():
            rows = [baselines[kind] for kind in kinds]
            queries, items = rows[0].queries, np.stack([one.items for one in rows])
            numbers = np.full(MOST_CODES, -1, dtype=np.int64)
            numbers[[code_of(*kind) for kind in kinds]] = range(len(kinds))
            found.append(
                cls(
                    space=space,
                    kinds=kinds,
                    numbers=numbers,
                    rows=rows,
                    queries=queries,
                    items=items,
                    middles=np.array([one.middle for one in rows]),
                    spreads=np.array([one.spread for one in rows], dtype=np.float32),
                    query_shares=np.array([one.query_share for one in rows]),
                    hub_shares=np.array([one.hub_share for one in rows], dtype=np.float32),
                    centres=items @ queries,
                )
            )
        return found

    def nearness(self, samples: Vectors) -> Floats:
        """Return in spreads what `expected` leaves of a query's nearness to everything: (s, m)."""
        near = (1 - self.query_shares) * (samples @ self.items.T - self.centres) / self.spreads
        return np.asarray(near, dtype=np.float32)

    def expected(self, samples: Vectors, hubs: Floats, which: Ids) -> Floats:
        """The cosine that unrelated pairs of s samples and n items would have: float32 (s, n).

        `hubs` are the products of the items with `queries`, (n,); `which` their kinds.
        """
        of_query = self.query_shares * (samples @ self.items.T - self.centres)
        whole = (self.middles + of_query).astype(np.float32)
        of_items = self.hub_shares[which] * (hubs - self.centres[which])
        return np.asarray(whole[:, which] + of_items, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class VectorSample:
    """Vectors of the collection's own items: float32 (n, dim), with the asset of each (n,)."""

    vectors: Vectors
    assets: Ids

    @property
    def without_empty(self) -> VectorSample:
        """Leaves out rows of zeros (silence, empty text), which are near nothing."""
        kept = np.any(self.vectors != 0, axis=1)
        return self if kept.all() else VectorSample(self.vectors[kept], self.assets[kept])


def fit_baseline(
    route: Route,
    generic: Vectors,
    own: VectorSample | None,
    items: VectorSample,
    count: int,
    *,
    query_share: float = QUERY_SHARE,
    hub_share: float = HUB_SHARE,
) -> SimilarityBaseline:
    """The background of one route, which searches `count` items.

    `generic` are the bank's queries (m, dim); `own` the collection's items of the query's
    modality, None for text queries, whose bank is generic by nature; `items` the sample of what
    is searched. All are in the route's space. Works from one item on.
    """
    items = items.without_empty
    own = own.without_empty if own is not None and len(own.vectors) else None
    if not len(items.vectors):
        return _empty(route)
    own_weight = len(own.vectors) / (len(own.vectors) + GENERIC_WEIGHT) if own else 0.0
    if not len(generic):
        own_weight = 1.0
    if own is None and not len(generic):
        return _empty(route)
    queries = np.zeros(route.space.dim, dtype=np.float32)
    if len(generic):
        queries += (1 - own_weight) * generic.mean(axis=0)
    if own is not None:
        queries += own_weight * own.vectors.mean(axis=0)
    centre = items.vectors.mean(axis=0)
    sampled = len(items.vectors)
    draft = SimilarityBaseline(
        route=route,
        queries=queries,
        items=centre,
        middle=float(queries @ centre),
        spread=1.0,
        query_share=query_share * sampled / (sampled + QUERY_SHARE_ITEMS),
        hub_share=hub_share,
    )
    weights, middles, spreads, tops = [], [], [], []
    for bank, weight in ((generic, 1 - own_weight), (own, own_weight)):
        rest = _residuals(draft, bank, items)
        if weight and sum(map(len, rest)):
            middle, spread = _middle_and_spread(np.concatenate(rest))
            weights.append(weight)
            middles.append(middle)
            spreads.append(spread)
            tops += [_top(row) - middle for row in rest if len(row)]
    shift = float(np.average(middles, weights=weights)) if weights else 0.0
    spread = float(np.sqrt(np.average(np.square(spreads), weights=weights))) if weights else 0.1
    return SimilarityBaseline(
        route=route,
        queries=queries,
        items=centre,
        middle=draft.middle + shift,
        spread=max(spread, MIN_SPREAD),
        query_share=draft.query_share,
        hub_share=draft.hub_share,
        reach=float(np.median(tops)) / _top_of_normal(sampled) if tops else 0.0,
        sampled=float(sampled),
        count=count,
    )


def share_spread(
    backgrounds: Sequence[SimilarityBaseline],
) -> list[SimilarityBaseline]:
    """The backgrounds of all routes from one modality, as they are scored by.

    The routes of one space share the widest of their spreads: what differs between them on a few
    hundred items is as much the likeness of those items to each other as it is chance. A share of
    how far each reaches up, beside the others, makes it wider or narrower than that.
    """
    by_space: dict[str, list[SimilarityBaseline]] = {}
    for background in backgrounds:
        if background.of_items:
            by_space.setdefault(background.route.space.key, []).append(background)
    return [
        replace(b, spread=_shared_spread(b, by_space.get(b.route.space.key, [b])))
        for b in backgrounds
    ]


def _shared_spread(background: SimilarityBaseline, routes: Sequence[SimilarityBaseline]) -> float:
    """The spread of one route among those of its space."""
    sampled = sum(b.sampled for b in routes)
    usual = sum(b.sampled * b.reach for b in routes) / sampled if sampled else 0.0
    widest = max(b.spread for b in routes)
    if usual <= 0 or not background.of_items:
        return widest
    # What few items show counts less: as if REACH_ITEMS usual ones were among them.
    told = background.sampled * max(background.reach, MIN_SPREAD) + REACH_ITEMS * usual
    return float(widest * (told / (background.sampled + REACH_ITEMS) / usual) ** REACH_SHARE)


def _empty(route: Route) -> SimilarityBaseline:
    """Of a route without items: nothing will be scored by it."""
    zeros = np.zeros(route.space.dim, dtype=np.float32)
    return SimilarityBaseline(route, zeros, zeros, 0.0, 1.0, 0.0, 0.0)


def _residuals(
    draft: SimilarityBaseline, bank: Vectors | VectorSample | None, items: VectorSample
) -> list[Floats]:
    """Similarities of bank and sample above what the draft expects, without those of an asset
    with itself: for each of the bank's queries, float32 (items,)."""
    if bank is None:
        return []
    vectors = bank.vectors if isinstance(bank, VectorSample) else bank
    rows = [items.vectors @ query - draft.expected(query, items.vectors) for query in vectors]
    if isinstance(bank, VectorSample):
        rows = [row[items.assets != asset] for row, asset in zip(rows, bank.assets, strict=True)]
    return rows


def _top(row: Floats) -> float:
    """Mean of the highest similarities of one query; of few items, of the upper half."""
    kept = min(REACH_TOP, (len(row) + 1) // 2)
    return float(np.sort(row)[-kept:].mean())


def _top_of_normal(count: int) -> float:
    """What `_top` is of so many draws from a normal distribution of spread 1, at least (Blom,
    1958); one item has no upper half and counts as two."""
    from statistics import NormalDist  # here, because a search by words fits nothing

    count = max(count, 2)
    kept = min(REACH_TOP, (count + 1) // 2)
    ranks = [(count - k + 0.625) / (count + 0.25) for k in range(1, kept + 1)]
    return sum(map(NormalDist().inv_cdf, ranks)) / kept


def _middle_and_spread(rest: Floats) -> tuple[float, float]:
    """Median, and the distance from it down to the 16th percentile (one standard deviation of a
    normal distribution). The upper half is not looked at: that is where related pairs lie, and a
    generic query or a neighbour in the collection does have related items."""
    low, middle = np.quantile(rest, [0.1587, 0.5])
    return float(middle), float(middle - low)
