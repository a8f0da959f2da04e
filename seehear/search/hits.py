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
from seehear.search.ranking import timed_segments
from seehear.search.scoring import Scores
from seehear.search.snapshot import CollectionSnapshot
from seehear.search.snippets import cut_snippet
from seehear.stores import SegmentRecord
from seehear.stores.catalog.asked_words import AskedWord
from seehear.stores.catalog.records import MODALITY_CODES
from seehear.types import By, Hit, Ids, Modality, Moment, Query, Segment

Describe = Callable[[Ids], Sequence[SegmentRecord]]
"""Returns segments with their assets, by their ids."""

_NO_ROWS: Ids = np.zeros(0, dtype=np.int64)
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
    files, codes = scoring.rows_by_asset(scores.candidates), scores.candidates.codes
    several = {asset for asset, rows in files.items() if len({*codes[rows].tolist()}) > 1}

    def by_what(row: int, asset: int) -> dict[By, int]:
        return scoring.evidence(scores, row, files[asset] if asset in several else _NO_ROWS)

    shown = [
        (row, files[asset], by_what(row, asset))
        for row, asset in zip(best.tolist(), scores.candidates.assets[best].tolist(), strict=True)
    ]
    records = describe(scores.candidates.ids[best])
    passages = _passages(records, [evidence for *_, evidence in shown], scores, describe)
    asked = words() if any(passage.text for passage in passages) else ()
    first = scores.wanted[0]
    hits: list[Hit] = []
    for (row, same, evidence), found, passage in zip(shown, records, passages, strict=True):
        asset, text = found.asset, passage.text
        whole = Address(snapshot.collection, asset.id)
        moments = tuple(
            replace(
                one,
                by=tuple(evidence if at == row else by_what(at, asset.id)),
                address=str(replace(whole, start_s=one.start_s, stop_s=one.stop_s)),
            )
            for one in merge_adjacent(timed_segments(scores, same), query.moments)
            for at in (_row_of(scores, one, same),)
        )
        times = (found.segment.start_s, found.segment.stop_s)
        if moments and moments[0].segment_id == found.segment_id:
            times = (moments[0].start_s, moments[0].stop_s)
        snippet, marks = cut_snippet(text, asked) if text else (None, ())
        value, paths = float(scores.total[row]), paths_of_asset[asset.id]
        hits.append(
            Hit(
                rank=len(hits) + 1,
                score=value,
                similarity=float(scores.similarities[first, scores.answering[first, row]]),
                path=paths[0],
                modality=asset.modality,
                asset_id=asset.id,
                segment_id=found.segment_id,
                matched_modality=found.segment.modality,
                by=tuple(evidence),
                start_s=times[0],
                stop_s=times[1],
                snippet=snippet,
                marks=marks,
                text=text,
                page=passage.page,
                language=passage.language,
                box=passage.box,
                weak=min(value, float(scores.confidence[row])) < WEAK_BELOW,
                moments=moments,
                duplicates=tuple(paths[1:]),
                why=scoring.explain(scores, row, snapshot) if query.explain else (),
                address=str(replace(whole, start_s=times[0], stop_s=times[1], page=passage.page)),
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
