"""Candidates: what the indexes and the words bring up, before anything is weighed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from seehear.search import lexical
from seehear.search.encode_query import EncodedPart
from seehear.search.lexical import WordMatch
from seehear.search.snapshot import CollectionSnapshot, IdFilter, within
from seehear.stores import SegmentColumns
from seehear.types import Ids, Modality

FIRST_DEPTH = 64
"""Fewest neighbours that an index is asked for: calibration reorders what it gives."""
DEPTH_PER_HIT = 6
"""Neighbours per hit wanted: a file has many windows, and near-duplicates are folded."""
DEPTH_GROWTH = 4
"""Factor by which a search goes deeper when one file fills the list with its windows."""


def neighbours(
    parts: Sequence[EncodedPart], snapshot: CollectionSnapshot, allowed: IdFilter, wanted: int
) -> SegmentColumns:
    """The nearest segments of every wanted part, for each modality of segments by itself.

    Each modality goes so deep that `wanted` distinct assets are there, or all that it has.
    """
    enough: list[SegmentColumns] = []
    shallow = allowed.modalities
    depth = max(FIRST_DEPTH, DEPTH_PER_HIT * wanted)
    while shallow:
        near = {item: _nearest(parts, snapshot, item, allowed.ids[item], depth) for item in shallow}
        pieces = snapshot.segment_columns(np.concatenate([ids for ids, _ in near.values()]))
        shallow = []
        for item, (_, exhausted) in near.items():
            found = pieces.at(pieces.of_kind(item))
            if exhausted or len(set(found.assets.tolist())) >= wanted:
                enough.append(found)
            else:
                shallow.append(item)
        depth *= DEPTH_GROWTH
    return SegmentColumns.of(*enough)


def _nearest(
    parts: Sequence[EncodedPart],
    snapshot: CollectionSnapshot,
    item: Modality,
    allowed: Ids | None,
    depth: int,
) -> tuple[Ids, bool]:
    """Ids of the union over parts and samples; True where no index has any more to give."""
    ids = [np.zeros(0, dtype=np.int64)]
    exhausted = True
    for part in parts:
        if part.exclude:
            continue  # what is left out is no reason to look at anything
        for probe in part.vectors_for(item):
            space = snapshot.route(probe.modality, item).space
            _, near = snapshot.index(space, item).search(probe.vectors[space][None], depth, allowed)
            exhausted &= bool((near < 0).any())
            ids.append(near[near >= 0])
    # Not np.unique, which loads numpy.ma first: 20 ms that a search by command waits for.
    distinct = sorted(set(np.concatenate(ids).tolist()))
    return np.array(distinct, dtype=np.int64), exhausted


def by_words(
    parts: Sequence[EncodedPart], snapshot: CollectionSnapshot, allowed: IdFilter
) -> tuple[SegmentColumns, list[Mapping[int, WordMatch]]]:
    """Segments that hold the words of a part: all of them, and per part what each is worth."""
    found: list[SegmentColumns] = []
    matched: list[Mapping[int, WordMatch]] = []
    texts = {lexical.strip_stop_words(part.text) for part in parts if part.text}
    holding = {text: snapshot.words(text, lexical.MOST) for text in sorted(texts)}
    for part in parts:
        ranked = holding[lexical.strip_stop_words(part.text)] if part.text else []
        if not ranked:
            matched.append({})
            continue
        pieces = allowed.of(snapshot.segment_columns([f.segment_id for f in ranked]))
        kept = set(pieces.ids.tolist())
        ranked = [f for f in ranked if f.segment_id in kept]
        paths = snapshot.paths_of({f.asset.id for f in ranked})
        matched.append(lexical.grade_matches(part.text, ranked, paths))
        if not part.exclude:
            found.append(pieces)
    return SegmentColumns.of(*found), matched


def cooccurring_segments(
    candidates: SegmentColumns, snapshot: CollectionSnapshot, allowed: IdFilter
) -> SegmentColumns:
    """The other segments of videos, whose sight and sound can answer different parts of a query.

    Only those that share time with a candidate.
    """
    timed = candidates.at(~np.isnan(candidates.start_s))
    whole = snapshot.segment_columns(snapshot.segments_of(set(timed.assets.tolist())))
    videos = np.array(sorted(set(whole.assets[whole.of_kind(Modality.VIDEO)].tolist())), np.int64)
    others = whole.at(within(whole.assets, videos) & ~within(whole.ids, np.sort(candidates.ids)))
    others = allowed.of(others)
    together = [
        bool(np.any((timed.assets == asset) & (timed.start_s < stop_s) & (start_s < timed.stop_s)))
        for asset, start_s, stop_s in zip(
            others.assets.tolist(), others.start_s.tolist(), others.stop_s.tolist(), strict=True
        )
    ]
    return others.at(np.array(together, dtype=np.bool_))
