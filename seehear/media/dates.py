"""Read dates as files write them, and find the local time at which something was made.

    parse_date("2024:06:15 08:00:00+09:00")     EXIF, QuickTime, XMP
    parse_date("20240615"), "2024/06/15"        Vorbis, IPTC
    parse_date("2024-06"), "2024", "2024-W24"   ID3, Matroska, ISO 8601: a part of a date
    parse_date("Sat, 15 Jun 2024 08:00:00 GMT") PNG, mail; and as C's `asctime` writes it (AVI)
    name_date("IMG_20240615_123456.jpg")        phones and messengers

A text is a date as a whole or not at all, and a date that no calendar has is none. What lacks its
last parts is the first instant of its period, with a precision that says so.

`taken_at` is local time everywhere, as a camera's clock shows it. A film states UTC, so
`local_time` turns it into the time at its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from seehear.media.details import Details

FIRST_YEAR, LAST_YEAR = 1826, 2200
"""The oldest photograph, and a year that no clock of today shows."""

ORIGINAL, DIGITIZED, CHANGED, BY_NAME = range(4)
"""What a date is of: the scene, its scan, the last change, or the file's name; the least counts."""

WHOLE = "time"
"""The precision of a date with a time of day; others are "day", "week", "month" and "year"."""

_MOST_CHARACTERS = 64
_MOST_OFFSET = timedelta(hours=14)
_NAME_SLACK_S = 60.0
"""How far the time in a name and that in the file may be apart, besides whole zones."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAME = rf"(?P<name>{'|'.join(_MONTHS)})[a-z]{{0,6}}"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},?\s+)?"
_CLOCK = (
    r"(?P<hour>\d\d)(?:(?P<colon>:?)(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d))?)?"
    r"(?:[.,](?P<fraction>\d{1,20}))?"
)
_ZONE = r"(?:\s?(?P<zone>z|utc|gmt|[-+\u2212]\d\d(?::?\d\d)?))?"
_TIME = rf"(?:(?:t|\s+){_CLOCK}{_ZONE})?"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        r"(?P<year>\d{4})",
        r"(?P<year>\d{4})[-/:.](?P<month>\d\d)",
        r"(?P<year>\d{4})-?w(?P<week>\d\d)",
        rf"(?P<year>\d{{4}})(?P<mark>[-/:._ ])(?P<month>\d\d?)(?P=mark)(?P<day>\d\d?){_TIME}",
        rf"(?P<year>\d{{4}})(?P<month>\d\d)(?P<day>\d\d){_TIME}",
        rf"(?P<year>\d{{4}})(?P<month>\d\d)(?P<day>\d\d){_CLOCK}{_ZONE}",
        rf"(?P<year>\d{{4}})-?w(?P<week>\d\d)-?(?P<weekday>[1-7]){_TIME}",
        rf"(?P<year>\d{{4}})-?(?P<ordinal>\d{{3}}){_TIME}",
        rf"{_WEEKDAY}(?P<day>\d\d?)[- ]{_MONTH_NAME}[- ](?P<year>\d{{4}}){_TIME}",
        rf"{_WEEKDAY}{_MONTH_NAME}\s+(?P<day>\d\d?)\s+{_CLOCK}\s+(?P<year>\d{{4}})",
    )
)

_NAME_DAY = r"(?P<year>(?:19|20)\d\d)(?P<mark>[-_.]?)(?P<month>\d\d)(?P=mark)(?P<day>\d\d)"
_NAME_TIME = (
    r"(?:(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)"
    r"|(?P<hour_>\d\d?)(?P<colon>[-_.:])(?P<minute_>\d\d)(?P=colon)(?P<second_>\d\d))"
    r"(?:[-_.]?\d{3})?(?!\d)(?:\s?(?P<half>[ap])\.?m\b)?"
)
_WHOLE_NAME = re.compile(
    rf"(?:\D{{0,40}}|.{{0,20}}_BURST){_NAME_DAY}(?:[-_. T]|,? \D{{0,8}} )?{_NAME_TIME}",
    re.IGNORECASE,
)
"""A date with a time, behind any words: "Screenshot 2024-06-15 at 12.34.56"."""
_DAY_NAME = re.compile(
    r"(?:img|vid|aud|ptt|stk|doc|pxl|mvimg|pano|photo|video|audio|screenshot|signal|telegram|viber"
    rf"|whatsapp [a-z ]{{1,20}})[-_ ]{_NAME_DAY}(?!\d)",
    re.IGNORECASE,
)
_MILLISECONDS_NAME = re.compile(
    r"(?:fb_img_|fb_vid_|mmexport|wx_camera_|received_)(?P<ms>1\d{12})(?!\d)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Date:
    """A date as it is written: `at` is its first instant, without a zone."""

    at: datetime
    precision: str = WHOLE
    offset: timedelta | None = None
    """From UTC, where the date states it."""
    is_utc: bool = False
    """It is in UTC, which says nothing about the time at its place."""


Dated = tuple[int, str, Date]
"""A date with what it is of, and where it is from: "exif", "xmp", "tags", "container", ..."""


def parse_date(text: str) -> Date | None:
    """Parse a date in any documented form; None for anything else. Fractions are left out."""
    text = text.strip("\0 \t\r\n")
    if len(text) > _MOST_CHARACTERS:
        return None
    return next((_date_of(found) for form in _FORMS if (found := form.fullmatch(text))), None)


def exif_date(text: str, offset: str = "") -> Date | None:
    """Parse a date of EXIF: unknown parts are blank; the offset is written apart from it."""
    found = parse_date(text.rstrip("\0 :"))
    stated = parse_date(f"2000-01-01T00:00:00{offset.strip(chr(0) + ' ')}") if offset else None
    if found is not None and stated is not None and stated.offset is not None:
        # "Z" beside the clock's time is a zone like any other.
        found = replace(found, offset=stated.offset, is_utc=False)
    return found


def datetime_date(at: datetime) -> Date | None:
    """Return what a library has parsed as a date; None outside the calendar of photographs."""
    local = at.replace(microsecond=0, tzinfo=None)
    return Date(local, offset=at.utcoffset()) if FIRST_YEAR <= at.year <= LAST_YEAR else None


def unix_date(seconds: float) -> Date | None:
    """Return the date of a number of seconds since 1970; None for 0 and outside the calendar."""
    try:
        at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=0, tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return None
    if not seconds or not FIRST_YEAR <= at.year <= LAST_YEAR:
        return None
    return Date(at, offset=timedelta(), is_utc=True)


def name_date(name: str) -> Date | None:
    """Return the date that a phone or a messenger wrote into a file's name."""
    if found := _MILLISECONDS_NAME.match(name):
        return unix_date(int(found["ms"]) / 1000)
    found = _WHOLE_NAME.match(name) or _DAY_NAME.match(name)
    if found is None:
        return None
    parts = {key.rstrip("_"): value for key, value in found.groupdict().items() if value}
    text = f"{parts['year']}-{parts['month']}-{parts['day']}"
    if "hour" in parts:
        hour = int(parts["hour"])
        if half := parts.get("half", ""):
            hour = hour % 12 + 12 * (half in "pP") if 1 <= hour <= 12 else 99
        text += f"T{hour:02}:{parts['minute']}:{parts['second']}"
        if name[:4].upper() == "PXL_":  # the one camera whose names are in UTC
            text += "Z"
    return parse_date(text)


