"""Collect candidates: the segments that vector indexes and words find, before any is scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from seehear.search import lexical
from seehear.search.calibration.fitted import within
from seehear.search.encode_query import EncodedPart
from seehear.search.snapshot import LEAST_DEPTH, CollectionSnapshot
from seehear.stores import SegmentColumns
from seehear.stores.catalog.records import MODALITY_CODES, NO_IDS
from seehear.types import EmbeddingSpace, Ids, Modality, Vectors

DEPTH_PER_HIT = 6
"""Neighbours per hit wanted: a file has many windows, and near-duplicates are merged."""
DEPTH_GROWTH = 4
"""Factor by which a search goes deeper when the windows of one file fill the list."""


def neighbours(
    parts: Sequence[EncodedPart], snapshot: CollectionSnapshot, wanted: int
) -> SegmentColumns:
    """Return the nearest segments of every wanted part, for each modality of segments by itself.

    Each modality goes so deep that it has `wanted` distinct assets, or has given all its segments.
    """
    enough: list[SegmentColumns] = []
    shallow = snapshot.allowed_modalities
    depth = _first_depth(wanted)
    while shallow:
        near = [
            _nearest(parts, snapshot, item, depth * snapshot.count_kinds(item)) for item in shallow
        ]
        found = snapshot.segment_columns(np.concatenate([NO_IDS, *(ids for ids, _ in near)]))
        short = [
            item
            for item, (_, exhausted) in zip(shallow, near, strict=True)
            if not exhausted and len(set(found.assets[found.of_kind(item)].tolist())) < wanted
        ]
        for item in short:
            found = found.at(found.kinds != MODALITY_CODES.index(item))
        enough.append(found)
        shallow = short
        depth *= DEPTH_GROWTH
    return SegmentColumns.of(*enough)


def _first_depth(wanted: int) -> int:
    return max(LEAST_DEPTH, DEPTH_PER_HIT * wanted)


def first_searches(
    parts: Sequence[EncodedPart], snapshot: CollectionSnapshot, wanted: int
) -> Iterator[tuple[Vectors, EmbeddingSpace, Modality, int]]:
    """Yield the deepest that a query with such parts asks `snapshot.nearest` for at first."""
    depth = _first_depth(wanted)
    for part in parts:
        for item in snapshot.items():
            for modality in part.modalities_for(item):
                space = snapshot.route(modality, item).space
                queries = part.vectors[modality][space]
                if len(snapshot.index(space, item)):
                    yield queries, space, item, depth * snapshot.count_kinds(item)


def _nearest(
    parts: Sequence[EncodedPart], snapshot: CollectionSnapshot, item: Modality, depth: int
) -> tuple[Ids, bool]:
    """Return the ids found by any sample of any part, and whether each index gave all it has.

    An id may be found several times.
    """
    ids = [NO_IDS]
    exhausted = True
    for part in parts:
        if part.exclude:
            continue  # an excluded part only lowers scores
        for modality in part.modalities_for(item):
            space = snapshot.route(modality, item).space
            near = snapshot.nearest(part.vectors[modality][space], space, item, depth)
            there = near >= 0
            exhausted &= not there.all(axis=1).any()
            ids.append(near[there])
    return np.concatenate(ids), exhausted


def match_words(
    parts: Sequence[EncodedPart], snapshot: CollectionSnapshot, typing: bool = False
) -> tuple[list[EncodedPart], SegmentColumns]:
    """Look up the words of each part in passages, captions and names.

    `typing`: the last word of each part may not be complete. Returns the parts with their matches,
    and the segments that match a wanted part.
    """
    matched: list[EncodedPart] = []
    found: list[SegmentColumns] = []
    for part in parts:
        if not part.text:
            matched.append(part)
            continue
        ids, scores, kinds = lexical.find_words(part.text, typing, snapshot)
        matched.append(replace(part, word_ids=ids, word_scores=scores, word_kinds=kinds))
        if not part.exclude and len(ids):
            found.append(snapshot.segment_columns(ids))
    return matched, SegmentColumns.of(*found)


def cooccurring_segments(
    candidates: SegmentColumns, snapshot: CollectionSnapshot
) -> SegmentColumns:
    """Return the other segments that share time with a candidate, of files with several kinds.

    The shots, the audio and the words of a video can answer different parts of a query.
    """
    timed = candidates.at(~np.isnan(candidates.start_s))
    whole = snapshot.segment_columns(snapshot.segments_of(set(timed.assets.tolist())))
    kinds = zip(*(c.tolist() for c in (whole.assets, whole.kinds, whole.origins)), strict=True)
    counts = Counter(asset for asset, *_ in set(kinds))
    several = np.array(sorted(asset for asset, n in counts.items() if n > 1), dtype=np.int64)
    others = whole.at(within(whole.assets, several) & ~within(whole.ids, np.sort(candidates.ids)))
    together = [
        bool(np.any((timed.assets == asset) & (timed.start_s < stop_s) & (start_s < timed.stop_s)))
        for asset, start_s, stop_s in zip(
            others.assets.tolist(), others.start_s.tolist(), others.stop_s.tolist(), strict=True
        )
    ]
    return others.at(np.array(together, dtype=np.bool_))
