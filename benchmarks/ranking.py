"""Rank a collection in memory in several ways and measure them, for bench_ranking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ranking_asks import Ask
from benchmarks.ranking_world import World
from seehear.search.calibration.baseline import (
    HUB_SHARE,
    QUERY_SHARE,
    SimilarityBaseline,
    VectorSample,
    fit_baseline,
    log_odds,
    share_spread,
)
from seehear.search.calibration.fitted import OWN_QUERIES
from seehear.types import (
    EmbeddingSpace,
    Hit,
    Ids,
    Modality,
    Mode,
    Query,
    Vectors,
    modality_of,
)

DEPTH = 10
CUT_KEEPS = 0.9

Scores = NDArray[np.float64]
Ranker = Callable[[Ask], Scores]
"""Scores of all items of the collection, higher is better: float64 (items,)."""
Measure = Callable[[Modality, Modality, NDArray[np.float32], Vectors], Scores]
"""Of one query vector (dim,) and the segments of one modality (n, dim): (n,)."""


# Ways to rank


def by_engine(world: World) -> Ranker:
    """The product: Engine.search, by meaning alone, near-duplicates listed."""

    def scores(ask: Ask) -> Scores:
        found = np.full(len(world.items), -np.inf)
        for hit in answers(world, ask):
            # Equal scores keep the engine's order.
            found[world.position[hit.asset_id]] = hit.score - 1e-9 * hit.rank
        return found

    return scores


def answers(world: World, ask: Ask) -> list[Hit]:
    """The answer of the product to what a benchmark asks."""
    k = DEPTH + len(ask.own)
    return world.engine.search(
        Query(ask.parts, k=k, modalities=ask.kinds, mode=Mode.SEMANTIC, show_duplicates=True)
    )


def by_similarity(world: World, measure: Measure) -> Ranker:
    """Any measure of one query vector; an item has that of its best segment.

    Parts are joined by adding their unit vectors, exclusions by taking them away.
    """

    def scores(ask: Ask) -> Scores:
        found = np.full(len(world.items), -np.inf)
        first = modality_of(ask.parts[0].samples[0])
        for kind in Modality:
            if not len(world.owners[kind]):
                continue
            space = world.model.route(first, kind).space
            vectors = world.segments(space, kind)
            asked = np.zeros(space.dim, np.float32)
            for part in ask.parts:
                sign = -1.0 if part.exclude else 1.0
                asked += sign * part.weight * world.encoded(part.samples[0], space)
            unit = np.asarray(asked / np.linalg.norm(asked), dtype=np.float32)
            np.maximum.at(found, world.owners[kind], measure(first, kind, unit, vectors))
        if ask.kinds is not None:
            found[[item.modality not in ask.kinds for item in world.items]] = -np.inf
        return found

    return scores


def cosine(_q: Modality, _i: Modality, query: NDArray[np.float32], items: Vectors) -> Scores:
    return np.asarray(items @ query, dtype=np.float64)


def standardised(
    world: World,
    query_share: float = QUERY_SHARE,
    hub_share: float = HUB_SHARE,
    *,
    spreads: str = "by reach",
) -> Ranker:
    """z by other shares of the query's and the item's nearness to everything, and other spreads:
    "own" of each route, the "widest" of the space, those of the "query" beside the widest."""
    known: dict[tuple[Modality, Modality], SimilarityBaseline] = {}

    def fit(q: Modality) -> dict[tuple[Modality, Modality], SimilarityBaseline]:
        fitted = []
        for i in Modality:
            route = world.shelf.route(q, i)
            own = None
            if q is not Modality.TEXT:
                sample = world.shelf.sample(q, route.space)
                own = VectorSample(sample.vectors[:OWN_QUERIES], sample.assets[:OWN_QUERIES])
            bank = world.shelf.bank(q, route.space)
            items = world.shelf.sample(i, route.space)
            shares = {"query_share": query_share, "hub_share": hub_share}
            fitted.append(fit_baseline(route, bank, own, items, len(items.vectors), **shares))
        drawn = share_spread(fitted)
        if spreads != "by reach":
            widest = max(b.spread for b in fitted)
            drawn = [
                replace(b, spread=f.spread if spreads == "own" else widest)
                for b, f in zip(drawn, fitted, strict=True)
            ]
        return {(q, b.route.item): b for b in drawn}

    def measure(q: Modality, i: Modality, query: NDArray[np.float32], items: Vectors) -> Scores:
        if (q, i) not in known:
            known.update(fit(q))
        background = known[q, i]
        z = background.z(items @ query, background.expected(query, items))
        if spreads == "query":
            sample = world.shelf.sample(i, background.route.space).without_empty
            usual = background.expected(query, sample.vectors)
            z_sampled = background.z(sample.vectors @ query, usual)
            low, middle = np.quantile(z_sampled, [0.1587, 0.5])
            z = z / max(float(middle - low), 0.1)
        return np.asarray(log_odds(z), dtype=np.float64)

    return by_similarity(world, measure)


def csls(world: World, k: int = 10) -> Ranker:
    """Cross-domain similarity local scaling (Conneau et al., 2018)."""
    near: dict[tuple[Modality, Modality], Scores] = {}

    def measure(q: Modality, i: Modality, query: NDArray[np.float32], items: Vectors) -> Scores:
        if (q, i) not in near:
            bank = _bank_of(world, q, world.shelf.route(q, i).space)
            near[q, i] = np.sort(items @ bank.T, axis=1)[:, -k:].mean(axis=1)
        similarities = items @ query
        return np.asarray(2 * similarities - near[q, i] - np.sort(similarities)[-k:].mean())

    return by_similarity(world, measure)


def qb_norm(world: World, beta: float) -> Ranker:
    """Query bank normalisation, inverted softmax (Bogolin et al., 2022), as log odds."""
    usual: dict[tuple[Modality, Modality], Scores] = {}

    def measure(q: Modality, i: Modality, query: NDArray[np.float32], items: Vectors) -> Scores:
        if (q, i) not in usual:
            bank = _bank_of(world, q, world.shelf.route(q, i).space)
            usual[q, i] = np.log(np.exp(beta * items @ bank.T).mean(axis=1))
        return np.asarray(beta * (items @ query) - usual[q, i])

    return by_similarity(world, measure)


def _bank_of(world: World, q: Modality, space: EmbeddingSpace) -> Vectors:
    if q is Modality.TEXT:
        return world.shelf.bank(q, space)
    return world.shelf.sample(q, space).vectors[:OWN_QUERIES]


HUBS: dict[str, Callable[[World], Ranker]] = {
    "none": lambda world: standardised(world, 0.0, 0.0),
    "query only, a = .5, b = 0": lambda world: standardised(world, 0.5, 0.0),
    "item only, a = 0, b = .75": lambda world: standardised(world, 0.0, 0.75),
    "both, a = .5, b = .75": lambda world: standardised(world, 0.5, 0.75),
    "all, a = 1, b = 1": lambda world: standardised(world, 1.0, 1.0),
    "CSLS, k = 10": csls,
    "QB-Norm, beta = 5": lambda world: qb_norm(world, 5.0),
    "QB-Norm, beta = 20": lambda world: qb_norm(world, 20.0),
}

CALIBRATION: dict[str, Callable[[World], Ranker]] = {
    "z, widest spread": lambda world: standardised(world, spreads="widest"),
    "z, own spread of each route": lambda world: standardised(world, spreads="own"),
    "z, spread of each query": lambda world: standardised(world, spreads="query"),
    "z, spreads by reach": standardised,
}


# How good they are


@dataclass(frozen=True, slots=True)
class Interval:
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One line of a table. Draws are those of the bootstrap, the same queries in each row."""

    name: str
    ndcg: dict[str, float]
    mean: tuple[float, Scores]
    """nDCG@10, all groups weighing alike, with its draws."""
    false_first: tuple[float, Scores] | None
    """Share of queries without answer whose first hit passes the cut."""
    false_ten: tuple[float, Scores] | None
    """Share of the first ten hits of such queries that pass the cut."""
    cut: float

    def as_json(self, first: Row) -> dict[str, Any]:
        """Plain values; differences to the first row of the table over the same draws."""

        def plain(name: str) -> dict[str, Any]:
            mine, base = getattr(self, name), getattr(first, name)
            if mine is None:
                return {}
            values = {name: _plain(_interval(mine))}
            if self is not first:
                gain = _interval((mine[0] - base[0], mine[1] - base[1]))
                values[f"{name} minus {first.name}"] = _plain(gain)
            return values

        return {
            "name": self.name,
            "ndcg": self.ndcg,
            "cut": self.cut,
            **plain("mean"),
            **plain("false_first"),
            **plain("false_ten"),
        }


