"""Read the columns that ranking needs of hundreds of segments, from the database or from memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from seehear.stores.catalog.reader import BLOCK, MOVES, counters_of, removed_since
from seehear.stores.catalog.records import MODALITY_CODES, NO_IDS, ORIGIN_CODES, SegmentColumns
from seehear.stores.catalog.schema import locations, roots, segments
from seehear.stores.catalog.statements import PIECE, any_beside, placed_among, rows_of
from seehear.stores.sorted_ids import distinct, positions_in
from seehear.types import Ids, Modality

_NUMBERS = {kind.value: number for number, kind in enumerate(MODALITY_CODES)}
_ORIGINS = {origin: number for number, origin in enumerate(ORIGIN_CODES)}


@dataclass(frozen=True, slots=True, eq=False)
class SegmentTable:
    """All segments of a generation: 58 bytes each, in memory or in a mapped file.

    The row of a segment never changes but for the asset that is shown, and its id is never reused,
    so a new table only adds or removes rows. A table itself never changes.
    """

    segment_columns: SegmentColumns
    """By ascending id. An asset of 0 has no location."""
    own: Ids
    """The asset that each was cut from, int64 (n,)."""
    by_asset: Ids
    """Row numbers in the order of those assets, int64 (n,)."""
    assets: Ids
    """The assets in that order, int64 (n,)."""
    change: int
    """The last change of the catalog that the table includes."""
    moves: int
    """How often it had changed what lies where."""
    newest: int
    """The highest id that was ever in the table."""

    def of(self, ids: Ids) -> SegmentColumns:
        """Return some segments, by ascending id; unknown ids and deleted files are left out."""
        rows = positions_in(self.segment_columns.ids, distinct(ids))
        found = self.segment_columns.at(rows[rows >= 0])
        return found if found.assets.all() else found.at(found.assets > 0)

    def segments_of(self, asset_ids: Ids) -> Ids:
        """Return sorted ids of the segments of some assets; `asset_ids` must be ascending."""
        first = np.searchsorted(self.assets, asset_ids, "left")
        stop = np.searchsorted(self.assets, asset_ids, "right")
        rows = [self.by_asset[a:b] for a, b in zip(first.tolist(), stop.tolist(), strict=True)]
        found: Ids = self.segment_columns.ids[np.concatenate([*rows, self.by_asset[:0]])]
        return np.sort(found)


def select_columns(connection: Connection, ids: Sequence[int] | Ids) -> SegmentColumns:
    """Return some segments as they are shown, by ascending id, if they have a location."""
    wanted = sorted(set(np.asarray(ids, dtype=np.int64).tolist()))
    return shown_columns(connection, _pieces(rows_of(connection, "pieces", wanted)))


def shown_columns(connection: Connection, own: SegmentColumns) -> SegmentColumns:
    """Replace each segment's own asset by the one that is shown, if it has a location.

    For a subtitle beside a video, the video is shown. Segments without a location are left out.
    """
    listed = set(own.assets.tolist())
    placed = placed_among(connection, listed)
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
    there = placed_among(connection, set(videos.values()))
    assets = [
        video if (video := videos.get(asset)) in there else asset for asset in own.assets.tolist()
    ]
    return replace(own, assets=np.array(assets, dtype=np.int64))


def segment_table(connection: Connection, generation_id: int, known: SegmentTable) -> SegmentTable:
    """Update a table to the instant of the connection."""
    change, moves = counters_of(connection, ("change", MOVES))
    if change < known.change or moves < known.moves:  # another catalog has taken its place
        known = NO_COLUMNS
    newer = _newer(connection, generation_id, known.newest)
    gone = removed_since(connection, generation_id, known.change)
    kept, own = known.segment_columns, known.own
    if len(gone):
        left = positions_in(gone, kept.ids) < 0
        kept, own = kept.at(left), own[left]
    if len(newer):
        own = np.concatenate([own, newer.assets])
    if moves != known.moves:
        kept = replace(kept, assets=own[: len(kept)])
        grown = _shown(connection, SegmentColumns.of(kept, newer))
    else:
        grown = SegmentColumns.of(kept, _shown(connection, newer)) if len(newer) else kept
    order = known.by_asset
    if len(newer) or len(kept) < len(known.segment_columns):
        order = np.argsort(own, kind="stable")
    newest = int(newer.ids[-1]) if len(newer) else known.newest
    return SegmentTable(grown, own, order, own[order], change, moves, newest)


def _shown(connection: Connection, own: SegmentColumns) -> SegmentColumns:
    """Replace the asset of each of many segments by the one that is shown, 0 without a location."""
    listed = {*own.assets.tolist()}
    videos = {}
    if any_beside(connection):
        videos = {asset: video for asset, video in connection.execute(_BESIDE) if asset in listed}
    if len(listed) <= FEW:
        there = placed_among(connection, {*listed, *videos.values()})
        placed = np.array(sorted(there), dtype=np.int64)
    else:
        every = select(locations.c.asset_id).distinct().order_by(locations.c.asset_id)
        placed = np.fromiter(connection.scalars(every), dtype=np.int64)
        there = set(placed.tolist()) if videos else set()
    assets = np.where(positions_in(placed, own.assets) >= 0, own.assets, 0)
    if videos:
        texts = own.of_kind(Modality.TEXT)
        for row, asset in zip(texts.tolist(), assets[texts].tolist(), strict=True):
            if (video := videos.get(asset)) in there:
                assets[row] = video
    return replace(own, assets=assets)


FEW = 5_000
"""Assets of which the locations are looked up, not read from all that there are."""
_BESIDE = (
    select(locations.c.asset_id, locations.c.sidecar_of)
    .join(roots, roots.c.id == locations.c.root_id)
    .where(locations.c.sidecar_of.is_not(None))
    .order_by(roots.c.online, locations.c.id.desc())
)
"""Subtitles with their videos, the location to show last."""
NO_COLUMNS = SegmentTable(SegmentColumns.of(), NO_IDS, NO_IDS, NO_IDS, 0, 0, 0)
"""The table of an empty catalog."""


def _newer(connection: Connection, generation_id: int, than: int) -> SegmentColumns:
    """Return the segments of a generation with an id above `than`, with their own asset."""
    found = connection.execute(
        select(*PIECE)
        # A sum, so that SQLite uses the ids and does not scan the whole generation.
        .where(segments.c.generation_id + 0 == generation_id, segments.c.id > than)
        .order_by(segments.c.id),
        execution_options={"yield_per": BLOCK},
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
        origins=np.array([_ORIGINS[origin] for origin in found[3]], dtype=np.int8),
        start_s=np.array(found[4], dtype=np.float64),
        stop_s=np.array(found[5], dtype=np.float64),
    )
