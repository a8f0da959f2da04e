"""Decide whether a collection holds anything like a query, for the query as a whole.

The answer depends on the query, the model and the collection, never on filters, on the number of
hits or on the kinds asked for. See `calibration.baseline` for the formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from seehear.cancellation import check_current
from seehear.search.calibration.baseline import (
    NEARLY_EQUAL,
    RIVAL_COSINE,
    Presence,
    SegmentKind,
    presence_odds,
    rivals_of,
)
from seehear.search.composition import log_mean_exp
from seehear.search.encode_query import EncodedPart
from seehear.search.scoring import Comparison, compare
from seehear.search.snapshot import LEAST_DEPTH, CollectionSnapshot
from seehear.stores import SegmentColumns, sorted_ids
from seehear.stores.catalog.records import NO_IDS
from seehear.types import Floats, Ids, Modality, Vectors

DEPTH = 100
"""Nearest segments of a query that count: of passages so many for each origin."""


Nearest = Mapping[tuple[Modality, Modality], NDArray[np.int64]]
"""By the modality of samples and of segments, the ids of the nearest segments of each sample, best
first: int64 (samples, depth), -1 for missing ones."""


def judged(parts: Sequence[EncodedPart], snapshot: CollectionSnapshot) -> list[EncodedPart]:
    """Return the parts with `presence`, by what the whole collection holds.

    `snapshot` must be without filters.
    """
    nearest = [_nearest(part, snapshot) for part in parts]
    every = [near.ravel() for found in nearest for near in found.values()]
    candidates = snapshot.segment_columns(np.concatenate([NO_IDS, *every]))
    return [
        replace(part, presence=_presence(part, found, candidates, snapshot))
        for part, found in zip(parts, nearest, strict=True)
    ]


def _nearest(part: EncodedPart, snapshot: CollectionSnapshot) -> Nearest:
    found = {}
    for item in snapshot.items():
        depth = LEAST_DEPTH * snapshot.count_kinds(item)
        for modality in part.modalities_for(item):
            check_current()
            space = snapshot.route(modality, item).space
            if len(snapshot.index(space, item)):
                queries = part.vectors[modality][space]
                found[modality, item] = snapshot.nearest(queries, space, item, depth)
    return found


def _presence(
    part: EncodedPart, nearest: Nearest, candidates: SegmentColumns, snapshot: CollectionSnapshot
) -> dict[SegmentKind, Presence]:
    """Return by kind of segment what it holds that is like a part."""
    odds: dict[SegmentKind, list[float]] = {}
    tops: dict[SegmentKind, float] = {}
    for modality, by_space in part.vectors.items():
        for columns in snapshot.baselines(modality):
            samples = by_space[columns.space]
            compared = compare(modality, samples, columns, candidates, snapshot)
            rivals = snapshot.rivals(modality, columns.space)
            same, nearness = samples @ rivals.T >= RIVAL_COSINE, columns.nearness(samples)
            asked = [
                (number, kind)
                for number, kind in enumerate(columns.kinds)
                if modality in part.modalities_for(*kind) and (modality, kind[0]) in nearest
            ]
            for row in range(len(samples)):
                best = []
                for number, (item, _) in asked:
                    depth = DEPTH * snapshot.count_kinds(item)
                    near = nearest[modality, item][row, :depth]
                    rows = _rows_of(near, number, compared, candidates)
                    best.append(_best_of_files(rows, row, compared, candidates))
                first = [
                    rows[: rivals_of(columns.rows[number].count)]
                    for (number, _), (rows, _) in zip(asked, best, strict=True)
                ]
                items = [
                    snapshot.vectors(candidates.ids[rows], columns.space, kind[0])[1]
                    for (_, kind), rows in zip(asked, first, strict=True)
                    if len(rows)
                ]
                margins = _margins(
                    compared.similarities[row, np.concatenate([NO_IDS, *first])],
                    np.concatenate([samples[:0], *items]),
                    rivals[~same[row]] if same[row].any() else rivals,
                )
                start = 0
                for (number, kind), (rows, z), some in zip(asked, best, first, strict=True):
                    own, start = margins[start : start + len(some)], start + len(some)
                    baseline, value = columns.rows[number], -np.inf
                    tops[kind] = max([tops.get(kind, -np.inf), *z[:1].tolist()])
                    if len(own):
                        # A query that is near everything has its margins to show that it is for a
                        # good reason.
                        z = z - nearness[row, number]  # noqa: PLW2901
                    if len(rows):
                        value = presence_odds(z, own / baseline.spread, baseline.count)
                    odds.setdefault(kind, []).append(value)
    return {kind: Presence(_mean(several), tops[kind]) for kind, several in odds.items()}


def _rows_of(near: Ids, number: int, compared: Comparison, candidates: SegmentColumns) -> Ids:
    """Return the candidates of one kind among the nearest segments, in their order."""
    at = sorted_ids.positions_in(candidates.ids, near)
    rows = at[at >= 0]  # segments of deleted files are not there
    found: Ids = rows[compared.which[rows] == number]
    return found


def _mean(odds: Sequence[float]) -> float:
    """Return the logarithm of the mean odds of several samples."""
    return float(log_mean_exp(np.array(odds, dtype=np.float32)[:, None])[0])


def _best_of_files(
    rows: Ids, sample: int, compared: Comparison, candidates: SegmentColumns
) -> tuple[Ids, Floats]:
    """Return the best segment of each file for a sample, best first, and their z.

    Several segments of a file say no more than one. What is nearly the query itself does not tell
    whether there is more of it.
    """
    near = compared.is_own[rows] & (compared.similarities[sample, rows] >= NEARLY_EQUAL)
    rows = rows[~near] if near.any() else rows
    z = compared.z[sample, rows]
    order = np.argsort(-z, kind="stable")
    assets = candidates.assets[rows[order]].tolist()
    # Of each file the last one from behind, which is the first.
    first = dict(zip(reversed(assets), range(len(assets) - 1, -1, -1), strict=True))
    best = order[sorted(first.values())]
    return rows[best], z[best]


def _margins(similarities: Floats, items: Vectors, rivals: Vectors) -> Floats:
    """Return how much nearer n items are to a query than to its nearest rival: float32 (n,).

    Empty without rivals, float32 (m, dim).
    """
    if not len(rivals):
        return np.zeros(0, dtype=np.float32)
    return np.asarray(similarities - (rivals @ items.T).max(axis=0), dtype=np.float32)
