"""Read coordinates as files write them: EXIF, XMP, ISO 6709 and plain degrees.

All give `latitude` and `longitude` in degrees, north and east positive, and `altitude_m` where it
is stated. Coordinates outside their range are left out, and so are 0, 0: devices write them before
they know where they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from seehear.media.details import Details

_NEGATIVE = ("S", "W")
_NOWHERE = 1e-5
"""In degrees, one metre: both coordinates below it are no place."""

_ISO_6709 = re.compile(
    r"(?P<lat>[+-]\d{2,6}(?:\.\d{0,20})?)(?P<lon>[+-]\d{1,7}(?:\.\d{0,20})?)"
    r"(?P<height>[+-]\d{1,6}(?:\.\d{0,20})?)?(?:CRS[^/]{0,40})?(?:/[^/]*)?",
    re.DOTALL,
)
_XMP = re.compile(
    r"(?P<degrees>[+-]?\d{1,3}(?:\.\d{0,20})?)(?:,(?P<minutes>\d{1,2}(?:\.\d{0,20})?))?"
    r"(?:,(?P<seconds>\d{1,2}(?:\.\d{0,20})?))?(?P<side>[NSEW]?)[A-Z]{0,4}",
    re.IGNORECASE,
)


def coordinates(latitude: float, longitude: float, altitude_m: float | None = None) -> Details:
    """Return details for a place on Earth; empty for anything else. NaN is no place."""
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return {}
    if abs(latitude) < _NOWHERE and abs(longitude) < _NOWHERE:
        return {}
    details: Details = {"latitude": round(latitude, 7), "longitude": round(longitude, 7)}
    if altitude_m is not None and -500 <= altitude_m <= 100_000:
        details["altitude_m"] = round(altitude_m, 1)
    return details


def point_of(details: Details) -> tuple[float, float] | None:
    """Return (latitude, longitude) of details, or None."""
    if "latitude" not in details or "longitude" not in details:
        return None
    return float(details["latitude"]), float(details["longitude"])


def exif_coordinates(gps: Mapping[int, Any]) -> Details:
    """Read the GPS directory of EXIF; the hemisphere may be "S", "s", "South"."""
    values = []
    for value_tag, side_tag in ((2, 1), (4, 3)):
        try:
            degrees, minutes, seconds = (float(part) for part in gps[value_tag])
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return {}
        value = abs(degrees) + abs(minutes) / 60 + abs(seconds) / 3600
        values.append(-value if degrees < 0 or _side(gps.get(side_tag)) in _NEGATIVE else value)
    altitude = None
    with suppress(KeyError, TypeError, ValueError, ZeroDivisionError):
        altitude = float(gps[6]) * (-1 if gps.get(5) in (1, b"\x01") else 1)
    return coordinates(values[0], values[1], altitude)


def xmp_coordinates(latitude: str, longitude: str) -> Details:
    """Read "35,39.57N" and "139,42,3E", as XMP writes them, or degrees."""
    values = []
    for text, sides in ((latitude, "NS"), (longitude, "EW")):
        found = _XMP.fullmatch(text[:80].replace(" ", ""))
        if found is None or (found["side"] and found["side"].upper() not in sides):
            return {}
        value = float(found["degrees"])
        value = math.copysign(
            abs(value) + float(found["minutes"] or 0) / 60 + float(found["seconds"] or 0) / 3600,
            -1 if found["degrees"].startswith("-") else 1,
        )
        values.append(-abs(value) if found["side"].upper() in _NEGATIVE else value)
    return coordinates(values[0], values[1])


def iso_6709(text: str) -> Details:
    """Read "+35.6595+139.7005/", "+3539.57+13942.03/" or "+353934+1394202+30/Tokyo"."""
    found = _ISO_6709.fullmatch(text[:400].strip())
    if found is None:
        return {}
    latitude, longitude = _sexagesimal(found["lat"], 2), _sexagesimal(found["lon"], 3)
    height = found["height"]
    return coordinates(latitude, longitude, None if height is None else float(height))


def _sexagesimal(text: str, most_degrees: int) -> float:
    """Convert degrees, with minutes and seconds where there are digits for them; NaN otherwise."""
    sign, (whole, _, fraction) = text[0], text[1:].partition(".")
    if len(whole) <= most_degrees:
        value = float(f"{whole}.{fraction or 0}")
    elif len(whole) == most_degrees + 2:
        value = int(whole[:-2]) + float(f"{whole[-2:]}.{fraction or 0}") / 60
    elif len(whole) == most_degrees + 4:
        seconds = float(f"{whole[-2:]}.{fraction or 0}")
        value = int(whole[:-4]) + int(whole[-4:-2]) / 60 + seconds / 3600
    else:
        return math.nan
    return -value if sign == "-" else value


def _side(value: object) -> str:
    """Return the first letter of a reference in any spelling; "" for none."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value.strip("\0 ").upper()[:1] if isinstance(value, str) else ""
