"""Candidates: what the indexes and the words bring up, before anything is weighed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from seehear.search import words
from seehear.search.parts import Part
from seehear.search.shelf import Allowed, Shelf, within
from seehear.search.words import WordMatch
from seehear.stores import Pieces
from seehear.types import Ids, Modality

FIRST_DEPTH = 64
"""Fewest neighbours that an index is asked for: calibration reorders what it gives."""
DEPTH_PER_HIT = 6
"""Neighbours per hit wanted: a file has many windows, and near-duplicates are folded."""
DEEPER = 4
"""Factor by which a search goes deeper when one file fills the list with its windows."""


def neighbours(parts: Sequence[Part], shelf: Shelf, allowed: Allowed, wanted: int) -> Pieces:
    """The nearest segments of every wanted part, for each modality of segments by itself.

    Each modality goes so deep that `wanted` distinct assets are there, or all that it has.
    """
    enough: list[Pieces] = []
    shallow = allowed.modalities
    depth = max(FIRST_DEPTH, DEPTH_PER_HIT * wanted)
    while shallow:
        near = {item: _nearest(parts, shelf, item, allowed.ids[item], depth) for item in shallow}
        pieces = shelf.pieces(np.concatenate([ids for ids, _ in near.values()]))
        shallow = []
        for item, (_, exhausted) in near.items():
            found = pieces.at(pieces.of_kind(item))
            if exhausted or len(set(found.assets.tolist())) >= wanted:
                enough.append(found)
            else:
                shallow.append(item)
        depth *= DEEPER
    return Pieces.of(*enough)


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
) -> tuple[Pieces, list[Mapping[int, WordMatch]]]:
    """Segments that hold the words of a part: all of them, and per part what each is worth."""
    found: list[Pieces] = []
    matched: list[Mapping[int, WordMatch]] = []
    for part in parts:
        ranked = shelf.words(words.telling(part.text), words.MOST) if part.text else []
        if not ranked:
            matched.append({})
            continue
        pieces = allowed.of(shelf.pieces([f.segment_id for f in ranked]))
        kept = set(pieces.ids.tolist())
        ranked = [f for f in ranked if f.segment_id in kept]
        paths = shelf.paths_of({f.asset.id for f in ranked})
        matched.append(words.matches(part.text, ranked, paths))
        if not part.exclude:
            found.append(pieces)
    return Pieces.of(*found), matched


def companions(candidates: Pieces, shelf: Shelf, allowed: Allowed) -> Pieces:
    """The other segments of videos, whose sight and sound can answer different parts of a query.

    Only those that share time with a candidate.
    """
    timed = candidates.at(~np.isnan(candidates.start_s))
    whole = shelf.pieces(shelf.segments_of(set(timed.assets.tolist())))
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
