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
    SegmentKind,
    SimilarityBaseline,
    presence_odds,
    rivals_of,
)
from seehear.search.composition import log_mean_exp
from seehear.search.encode_query import EncodedPart
from seehear.search.scoring import Comparison, compare
from seehear.search.snapshot import LEAST_DEPTH, CollectionSnapshot
from seehear.stores import SegmentColumns, sorted_ids
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
    candidates = snapshot.segment_columns(np.concatenate([_NONE, *every]))
    return [
        replace(part, presence=_presence(part, found, candidates, snapshot))
        for part, found in zip(parts, nearest, strict=True)
    ]


_NONE: Ids = np.zeros(0, dtype=np.int64)


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
) -> dict[SegmentKind, float]:
    """Return by kind of segment the log odds that it holds anything like a part."""
    odds: dict[SegmentKind, list[float]] = {}
    for modality, by_space in part.vectors.items():
        for columns in snapshot.baselines(modality):
            samples = by_space[columns.space]
            rivals = snapshot.rivals(modality, columns.space)
            same = rivals @ samples.T >= RIVAL_COSINE
            compared = compare(modality, samples, columns, candidates, snapshot)
            for number, kind in enumerate(columns.kinds):
                if modality not in part.modalities_for(*kind) or (modality, kind[0]) not in nearest:
                    continue
                depth = DEPTH * snapshot.count_kinds(kind[0])
                for row, near in enumerate(nearest[modality, kind[0]][:, :depth]):
                    # Segments of deleted files are at -1.
                    at = sorted_ids.positions_in(candidates.ids, near)
                    rows = at[(at >= 0) & (compared.which[at] == number)]
                    rows, z = _best_of_files(rows, row, compared, candidates)
                    odds.setdefault(kind, []).append(-np.inf)
                    if len(rows):
                        first = rows[: rivals_of(columns.rows[number].count)]
                        _, items = snapshot.vectors(candidates.ids[first], columns.space, kind[0])
                        margins = _margins(
                            compared.similarities[row, first], items, rivals, same[:, row]
                        )
                        odds[kind][-1] = _odds(columns.rows[number], samples[row], z, margins)
    return {kind: _mean(of_samples) for kind, of_samples in odds.items()}


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
    files: dict[int, int] = {}
    for at, asset in zip(order.tolist(), candidates.assets[rows[order]].tolist(), strict=True):
        files.setdefault(asset, at)
    best = np.array([*files.values()], dtype=np.int64)
    return rows[best], z[best]


def _odds(baseline: SimilarityBaseline, query: Floats, z: Floats, margins: Floats) -> float:
    """Return the log odds by one sample, from its best segments of one kind."""
    if len(margins):
        # A query that is near everything has its margins to show that it is for a good reason.
        z = z - baseline.nearness(query)
    return presence_odds(z, margins / baseline.spread, baseline.count)


def _margins(
    similarities: Floats, items: Vectors, rivals: Vectors, same: NDArray[np.bool_]
) -> Floats:
    """Return how much nearer n items are to a query than to its nearest rival: float32 (n,).

    Empty without rivals. `rivals` is float32 (m, dim); those that say the `same`, (m,), do not
    count.
    """
    if same.all():
        return np.zeros(0, dtype=np.float32)
    nearest = np.where(same, -np.inf, items @ rivals.T).max(axis=1)
    return np.asarray(similarities - nearest, dtype=np.float32)
