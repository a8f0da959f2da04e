"""Write to a catalog: every change of it, within one transaction."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from seehear.stores.catalog import bulk_insert
from seehear.stores.catalog.database import increase
from seehear.stores.catalog.halfvecs import drop_vectors
from seehear.stores.catalog.paths import shown_parts
from seehear.stores.catalog.reader import CHANGE, LOCATION_CHANGES, MOVES
from seehear.stores.catalog.records import NewLocation, Remark
from seehear.stores.catalog.sanitize import clean_details, clean_text
from seehear.stores.catalog.schema import (
    assets,
    encodings,
    failures,
    fingerprints,
    item_values,
    items,
    locations,
    readings,
    removals,
    segments,
    vectors,
)
from seehear.stores.catalog.statements import CHUNK, chunks
from seehear.types import MediaInfo, Modality, Origin

WITHOUT_CONTENT = {
    Modality.TEXT: "it has no words",
    Modality.IMAGE: "nothing in it can be compared",
    Modality.AUDIO: "it is silent",
    Modality.VIDEO: "it shows nothing and is silent",
}
"""Why an asset has nothing to search in."""

TIMED = (Modality.AUDIO, Modality.VIDEO)
"""What subtitles may belong to: a video rather than a sound of the same name."""
SUBTITLES = (".SRT", ".VTT", ".ASS", ".SSA", ".SBV", ".TTML", ".DFXP", ".LRC")


class Batch:
    """The writes of one transaction; made by `Catalog.batch`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._counted: dict[str, int] = {}

    def put_location(
        self,
        root_id: int,
        path: Path,
        asset_id: int,
        size_bytes: int,
        modified_ns: int,
        inode: int,
    ) -> int:
        """Store that an asset is at an absolute path; replaces an earlier location at that path.

        Returns the location's id.
        """
        raw = os.fsencode(path)
        values: dict[str, Any] = {
            "root_id": root_id,
            "asset_id": asset_id,
            **shown_parts(raw),
            "size_bytes": size_bytes,
            "modified_ns": modified_ns,
            "inode": bulk_insert.signed(inode),
            "change": self.count(LOCATION_CHANGES),
        }
        self.count(MOVES)
        id_ = self.connection.scalar(select(locations.c.id).where(locations.c.path == raw))
        if id_ is None:
            made = self.connection.execute(insert(locations).values(path=raw, **values))
            id_ = made.inserted_primary_key[0]  # type: ignore[index]
        else:
            self.connection.execute(
                update(locations).where(locations.c.id == id_).values(sidecar_of=None, **values)
            )
        return int(id_)

    def put_contents(
        self,
        generation_id: int,
        contents: Sequence[bulk_insert.NewContent],
        places: Sequence[Sequence[NewLocation]],
    ) -> list[int]:
        """Store many contents with their encodings and locations, and return the asset ids.

        Takes a dozen statements together. Replaces earlier encodings. Raises SpaceMismatchError for
        a space that the generation does not have, or vectors that do not fit it.
        """
        ids, known = bulk_insert.put_assets(self.connection, contents)
        for chunk in chunks(sorted(known)):
            self._drop_segments(_segments_of(generation_id, chunk))
        bulk_insert.put_encodings(self.connection, generation_id, ids, contents, self.count(CHANGE))
        given = {id_: c.fingerprint for id_, c in zip(ids, contents, strict=True) if c.fingerprint}
        bulk_insert.put_fingerprints(self.connection, given)
        pairs = zip(ids, places, strict=True)
        replaced = bulk_insert.put_locations(
            self.connection,
            [(id_, location) for id_, at in pairs for location in at],
            self.count(LOCATION_CHANGES),
        )
        if known or replaced:  # what is new is found by its segments
            self.count(MOVES)
        return ids

    def asset_ids(self, hashes: Sequence[str]) -> dict[str, int]:
        """Return the asset ids of the known contents, by hash; includes assets of this batch."""
        return bulk_insert.asset_ids(self.connection, hashes)

    def put_locations(self, places: Sequence[tuple[int, NewLocation]]) -> None:
        """Store locations with their asset ids: `put_location` for each, in a few statements."""
        bulk_insert.put_locations(self.connection, places, self.count(LOCATION_CHANGES))
        self.count(MOVES)

    def put_fingerprints(self, found: Mapping[int, bytes]) -> None:
        """Store fingerprints of assets by id, those of assets that are gone left out."""
        for chunk in chunks(sorted(found)):
            here = self.connection.scalars(select(assets.c.id).where(assets.c.id.in_(chunk)))
            bulk_insert.put_fingerprints(self.connection, {id_: found[id_] for id_ in here})

    def put_details(self, asset_id: int, info: MediaInfo) -> bool:
        """Store what is now known of an asset about itself; return whether anything is new.

        What is missing of a partial file is kept: only decoding it tells that.
        """
        row = self.connection.execute(
            select(assets.c.taken_at, assets.c.details).where(assets.c.id == asset_id)
        ).first()
        kept = {key: row.details[key] for key in ("partial",) if row and key in row.details}
        details = clean_details({**info.details, **kept})
        if row is None or (row.taken_at, row.details) == (info.taken_at, details):
            return False
        self.connection.execute(
            update(assets)
            .where(assets.c.id == asset_id)
            .values(taken_at=info.taken_at, details=details)
        )
        self.connection.execute(
            update(locations)
            .where(locations.c.asset_id == asset_id)
            .values(change=self.count(LOCATION_CHANGES))
        )
        return True

    def remove_location(self, location_id: int) -> None:
        """Remove a location; `remove_orphans` removes an asset without locations."""
        self.count(LOCATION_CHANGES)
        self.count(MOVES)
        self.connection.execute(delete(locations).where(locations.c.id == location_id))

    def remove_orphans(self) -> int:
        """Remove assets without locations, with segments and vectors; return their number."""
        lost = select(assets.c.id).where(~exists().where(locations.c.asset_id == assets.c.id))
        ids = [int(id_) for id_ in self.connection.scalars(lost)]
        if ids:
            self.count(MOVES)
        self.remove_assets(ids)
        return len(ids)

    def remove_assets(self, asset_ids: Sequence[int]) -> None:
        """Remove assets that have no locations, with all that belongs to them."""
        for chunk in chunks(asset_ids):
            self._drop_segments(segments.c.asset_id.in_(chunk))
            for table in (encodings, fingerprints, readings, item_values, items):
                self.connection.execute(delete(table).where(table.c.asset_id.in_(chunk)))
            self.connection.execute(
                update(locations).where(locations.c.sidecar_of.in_(chunk)).values(sidecar_of=None)
            )
            self.connection.execute(delete(assets).where(assets.c.id.in_(chunk)))

    def put_failure(
        self,
        root_id: int,
        path: Path,
        stage: str,
        reason: str,
        size_bytes: int,
        modified_ns: int,
    ) -> None:
        """Record why a file is not indexed completely; replaces an earlier record of the path.

        `stage` is that of a failure, or a Remark.
        """
        self.clear_failure(path)
        self.connection.execute(
            insert(failures).values(
                root_id=root_id,
                path=os.fsencode(path),
                stage=stage,
                reason=" ".join(clean_text(reason).split()),
                failed_at=datetime.now(UTC).replace(tzinfo=None),
                size_bytes=size_bytes,
                modified_ns=modified_ns,
            )
        )

    def clear_failure(self, path: Path) -> None:
        """Remove the record of a path, if there is one."""
        self.connection.execute(delete(failures).where(failures.c.path == os.fsencode(path)))

    def remarks(
        self, generation_id: int, asset_ids: Sequence[int]
    ) -> dict[int, tuple[Remark, str]]:
        """Return the assets that are partial or without content in a generation, and why.

        An asset has content if one of its segments has a vector or a text.
        """
        has_vector = exists().where(vectors.c.segment_id == segments.c.id)
        has_content = exists().where(
            segments.c.asset_id == assets.c.id,
            segments.c.generation_id == generation_id,
            or_(func.coalesce(segments.c.text, "") != "", has_vector),
        )
        partial = assets.c.details["partial"].as_string()
        found: dict[int, tuple[Remark, str]] = {}
        for chunk in chunks(sorted(set(asset_ids))):
            rows = self.connection.execute(
                select(assets.c.id, assets.c.modality, partial, has_content).where(
                    assets.c.id.in_(chunk), or_(partial.is_not(None), ~has_content)
                )
            )
            for id_, modality, reason, content in rows:
                reasons = [reason] if reason else []
                if not content:
                    reasons.insert(0, WITHOUT_CONTENT[Modality(modality)])
                remark = Remark.PARTIAL if content else Remark.CONTENT
                found[int(id_)] = (remark, "; ".join(reasons))
        return found

    def set_sidecars(self, root_id: int) -> None:
        """Find again which subtitles of a root are beside a video or sound with the same name.

        "film.srt" and "film.en.forced.srt" belong to "film.mkv", "song.lrc" to "song.mp3".
        """
        name = func.upper(locations.c.name)
        is_subtitle = or_(*(name.endswith(suffix) for suffix in SUBTITLES))
        is_timed = assets.c.modality.in_([kind.value for kind in TIMED])
        rows = self.connection.execute(
            select(
                locations.c.id,
                locations.c.folders,
                locations.c.path,
                locations.c.asset_id,
                locations.c.sidecar_of,
                assets.c.modality,
            )
            .join(assets, assets.c.id == locations.c.asset_id)
            .where(
                locations.c.root_id == root_id,
                or_(
                    is_timed,
                    locations.c.sidecar_of.is_not(None),
                    and_(assets.c.modality == Modality.TEXT.value, is_subtitle),
                ),
            )
            # One folder after the other, so that only one is in memory.
            .order_by(locations.c.folders, locations.c.id)
            .execution_options(yield_per=CHUNK)
        )
        changes: list[dict[str, Any]] = []
        for _, folder in groupby(rows, key=lambda row: row.folders):
            changes += _sidecars(list(folder))
            if len(changes) >= CHUNK:
                self._put_sidecars(changes)
                changes = []
        self._put_sidecars(changes)

    def set_described(self, root_id: int) -> None:
        """Find again which XMP files of a root were read with a file that they are beside."""
        rows = self.connection.execute(
            select(failures.c.id, failures.c.path, failures.c.stage).where(
                failures.c.root_id == root_id,
                failures.c.reason == ".xmp",
                failures.c.stage.in_([Remark.KIND, Remark.BESIDE]),
            )
        )
        found = {bytes(path): (int(id_), stage) for id_, path, stage in rows}
        if not found:
            return
        described_by = assets.c.details["described_by"].as_string()
        described = self.connection.execute(
            select(locations.c.path, described_by)
            .join(assets, assets.c.id == locations.c.asset_id)
            .where(locations.c.root_id == root_id, described_by.is_not(None))
            .execution_options(yield_per=CHUNK)
        )
        read = {
            os.path.join(os.path.dirname(path), os.fsencode(name))  # noqa: PTH118, PTH120
            for path, names in described
            for name in names.split("; ")
        }
        for remark in (Remark.KIND, Remark.BESIDE):
            ids = [
                id_
                for path, (id_, stage) in found.items()
                if stage != remark and (path in read) == (remark is Remark.BESIDE)
            ]
            for chunk in chunks(ids):
                here = failures.c.id.in_(chunk)
                self.connection.execute(update(failures).where(here).values(stage=remark))

    def _put_sidecars(self, changes: list[dict[str, Any]]) -> None:
        if changes:
            self.count(MOVES)
            statement = update(locations).where(locations.c.id == bindparam("location"))
            self.connection.execute(
                statement.values(sidecar_of=bindparam("owner")).execution_options(
                    synchronize_session=False
                ),
                changes,
            )

    def drop_encodings(self, generation_id: int, most: int) -> int:
        """Delete the segments of up to `most` assets of a generation; return how many."""
        ids = list(
            self.connection.scalars(
                select(encodings.c.asset_id)
                .where(encodings.c.generation_id == generation_id)
                .limit(most)
            )
        )
        for chunk in chunks(ids):
            self._drop_segments(_segments_of(generation_id, chunk))
            self.connection.execute(
                delete(encodings).where(
                    encodings.c.generation_id == generation_id, encodings.c.asset_id.in_(chunk)
                )
            )
        return len(ids)

    def drop_passages(self, origin: Origin, asset_ids: Sequence[int]) -> None:
        """Delete the passages of an origin that some assets have in any generation."""
        for chunk in chunks(asset_ids):
            self._drop_segments(
                (segments.c.origin == origin.value) & segments.c.asset_id.in_(chunk)
            )

    def _drop_segments(self, which: Any) -> None:
        rows = self.connection.execute(
            select(segments.c.id, segments.c.generation_id).where(which)
        ).all()
        if not rows:
            return
        change = self.count(CHANGE)
        self.connection.execute(
            insert(removals),
            [
                {"segment_id": row.id, "generation_id": row.generation_id, "change": change}
                for row in rows
            ],
        )
        ids = [int(row.id) for row in rows]
        drop_vectors(self.connection, ids)
        for chunk in chunks(ids):
            self.connection.execute(delete(vectors).where(vectors.c.segment_id.in_(chunk)))
            self.connection.execute(delete(segments).where(segments.c.id.in_(chunk)))

    def count(self, counter: str) -> int:
        """Increase a counter, once in the transaction: readers see all of its writes or none.

        Returns its value.
        """
        if counter not in self._counted:
            self._counted[counter] = increase(self.connection, counter)
        return self._counted[counter]

    @property
    def change(self) -> int | None:
        """The number of the change, once segments were written or removed."""
        return self._counted.get(CHANGE)


def _sidecars(folder: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the subtitles of one folder that belong to another file now, or to none any more."""
    owners = {
        _without_suffix(row.path.lower()): row.asset_id
        for kind in TIMED
        for row in folder
        if row.modality == kind.value
    }
    changes = []
    for row in folder:
        stem, suffix = os.path.splitext(row.path.lower())  # noqa: PTH122 - these are bytes
        owner = None
        if row.modality == Modality.TEXT.value and suffix.decode("latin-1").upper() in SUBTITLES:
            shorter = _without_suffix(stem)
            stems = (stem, shorter, _without_suffix(shorter))
            owner = next((owners[one] for one in stems if one in owners), None)
        if owner != row.sidecar_of:
            changes.append({"location": row.id, "owner": owner})
    return changes


def _without_suffix(path: bytes) -> bytes:
    return os.path.splitext(path)[0]  # noqa: PTH122


def _segments_of(generation_id: int, asset_ids: Sequence[int]) -> Any:
    return (segments.c.generation_id == generation_id) & segments.c.asset_id.in_(asset_ids)
