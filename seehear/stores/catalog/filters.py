"""Define filters over what the catalog knows about items: a small tree of comparisons.

    And((Compare(Field.TAKEN, Op.GE, datetime(2024, 6, 1)), Compare(Field.DURATION, Op.LT, 60.0)))

Logic is two-valued: an item that lacks the field (a sound has no width) does not match, and matches
the negation. A filter matches an item if all of it holds for one of the item's locations; a
subtitle beside a video is judged by the video.

A filter consists of checked values only; the catalog turns them into bound parameters, never into
SQL text. Raises UsageError where field, operator and value do not fit together.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from seehear.errors import UsageError
from seehear.own_fields import FieldType, FieldValue, OwnField
from seehear.suggestions import did_you_mean
from seehear.types import Origin


class Field(StrEnum):
    """The fields that can be compared. The comment names the type of the value."""

    MODALITY = "modality"  # str: text, image, audio, video
    FORMAT = "format"  # str: "jpeg", "mp4", ...
    FOLDER = "folder"  # Path, absolute; str for LIKE
    NAME = "name"  # str: file name without folder; case does not count
    TAKEN = "taken"  # datetime without time zone, as the camera's clock said
    MODIFIED = "modified"  # datetime; without time zone it is local time
    SIZE = "size"  # bytes
    DURATION = "duration"  # seconds
    WIDTH = "width"  # pixels
    HEIGHT = "height"  # pixels
    ORIENTATION = "orientation"  # str: landscape, portrait, square
    CAMERA = "camera"  # str
    LENS = "lens"  # str
    ARTIST = "artist"  # str
    ALBUM = "album"  # str
    GENRE = "genre"  # str
    CITY = "city"  # str
    COUNTRY = "country"  # str
    LATITUDE = "latitude"  # degrees, north positive
    LONGITUDE = "longitude"  # degrees, east positive
    COORDINATES = "place"  # Place
    TITLE = "title"  # str
    CAPTION = "caption"  # str
    PARTIAL = "partial"  # str: what is missing in a file that is read in part
    KEYWORD = "keyword"  # str: one of the embedded keywords (tags)
    PEOPLE = "people"  # str: the name of one of the people shown
    DATE_FROM = "date_from"  # str: exif, xmp, iptc, tags, container, document, sidecar, name
    DATE_PRECISION = "date_precision"  # str: day, week, month, year; none with a time of day
    ZONE = "zone"  # str: "+09:00", "Asia/Tokyo"
    ZONE_FROM = "zone_from"  # str: file, place, name, machine
    LANGUAGE = "language"  # str: as in ISO 639, of anything said or written
    SPEECH = "speech"  # anything heard by a reader
    WRITING = "writing"  # anything read in an image by a reader
    SUBTITLES = "subtitles"  # inside the file or beside it
    LYRICS = "lyrics"  # the same
    SAID = "said"  # str: words of speech, subtitles and lyrics
    WRITTEN = "written"  # str: words of writing


class Op(StrEnum):
    """How a field is compared."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    LIKE = "~"
    """The whole text matches a pattern: `*` any characters, `?` one; ignores case. What is said or
    written: a passage has all of the words, in any form."""
    UNDER = "under"
    """The file is the path, or is below it at any depth."""
    WITHIN = "within"
    """The item was made inside a circle on the map."""
    KNOWN = "known"
    """The field has a value; the comparison's own value is ignored."""


@dataclass(frozen=True, slots=True)
class GeoCircle:
    """A circle on the map. Raises UsageError outside the ranges of latitude and longitude."""

    latitude: float
    longitude: float
    radius_km: float

    def __post_init__(self) -> None:
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise UsageError(
                f"latitude goes from -90 to 90 and longitude from -180 to 180, "
                f"not {self.latitude}, {self.longitude}"
            )
        if not (math.isfinite(self.radius_km) and self.radius_km >= 0):
            raise UsageError(f"the radius must be 0 km or more, not {self.radius_km}")


FilterValue = str | float | int | datetime | Path | GeoCircle | None

_ORDER = frozenset({Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE, Op.KNOWN})
_WORDS = frozenset({Op.EQ, Op.NE, Op.LIKE, Op.KNOWN})
_CHOICE = frozenset({Op.EQ, Op.NE})

_OPERATORS: dict[Field, frozenset[Op]] = {
    Field.MODALITY: _CHOICE,
    Field.ORIENTATION: _CHOICE | {Op.KNOWN},
    Field.FORMAT: _WORDS,
    Field.NAME: _WORDS,
    Field.FOLDER: frozenset({Op.UNDER, Op.LIKE}),
    Field.COORDINATES: frozenset({Op.WITHIN, Op.KNOWN}),
    Field.TAKEN: _ORDER,
    Field.MODIFIED: _ORDER,
    Field.SIZE: _ORDER,
    Field.DURATION: _ORDER,
    Field.WIDTH: _ORDER,
    Field.HEIGHT: _ORDER,
    Field.LATITUDE: _ORDER,
    Field.LONGITUDE: _ORDER,
    Field.LANGUAGE: _CHOICE | {Op.KNOWN},
    **dict.fromkeys(
        (Field.SPEECH, Field.WRITING, Field.SUBTITLES, Field.LYRICS), frozenset({Op.KNOWN})
    ),
    **dict.fromkeys((Field.SAID, Field.WRITTEN), frozenset({Op.LIKE, Op.KNOWN})),
}

