"""Read what a file says about itself: camera, date, coordinates, captions, keywords.

From EXIF, IPTC and XMP of images and from the tags of containers. Nothing here makes a file
unreadable: a block that cannot be read is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

from PIL import ExifTags, Image, IptcImagePlugin

from seehear.media.limits import LIMITS
from seehear.media.mute_logs import mute

Details = dict[str, str | int | float]

MOST_CHARACTERS = 4_000
"""Of one caption or list of keywords: more than a person writes, less than a program dumps."""

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XMP_FIELDS = {
    "{http://purl.org/dc/elements/1.1/}title": "title",
    "{http://purl.org/dc/elements/1.1/}description": "caption",
    "{http://purl.org/dc/elements/1.1/}subject": "keywords",
    "{http://purl.org/dc/elements/1.1/}creator": "artist",
    "{http://ns.adobe.com/xap/1.0/}Rating": "rating",
    "{http://ns.adobe.com/photoshop/1.0/}City": "city",
    "{http://ns.adobe.com/photoshop/1.0/}Country": "country",
}


_ISO_6709 = re.compile(r"([+-]\d{1,2}(?:\.\d{1,20}+)?)([+-]\d{1,3}(?:\.\d{1,20}+)?)")


def orientation(width_px: int, height_px: int) -> str:
    """Return "landscape", "portrait" or "square"."""
    if width_px == height_px:
        return "square"
    return "landscape" if width_px > height_px else "portrait"


def of_image(image: Image.Image) -> tuple[datetime | None, Details]:
    """Return the date an image was taken, or None, and its details."""
    taken: list[datetime | None] = [None]
    details: Details = {}

    def from_exif() -> None:
        taken[0], found = of_exif(image.getexif())
        details.update(found)

    def from_text() -> None:
        info = image.info
        for key, name in (("Title", "title"), ("Description", "caption"), ("Author", "artist")):
            _put(details, name, info.get(key))

    readers: tuple[Callable[[], object], ...] = (
        from_text,
        from_exif,
        lambda: details.update(of_iptc(image)),
        lambda: details.update(of_xmp(_xmp_of(image))),
    )
    with mute():
        for read in readers:
            try:
                read()
            except Exception:  # any block may be broken in any way; the image is still readable
                continue
    return taken[0], details


def of_exif(exif: Image.Exif) -> tuple[datetime | None, Details]:
    """Read date, camera, lens, coordinates and texts from an EXIF block."""
    details: Details = {}
    inner = _directory(exif, ExifTags.IFD.Exif)
    make, model = _text(exif.get(271)), _text(exif.get(272))
    if model:
        first = make.split()[0] if make else ""
        known = not first or model.lower().startswith(first.lower())
        _put(details, "camera", model if known else f"{make} {model}")
    elif make:
        _put(details, "camera", make)
    _put(details, "lens", inner.get(42036))
    _put(details, "caption", exif.get(270))
    _put(details, "artist", exif.get(315))
    for tag, name in ((40091, "title"), (40092, "caption"), (40094, "keywords")):
        value = exif.get(tag)
        if isinstance(value, tuple):
            value = bytes(value)
        if isinstance(value, bytes):
            words = value.decode("utf-16-le", "ignore").strip("\x00 ")
            _put(details, name, words.replace(";", "; ").replace(";  ", "; "))
    if "caption" not in details:
        comment = inner.get(37510)
        if isinstance(comment, bytes) and comment[:8] == b"ASCII\x00\x00\x00":
            _put(details, "caption", comment[8:])
        elif isinstance(comment, bytes) and comment[:7] == b"UNICODE":
            _put(details, "caption", comment[8:].decode("utf-16-le", "ignore"))
    details.update(_coordinates(_directory(exif, ExifTags.IFD.GPSInfo)))
    date = next(
        (date for tag in (36867, 36868) if (date := exif_date(inner.get(tag)))),
        None,
    )
    return date or exif_date(exif.get(306)), details


def of_iptc(image: Image.Image) -> Details:
    """Read title, caption and keywords from an IPTC block."""
    block = IptcImagePlugin.getiptcinfo(image) or {}  # type: ignore[arg-type]
    details: Details = {}
    for key, name in (((2, 5), "title"), ((2, 120), "caption"), ((2, 25), "keywords")):
        value = block.get(key)
        values = value if isinstance(value, list) else [value]
        _put(details, name, "; ".join(text for item in values if (text := _text(item))))
    return details


def of_xmp(packet: bytes | str | None) -> Details:
    """Read title, caption, keywords, author and rating from an XMP packet."""
    details: Details = {}
    if not packet or len(packet) > LIMITS.metadata_bytes:
        return details
    data = packet.encode() if isinstance(packet, str) else packet
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        return details  # XMP has no entities of its own; a file that declares some is hostile
    start, end = data.find(b"<"), data.rfind(b">")
    try:
        root = ET.fromstring(data[start : end + 1])
    except (ET.ParseError, ValueError):
        return details
    for description in root.iter(f"{_RDF}Description"):
        for key, name in _XMP_FIELDS.items():
            _put(details, name, description.get(key))
        for element in description:
            field = _XMP_FIELDS.get(element.tag)
            if field:
                # Only the items of its own list: elements inside elements would be read again for
                # each element around them.
                items = [item.text for item in element.findall(f"*/{_RDF}li")] or [element.text]
                if field in {"title", "caption"}:
                    items = items[:1]  # the first of the languages, which is the default
                _put(details, field, "; ".join(text for item in items if (text := _text(item))))
    if "rating" in details:
        try:
            details["rating"] = int(float(details["rating"]))
        except ValueError:
            del details["rating"]
    return details


def of_tags(tags: Mapping[str, str]) -> tuple[datetime | None, Details]:
    """Read date and details from the tags of an audio or video container."""
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
        _put(details, name, next((lower[key] for key in keys if lower.get(key)), None))
    for key in ("com.apple.quicktime.location.iso6709", "location", "location-eng"):
        match = _ISO_6709.match(lower.get(key, ""))
        if match:
            details["latitude"], details["longitude"] = float(match[1]), float(match[2])
            break
    for key in ("com.apple.quicktime.creationdate", "creation_time", "date", "year"):
        date = iso_date(lower.get(key, ""))
        if date is not None:
            return date, details
    return None, details


def exif_date(value: object) -> datetime | None:
    """Parse "2024:06:01 12:34:56"; return None for anything that is not a date."""
    match = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?", _text(value))
    return _date(match.groups("0")) if match else None


def iso_date(text: str) -> datetime | None:
    """Parse a container's date, "2024-06-01T12:34:56Z" or a year alone, without its time zone.

    Returns None for anything that is not a date.
    """
    match = re.match(r"(\d{4})(?:-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d):(\d\d))?)?", text.strip())
    if not match:
        return None
    year, month, day, hour, minute, second = match.groups()
    return _date((year, month or "1", day or "1", hour or "0", minute or "0", second or "0"))


def _date(parts: Iterable[str]) -> datetime | None:
    try:
        date = datetime(*(int(part) for part in parts))  # type: ignore[arg-type]
    except ValueError:
        return None
    # Cameras without a clock write the start of their epoch.
    return date if 1826 <= date.year <= 2200 else None


def _coordinates(gps: Mapping[int, Any]) -> Details:
    details: Details = {}
    for name, value_tag, side_tag, negative, most in (
        ("latitude", 2, 1, "S", 90),
        ("longitude", 4, 3, "W", 180),
    ):
        try:
            degrees, minutes, seconds = (float(part) for part in gps[value_tag])
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return {}
        value = degrees + minutes / 60 + seconds / 3600
        if not 0 <= value <= most:  # NaN fails as well
            return {}
        details[name] = round(-value if _text(gps.get(side_tag)) == negative else value, 7)
    try:
        altitude = float(gps[6])
        if -500 <= altitude <= 100_000:
            below = gps.get(5) in (1, b"\x01")
            details["altitude_m"] = round(-altitude if below else altitude, 1)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        pass
    return details


def _directory(exif: Image.Exif, tag: int) -> Mapping[int, Any]:
    try:
        return exif.get_ifd(tag)
    except Exception:  # treat a broken directory as an absent one
        return {}


def _xmp_of(image: Image.Image) -> bytes | str | None:
    info = image.info
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp")
    return packet if isinstance(packet, bytes | str) else None


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = _decoded(value)
    if not isinstance(value, str):
        return ""
    text = "".join(" " if ord(char) < 32 else char for char in value.replace("\x00", " "))
    return " ".join(text.encode("utf-8", "ignore").decode().split())[:MOST_CHARACTERS]


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _put(details: Details, name: str, value: object) -> None:
    if text := _text(value):
        details[name] = text
