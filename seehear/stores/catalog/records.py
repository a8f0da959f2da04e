"""Define the catalog's records: plain values, independent of the database.

root ─┬─ location ── asset ── segment ── vector (one per space)
      └─ failure               │
                  generation ──┘
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from seehear.own_fields import FieldValue
from seehear.sources import stored_path
from seehear.types import (
    Asset,
    EmbeddingSpace,
    FileState,
    Ids,
    Modality,
    Origin,
    Segment,
    plain_fields,
)

Listed = TypeVar("Listed")


@dataclass(frozen=True, slots=True)
class Root:
    """A folder or file that was given to `index`. Offline: its drive is not connected now."""

    id: int
    path: Path
    online: bool
    inode: int | None = None
    """Inode of the folder when it last had files. Another inode at the same path means another
    drive, or a mount point without its drive."""


@dataclass(frozen=True, slots=True)
class Location:
    """A path of an asset, and the state of its file when it was last looked at."""

    id: int
    asset_id: int
    root_id: int
    path: Path
    """Absolute. Bytes that are not UTF-8 are kept as surrogates (surrogateescape)."""
    size_bytes: int
    modified_ns: int
    inode: int
    sidecar_of: int | None = None
    """For a subtitle beside its video or sound: the id of that asset."""


@dataclass(frozen=True, slots=True)
class Item:
    """What was added from memory: an asset with an id and fields of one's own; times in UTC."""

    id: str
    asset_id: int
    modality: Modality
    format: str
    """As `Asset.format`; "vector" for one that was added as a vector."""
    fields: Mapping[str, FieldValue]
    """In the order of their names."""
    text: str | None
    """The whole text, if it is one."""
    kept: str | None
    """The file name of what is kept of it: all or a preview; None for nothing."""
    added_at: datetime
    changed_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Return the item as plain values, ready for JSON."""
        return {
            "id": self.id,
            "asset_id": self.asset_id,
            "modality": self.modality.value,
            "format": self.format,
            "fields": plain_fields(self.fields),
            "text": self.text,
            "kept": self.kept,
            "added_at": self.added_at.isoformat(),
            "changed_at": self.changed_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Page(Generic[Listed]):
    """Some of a list, and where it goes on."""

    rows: tuple[Listed, ...]
    cursor: str | None
    """What to give for the next page; None on the last one."""

    def __iter__(self) -> Iterator[Listed]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class Remark(StrEnum):
    """The stage of a row of `failures` that is not a failure but another remark on a file."""

    PARTIAL = "partial"
    CONTENT = "content"
    KIND = "kind"
    BESIDE = "beside"
    """Of a kind that is not read by itself (XMP), but was read with the file that it is beside."""
    LINK = "link"


STATES = {
    Remark.PARTIAL: FileState.PARTIAL,
    Remark.CONTENT: FileState.WITHOUT_CONTENT,
    Remark.KIND: FileState.SKIPPED,
    Remark.BESIDE: FileState.COMPLETE,
    Remark.LINK: FileState.SKIPPED,
}
"""The state of a file that has such a row."""


def state_of(stage: str) -> FileState:
    """Return the state of a file by the stage of its row of `failures`."""
    return STATES.get(stage, FileState.FAILED)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file that an index run met: its state, and the reason unless it is complete."""

    path: Path
    state: FileState
    reason: str = ""


RACY_INODE = 0
"""The inode of a location whose time stamp is not to be trusted: no file has this number."""


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A file as the file system lists it; `path` is absolute."""

    path: str
    size_bytes: int = 0
    modified_ns: int = 0
    inode: int = 0
    skipped: str | None = None
    """Why it is not read, such as "a broken link"; None for a regular file."""


@dataclass(frozen=True, slots=True)
class NewLocation:
    """A path with some content, and the state of its file when it was read."""

    root_id: int
    path: Path
    """Absolute."""
    size_bytes: int
    modified_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class FileTask(NewLocation):
    """A file whose content must be hashed, and perhaps decoded and encoded.

    Size, time and inode are those of the scan, and from hashing on those of what was read.
    """

    location_id: int | None = None
    """What the catalog has at this path; None for a new path."""
    asset_id: int | None = None
    """The asset of that location."""
    intact: bool = False
    """Size, time and inode are as stored: only the generation lacks the asset."""
    failed_before: bool = False
    """The catalog has a failure for this path."""


class GenerationState(StrEnum):
    """The state of a generation: being filled, answering queries, or replaced by another."""

    BUILDING = "building"
    SERVING = "serving"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Generation:
    """One collection encoded by one model revision."""

    id: int
    model: str
    revision: str
    spaces: tuple[EmbeddingSpace, ...]
    state: GenerationState


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be indexed, and its size and time then."""

    path: Path
    stage: str
    reason: str
    failed_at: datetime
    """In UTC, with time zone."""
    size_bytes: int
    modified_ns: int
    root_id: int


class ReadingState(StrEnum):
    """What came of reading an asset: lines, no lines, or a failure with its reason."""

    DONE = "done"
    NOTHING = "nothing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StoredReading:
    """What one reader found in one asset. `lines` are plain values that JSON can write."""

    asset_id: int
    reader: Origin
    engine: str
    """The reader's own name with its model: lines of another engine are read anew."""
    state: ReadingState
    lines: Sequence[Any] = ()
    reason: str = ""
    language: str | None = None
    cost_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ToRead:
    """An asset that a reader has still to read, with a file that has its content."""

    asset_id: int
    content_hash: str
    modality: Modality
    duration_s: float | None
    size_bytes: int
    root_id: int
    path: Path
    subtitled: bool
    """Whether its words are known from subtitles."""