def local_time(
    made: Date,
    point: tuple[float, float] | None = None,
    name: str = "",
    duration_s: float = 0.0,
) -> tuple[datetime, Details]:
    """Return a date as local time, and its `zone` and `zone_from`, how the zone was found.

    "file": the date states it; "place": that at `point`, a latitude and longitude; "name": a phone
    wrote the local time of a recording into its file name; "machine": that of this machine, for
    want of anything better. A date without a zone is local time already.
    """
    if made.precision != WHOLE or made.offset is None:
        return made.at, {}
    if not made.is_utc:
        return made.at, {"zone": _offset_text(made.offset), "zone_from": "file"}
    instant = made.at.replace(tzinfo=UTC)
    if point is not None:
        import tzfpy

        if zone := tzfpy.get_tz(point[1], point[0]):
            at = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            return at, {"zone": zone, "zone_from": "place"}
    offset = _offset_by_name(made, name, duration_s)
    source = "machine" if offset is None else "name"
    local = instant.astimezone(None if offset is None else timezone(offset))
    found = _offset_text(local.utcoffset() or timedelta())
    return local.replace(tzinfo=None), {"zone": found, "zone_from": source}


def choose_date(
    dates: Iterable[Dated],
    point: tuple[float, float] | None = None,
    name: str = "",
    duration_s: float = 0.0,
) -> tuple[datetime | None, Details]:
    """Return the best of a file's dates as local time, and what is to be said about it.

    `date_from` is its source. `date_precision` is "day", "week", "month" or "year" where the time
    of day is unknown.
    """
    best = min(dates, key=lambda dated: dated[0], default=None)
    if best is None:
        return None, {}
    _, source, made = best
    at, details = local_time(made, point, name, duration_s)
    details["date_from"] = source
    if made.precision != WHOLE:
        details["date_precision"] = made.precision
    return at, details


