"""Decide whether a collection holds anything like a query, for the query as a whole.

The answer depends on the query, the model and the collection, never on filters, on the number of
hits or on the kinds asked for. See `calibration.baseline` for the formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from seehear.cancellation import check_current
from seehear.search.calibration.baseline import (
    NEARLY_EQUAL,
    RIVAL_COSINE,
    SimilarityBaseline,
    presence_odds,
    rivals_of,
)
from seehear.search.composition import log_mean_exp
from seehear.search.encode_query import EncodedPart
from seehear.search.snapshot import LEAST_DEPTH, CollectionSnapshot, SegmentKind, within
from seehear.stores import SegmentColumns, sorted_ids
from seehear.types import Floats, Ids, Modality, Vectors

DEPTH = 100
"""Nearest segments of a query that count: of passages so many for each origin."""


def judged(parts: Sequence[EncodedPart], snapshot: CollectionSnapshot) -> list[EncodedPart]:
    """Return the parts with `presence`, by what the whole collection holds.

    `snapshot` must be without filters.
    """
    items = snapshot.items()
    nearest = [{item: list(_nearest(part, item, snapshot)) for item in items} for part in parts]
    every = [ids for by_item in nearest for found in by_item.values() for _, _, ids in found]
    columns = snapshot.segment_columns(sorted({id_ for ids in every for id_ in ids.tolist()}))

    def odds(kind: SegmentKind, asked: Modality, query: Floats, ids: Ids) -> float:
        baseline = snapshot.baseline(asked, *kind)
        if kind[0] is Modality.TEXT:
            ids = ids[within(ids, columns.ids[columns.of_origin(kind[1])])]
        if not len(ids):
            return -np.inf
        return _odds(baseline, query, ids, columns, snapshot)

    return [
        replace(
            part,
            presence={
                kind: _mean([odds(kind, *one) for one in found])
                for kind in snapshot.kinds()
                if (found := [o for o in by_item[kind[0]] if o[0] in part.modalities_for(*kind)])
            },
        )
        for part, by_item in zip(parts, nearest, strict=True)
    ]


def _mean(odds: Sequence[float]) -> float:
    """Return the logarithm of the mean odds of several samples."""
    return float(log_mean_exp(np.array(odds, dtype=np.float32)[:, None])[0])


def _nearest(
    part: EncodedPart, item: Modality, snapshot: CollectionSnapshot
) -> Iterator[tuple[Modality, Floats, Ids]]:
    """Yield each sample of a part, its modality and float32 (dim,), with its nearest segments."""
    times = snapshot.count_kinds(item)
    for modality in part.modalities_for(item):
        space = snapshot.route(modality, item).space
        if not len(snapshot.index(space, item)):
            continue
        queries = part.vectors[modality][space]
        near = snapshot.nearest(queries, space, item, LEAST_DEPTH * times)[:, : DEPTH * times]
        for query, ids in zip(queries, near, strict=True):
            check_current()
            yield modality, query, ids[ids >= 0]


def _odds(
    baseline: SimilarityBaseline,
    query: Floats,
    ids: Ids,
    columns: SegmentColumns,
    snapshot: CollectionSnapshot,
) -> float:
    """Return the log odds by one sample, from its nearest segments of one kind."""
    space, item = baseline.route.space, baseline.route.item
    at = sorted_ids.positions_in(columns.ids, ids)  # -1 for segments of deleted files
    kept, vectors = snapshot.vectors(ids[at >= 0], space, item)
    if not len(kept):
        return -np.inf
    assets = columns.assets[sorted_ids.positions_in(columns.ids, kept)]
    similarities = vectors @ query
    z = baseline.z(similarities, baseline.expected(query, vectors))
    order = np.argsort(-z, kind="stable")
    if baseline.route.query is item:
        # What is nearly the query itself does not tell whether there is more of it.
        order = order[similarities[order] < NEARLY_EQUAL]
    files: dict[int, int] = {}
    for row in order.tolist():
        files.setdefault(int(assets[row]), row)  # several segments of a file say no more than one
    best = np.array(list(files.values()), dtype=np.int64)
    if not len(best):
        return -np.inf
    first = best[: rivals_of(baseline.count)]
    rivals = snapshot.rivals(baseline.route.query, space)
    margins = _margins(query, vectors[first], rivals) / baseline.spread
    if len(margins):
        # A query that is near everything has its margins to show that it is for a good reason.
        z = z - baseline.nearness(query)
    return presence_odds(z[best], margins, baseline.count)


def _margins(query: Floats, items: Vectors, rivals: Vectors) -> Floats:
    """Return how much nearer items are to a query than to its nearest rival: float32 (n,).

    Empty without rivals. `rivals` is float32 (m, dim); those that say the same do not count.
    """
    same = rivals @ query >= RIVAL_COSINE
    if same.all():
        return np.zeros(0, dtype=np.float32)
    nearest = np.where(same, -np.inf, items @ rivals.T).max(axis=1)
    return np.asarray(items @ query - nearest, dtype=np.float32)