@dataclass(frozen=True, slots=True)
class ReadingCounts:
    """How far a reader has come, in assets."""

    readable: int
    """Assets of a kind that the reader reads."""
    done: int
    nothing: int
    failed: int
    passages: int
    """In the serving generation."""
    passage_s: float
    """Seconds of speech in the passages of the serving generation."""
    cost_s: float
    engines: tuple[str, ...]

    @property
    def read(self) -> int:
        """Assets that were read, also those in which nothing was found."""
        return self.done + self.nothing


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """What a hit needs of a segment: the segment, its asset and its location.

    A subtitle beside a video or sound belongs to it: `asset` and `path` are the video's, and
    `sidecar` is the path of the subtitle file. Otherwise `sidecar` is None.
    """

    segment_id: int
    ordinal: int
    """Position of the segment among those of its own file, in order of time."""
    segment: Segment
    asset: Asset
    raw_path: bytes
    """The path as the system writes it: few of the hundreds that a query reads are ever shown."""
    online: bool
    modified_ns: int
    raw_sidecar: bytes | None = None
    raw_paths: Sequence[bytes] = ()
    """Every path of the asset, the oldest first."""
    raw_fingerprint: bytes | None = None
    """What tells copies of the asset (`media/fingerprints.py`)."""

    @property
    def path(self) -> Path:
        return stored_path(self.raw_path)

    @property
    def paths(self) -> list[Path]:
        return [stored_path(path) for path in self.raw_paths]

    @property
    def sidecar(self) -> Path | None:
        return None if self.raw_sidecar is None else stored_path(self.raw_sidecar)


NO_IDS: Ids = np.zeros(0, dtype=np.int64)
MODALITY_CODES = tuple(Modality)
"""Modalities by their number in `SegmentColumns.kinds`."""
ORIGIN_CODES: tuple[Origin | None, ...] = (None, *Origin)
"""Origins by their number in `SegmentColumns.origins`."""

CODES_PER_KIND = 16
MOST_CODES = CODES_PER_KIND * len(MODALITY_CODES)


def code_of(item: Modality, origin: Origin | None = None) -> int:
    """Return the number that `SegmentColumns.codes` has for a kind of segments."""
    return CODES_PER_KIND * MODALITY_CODES.index(item) + ORIGIN_CODES.index(origin)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentColumns:
    """What ranking needs of many segments: columns of equal length, one row per segment.

    A query looks at hundreds of segments and shows a few; only for those a `SegmentRecord` is made.
    """

    ids: Ids
    assets: Ids
    """The asset that is shown: for a subtitle beside a video, the video's."""
    kinds: NDArray[np.int8]
    """Modality of the segment, as its index in `MODALITY_CODES`."""
    origins: NDArray[np.int8]
    """Where a passage comes from, as its index in `ORIGIN_CODES`."""
    start_s: NDArray[np.float64]
    """NaN for segments without times."""
    stop_s: NDArray[np.float64]

    @classmethod
    def of(cls, *many: SegmentColumns) -> SegmentColumns:
        """Concatenate columns; without arguments, return empty columns."""
        parts = [one for one in many if len(one)]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            codes = NO_IDS.astype(np.int8)
            return cls(NO_IDS, NO_IDS, codes, codes, _NO_TIMES, _NO_TIMES)
        columns = ("ids", "assets", "kinds", "origins", "start_s", "stop_s")
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in columns))

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, rows: Ids | NDArray[np.bool_]) -> SegmentColumns:
        """Return some of the rows, by position or by mask."""
        return SegmentColumns(
            self.ids[rows],
            self.assets[rows],
            self.kinds[rows],
            self.origins[rows],
            self.start_s[rows],
            self.stop_s[rows],
        )

    @property
    def codes(self) -> Ids:
        """A number for the modality and origin of each row, less than `MOST_CODES`."""
        return self.kinds.astype(np.int64) * CODES_PER_KIND + self.origins

    def of_kind(self, kind: Modality) -> Ids:
        """Return the rows of one modality, int64 (n,)."""
        found: Ids = np.flatnonzero(self.kinds == MODALITY_CODES.index(kind))
        return found

    def of_origin(self, origin: Origin | None) -> Ids:
        """Return the rows of the passages of one origin, int64 (n,); None: of texts themselves."""
        is_text = self.kinds == MODALITY_CODES.index(Modality.TEXT)
        found: Ids = np.flatnonzero(is_text & (self.origins == ORIGIN_CODES.index(origin)))
        return found

    def found_origins(self) -> list[Origin]:
        """Return the origins of the rows, without those of texts themselves."""
        codes = sorted(set(self.origins.tolist()))
        return [origin for code in codes if (origin := ORIGIN_CODES[code]) is not None]


_NO_TIMES: NDArray[np.float64] = np.zeros(0, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a collection contains."""

    assets: int
    by_modality: Mapping[Modality, int]
    """Assets of each modality, without `subtitles`."""
    subtitles: int
    """Subtitles that only exist beside a video or sound: people see them as a part of it."""
    segments: int
    """Segments of the requested generation, by default the serving one."""
    segments_by_modality: Mapping[Modality, int]
    locations: int
    files: Mapping[FileState, int]
    """Files that were met, by state; each file counts once."""
    size_bytes: int
    """Sum over assets: a file at two locations counts once."""

    @property
    def failures(self) -> int:
        """Files that could not be indexed."""
        return self.files[FileState.FAILED]
