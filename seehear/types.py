"""Define the values passed between packages: modalities, samples, segments, queries and hits.

Standard library and numpy only. Times are seconds, half-open [start_s, stop_s).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from seehear.samples import AudioSample as AudioSample
from seehear.samples import Box as Box
from seehear.samples import Floats as Floats
from seehear.samples import Ids as Ids
from seehear.samples import ImageSample as ImageSample
from seehear.samples import Line as Line
from seehear.samples import Modality as Modality
from seehear.samples import Origin as Origin
from seehear.samples import Reading as Reading
from seehear.samples import Sample as Sample
from seehear.samples import SampleSpec as SampleSpec
from seehear.samples import Vectors as Vectors
from seehear.samples import VideoSample as VideoSample
from seehear.samples import bytes_of as bytes_of
from seehear.samples import modality_of as modality_of


class By(StrEnum):
    """By what a file, or a moment of it, was found."""

    SIGHT = "sight"
    SOUND = "sound"
    SPEECH = "speech"
    WRITING = "writing"
    SUBTITLES = "subtitles"
    LYRICS = "lyrics"
    NAME = "name"
    """Its name, folder, title, caption or tags."""
    TEXT = "text"
    """The text of the file itself."""


ITEMS = "items:"
"""Root of what was added from memory: it is no folder, and so no path of a file begins with it."""


def item_path(key: str) -> Path:
    """Return the path of an item: `items:/` and its id on one level."""
    name = key.replace("%", "%25").replace("/", "%2F")
    return Path(ITEMS, "%2E" + name[1:] if name in {".", ".."} else name)


def item_id(path: Path) -> str | None:
    """Return the id of the item at a path, None for a file."""
    if path.parts[:1] != (ITEMS,):
        return None
    return path.name.replace("%2E", ".").replace("%2F", "/").replace("%25", "%")


def shown_name(path: Path) -> str:
    """Return what people call a file or an item: its name, or the id that it was given."""
    key = item_id(path)
    return path.name if key is None else key


@dataclass(frozen=True, slots=True)
class Segment:
    """The unit that is encoded and found: a piece of an asset, without its samples.

    A whole image or an untimed passage has no times. `modality` is that of the piece: the sound
    track of a video gives segments of modality AUDIO, its subtitles of modality TEXT.
    """

    modality: Modality
    start_s: float | None = None
    stop_s: float | None = None
    text: str | None = None
    page: int | None = None
    """The page of a PDF that a passage stands on or that is drawn, or of a TIFF; from 1."""
    origin: Origin | None = None
    """Where a passage comes from, if it is not the text of the file itself."""
    language: str | None = None
    """The language of a passage with an origin, as in ISO 639 ("de"), where it is known."""
    confidence: float | None = None
    """How sure the reader of a passage is, from 0 to 1."""
    box: Box | None = None
    """Where writing stands in its picture."""


_KINDS = {kind.value: kind for kind in Modality}


def segment_of(modality: str, *values: Any) -> Segment:
    """Return the segment with such values. Raises KeyError or ValueError for others."""
    start_s, stop_s, text, page, origin, language, confidence, box = values
    origin = None if origin is None else Origin(origin)
    box = None if box is None else cast(Box, tuple(box))
    return Segment(_KINDS[modality], start_s, stop_s, text, page, origin, language, confidence, box)


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a file is, read from its content and headers without decoding all of it."""

    modality: Modality
    format: str
    """Short lower-case name of the container or codec: "jpeg", "flac", "mp4", "pdf", "srt"."""
    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    taken_at: datetime | None = None
    """When it was taken, in local time (no time zone): the first instant of a day, month or year
    where the details have a "date_precision"."""
    details: Mapping[str, str | int | float] = field(default_factory=dict)
    """Camera, coordinates, embedded caption, title, ... by plain names: "camera", "latitude",
    "longitude", "caption", "title", "keywords", "people", "date_from"; "partial" says what is
    missing of a file that is read in part."""

    def mark_partial(self, missing: str) -> None:
        """Say in `details` what is missing, which may be found only while the file is decoded."""
        cast(dict[str, str | int | float], self.details)["partial"] = missing


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """A contrastive space. Vectors of two different spaces are never mixed."""

    name: str
    revision: str
    dim: int

    @property
    def key(self) -> str:
        """Identity of the space as one string."""
        return f"{self.name}@{self.revision}:{self.dim}"


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors of n things of one modality, in each space of the model that they are from."""

    modality: Modality
    vectors: Mapping[EmbeddingSpace, Vectors]
    """By space: float32 (n, dim), L2-normalised, in one order; zeros for a thing without content,
    such as silence."""

    def __len__(self) -> int:
        return len(next(iter(self.vectors.values())))

    def __getitem__(self, rows: slice) -> Embeddings:
        """Return some of them: `embeddings[3:4]`."""
        return Embeddings(self.modality, {s: found[rows] for s, found in self.vectors.items()})

    @property
    def array(self) -> Vectors:
        """The vectors in the first space of the model, the only one of most: float32 (n, dim)."""
        return next(iter(self.vectors.values()))


@dataclass(frozen=True, slots=True)
class Asset:
    """One distinct content, by the hash of its bytes. It may be stored at several locations."""

    id: int
    content_hash: str
    modality: Modality
    format: str
    size_bytes: int
    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    taken_at: datetime | None = None
    """Local time; the first instant of a day, month or year where more is not known."""
    details: Mapping[str, str | int | float] = field(default_factory=dict, compare=False)
    """What the file says about itself, as in `MediaInfo.details`."""


class FileState(StrEnum):
    """What became of a file that an index run met. Each file has exactly one state."""

    COMPLETE = "complete"
    """Indexed, with all that it contains."""
    PARTIAL = "partial"
    """Indexed as far as it can be read, such as a video that is cut off."""
    WITHOUT_CONTENT = "without_content"
    """Found by its name alone: silence, or scanned pages without text."""
    FAILED = "failed"
    """It could not be read or encoded."""
    SKIPPED = "skipped"
    """Its kind is not read, or it is not a regular file."""


@dataclass(frozen=True, slots=True)
class QueryPart:
    """Hold one part of a query: words, or the samples of a file.

    `weight` is above 0; `exclude` leaves out what the part shows. A video or a long sound gives
    one part with several samples. `label` names the part for people ("a red car", "photo.jpg").
    """

    samples: tuple[Sample, ...]
    weight: float = 1.0
    exclude: bool = False
    label: str = ""
    embeddings: Embeddings | None = None
    """Vectors to ask with, in place of samples."""


class Mode(StrEnum):
    """What answers the words of a query."""

    AUTO = "auto"
    """Meaning, and the words as they are written, in one list."""
    SEMANTIC = "semantic"
    """Meaning alone."""
    WORDS = "words"
    """Words as they are written alone: file names, folders, passages, captions."""


@dataclass(frozen=True, slots=True)
class Query:
    """Hold a whole query. `modalities` None searches every kind of file."""

    parts: tuple[QueryPart, ...]
    k: int = 10
    modalities: frozenset[Modality] | None = None
    under: Path | None = None
    min_score: float = 0.0
    where: str = ""
    """A filter such as "taken >= 2024-06 and duration < 60"; "" keeps everything."""
    mode: Mode = Mode.AUTO
    moments: int = 1
    """Maximum number of moments per hit."""
    diverse: bool = False
    """Show more variety among the hits, at some cost in score."""
    show_duplicates: bool = False
    """List near-duplicates as separate hits instead of as one."""
    like: tuple[int, ...] = ()
    """Segment ids to find more like."""
    unlike: tuple[int, ...] = ()
    """Segment ids to find less like."""
    explain: bool = False
    """Explain each score in `Hit.why`."""
    typing: bool = False
    """The last word may not be complete: it also finds the words that begin with it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An interval of a hit that answers the query: [start_s, stop_s)."""

    start_s: float
    stop_s: float
    score: float
    similarity: float
    segment_id: int
    """The segment that matched best within the moment."""
    matched: Modality
    by: tuple[By, ...] = ()
    """By what it was found, the best first."""
    address: str = ""
    """`seehear://...#t=12.5,19`: opens and shows it, also tomorrow (see address.py)."""


@dataclass(frozen=True, slots=True)
class PartExplanation:
    """Why a hit has its score: what one part of the query contributed."""

    part: str
    """Label of the part."""
    weight: float
    exclude: bool
    score: float
    """The part's score in [0, 1]; the hit's score combines those of all parts."""
    route: str = ""
    """The route that answered, such as "text->image"; empty if only words did."""
    space: str = ""
    """Key of the embedding space of that route."""
    similarity: float | None = None
    """Raw cosine; None if the part has no vector for this hit."""
    expected: float | None = None
    """Cosine expected for an unrelated pair of this query and this item."""
    spread: float | None = None
    """Standard deviation of such unrelated pairs."""
    presence: float | None = None
    """How sure it is that the collection holds anything like the part, in [0, 1]: a factor of the
    score."""
    words: str = ""
    """What the words matched, such as "file name", "phrase in a passage"; empty for nothing."""
    words_score: float = 0.0


@dataclass(frozen=True, slots=True)
class Hit:
    """Hold one result of a search."""

    rank: int
    score: float
    """How well the hit matches, from 0 to 1; comparable across modalities."""
    similarity: float
    """Raw cosine of the best segment; 0 if only words found the hit."""
    path: Path
    modality: Modality
    """Kind of the file: a hit in the sound track of a video is a VIDEO hit."""
    asset_id: int
    segment_id: int
    matched_modality: Modality
    """Kind of the segment that matched: AUDIO for the sound track of a video."""
    by: tuple[By, ...] = ()
    """By what it was found, the best first: several where they agree at the same time."""
    start_s: float | None = None
    stop_s: float | None = None
    snippet: str | None = None
    """The part of a passage that matched, at most 200 characters."""
    marks: tuple[tuple[int, int], ...] = ()
    """Where words of the query stand in the snippet: (start, stop) in characters."""
    text: str | None = None
    """The whole passage."""
    page: int | None = None
    """The page of a PDF or a TIFF that matched, from 1."""
    language: str | None = None
    """The language of what was said or written, as in ISO 639, where it is known."""
    box: Box | None = None
    """Where writing stands in its picture."""
    weak: bool = False
    """True if the match may well be chance."""
    moments: tuple[Moment, ...] = ()
    """Matching moments, best first; empty if the hit has no times."""
    duplicates: tuple[Path, ...] = ()
    """Near-identical files shown as this one hit, best first."""
    why: tuple[PartExplanation, ...] = ()
    """One term per part of the query, if it asked to explain."""
    address: str = ""
    """`seehear://...#t=12.5,19`: the address of the best moment, of the page or of the file."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The fields of an item that was added from memory."""

    @property
    def id(self) -> str | None:
        """The id of an item that was added from memory; None for a file."""
        return item_id(self.path)

    @property
    def moment(self) -> tuple[float, float] | None:
        """Return (start_s, stop_s) of the best moment, or None if the hit has no times."""
        if self.start_s is None or self.stop_s is None:
            return None
        return self.start_s, self.stop_s

    def to_dict(self) -> dict[str, Any]:
        """Return the hit as plain values, ready for JSON, as `seehear search --json` prints it."""
        return {
            "rank": self.rank,
            "score": _rounded(self.score),
            "similarity": _rounded(self.similarity),
            "path": str(self.path),
            "modality": str(self.modality),
            "matched": str(self.matched_modality),
            "by": [str(one) for one in self.by],
            "start_s": self.start_s,
            "stop_s": self.stop_s,
            "snippet": self.snippet,
            "marks": [list(mark) for mark in self.marks],
            "text": self.text,
            "page": self.page,
            "language": self.language,
            "box": None if self.box is None else list(self.box),
            "weak": self.weak,
            "address": self.address,
            "asset_id": self.asset_id,
            "segment_id": self.segment_id,
            "moments": [_moment_to_dict(moment) for moment in self.moments],
            "duplicates": [str(path) for path in self.duplicates],
            "why": [_explanation_to_dict(explanation) for explanation in self.why],
            "id": self.id,
            "fields": plain_fields(self.fields),
        }


def plain_fields(fields_: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an item as plain values, ready for JSON: dates as in ISO 8601."""
    return {n: v.isoformat() if isinstance(v, date) else v for n, v in fields_.items()}


def _moment_to_dict(moment: Moment) -> dict[str, Any]:
    names = ("start_s", "stop_s", "score", "segment_id", "matched", "by", "address")
    told = {name: getattr(moment, name) for name in names}
    by = [str(one) for one in moment.by]
    return told | {"score": _rounded(moment.score), "matched": str(moment.matched), "by": by}


def _explanation_to_dict(explanation: PartExplanation) -> dict[str, Any]:
    values = [(one.name, getattr(explanation, one.name)) for one in fields(explanation)]
    return {n: _rounded(v) if isinstance(v, float) and n != "weight" else v for n, v in values}


def _rounded(value: float | None) -> float | None:
    """Return the number to four digits, or None if it is missing, NaN or infinite."""
    return round(value, 4) if value is not None and math.isfinite(value) else None
