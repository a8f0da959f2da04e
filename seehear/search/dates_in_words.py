"""Find dates in the words of a query: "last summer", "in June 2019", "since 2020".

A small grammar of English, because general parsers of dates take words for dates that are none
("may", "sun", "march"). It finds periods: a first day and the day after the last one. What could
also be said of a picture ("summer", "2019" on a sign, "in May") is found with `certain` False.
Seasons are those of the north: winter is December to February, and has the year of its January.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

MONTHS = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
]  # fmt: skip
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
"""The month that each begins in."""
NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "a": 1, "an": 1, "few": 3, "a few": 3, "couple of": 2, "a couple of": 2,
}  # fmt: skip
OLDEST = 1826
"""The year of the first photograph; a smaller number is no year."""

_MONTH = "(?:" + "|".join(f"{name[:3]}(?:{name[3:]})?" for name in MONTHS) + r"|sept)\.?"
_SEASON = "|".join(SEASONS)
_YEAR = r"(?:18|19|20)\d\d"
_DAY = r"(?:[12]\d|3[01]|0?[1-9])(?:st|nd|rd|th)?"
_COUNTS = [name.replace(" ", r"\s") for name in sorted(NUMBERS, key=len, reverse=True)]
_COUNT = rf"(?:\d{{1,3}}|{'|'.join(_COUNTS)})"
_UNIT = r"(?:day|week|weekend|month|year)s?"


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `start` up to, not including, `stop`; None is open.

    `told` says when that is, for a person: "in June 2019", "since 2020", "yesterday".
    """

    start: date | None
    stop: date | None
    told: str


@dataclass(frozen=True, slots=True)
class FoundPeriod:
    """A period and the characters of the query that name it."""

    first: int
    last: int
    period: Period
    certain: bool


def find_periods(text: str, today: date) -> Iterator[FoundPeriod]:
    """Yield the periods that a text names, from left to right, none overlapping another.

    Words of the text are one blank apart.
    """
    end = 0
    for word in _START.finditer(text):
        match = _DATED.match(text, word.start()) if word.start() >= end else None
        if match is None:
            continue
        end = match.end()
        found = _read(match, today)
        if found is not None and _is_possible(found.period, today):
            yield found


def _is_possible(period: Period, today: date) -> bool:
    first = period.start or period.stop
    return first is not None and first.year >= OLDEST and first <= today


_BARE = rf"""
    (?:the\s)?(?:{_DAY}\s(?:of\s)?)?{_MONTH},?\s(?:of\s)?{_YEAR}   # (21) June 2019
  | {_MONTH}\s{_DAY},?\s{_YEAR}                                       # June 21, 2019
  | {_YEAR}-\d\d(?:-\d\d)?                                              # 2019-06-21
  | (?:early\s|late\s)?(?:{_SEASON})\s(?:of\s)?{_YEAR}
  | (?:early|late|(?:the\s)?(?:beginning|middle|end)\sof)\s{_YEAR}
  | (?:the\s)?(?:{_SEASON}|{_UNIT})\sbefore\slast
  | {_COUNT}\s(?:{_SEASON})s\sago
  | (?:christmas|easter|new\syear)\s{_YEAR}
  | (?:the\s)?{_YEAR[:-2]}0s                                            # the 1990s
  | today | yesterday | last\snight
  | (?:this|last|the\slast|the\spast|past)\s(?:{_COUNT}\s)?{_UNIT}
  | (?:this|last)\s(?:{_SEASON}|{_MONTH}|{"|".join(WEEKDAYS)}|christmas)
  | {_COUNT}\s{_UNIT}\sago
  | {_YEAR}
  | {_MONTH}\s{_DAY}\b | {_DAY}\s(?:of\s)?{_MONTH}
  | {_MONTH}
"""
_START = re.compile(r"(?<![\w-])\w")
_DATED = re.compile(
    rf"""
    (?:(?P<before>(?:taken|made|recorded|shot|filmed)\s)?
       (?P<marker>since|after|before|until|till|in|on|from|of|during|at|around)\s)?
    (?:between\s(?P<low>{_BARE})\sand\s(?P<high>{_BARE})|(?P<bare>{_BARE}))
    (?:\s?(?:-|–|to|until|till)\s?(?P<to>{_BARE}))?
    (?![\w'’-])
    """,
    re.IGNORECASE | re.VERBOSE,
)


