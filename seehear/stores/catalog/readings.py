"""Keep what readers find in assets: lines, whatever the model, and the passages made of them.

    readings    a row for each asset and reader: its lines with their times or boxes
    segments    the passages of each generation, cut from the lines and encoded by its model

A reading belongs to its asset: another model cuts and encodes the lines that are stored. Passages
are appended behind the segments of their asset, and removed as any segment is.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
)

from seehear.sources import stored_path
from seehear.stores.catalog import bulk_insert
from seehear.stores.catalog.reader import CHANGE, count
from seehear.stores.catalog.records import ReadingCounts, ReadingState, StoredReading, ToRead
from seehear.stores.catalog.sanitize import clean_text
from seehear.stores.catalog.schema import (
    assets,
    encodings,
    generations,
    locations,
    readings,
    roots,
    segments,
    settings,
)
from seehear.stores.catalog.transactions import Transactions
from seehear.stores.catalog.writer import Batch
from seehear.types import ITEMS, EmbeddingSpace, Modality, Origin, Segment, Vectors

MOST_LINES_BYTES = 64 << 20
"""Most bytes of the lines of one reading, unpacked: a day of talk has 10 MB with every word."""
AT_ONCE = 200
"""Assets whose passages are removed in one transaction."""
_REMEMBERED = ("read", "speech_model")


def pack_lines(lines: Sequence[Any]) -> bytes:
    """Return lines as they are stored: compressed JSON."""
    return zlib.compress(json.dumps(lines, separators=(",", ":"), allow_nan=False).encode(), 6)


def unpack_lines(data: bytes) -> list[Any]:
    """Return lines that were packed. Raises ValueError for damaged ones."""
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(data, MOST_LINES_BYTES)
        found = json.loads(text)
    except (zlib.error, RecursionError) as error:
        raise ValueError("damaged lines") from error
    if not unpacker.eof or unpacker.unused_data or type(found) is not list:
        raise ValueError("damaged lines")
    return found


class Readings:
    """The readings of a catalog, and what its user wishes to be read."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def remembered(self) -> dict[str, Any]:
        """Return what the collection remembers of its user's wishes, by name."""
        with self._transactions.read() as connection:
            wished = select(settings).where(settings.c.name.in_(_REMEMBERED))
            return {row.name: row.value for row in connection.execute(wished)}

    def remember(self, wishes: Mapping[str, Any]) -> None:
        """Remember wishes by name, each in place of an earlier one; None forgets it."""
        with self._transactions.batch() as batch:
            for name, value in wishes.items():
                batch.connection.execute(delete(settings).where(settings.c.name == name))
                if value is not None:
                    batch.connection.execute(insert(settings).values(name=name, value=value))

    def get(self, asset_id: int, reader: Origin) -> StoredReading | None:
        """Return what a reader found in an asset; None if it was not read, or is damaged."""
        mine = (readings.c.asset_id == asset_id, readings.c.reader == reader.value)
        with self._transactions.read() as connection:
            row = connection.execute(select(readings).where(*mine)).first()
        if row is None:
            return None
        try:
            lines = unpack_lines(row.lines)
        except ValueError:
            return None
        state = ReadingState(row.state)
        return StoredReading(
            row.asset_id, reader, row.engine, state, lines, row.reason, row.language, row.cost_s
        )

    def put(
        self,
        reading: StoredReading,
        generation_id: int | None = None,
        passages: Sequence[Segment] = (),
        vectors: Mapping[EmbeddingSpace, tuple[Sequence[int], Vectors]] | None = None,
    ) -> bool:
        """Store a reading with its passages in a generation, in one transaction.

        Replaces an earlier reading and its passages in all generations. Returns False where the
        asset is gone meanwhile. Raises SpaceMismatchError as `Batch.put_contents` does.
        """
        mine = {"asset_id": reading.asset_id, "reader": reading.reader.value}
        with self._transactions.batch() as batch:
            here = select(assets.c.id).where(assets.c.id == reading.asset_id)
            if batch.connection.scalar(here) is None:
                return False
            batch.connection.execute(delete(readings).filter_by(**mine))
            batch.drop_passages(reading.reader, [reading.asset_id])
            batch.connection.execute(
                insert(readings).values(
                    engine=reading.engine,
                    state=reading.state.value,
                    reason=" ".join(clean_text(reading.reason).split()),
                    language=reading.language,
                    cost_s=float(reading.cost_s),
                    lines=pack_lines(reading.lines),
                    **mine,
                )
            )
            if generation_id is not None:
                _append(batch, generation_id, reading.asset_id, passages, vectors or {})
        return True

    def append(
        self,
        generation_id: int,
        asset_id: int,
        passages: Sequence[Segment],
        vectors: Mapping[EmbeddingSpace, tuple[Sequence[int], Vectors]],
    ) -> None:
        """Append passages to the segments of an asset that the generation has encoded."""
        with self._transactions.batch() as batch:
            _append(batch, generation_id, asset_id, passages, vectors)

    def uncut(self, generation_id: int) -> list[tuple[int, Origin]]:
        """List the readings whose passages an encoded generation lacks, by asset and reader."""
        has = exists().where(
            segments.c.asset_id == readings.c.asset_id,
            segments.c.generation_id == generation_id,
            segments.c.origin == readings.c.reader,
        )
        query = (
            select(readings.c.asset_id, readings.c.reader)
            .join(
                encodings,
                and_(
                    encodings.c.asset_id == readings.c.asset_id,
                    encodings.c.generation_id == generation_id,
                ),
            )
            .where(readings.c.state == ReadingState.DONE.value, ~has)
            .order_by(readings.c.asset_id, readings.c.reader)
        )
        with self._transactions.read() as connection:
            return [(int(id_), Origin(name)) for id_, name in connection.execute(query)]

    def missing(
        self, reader: Origin, engine: str, generation_id: int, *, retry: bool = False
    ) -> list[ToRead]:
        """List the assets that a reader has not read with this engine, by asset.

        Those without a reachable file are left out and, unless `retry`, those that it failed on.
        """
        settled = [readings.c.engine == engine]
        if retry:
            settled.append(readings.c.state != ReadingState.FAILED.value)
        done = exists().where(
            readings.c.asset_id == assets.c.id, readings.c.reader == reader.value, *settled
        )
        known = exists().where(
            segments.c.asset_id == assets.c.id, segments.c.origin == Origin.SUBTITLES.value
        )
        beside = locations.alias()
        subtitled = or_(known, exists().where(beside.c.sidecar_of == assets.c.id))
        query = (
            select(
                assets.c.id,
                assets.c.content_hash,
                assets.c.modality,
                assets.c.duration_s,
                assets.c.size_bytes,
                locations.c.root_id,
                locations.c.path,
                subtitled.label("subtitled"),
            )
            .join(locations, locations.c.asset_id == assets.c.id)
            .join(roots, roots.c.id == locations.c.root_id)
            .where(
                roots.c.online,
                roots.c.path != ITEMS.encode(),
                _readable(reader, generation_id),
                ~done,
            )
            .order_by(assets.c.id, locations.c.id)
        )
        found: dict[int, ToRead] = {}
        with self._transactions.read() as connection:
            for id_, digest, modality, duration_s, size, root_id, path, told in connection.execute(
                query
            ):
                file = stored_path(path)
                if id_ not in found or not found[id_].path.is_file():
                    found[id_] = ToRead(
                        int(id_), digest, Modality(modality), duration_s, int(size),
                        int(root_id), file, bool(told),
                    )  # fmt: skip
        return [one for one in found.values() if one.path.is_file()]

    def count_readable(self, reader: Origin, generation_id: int) -> int:
        """Count the assets of a kind that a reader reads, whether it has read them or not."""
        with self._transactions.read() as connection:
            return count(connection, assets, _readable(reader, generation_id))

    def counts(self) -> dict[Origin, ReadingCounts]:
        """Count the readings of each reader that has any, or is wished."""
        wished = self.remembered().get("read", [])
        with self._transactions.read() as connection:
            serving = connection.scalar(
                select(generations.c.id).where(generations.c.state == "serving")
            )
            names = set(connection.scalars(select(readings.c.reader).distinct())) | set(wished)
            return {
                reader: _counted(connection, reader, serving or 0)
                for reader in (Origin.SPEECH, Origin.WRITING)
                if reader.value in names
            }

    def failures(self) -> list[tuple[Path, Origin, str]]:
        """List the files that a reader failed on, with the reader and the reason."""
        query = (
            select(locations.c.path, readings.c.reader, readings.c.reason)
            .join(locations, locations.c.asset_id == readings.c.asset_id)
            .where(readings.c.state == ReadingState.FAILED.value)
            .order_by(locations.c.path, readings.c.reader)
        )
        with self._transactions.read() as connection:
            rows = connection.execute(query)
            return [(stored_path(path), Origin(name), why) for path, name, why in rows]

    def remove(self, reader: Origin) -> int:
        """Remove the readings of a reader and all passages made of them; return how many."""
        mine = readings.c.reader == reader.value
        gone = 0
        while True:
            with self._transactions.batch() as batch:
                some = select(readings.c.asset_id).where(mine).limit(AT_ONCE)
                ids = [int(id_) for id_ in batch.connection.scalars(some)]
                if not ids:
                    return gone
                batch.drop_passages(reader, ids)
                batch.connection.execute(delete(readings).where(mine, readings.c.asset_id.in_(ids)))
            gone += len(ids)

    def damaged(self) -> list[tuple[int, Origin]]:
        """List the readings whose lines cannot be read any more, by asset and reader."""
        query = select(readings.c.asset_id, readings.c.reader, readings.c.lines)
        found = []
        with self._transactions.read() as connection:
            for id_, reader, lines in connection.execute(
                query, execution_options={"yield_per": AT_ONCE}
            ):
                try:
                    unpack_lines(lines)
                except (ValueError, TypeError):
                    found.append((int(id_), Origin(reader)))
        return found

    def discard(self, damaged: Sequence[tuple[int, Origin]]) -> None:
        """Delete readings, so that they are made anew; their passages stay until then."""
        with self._transactions.batch() as batch:
            for asset_id, reader in damaged:
                mine = {"asset_id": asset_id, "reader": reader.value}
                batch.connection.execute(delete(readings).filter_by(**mine))


