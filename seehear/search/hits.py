"""Make the hits that are shown: the only Python objects of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from seehear.address import Address
from seehear.search import scoring
from seehear.search.calibration.baseline import WEAK_BELOW
from seehear.search.moments import merge_adjacent
from seehear.search.ranking import TimedSegments
from seehear.search.scoring import Scores
from seehear.search.snapshot import CollectionSnapshot
from seehear.search.snippets import SnippetCutter
from seehear.stores import SegmentRecord
from seehear.stores.catalog.asked_words import AskedWord
from seehear.stores.catalog.records import MODALITY_CODES
from seehear.types import By, Hit, Ids, Modality, Moment, Query, Segment

Describe = Callable[[Ids], Sequence[SegmentRecord]]
"""Returns segments with their assets, by their ids."""

_TEXT = MODALITY_CODES.index(Modality.TEXT)


def make_hits(
    query: Query,
    scores: Scores,
    best: Ids,
    paths_of_asset: Mapping[int, Sequence[Path]],
    describe: Describe,
    words: Callable[[], Sequence[AskedWord]],
    snapshot: CollectionSnapshot,
) -> list[Hit]:
    """Return a hit for each of the rows `best`, in their order.

    All segments of their files are scored. `paths_of_asset` has for each asset the path to show,
    then those of copies and near-duplicates; `words` gives those to mark in passages.
    """
    if not len(best):
        return []
    found_by, timed = scoring.Evidence(scores), TimedSegments(scores)
    candidates, rows = scores.candidates, best.tolist()
    records = describe(candidates.ids[best])
    evidence = [found_by.of(row) for row in rows]
    passages = _passages(records, evidence, scores, describe)
    snippets = SnippetCutter(words() if any(passage.text for passage in passages) else ())
    first, name = scores.wanted[0], snapshot.collection
    similarities = scores.similarities[first, scores.answering[first, best]].tolist()
    values, sure = scores.total[best].tolist(), scores.confidence[best].tolist()
    hits: list[Hit] = []
    for rank, (row, by, found, passage) in enumerate(
        zip(rows, evidence, records, passages, strict=True)
    ):
        asset, segment, text, value = found.asset, found.segment, passage.text, values[rank]
        beside = found_by.rows_beside(row)
        moments = tuple(
            replace(
                one,
                by=tuple(by if at == row else found_by.of(at)),
                address=str(Address(name, asset.id, one.start_s, one.stop_s)),
            )
            for one in merge_adjacent(timed.of(beside), query.moments)
            for at in (row if one.segment_id == found.segment_id else _row_of(scores, one, beside),)
        )
        start_s, stop_s = segment.start_s, segment.stop_s
        if moments and moments[0].segment_id == found.segment_id:
            start_s, stop_s = moments[0].start_s, moments[0].stop_s
        snippet, marks = snippets.cut(text) if text else (None, ())
        paths = paths_of_asset[asset.id]
        hits.append(
            Hit(
                rank=rank + 1,
                score=value,
                similarity=similarities[rank],
                path=paths[0],
                modality=asset.modality,
                asset_id=asset.id,
                segment_id=found.segment_id,
                matched_modality=segment.modality,
                by=tuple(by),
                start_s=start_s,
                stop_s=stop_s,
                snippet=snippet,
                marks=marks,
                text=text,
                page=passage.page,
                language=passage.language,
                box=passage.box,
                weak=min(value, sure[rank]) < WEAK_BELOW,
                moments=moments,
                duplicates=tuple(paths[1:]),
                why=scoring.explain(scores, row, snapshot) if query.explain else (),
                address=str(Address(name, asset.id, start_s, stop_s, passage.page)),
            )
        )
    return hits


def _row_of(scores: Scores, moment: Moment, same: Ids) -> int:
    return int(same[np.argmax(scores.candidates.ids[same] == moment.segment_id)])


def _passages(
    records: Sequence[SegmentRecord],
    evidence: Sequence[Mapping[By, int]],
    scores: Scores,
    describe: Describe,
) -> list[Segment]:
    """Return the passage to show with each hit: its own, else one that says the same."""
    kinds, ids = scores.candidates.kinds, scores.candidates.ids
    instead: dict[int, int] = {}
    for number, (found, rows) in enumerate(zip(records, evidence, strict=True)):
        row = next((row for row in rows.values() if kinds[row] == _TEXT), None)
        if row is not None and not found.segment.text:
            instead[number] = int(ids[row])
    passages = [found.segment for found in records]
    if instead:
        others = describe(np.array([*instead.values()], dtype=np.int64))
        for number, other in zip(instead, others, strict=True):
            passages[number] = other.segment
    return passages