def measure(name: str, ranked: Sequence[tuple[Ranker, Sequence[Ask]]], resamples: int) -> Row:
    """Ranks every query of every collection."""
    gains: dict[str, list[float]] = {}
    true: dict[str, list[Scores]] = {}  # scores of the true hits among the first ten, else nan
    none: dict[str, list[Scores]] = {}  # scores of the first ten hits where nothing is relevant
    discounts = 1 / np.log2(np.arange(DEPTH) + 2)
    for rank, asks in ranked:
        for ask in asks:
            scores = rank(ask)
            scores[list(ask.own)] = -np.inf
            top = np.argsort(-scores, kind="stable")[:DEPTH]
            if not ask.relevant.any():
                none.setdefault(ask.group, []).append(scores[top])
                continue
            hits = ask.relevant[top] & np.isfinite(scores[top])
            ideal = discounts[: int(ask.relevant.sum())].sum()
            gains.setdefault(ask.group, []).append(float((hits * discounts).sum() / ideal))
            true.setdefault(ask.group, []).append(np.where(hits, scores[top], np.nan))
    rng = np.random.default_rng(0)
    resampled = [_resample(rng, len(values), resamples) for values in gains.values()]
    drawn = [np.array(v)[draws] for v, draws in zip(gains.values(), resampled, strict=True)]
    means = np.mean([values.mean(axis=1) for values in drawn], axis=0)
    by_group = {group: float(np.mean(values)) for group, values in gains.items()}
    hits_of = [np.array(rows) for rows in true.values()]
    cut = _cut(hits_of)
    first = ten = None
    if none:
        false_of = [np.array(rows) for rows in none.values()]
        first, ten = (np.mean([(f >= cut)[:, :n].mean() for f in false_of]) for n in (1, DEPTH))
        lost = [_resample(rng, len(rows), resamples) for rows in false_of]
        shares = []
        for at in range(resamples):
            here = _cut([rows[draws[at]] for rows, draws in zip(hits_of, resampled, strict=True)])
            again = [rows[draws[at]] >= here for rows, draws in zip(false_of, lost, strict=True)]
            shares.append([np.mean([f[:, :n].mean() for f in again]) for n in (1, DEPTH)])
        drawn_shares = np.array(shares)
    return Row(
        name,
        by_group,
        (float(np.mean(list(by_group.values()))), means),
        None if first is None else (float(first), drawn_shares[:, 0]),
        None if ten is None else (float(ten), drawn_shares[:, 1]),
        cut,
    )