def _append(
    batch: Batch,
    generation_id: int,
    asset_id: int,
    passages: Sequence[Segment],
    vectors: Mapping[EmbeddingSpace, tuple[Sequence[int], Vectors]],
) -> None:
    encoded = exists().where(
        encodings.c.generation_id == generation_id, encodings.c.asset_id == asset_id
    )
    # An asset that is not encoded gets its passages when it is.
    if passages and batch.connection.scalar(select(encoded)):
        bulk_insert.append_segments(
            batch.connection, generation_id, asset_id, passages, vectors, batch.count(CHANGE)
        )


def _readable(reader: Origin, generation_id: int) -> ColumnElement[bool]:
    """Select the assets in which a reader may find something: those with sound, or pictures."""
    kind = assets.c.modality
    if reader is Origin.SPEECH:
        return kind.in_([Modality.AUDIO.value, Modality.VIDEO.value])
    drawn = exists().where(
        segments.c.asset_id == assets.c.id,
        segments.c.generation_id == generation_id,
        segments.c.modality == Modality.IMAGE.value,
    )
    return or_(
        kind.in_([Modality.IMAGE.value, Modality.VIDEO.value]),
        and_(kind == Modality.TEXT.value, drawn),
    )


def _counted(connection: Connection, reader: Origin, serving: int) -> ReadingCounts:
    mine = readings.c.reader == reader.value
    found = dict.fromkeys(ReadingState, 0)
    cost_s = 0.0
    by_state = select(readings.c.state, func.count(), func.sum(readings.c.cost_s)).where(mine)
    for state, number, cost in connection.execute(by_state.group_by(readings.c.state)):
        found[ReadingState(state)] = int(number)
        cost_s += float(cost or 0.0)
    told = select(func.count(), func.sum(segments.c.stop_s - segments.c.start_s)).where(
        segments.c.generation_id == serving, segments.c.origin == reader.value
    )
    passages, passage_s = connection.execute(told).one()
    engines = connection.scalars(select(readings.c.engine).distinct().where(mine))
    return ReadingCounts(
        count(connection, assets, _readable(reader, serving)),
        found[ReadingState.DONE],
        found[ReadingState.NOTHING],
        found[ReadingState.FAILED],
        int(passages),
        float(passage_s or 0.0) if reader is Origin.SPEECH else 0.0,
        cost_s,
        tuple(sorted(engines)),
    )