def _read(match: re.Match[str], today: date) -> FoundPeriod | None:
    marker = (match["marker"] or "").lower()
    words = match["low"] or match["bare"]
    if other := match["high"] or match["to"]:
        between = _between(words, other, today)
        if between is None:
            return None
        return FoundPeriod(match.start(), match.end(), between, certain=True)
    found = _period(words, today)
    if found is None:
        return None
    period, certain = found
    if not marker and re.fullmatch(_MONTH, words, re.IGNORECASE):
        return None  # "march of the penguins", "may the road rise"
    decade = re.fullmatch(rf"{_YEAR[:-2]}0s", words, re.IGNORECASE) is not None
    year_alone = re.fullmatch(_YEAR, words) is not None
    if marker in ("since", "after", "before", "until", "till"):
        if not (certain or year_alone):
            return None
        period = _opened(period, marker)
        certain = True
    elif year_alone:
        certain = marker in ("in", "from", "during")
    elif decade:
        certain = bool(marker)
    return FoundPeriod(match.start(), match.end(), period, certain)


def _between(first: str, last: str, today: date) -> Period | None:
    """Read "June to May": up to the last May that began, from the last June before that."""
    until, since = _period(last, today), _period(first, today)
    if until is None or since is None:
        return None
    low, high = since[0], until[0]
    if low.start and high.start and low.start > high.start:
        before = _period(first, high.start)
        if before is not None:
            low = before[0]
    if low.start and high.start and low.start > high.start:  # "2020 to 2019"
        low, high = high, low
    if low.start is None or high.stop is None:
        return None
    return Period(low.start, high.stop, f"from {_bare(low)} to {_bare(high)}")


def _opened(period: Period, marker: str) -> Period:
    told = f"{marker} {_bare(period)}"
    if marker == "since":
        return Period(period.start, None, told)
    if marker == "after":
        return Period(period.stop, None, told)
    if marker == "before":
        return Period(None, period.start, told)
    return Period(None, period.stop, told)


def _bare(period: Period) -> str:
    return re.sub("^(?:in|on|at) ", "", period.told)


def _period(words: str, today: date) -> tuple[Period, bool] | None:
    """Return the period of a bare expression, and whether it can only be a date."""
    words = words.lower().replace(",", "").removeprefix("the ")
    try:
        for pattern, read, certain in _FORMS:
            if (match := re.fullmatch(pattern, words)) is not None:
                period = read(match, today)
                return None if period is None else (period, certain)
    except ValueError:  # the 31st of June
        return None
    return None


def _days(start: date, days: int, told: str) -> Period:
    return Period(start, start + timedelta(days=days), told)


def _month_number(word: str) -> int:
    return [name[:3] for name in MONTHS].index(word[:3]) + 1