ORIGINS: dict[Field, tuple[Origin, ...]] = {
    Field.SPEECH: (Origin.SPEECH,),
    Field.WRITING: (Origin.WRITING,),
    Field.SUBTITLES: (Origin.SUBTITLES,),
    Field.LYRICS: (Origin.LYRICS,),
    Field.SAID: (Origin.SPEECH, Origin.SUBTITLES, Origin.LYRICS),
    Field.WRITTEN: (Origin.WRITING,),
    Field.LANGUAGE: tuple(Origin),
}
"""Fields of what is said and written, with the origins of the passages that they are about."""

LISTS = frozenset({Field.KEYWORD, Field.PEOPLE})
"""Fields with several texts, joined by "; ": each is compared as a whole."""

DETAILS = tuple(field for field in Field if field not in _OPERATORS)
"""Text that a file contains about itself, by the names in `MediaInfo.details`: all other fields."""

OPERATORS = _OPERATORS | dict.fromkeys(DETAILS, _WORDS)
"""The operators of each field."""

CHOICES: dict[Field, frozenset[str]] = {
    Field.MODALITY: frozenset({"text", "image", "audio", "video"}),
    Field.ORIENTATION: frozenset({"landscape", "portrait", "square"}),
}
"""Fields whose value is one of a few words."""

_TYPES: dict[Field, tuple[type, ...]] = {
    Field.TAKEN: (datetime,),
    Field.MODIFIED: (datetime,),
    Field.FOLDER: (Path,),
    Field.COORDINATES: (GeoCircle,),
    **dict.fromkeys(
        (
            Field.SIZE,
            Field.DURATION,
            Field.WIDTH,
            Field.HEIGHT,
            Field.LATITUDE,
            Field.LONGITUDE,
        ),
        (int, float),
    ),
}


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison. Raises UsageError where field, operator and value do not fit together."""

    field: Field
    op: Op
    value: FilterValue = None

    def __post_init__(self) -> None:
        allowed = OPERATORS[self.field]
        if self.op not in allowed:
            raise UsageError(
                f"{self.field} cannot be compared with {self.op}; use "
                + " ".join(sorted("has" if op is Op.KNOWN else op for op in allowed))
            )
        if self.op is Op.KNOWN:
            return
        types = (str,) if self.op is Op.LIKE else _TYPES.get(self.field, (str,))
        if not isinstance(self.value, types) or isinstance(self.value, bool):
            wanted = " or ".join(kind.__name__ for kind in types)
            raise UsageError(f"{self.field} takes {wanted}, not {self.value!r}")
        if isinstance(self.value, float) and math.isnan(self.value):
            raise UsageError(f"{self.field} takes a number, not {self.value}")
        if isinstance(self.value, str | Path) and not _is_storable(self.value):
            raise UsageError(f"{self.field} is compared with a character that no text has")
        choices = CHOICES.get(self.field)
        if choices and self.value not in choices:
            hint = did_you_mean(str(self.value), choices)
            raise UsageError(
                f'No {self.field} "{self.value}".{hint} Choose from {", ".join(sorted(choices))}'
            )
        if isinstance(self.value, Path) and not self.value.is_absolute():
            raise UsageError(f"{self.field} takes an absolute path, not {self.value}")


def _is_storable(value: str | Path) -> bool:
    """Return whether a database can be asked for a text or path: no NUL, no lone surrogate."""
    try:
        encoded = value.encode() if isinstance(value, str) else os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return b"\0" not in encoded


_OWN_OPERATORS = {
    FieldType.TEXT: _WORDS,
    FieldType.TEXTS: _WORDS,
    FieldType.NUMBER: _ORDER,
    FieldType.DATE: _ORDER,
    FieldType.BOOL: _CHOICE | {Op.KNOWN},
}


@dataclass(frozen=True, slots=True)
class CompareOwn:
    """A comparison of a field of one's own; of several texts, one has to meet it.

    The value is a number, True or False, a date or a text, as its type says. Raises UsageError
    where field, operator and value do not fit together.
    """

    field: OwnField
    op: Op
    value: FieldValue | None = None

    def __post_init__(self) -> None:
        allowed = _OWN_OPERATORS[self.field.type]
        if self.op not in allowed:
            raise UsageError(
                f"{self.field} cannot be compared with {self.op}; use "
                + " ".join(sorted("has" if op is Op.KNOWN else op for op in allowed))
            )
        if isinstance(self.value, str) and not _is_storable(self.value):
            raise UsageError(f"{self.field} is compared with a character that no text has")


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold; without parts it always holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds; without parts it never holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Filter


Filter = Compare | CompareOwn | And | Or | Not