@dataclass(frozen=True, slots=True)
class Weak:
    """Hits of one route among the first ten of the product, and the share of them marked weak."""

    route: str
    true: int
    true_weak: float
    false: int
    """Of queries that nothing answers."""
    false_weak: float


def weak_by_route(worlds: Sequence[World], asks: Sequence[Sequence[Ask]]) -> list[Weak]:
    """By the kinds of the query and of the item."""
    seen: dict[str, dict[bool, list[bool]]] = {}
    for world, mine in zip(worlds, asks, strict=True):
        for ask in mine:
            answered = bool(ask.relevant.any())
            others = [(world.position[hit.asset_id], hit) for hit in answers(world, ask)]
            for at, hit in [(at, hit) for at, hit in others if at not in ask.own][:DEPTH]:
                if bool(ask.relevant[at]) == answered:
                    asked = modality_of(ask.parts[0].samples[0])
                    here = seen.setdefault(f"{asked} -> {hit.modality}", {})
                    here.setdefault(answered, []).append(hit.weak)
    found = []
    for route, hits in sorted(seen.items()):
        true, false = (np.array(hits.get(answered, ()), dtype=bool) for answered in (True, False))
        shares = [float(weak.mean()) if len(weak) else 0.0 for weak in (true, false)]
        found.append(Weak(route, len(true), shares[0], len(false), shares[1]))
    return found


def _cut(hits_of: Sequence[Scores]) -> float:
    """The score that keeps 90 % of the true hits, all groups of queries weighing alike."""
    found = [rows[~np.isnan(rows)] for rows in hits_of]
    weights = np.concatenate([np.full(len(rows), 1 / max(len(rows), 1)) for rows in found])
    scores = np.concatenate(found)
    order = np.argsort(scores)
    below = np.cumsum(weights[order])
    return float(scores[order][np.searchsorted(below, (1 - CUT_KEEPS) * below[-1])])


def _resample(rng: np.random.Generator, count: int, resamples: int) -> Ids:
    return np.asarray(rng.integers(0, count, (resamples, count)), dtype=np.int64)


def _interval(drawn: tuple[float, Scores]) -> Interval:
    low, high = np.quantile(drawn[1], [0.025, 0.975])
    return Interval(drawn[0], float(low), float(high))


def _plain(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def table(rows: Sequence[Row]) -> str:
    """As Markdown."""
    groups = list(rows[0].ndcg)
    with_false = rows[0].false_first is not None
    head = ["ranking", *groups, "mean nDCG@10"]
    head += ["false first", "false of ten"] if with_false else []
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = [row.name, *(f"{row.ndcg[group]:.3f}" for group in groups)]
        cells.append(str(_interval(row.mean)))
        for false in (row.false_first, row.false_ten):
            cells += [str(_interval(false))] if false is not None else []
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def weak_table(rows: Sequence[Weak]) -> str:
    """As Markdown."""
    lines = ["| route | true hits | of them weak | false hits | of them weak |"]
    lines.append("|" + " --- |" * 5)
    lines += [
        f"| {row.route} | {row.true} | {row.true_weak:.2f} | {row.false} | {row.false_weak:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)
