"""Candidates: what the indexes and the words bring up, before anything is weighed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from seehear.search import words
from seehear.search.parts import Part
from seehear.search.shelf import Allowed, Shelf
from seehear.search.words import WordMatch
from seehear.stores import Found
from seehear.types import Ids, Modality

FIRST_DEPTH = 64
"""Fewest neighbours that an index is asked for: calibration reorders what it gives."""
DEPTH_PER_HIT = 6
"""Neighbours per hit wanted: a file has many windows, and near-duplicates are folded."""
DEEPER = 4
"""Factor by which a search goes deeper when one file fills the list with its windows."""


def neighbours(parts: Sequence[Part], shelf: Shelf, allowed: Allowed, wanted: int) -> list[Found]:
    """The nearest segments of every wanted part, for each modality of segments by itself.

    Each modality goes so deep that `wanted` distinct assets are there, or all that it has.
    """
    found: dict[int, Found] = {}
    for item in allowed.modalities:
        depth = max(FIRST_DEPTH, DEPTH_PER_HIT * wanted)
        while True:
            ids, exhausted = _nearest(parts, shelf, item, allowed.ids[item], depth)
            resolved = shelf.resolve(ids)
            if exhausted or len({f.asset.id for f in resolved}) >= wanted:
                break
            depth *= DEEPER
        found |= {f.segment_id: f for f in resolved}
    return list(found.values())


def _nearest(
    parts: Sequence[Part], shelf: Shelf, item: Modality, allowed: Ids | None, depth: int
) -> tuple[Ids, bool]:
    """Ids of the union over parts and samples; True where no index has any more to give."""
    ids = [np.zeros(0, dtype=np.int64)]
    exhausted = True
    for part in parts:
        if part.exclude:
            continue  # what is left out is no reason to look at anything
        for probe in part.meeting(item):
            space = shelf.route(probe.modality, item).space
            _, near = shelf.index(space, item).search(probe.vectors[space][None], depth, allowed)
            exhausted &= bool((near < 0).any())
            ids.append(near[near >= 0])
    # Not np.unique, which loads numpy.ma first: 20 ms that a search by command waits for.
    distinct = sorted(set(np.concatenate(ids).tolist()))
    return np.array(distinct, dtype=np.int64), exhausted


def by_words(
    parts: Sequence[Part], shelf: Shelf, allowed: Allowed
) -> tuple[list[Found], list[Mapping[int, WordMatch]]]:
    """Segments that hold the words of a part: all of them, and per part what each is worth."""
    found: dict[int, Found] = {}
    matched: list[Mapping[int, WordMatch]] = []
    for part in parts:
        ranked = shelf.words(words.telling(part.text), words.MOST) if part.text else []
        kept = [f for f in ranked if allowed.holds(f)]
        paths = shelf.paths_of({f.asset.id for f in kept}) if kept else {}
        matched.append(words.matches(part.text, kept, paths))
        if not part.exclude:
            found |= {f.segment_id: f for f in kept}
    return list(found.values()), matched


def companions(candidates: Sequence[Found], shelf: Shelf, allowed: Allowed) -> list[Found]:
    """The other segments of files whose sight and sound can answer different parts of a query.

    Only of assets that have times; only those that share time with a candidate.
    """
    times: dict[int, list[tuple[float, float]]] = {}
    for found in candidates:
        start_s, stop_s = found.segment.start_s, found.segment.stop_s
        if start_s is not None and stop_s is not None and found.asset.modality is Modality.VIDEO:
            times.setdefault(found.asset.id, []).append((start_s, stop_s))
    known = {found.segment_id for found in candidates}
    ids = shelf.segments_of(times)
    others = shelf.resolve(ids[~np.isin(ids, np.fromiter(known, dtype=np.int64))])
    return [
        found
        for found in others
        if found.segment.start_s is not None
        and found.segment.stop_s is not None
        and allowed.holds(found)
        and any(
            start_s < found.segment.stop_s and found.segment.start_s < stop_s
            for start_s, stop_s in times.get(found.asset.id, ())
        )
    ]