def _month(year: int, month: int, months: int = 1, told: str = "") -> Period:
    stop = year * 12 + month - 1 + months
    told = told or f"in {MONTHS[month - 1].capitalize()} {year}"
    return Period(date(year, month, 1), date(stop // 12, stop % 12 + 1, 1), told)


def _year(year: int, years: int = 1, told: str = "") -> Period:
    return Period(date(year, 1, 1), date(year + years, 1, 1), told or f"in {year}")


def _season(name: str, year: int) -> Period:
    begins = SEASONS[name]
    return _month(year - (begins == 12), begins, 3, f"in {name} {year}")


def _a_day(day: str, month: str, year: int) -> Period:
    found = date(year, _month_number(month), int(re.sub(r"\D", "", day)))
    return _days(found, 1, f"on {found.day} {MONTHS[found.month - 1].capitalize()} {year}")


def _iso(match: re.Match[str], _: date) -> Period:
    year, month, day = (int(one) if one else None for one in match.groups())
    assert year is not None
    assert month is not None
    if day is None:
        return _month(year, month)
    return _days(date(year, month, day), 1, f"on {match[0]}")


def _easter(year: int) -> date:
    """Return Easter Sunday (Meeus, Astronomical Algorithms, chapter 8)."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    el = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 19 * el) // 433
    month = (h + el - 7 * m + 90) // 25
    return date(year, month, (h + el - 7 * m + 33 * month + 19) % 32)


def _feast(name: str, year: int) -> Period:
    told = f"at {name.capitalize()} {year}"
    if name == "christmas":
        return _days(date(year, 12, 24), 3, told)
    if name == "easter":
        return _days(_easter(year) - timedelta(days=2), 4, told)
    return _days(date(year - 1, 12, 31), 2, told)


def _count(word: str) -> int:
    return int(word) if word.isdigit() else NUMBERS[word]


def _span(match: re.Match[str], today: date) -> Period:
    """Read "this week", "last year", "last three months": of the calendar, or up to today."""
    which, count, unit = match["which"], match["count"], match["unit"].removesuffix("s")
    if count is not None or match["unit"].endswith("s"):
        back = _back(today, _count(count or "few"), unit)
        return Period(
            back, today + timedelta(days=1), f"in the last {count or 'few'} {match['unit']}"
        )
    told = f"{which} {unit}"
    ago = 0 if which == "this" else 1
    if unit == "day":
        return _days(today - timedelta(days=ago), 1, told)
    if unit == "week":
        monday = today - timedelta(days=today.weekday() + 7 * ago)
        return _days(monday, 7, told)
    if unit == "weekend":
        saturday = today - timedelta(days=(today.weekday() - 5) % 7)
        in_it = today.weekday() >= 5
        return _days(saturday - timedelta(days=7 if ago and in_it else 0), 2, told)
    if unit == "month":
        number = today.year * 12 + today.month - 1 - ago
        return _month(number // 12, number % 12 + 1)
    return _year(today.year - ago)


def _back(day: date, count: int, unit: str) -> date:
    if unit in ("day", "week", "weekend"):
        return day - timedelta(days=count * (1 if unit == "day" else 7))
    number = day.year * 12 + day.month - 1 - count * (12 if unit == "year" else 1)
    for last in range(day.day, 27, -1):
        try:
            return date(number // 12, number % 12 + 1, last)
        except ValueError:  # no 31st in that month
            continue
    return date(number // 12, number % 12 + 1, day.day)


def _seasons_ago(name: str, count: int, today: date) -> Period:
    """Return a season that is over: `count` 1 is the last one, or the year before if it goes on."""
    year = today.year + 1
    while (stop := _season(name, year).stop) is not None and stop > today:
        year -= 1
    return _season(name, year - count + 1)


def _before_last(match: re.Match[str], today: date) -> Period:
    unit = match["unit"].removesuffix("s")
    told = f"the {unit} before last"
    if unit in SEASONS:
        return _seasons_ago(unit, 2, today)
    if unit == "weekend":
        begun = today - timedelta(days=(today.weekday() - 5) % 7)
        return _days(begun - timedelta(days=14 if today.weekday() >= 5 else 7), 2, told)
    return _around(_back(today, 2, unit), unit, told)


def _ago(match: re.Match[str], today: date) -> Period:
    unit = match["unit"].removesuffix("s")
    return _around(_back(today, _count(match["count"]), unit), unit, match[0])


def _around(day: date, unit: str, told: str) -> Period:
    """Return the day, week, month or year that a day is in."""
    if unit == "day":
        return _days(day, 1, told)
    if unit == "month":
        return _month(day.year, day.month)
    if unit == "year":
        return _year(day.year)
    return _days(day - timedelta(days=day.weekday()), 7, told)


def _named(match: re.Match[str], today: date) -> Period | None:
    """Read "this summer", "last June", "last Friday", "last Christmas": the last one that began."""
    which, name = match["which"], match["name"].rstrip(".")
    if name in WEEKDAYS:
        back = (today.weekday() - WEEKDAYS.index(name)) % 7
        if which == "last" and back == 0:
            back = 7
        day = today - timedelta(days=back)
        return _days(day, 1, f"on {name.capitalize()} {day.isoformat()}")

    def in_year(year: int) -> Period:
        if name == "christmas":
            return _feast(name, year)
        return _season(name, year) if name in SEASONS else _month(year, _month_number(name))

    for year in range(today.year + 1, today.year - 3, -1):
        found = in_year(year)
        assert found.start is not None
        assert found.stop is not None
        begun = found.start <= today
        if begun and (which == "this" or found.stop <= today):
            return found
    return None


def _lately(match: re.Match[str], today: date) -> Period:
    """Read a month or a day of a month without a year: the last one that began."""
    month, day = match["month"], match["day"]
    for year in (today.year, today.year - 1):
        period = _month(year, _month_number(month)) if day is None else _a_day(day, month, year)
        assert period.start is not None
        if period.start <= today:
            break
    return period


_M = f"(?P<month>{_MONTH})"
_D = f"(?P<day>{_DAY})"
_Y = f"(?P<year>{_YEAR})"
_Read = Callable[[re.Match[str], date], Period | None]
_FORMS: tuple[tuple[str, _Read, bool], ...] = (
    (rf"{_D} (?:of )?{_M} (?:of )?{_Y}", lambda m, _: _a_day(m["day"], m["month"], int(m["year"])),
     True),
    (rf"{_M} {_D} {_Y}", lambda m, _: _a_day(m["day"], m["month"], int(m["year"])), True),
    (rf"{_M} (?:of )?{_Y}", lambda m, _: _month(int(m["year"]), _month_number(m["month"])), True),
    (r"(\d{4})-(\d\d)(?:-(\d\d))?", _iso, True),
    (rf"(?:early |late )?(?P<season>{_SEASON}) (?:of )?{_Y}",
     lambda m, _: _season(m["season"], int(m["year"])), True),
    (rf"(?P<feast>christmas|easter|new year) {_Y}",
     lambda m, _: _feast(m["feast"], int(m["year"])), True),
    (rf"(?P<decade>{_YEAR[:-2]}0)s", lambda m, _: _year(int(m["decade"]), 10, f"in the {m[0]}"),
     True),
    (rf"(?:early|late|(?:beginning|middle|end) of) {_Y}", lambda m, _: _year(int(m["year"])), True),
    (rf"(?P<unit>{_SEASON}|{_UNIT}) before last", _before_last, True),
    (rf"(?P<count>{_COUNT}) (?P<season>{_SEASON})s ago",
     lambda m, today: _seasons_ago(m["season"], _count(m["count"]), today), True),
    (r"today", lambda _, today: _days(today, 1, "today"), True),
    (r"yesterday", lambda _, today: _days(today - timedelta(days=1), 1, "yesterday"), True),
    (r"last night", lambda _, today: _days(today - timedelta(days=1), 2, "last night"), True),
    (rf"(?P<which>this|last|past) (?:(?P<count>{_COUNT}) )?(?P<unit>{_UNIT})", _span, True),
    (rf"(?P<which>this|last) (?P<name>{_SEASON}|{_MONTH}|{'|'.join(WEEKDAYS)}|christmas)", _named,
     True),
    (rf"(?P<count>{_COUNT}) (?P<unit>{_UNIT}) ago", _ago, True),
    (_YEAR, lambda m, _: _year(int(m[0])), False),
    (rf"{_M} {_D}", _lately, False),
    (rf"{_D} (?:of )?{_M}", _lately, False),
    (rf"(?P<day>(?!))?{_M}", _lately, False),
)  # fmt: skip
