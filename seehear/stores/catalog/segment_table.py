"""Pieces: what ranking reads of hundreds of segments at each query, from the database or from
memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from seehear.stores.catalog.reader import BLOCK, counter, removed_since
from seehear.stores.catalog.records import MODALITY_CODES, SegmentColumns
from seehear.stores.catalog.schema import segments
from seehear.stores.catalog.statements import PIECE, any_beside, rows_of
from seehear.stores.sorted_ids import positions_in
from seehear.types import Ids, Modality

_NUMBERS = {kind.value: number for number, kind in enumerate(MODALITY_CODES)}


@dataclass(frozen=True, slots=True, eq=False)
class SegmentTable:
    """Every segment of a generation, in memory: 33 bytes each, and 16 for their order by asset.

    The row of a segment never changes and its id is never given again, so that columns only grow
    and lose rows. Nothing in them changes.
    """

    segment_columns: SegmentColumns
    """By growing id, each with the asset that it was cut from."""
    by_asset: Ids
    """Rows in the order of their assets."""
    assets: Ids
    """The assets in that order."""
    change: int
    """The catalog's last change that they have seen."""
    newest: int
    """The highest id among all that ever were in them."""

    def of(self, ids: Ids) -> SegmentColumns:
        """Some segments, by growing id; those that are not there are left out."""
        wanted = np.array(sorted(set(ids.tolist())), dtype=np.int64)
        rows = positions_in(self.segment_columns.ids, wanted)
        return self.segment_columns.at(rows[rows >= 0])

    def segments_of(self, asset_ids: Ids) -> Ids:
        """Sorted ids of the segments of some assets, which grow."""
        first = np.searchsorted(self.assets, asset_ids, "left")
        stop = np.searchsorted(self.assets, asset_ids, "right")
        rows = [self.by_asset[a:b] for a, b in zip(first.tolist(), stop.tolist(), strict=True)]
        found: Ids = self.segment_columns.ids[np.concatenate([*rows, self.by_asset[:0]])]
        return np.sort(found)


def select_columns(connection: Connection, ids: Sequence[int] | Ids) -> SegmentColumns:
    """Some segments as they are shown, by growing id; those that lie nowhere are left out."""
    wanted = sorted(set(np.asarray(ids, dtype=np.int64).tolist()))
    return shown_columns(connection, _pieces(rows_of(connection, "pieces", wanted)))


def shown_columns(connection: Connection, own: SegmentColumns) -> SegmentColumns:
    """Segments that have the asset they were cut from, with the one that is shown instead: of a
    subtitle beside a video, the video. Those that lie nowhere are left out."""
    listed = set(own.assets.tolist())
    placed = {row[0] for row in rows_of(connection, "placed", sorted(listed))}
    if len(placed) < len(listed):
        own = own.at(np.array([asset in placed for asset in own.assets.tolist()], dtype=np.bool_))
    passages = sorted(set(own.assets[own.of_kind(Modality.TEXT)].tolist()))
    videos: dict[int, int] = {}
    # Most collections have no subtitles, and need not be asked for those of each passage.
    if passages and any_beside(connection):
        for asset, video in rows_of(connection, "videos", passages):
            videos.setdefault(asset, video)
    if not videos:
        return own
    there = {row[0] for row in rows_of(connection, "placed", sorted(set(videos.values())))}
    assets = [
        video if (video := videos.get(asset)) in there else asset for asset in own.assets.tolist()
    ]
    return replace(own, assets=np.array(assets, dtype=np.int64))


def segment_table(connection: Connection, generation_id: int, known: SegmentTable) -> SegmentTable:
    """What is known, brought to the instant of the connection."""
    change = counter(connection, "change")
    if change < known.change:  # another catalog took the place of that one
        known = NO_COLUMNS
    newer = _newer(connection, generation_id, known.newest)
    gone = removed_since(connection, generation_id, known.change)
    kept = known.segment_columns
    if len(gone):
        kept = kept.at(positions_in(gone, kept.ids) < 0)
    grown = SegmentColumns.of(kept, newer) if len(newer) else kept
    order = known.by_asset
    if len(newer) or len(kept) < len(known.segment_columns):
        order = np.argsort(grown.assets, kind="stable")
    newest = int(newer.ids[-1]) if len(newer) else known.newest
    return SegmentTable(grown, order, grown.assets[order], change, newest)


_NO_IDS: Ids = np.zeros(0, dtype=np.int64)
NO_COLUMNS = SegmentTable(SegmentColumns.of(), _NO_IDS, _NO_IDS, 0, 0)
"""Those of an empty catalog."""


def _newer(connection: Connection, generation_id: int, than: int) -> SegmentColumns:
    """The segments of a generation that came after one, with the asset they were cut from."""
    found = connection.execution_options(yield_per=BLOCK).execute(
        select(*PIECE)
        # A sum, so that SQLite goes by the ids and not through all of the generation.
        .where(segments.c.generation_id + 0 == generation_id, segments.c.id > than)
        .order_by(segments.c.id)
    )
    return SegmentColumns.of(*(_pieces(rows) for rows in found.partitions()))


def _pieces(rows: Iterable[Any]) -> SegmentColumns:
    found = list(zip(*rows, strict=True))
    if not found:
        return SegmentColumns.of()
    return SegmentColumns(
        ids=np.array(found[0], dtype=np.int64),
        assets=np.array(found[1], dtype=np.int64),
        kinds=np.array([_NUMBERS[kind] for kind in found[2]], dtype=np.int8),
        start_s=np.array(found[3], dtype=np.float64),
        stop_s=np.array(found[4], dtype=np.float64),
    )
