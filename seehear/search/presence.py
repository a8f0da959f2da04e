"""Decide whether a collection holds anything like a query, for the query as a whole.

The answer depends on the query, the model and the collection, never on filters, on the number of
hits or on the kinds asked for. See `calibration.baseline` for the formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

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
from seehear.search.snapshot import CollectionSnapshot
from seehear.stores import SegmentColumns, sorted_ids
from seehear.types import Floats, Ids, Modality, Vectors

DEPTH = 100
"""Nearest segments of a query that count."""


class _Search(NamedTuple):
    """One sample of a part among the segments of one kind."""

    part: int
    item: Modality
    baseline: SimilarityBaseline
    query: Floats
    ids: Ids
    """Its nearest segments: int64 (<= DEPTH,)."""


def judged(parts: Sequence[EncodedPart], snapshot: CollectionSnapshot) -> list[EncodedPart]:
    """Return the parts with `presence`, by what the whole collection holds.

    `snapshot` must be without filters.
    """
    searches = [
        search
        for number, part in enumerate(parts)
        for item in Modality
        for search in _searches(number, part, item, snapshot)
    ]
    found = sorted({id_ for search in searches for id_ in search.ids.tolist()})
    columns = snapshot.segment_columns(found)
    odds: dict[tuple[int, Modality], list[float]] = {}
    for search in searches:
        check_current()
        of_kind = odds.setdefault((search.part, search.item), [])
        of_kind.append(_odds(search, columns, snapshot))
    return [
        replace(
            part,
            presence={
                item: float(log_mean_exp(np.array(several, dtype=np.float32)[:, None])[0])
                for (of, item), several in odds.items()
                if of == number
            },
        )
        for number, part in enumerate(parts)
    ]


def _searches(
    number: int, part: EncodedPart, item: Modality, snapshot: CollectionSnapshot
) -> Iterator[_Search]:
    for modality in part.modalities_for(item):
        space = snapshot.route(modality, item).space
        if not len(snapshot.index(space, item)):
            continue
        baseline = snapshot.baseline(modality, item)
        queries = part.vectors[modality][space]
        for query, ids in zip(queries, snapshot.nearest(queries, space, item, DEPTH), strict=True):
            yield _Search(number, item, baseline, query, ids[ids >= 0])


def _odds(search: _Search, columns: SegmentColumns, snapshot: CollectionSnapshot) -> float:
    """Return the log odds by one search. `columns` are those of all that was found."""
    query, baseline = search.query, search.baseline
    space, item = baseline.route.space, baseline.route.item
    at = sorted_ids.positions_in(columns.ids, search.ids)  # -1 for segments of deleted files
    kept, vectors = snapshot.vectors(search.ids[at >= 0], space, item)
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
    return presence_odds(z[best], margins, baseline.count)


def _margins(query: Floats, items: Vectors, rivals: Vectors) -> Floats:
    """Return how much nearer items are to a query than to its nearest rival: float32 (n,).

    Empty without rivals. `rivals` is float32 (m, dim); those that say the same do not count.
    """
    others = rivals[rivals @ query < RIVAL_COSINE]
    if not len(others):
        return np.zeros(0, dtype=np.float32)
    return np.asarray(items @ query - (items @ others.T).max(axis=1), dtype=np.float32)
