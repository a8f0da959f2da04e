"""What a filter says, as values: the search room parses text into these, the catalog compiles them.

    Filter = Compare | Matches | Near | Present | AllOf | AnyOf | Not

Every field that a filter can name stands in FIELDS. A comparison with a field that an asset does
not have (the camera of a recording) is false, and `Not` of it is true.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal


class Kind(StrEnum):
    """What values a field takes."""

    WORD = "word"
    """One of a few words: compared with = and !=."""
    TEXT = "text"
    """Free text: compared with = and != (whole, in any case) and ~ (a pattern)."""
    NUMBER = "number"
    DATE = "date"
    """A moment; local time for `taken`, as the camera has no zone."""
    SIZE = "size"
    """Bytes."""
    DURATION = "duration"
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field that filters can name."""

    name: str
    kind: Kind
    help: str
    words: tuple[str, ...] = ()
    """The values of a WORD field; empty where any word goes."""


FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        Field("kind", Kind.WORD, "what it is", ("image", "audio", "video", "text")),
        Field("format", Kind.WORD, "container or codec: jpeg, flac, mp4, pdf, ..."),
        Field("name", Kind.TEXT, "file name"),
        Field("folder", Kind.TEXT, "name of any folder that it lies in"),
        Field("path", Kind.TEXT, "whole path"),
        Field("taken", Kind.DATE, "when it was taken, by the camera's clock"),
        Field("modified", Kind.DATE, "when the file was last written"),
        Field("size", Kind.SIZE, "bytes of the file: 500, 20KB, 1.5MB, 2GB"),
        Field("duration", Kind.DURATION, "length: 90, 90s, 5min, 1h"),
        Field("width", Kind.NUMBER, "pixels"),
        Field("height", Kind.NUMBER, "pixels"),
        Field("orientation", Kind.WORD, "its shape", ("portrait", "landscape", "square")),
        Field("camera", Kind.TEXT, "maker and model"),
        Field("latitude", Kind.NUMBER, "degrees north"),
        Field("longitude", Kind.NUMBER, "degrees east"),
        Field("tag", Kind.TEXT, "any one of its keywords"),
        Field("title", Kind.TEXT, "title within the file"),
        Field("caption", Kind.TEXT, "caption within the file"),
    )
}

Value = str | float | datetime


@dataclass(frozen=True, slots=True)
class Compare:
    """`field op value`. Text and words compare without regard to case.

    The value is a float for NUMBER, SIZE (bytes) and DURATION (seconds), a naive datetime of
    local time for DATE (whose periods the parser has turned into >= and <), else a str.
    """

    field: str
    op: Literal["=", "!=", "<", "<=", ">", ">="]
    value: Value


@dataclass(frozen=True, slots=True)
class Matches:
    """`field ~ pattern`: * stands for anything, ? for one character, in any case.

    A pattern without either finds the words anywhere within the field.
    """

    field: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Near:
    """`near(latitude, longitude, km)`: taken within so many kilometres (great circle)."""

    latitude: float
    longitude: float
    km: float


@dataclass(frozen=True, slots=True)
class Present:
    """`has field`: the asset has a value there."""

    field: str


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Filter


Filter = Compare | Matches | Near | Present | AllOf | AnyOf | Not