def _date_of(found: re.Match[str]) -> Date | None:
    parts = {key: value for key, value in found.groupdict().items() if value}
    year = int(parts["year"])
    try:
        if "week" in parts:
            day = date.fromisocalendar(year, int(parts["week"]), int(parts.get("weekday", 1)))
            precision = "day" if "weekday" in parts else "week"
        elif "ordinal" in parts:
            day = date(year, 1, 1) + timedelta(days=int(parts["ordinal"]) - 1)
            precision = "day" if day.year == year else ""
        else:
            named = parts.get("name", "").lower()
            month = _MONTHS.index(named) + 1 if named else int(parts.get("month", 1))
            day = date(year, month, int(parts.get("day", 1)))
            precision = "day" if "day" in parts else "month" if "month" in parts else "year"
        if not precision or not FIRST_YEAR <= year <= LAST_YEAR:
            return None
        at = datetime(day.year, day.month, day.day)
        if "hour" not in parts:
            return Date(at, precision)
        offset, zone = None, parts.get("zone", "").upper()
        if zone:
            offset = _offset_of(zone)
        return Date(at + _time_of_day(parts), WHOLE, offset, zone in {"Z", "UTC", "GMT"})
    except (ValueError, OverflowError):
        return None


def _time_of_day(parts: dict[str, str]) -> timedelta:
    """Return the time since midnight, in whole seconds. Raises ValueError for no time."""
    hour, minute, second = (int(parts.get(name, 0)) for name in ("hour", "minute", "second"))
    # A leap second, and midnight at the end of a day, are times.
    if (hour, minute, second) != (24, 0, 0) and not (hour < 24 and minute < 60 and second <= 60):
        raise ValueError("no such time")
    time = timedelta(hours=hour, minutes=minute, seconds=min(second, 59))
    if "second" not in parts and "fraction" in parts:
        unit = 60.0 if "minute" in parts else 3600.0
        time += timedelta(seconds=int(float(f"0.{parts['fraction']}") * unit))
    return time


def _offset_of(zone: str) -> timedelta:
    """Return the offset of "+09:00", "+0900", "+09" or "Z". Raises ValueError for no zone."""
    digits = re.sub(r"\D", "", zone)
    hours, minutes = int(digits[:2] or 0), int(digits[2:] or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    if minutes >= 60 or offset > _MOST_OFFSET:
        raise ValueError("no such zone")
    return offset if zone[0] not in "-\u2212" else -offset


def _offset_text(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _offset_by_name(made: Date, name: str, duration_s: float) -> timedelta | None:
    """Return the zone in which the name's time is that of a film, of its start or its end."""
    named = name_date(name)
    if named is None or named.is_utc or named.precision != WHOLE:
        return None
    apart_s = (named.at - made.at).total_seconds()
    best = min(_zones(apart_s, duration_s), key=lambda pair: pair[1])
    return best[0] if best[1] <= _NAME_SLACK_S and abs(best[0]) <= _MOST_OFFSET else None


def _zones(apart_s: float, duration_s: float) -> Iterator[tuple[timedelta, float]]:
    """Yield the nearest zones to a difference in time, each with what is left over, in seconds.

    Phones write the time at which a recording began or ended. Zones are half hours apart, but for
    three of quarters (Nepal, Eucla, Chatham).
    """
    for seconds in (apart_s, apart_s + duration_s):
        for quarters in (2 * round(seconds / 1800), *(23, 35, 51)):
            yield timedelta(minutes=15 * quarters), abs(seconds - 900 * quarters)
