"""Read what a file says about itself: camera, dates, coordinates, captions, keywords.

From EXIF and IPTC of images (XMP: `media.xmp`) and from the tags of containers. Nothing here makes
a file unreadable: a block that cannot be read is left out. Dates are returned with their sources,
of which `dates.choose_date` takes one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from PIL import ExifTags, Image, IptcImagePlugin

from seehear.media.coordinates import exif_coordinates, iso_6709
from seehear.media.dates import (
    CHANGED,
    DIGITIZED,
    ORIGINAL,
    Date,
    Dated,
    exif_date,
    parse_date,
)
from seehear.media.details import MOST_CHARACTERS, Details, clean_words, join_words, put
from seehear.media.mute_logs import mute
from seehear.media.xmp import read_xmp

_UNSET_CLOCKS = {datetime(year, 1, 1) for year in (1904, 1970, 2001)}
"""The zero of the clocks of QuickTime, of Unix and of Matroska."""

_RECORDED = ("com.apple.quicktime.creationdate", "date_recorded")
_TAG_DATES = ("date_digitized", "date", "year", "date_released", "originaldate", "originalyear")


def orientation(width_px: int, height_px: int) -> str:
    """Return "landscape", "portrait" or "square"."""
    if width_px == height_px:
        return "square"
    return "landscape" if width_px > height_px else "portrait"


def of_image(image: Image.Image) -> tuple[list[Dated], Details]:
    """Return the dates of an image, and its details."""
    dates: list[Dated] = []
    details: Details = {}

    def from_text() -> tuple[list[Dated], Details]:
        found: Details = {}
        for key, name in (
            ("parameters", "caption"),  # of a generated image
            ("Title", "title"),
            ("Description", "caption"),
            ("Author", "artist"),
        ):
            put(found, name, image.info.get(key))
        created = parse_date(clean_words(image.info.get("Creation Time")))
        return _dated((ORIGINAL, "tags", created)), found

    readers: tuple[Callable[[], tuple[list[Dated], Details]], ...] = (
        from_text,
        lambda: of_exif(image.getexif()),
        lambda: of_iptc(image),
        lambda: read_xmp(_xmp_of(image)),
    )
    with mute():
        for read in readers:
            try:
                found, texts = read()
            except Exception:  # any block may be broken in any way; the image is still readable
                continue
            dates += found
            details |= texts
    return dates, details


def of_exif(exif: Image.Exif) -> tuple[list[Dated], Details]:
    """Read dates, camera, lens, coordinates and texts from an EXIF block."""
    details: Details = {}
    inner = _directory(exif, ExifTags.IFD.Exif)
    gps = _directory(exif, ExifTags.IFD.GPSInfo)
    make, model = clean_words(exif.get(271)), clean_words(exif.get(272))
    if model:
        first = make.split()[0] if make else ""
        known = not first or model.lower().startswith(first.lower())
        put(details, "camera", model if known else f"{make} {model}")
    elif make:
        put(details, "camera", make)
    put(details, "lens", inner.get(42036))
    put(details, "caption", exif.get(270))
    put(details, "artist", exif.get(315))
    for tag, name in ((40091, "title"), (40092, "caption"), (40094, "keywords")):
        value = exif.get(tag)
        if isinstance(value, tuple):
            value = bytes(value)
        if isinstance(value, bytes):
            words = value.decode("utf-16-le", "ignore").strip("\x00 ")
            put(details, name, words.replace(";", "; ").replace(";  ", "; "))
    comment = inner.get(37510)
    if isinstance(comment, bytes):
        comment = user_comment(comment, big_endian=exif.endian == ">")
    put(details, "comment" if "caption" in details else "caption", comment)
    details |= exif_coordinates(gps)
    dates = _dated(
        (ORIGINAL, "exif", _exif_date(inner, 36867, 36881)),
        (DIGITIZED, "exif", _exif_date(inner, 36868, 36882)),
        (DIGITIZED, "exif", _gps_date(gps)),
        (CHANGED, "exif", _exif_date({**inner, 306: exif.get(306)}, 306, 36880)),
    )
    return dates, details


def user_comment(data: bytes, *, big_endian: bool) -> str:
    """Decode UserComment: a code of eight bytes, then text.

    UTF-16 may have another byte order than the rest of EXIF, `big_endian`; the text tells which.
    """
    code, text = data[:8].rstrip(b"\x00 ").upper(), data[8 : 8 + 4 * MOST_CHARACTERS]
    if code == b"JIS":
        return text.decode("iso2022_jp", "ignore")
    if code != b"UNICODE":
        # Some write the text at once, without a code.
        return clean_words(text if code in (b"", b"ASCII") else data[: 4 * MOST_CHARACTERS])
    orders = ("utf-16-be", "utf-16-le") if big_endian else ("utf-16-le", "utf-16-be")
    if (mark := text[:2]) in (b"\xfe\xff", b"\xff\xfe"):
        return text[2:].decode("utf-16-be" if mark == b"\xfe\xff" else "utf-16-le", "ignore")
    return min((text.decode(order, "replace") for order in orders), key=_strangeness)


def _strangeness(text: str) -> tuple[int, int]:
    """Measure how unlikely a text is: characters that no text has, then alphabets in it.

    Bytes in the wrong order give characters from everywhere.
    """
    text = text.strip("\0 ")
    strange = sum(
        (unicodedata.category(char)[0] == "C" and char not in "\r\n\t") or char == "\ufffd"
        for char in text
    )
    return strange, len({ord(char) >> 8 for char in text})


def of_iptc(image: Image.Image) -> tuple[list[Dated], Details]:
    """Read dates and texts from an IPTC block."""
    block = IptcImagePlugin.getiptcinfo(image) or {}  # type: ignore[arg-type]
    details: Details = {}
    for number, name in (
        (5, "title"), (120, "caption"), (25, "keywords"), (80, "artist"), (90, "city"),
        (101, "country"),
    ):  # fmt: skip
        value = block.get((2, number))
        put(details, name, join_words(value if isinstance(value, list) else [value]))
    dates = _dated(
        *(
            (tier, "iptc", _iptc_date(*(clean_words(block.get((2, key))) for key in keys)))
            for tier, keys in ((ORIGINAL, (55, 60)), (DIGITIZED, (62, 63)))
        )
    )
    return dates, details


def _iptc_date(day: str, time: str) -> Date | None:
    """Parse "20240615" and "080000+0900"; month and day are 00 where they are unknown."""
    parts = [day[:4], day[4:6], day[6:]]
    while len(parts) > 1 and parts[-1] == "00":
        parts.pop()
    return (parse_date(f"{day}T{time}") if time else None) or parse_date("-".join(parts))


def of_tags(tags: Mapping[str, str], *, is_video: bool = False) -> tuple[list[Dated], Details]:
    """Read dates and details from the tags of an audio or video container.

    The `creation_time` of a film is that of its recording. That of a sound is often that of its
    encoding: there the dates that people wrote come first.
    """
    lower = {key.lower(): value for key, value in tags.items()}
    details: Details = {}
    for name, keys in (
        ("title", ("title",)),
        ("artist", ("artist", "author", "album_artist", "composer")),
        ("album", ("album",)),
        ("genre", ("genre",)),
        ("caption", ("description", "comment", "synopsis")),
        ("keywords", ("keywords",)),
        ("camera", ("com.apple.quicktime.model", "com.android.model", "model")),
    ):
        put(details, name, next((lower[key] for key in keys if lower.get(key)), None))
    for key, value in lower.items():
        if "location" in key and (found := iso_6709(value)):
            details |= found
            break
    created = lower.get("creation_time", "")
    if re.fullmatch(r"\d\d(?:[-_:. ]\d\d){2}", created):  # a broadcast wave's time of day
        lower["date"] = f"{lower.get('date', '')} {re.sub('[-_. ]', ':', created)}"
    clock = parse_date(created)
    if clock is not None and clock.at in _UNSET_CLOCKS:
        clock = None
    recorded = [parse_date(lower.get(key, "")) for key in _RECORDED]
    written = [parse_date(lower.get(key, "")) for key in _TAG_DATES]
    # A date with the zone of its place says more than the same instant in UTC.
    zoned = [made for made in written if made and made.offset is not None and not made.is_utc]
    return _dated(
        *((ORIGINAL, "tags", made) for made in (*recorded, *zoned)),
        (DIGITIZED if is_video else CHANGED, "container", clock),
        *((CHANGED if is_video else DIGITIZED, "tags", made) for made in written),
    ), details


def _dated(*dates: tuple[int, str, Date | None]) -> list[Dated]:
    """Return the dates that there are."""
    return [(tier, source, made) for tier, source, made in dates if made is not None]


def _exif_date(directory: Mapping[int, Any], tag: int, offset_tag: int) -> Date | None:
    return exif_date(_raw(directory.get(tag)), _raw(directory.get(offset_tag)))


def _gps_date(gps: Mapping[int, Any]) -> Date | None:
    """Return the time of the satellites, in UTC."""
    try:
        hour, minute, second = (int(float(part)) for part in gps[7])
        return parse_date(f"{_raw(gps.get(29))} {hour:02}:{minute:02}:{second:02}Z")
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return exif_date(_raw(gps.get(29)))


def _raw(value: object) -> str:
    """Return a text of EXIF as it is, since blanks in it have a meaning."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value.strip("\0") if isinstance(value, str) else ""


def _directory(exif: Image.Exif, tag: int) -> Mapping[int, Any]:
    try:
        return exif.get_ifd(tag)
    except Exception:  # treat a broken directory as an absent one
        return {}


def _xmp_of(image: Image.Image) -> bytes | str | None:
    info = image.info
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp")
    return packet if isinstance(packet, bytes | str) else None
