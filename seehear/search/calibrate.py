"""What a similarity means: from a raw cosine to a score that compares across routes.

A cosine of 0.25 is a strong answer when words ask for pictures, and nothing at all when a picture
asks for pictures. What tells them apart is the background: the cosine that this query and this
item would have if they had nothing to do with each other. We expect it to be

    expected(q, i) = middle + a (q.I - Q.I) + b (i.Q - Q.I)

with Q the centre of a bank of generic queries and I the centre of a sample of the collection: the
route's usual cosine, plus how near this query is to everything, plus how near this item is to
everything (a hub). With a = b = 1 this is the cosine between query and item after each side's own
centre was taken away. What stands above it, in units of the spread of unrelated pairs, is z, and

    score = 1 / (1 + exp(-odds)),   odds = (z - even) / Z_STEP, growing slower above ODDS_SLOW
    even  = TAIL sqrt(2 ln n)

The largest of n draws from a normal distribution lies near sqrt(2 ln n) (Gumbel): what would stand
out among forty items is what chance brings up among a million.

A background depends on the collection and the model only, never on what was asked before.
docs/quality.md, "Ranking", has the measurements behind the constants, and the alternatives (CSLS,
QB-Norm) that did no better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from seehear.encoders.base import Route
from seehear.types import Ids, Vectors

Floats = NDArray[np.float32]

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

TAIL = 1.25
"""How much farther the similarities of unrelated pairs reach up than a normal distribution whose
spread is that of their lower half."""
FEWEST = 16
"""Smaller collections are taken to have this many segments."""
Z_STEP = 0.9
ODDS_SLOW = 3.0
"""Log odds above this grow with the logarithm of z: no tail of real similarities falls off as fast
as the logistic, and two good answers stay apart instead of both reading 1.0."""
WEAK_BELOW = 0.3
"""Scores below this are weak: the cut that keeps nine of ten true hits."""


def even_at(segments: int) -> float:
    """The z at which a score is one half, in a collection of so many segments."""
    return TAIL * sqrt(2 * log(max(segments, FEWEST)))


def log_odds(z: Floats, even: float) -> Floats:
    """Evidence for a match from standardised similarities, any shape; 0 is even."""
    odds = (z - even) / Z_STEP
    slow = ODDS_SLOW + np.log1p(np.maximum(odds - ODDS_SLOW, 0.0))
    return np.asarray(np.minimum(odds, slow), dtype=np.float32)


def score_of(odds: Floats) -> Floats:
    """Scores in [0, 1] from log odds, any shape; -inf gives 0."""
    with np.errstate(over="ignore"):
        scores = 1.0 / (1.0 + np.exp(-odds.astype(np.float64)))
    return np.asarray(scores, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Background:
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
    even: float = even_at(0)
    """The z at which a score is one half."""

    def expected(self, query: Floats, items: Vectors) -> Floats:
        """The cosine that unrelated pairs of this query and these items would have: (n,).

        `query` is float32 (dim,), `items` float32 (n, dim), both of this route's space.
        """
        centre = float(self.queries @ self.items)
        of_query = self.query_share * (float(query @ self.items) - centre)
        of_items = self.hub_share * (items @ self.queries - centre)
        return np.asarray(self.middle + of_query + of_items, dtype=np.float32)

    def z(self, query: Floats, items: Vectors) -> Floats:
        """How far the similarities stand above the background, in spreads: float32 (n,)."""
        return np.asarray(
            (items @ query - self.expected(query, items)) / self.spread, dtype=np.float32
        )

    @property
    def of_items(self) -> bool:
        """False for a route on which there is nothing to find."""
        return bool(self.items.any())


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """Vectors of the collection's own items: float32 (n, dim), with the asset of each (n,)."""

    vectors: Vectors
    assets: Ids

    @property
    def without_empty(self) -> Sampled:
        """Leaves out rows of zeros (silence, empty text), which are near nothing."""
        kept = np.any(self.vectors != 0, axis=1)
        return self if kept.all() else Sampled(self.vectors[kept], self.assets[kept])


def fit_background(
    route: Route,
    generic: Vectors,
    own: Sampled | None,
    items: Sampled,
    *,
    query_share: float = QUERY_SHARE,
    hub_share: float = HUB_SHARE,
) -> Background:
    """The background of one route.

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
    count = len(items.vectors)
    draft = Background(
        route=route,
        queries=queries,
        items=centre,
        middle=float(queries @ centre),
        spread=1.0,
        query_share=query_share * count / (count + QUERY_SHARE_ITEMS),
        hub_share=hub_share,
    )
    weights, middles, spreads = [], [], []
    for bank, weight in ((generic, 1 - own_weight), (own, own_weight)):
        rest = _residuals(draft, bank, items)
        if weight and rest.size:
            middle, spread = _middle_and_spread(rest)
            weights.append(weight)
            middles.append(middle)
            spreads.append(spread)
    shift = float(np.average(middles, weights=weights)) if weights else 0.0
    spread = float(np.sqrt(np.average(np.square(spreads), weights=weights))) if weights else 0.1
    return Background(
        route=route,
        queries=queries,
        items=centre,
        middle=draft.middle + shift,
        spread=max(spread, MIN_SPREAD),
        query_share=draft.query_share,
        hub_share=draft.hub_share,
    )


def levelled(backgrounds: Sequence[Background], segments: int) -> list[Background]:
    """The backgrounds of all routes from one modality, as they are scored by in a collection of so
    many segments.

    The routes of one space share the widest of their spreads: what differs between them on a few
    hundred items is as much the likeness of those items to each other as it is chance.
    """
    widest: dict[str, float] = {}
    for background in backgrounds:
        if background.of_items:
            key = background.route.space.key
            widest[key] = max(widest.get(key, 0.0), background.spread)
    even = even_at(segments)
    return [
        replace(b, spread=widest.get(b.route.space.key, b.spread), even=even) for b in backgrounds
    ]


def _empty(route: Route) -> Background:
    """Of a route without items: nothing will be scored by it."""
    zeros = np.zeros(route.space.dim, dtype=np.float32)
    return Background(route, zeros, zeros, 0.0, 1.0, 0.0, 0.0)


def _residuals(draft: Background, bank: Vectors | Sampled | None, items: Sampled) -> Floats:
    """Similarities of bank and sample above what the draft expects, without those of an asset
    with itself: float32 (pairs,)."""
    if bank is None:
        return np.zeros(0, dtype=np.float32)
    vectors = bank.vectors if isinstance(bank, Sampled) else bank
    rows = [items.vectors @ query - draft.expected(query, items.vectors) for query in vectors]
    if isinstance(bank, Sampled):
        rows = [row[items.assets != asset] for row, asset in zip(rows, bank.assets, strict=True)]
    return np.concatenate(rows) if rows else np.zeros(0, dtype=np.float32)


def _middle_and_spread(rest: Floats) -> tuple[float, float]:
    """Median, and the distance from it down to the 16th percentile (one standard deviation of a
    normal distribution). The upper half is not looked at: that is where related pairs lie, and a
    generic query or a neighbour in the collection does have related items."""
    low, middle = np.quantile(rest, [0.1587, 0.5])
    return float(middle), float(middle - low)
