"""Dates in the words of queries: which days they name, and what is no date."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seehear.search.dates_in_words import MONTHS, find_periods

TODAY = date(2026, 11, 29)  # a Sunday


def read(text: str, today: date = TODAY) -> list[tuple[str, str, str, bool]]:
    return [
        (
            text[one.first : one.last],
            str(one.period.start or ""),
            str(one.period.stop or ""),
            one.certain,
        )
        for one in find_periods(text, today)
    ]


@pytest.mark.parametrize(
    ("text", "words", "start", "stop"),
    [
        ("beach last summer", "last summer", "2026-06-01", "2026-09-01"),
        ("the last two winters", "", "", ""),
        ("last winter", "last winter", "2025-12-01", "2026-03-01"),
        ("snow, winter 2018", "winter 2018", "2017-12-01", "2018-03-01"),
        ("in June 2019 in Rome", "in June 2019", "2019-06-01", "2019-07-01"),
        ("Sept. 2015", "Sept. 2015", "2015-09-01", "2015-10-01"),
        ("on 29 February 2024", "on 29 February 2024", "2024-02-29", "2024-03-01"),
        ("December 31st, 1999", "December 31st, 1999", "1999-12-31", "2000-01-01"),
        ("2018-07-04 parade", "2018-07-04", "2018-07-04", "2018-07-05"),
        ("since 2020", "since 2020", "2020-01-01", ""),
        ("after May 2020", "after May 2020", "2020-06-01", ""),
        ("before March 2020", "before March 2020", "", "2020-03-01"),
        ("until March 2020", "until March 2020", "", "2020-04-01"),
        ("2015 to 2017", "2015 to 2017", "2015-01-01", "2018-01-01"),
        ("between 3 May 2020 and 5 May 2020", "between 3 May 2020 and 5 May 2020",
         "2020-05-03", "2020-05-06"),
        ("in the 1990s", "in the 1990s", "1990-01-01", "2000-01-01"),
        ("yesterday", "yesterday", "2026-11-28", "2026-11-29"),
        ("last sunday", "last sunday", "2026-11-22", "2026-11-23"),
        ("this weekend", "this weekend", "2026-11-28", "2026-11-30"),
        ("the weekend before last", "the weekend before last", "2026-11-14", "2026-11-16"),
        ("six months ago", "six months ago", "2026-05-01", "2026-06-01"),
        ("the last 3 days", "the last 3 days", "2026-11-26", "2026-11-30"),
        ("easter 2024", "easter 2024", "2024-03-29", "2024-04-02"),
        ("two summers ago", "two summers ago", "2025-06-01", "2025-09-01"),
    ],
)  # fmt: skip
def test_what_can_only_be_a_date(text: str, words: str, start: str, stop: str) -> None:
    assert read(text) == ([(words, start, stop, True)] if words else [])


@pytest.mark.parametrize(
    "text",
    ["in may", "a sign of 2019", "1984", "a 1950s diner", "24 December", "garden in June"],
)
def test_what_could_be_content_is_not_certain(text: str) -> None:
    ((_, _, _, certain),) = read(text)
    assert not certain


@pytest.mark.parametrize(
    "text",
    [
        "march of the penguins", "may the road rise", "the last supper", "a summer dress",
        "sunday roast", "31 June 2019", "30 February 2020", "in 2031", "next summer", "1492",
        "2019x", "x-2019", "today's paper", "iso 1600", "a ten year old boy", "99999 days ago",
        "999 years ago",
    ],
)  # fmt: skip
def test_what_is_no_date_of_a_picture(text: str) -> None:
    assert read(text) == []


def test_days_are_counted_from_the_day_that_is_given() -> None:
    leap = date(2024, 2, 29)
    assert read("a year ago", leap)[0][1] == "2023-01-01"
    assert read("yesterday", date(2024, 3, 1))[0][1] == "2024-02-29"
    assert read("last month", date(2024, 1, 31))[0][1:3] == ("2023-12-01", "2024-01-01")
    assert read("the last two months", date(2024, 4, 30))[0][1] == "2024-02-29"
    assert read("this winter", date(2024, 12, 1))[0][1] == "2024-12-01"
    assert read("last summer", date(2024, 7, 1))[0][1] == "2023-06-01"


@given(st.dates(date(1990, 1, 1), date(2098, 12, 31)), st.integers(1, 12), st.integers(1826, 2098))
def test_a_month_of_a_year_is_that_month(today: date, month: int, year: int) -> None:
    found = read(f"a dog in {MONTHS[month - 1]} {year}", today)
    if date(year, month, 1) > today:
        assert found == []
        return
    ((_, start, stop, certain),) = found
    assert certain
    first, last = date.fromisoformat(start), date.fromisoformat(stop) - timedelta(days=1)
    assert (first.year, first.month, first.day) == (last.year, last.month, 1) == (year, month, 1)
    assert (last + timedelta(days=1)).day == 1


@pytest.mark.parametrize(
    ("words", "start", "stop"),
    [
        ("june to may", "2025-06-01", "2026-06-01"),
        ("between june and may", "2025-06-01", "2026-06-01"),
        ("from august to may", "2025-08-01", "2026-06-01"),
        ("december to february", "2025-12-01", "2026-03-01"),
        ("march to november", "2026-03-01", "2026-12-01"),
        ("5 june to 3 june", "2025-06-05", "2026-06-04"),
        ("last friday to last monday", "2026-11-20", "2026-11-24"),
        ("last week to yesterday", "2026-11-16", "2026-11-29"),
        ("between 2020 and 2019", "2019-01-01", "2021-01-01"),
        ("2019-06-01 to 2019-05-31", "2019-05-31", "2019-06-02"),
    ],
)
def test_a_span_ends_after_it_begins(words: str, start: str, stop: str) -> None:
    (found,) = find_periods(words, date(2026, 11, 29))
    assert (str(found.period.start), str(found.period.stop)) == (start, stop)


_WORDS = [
    "last",
    "this",
    "the",
    "two",
    "3",
    "summer",
    "week",
    "days",
    "ago",
    "june",
    "may",
    "2019",
    "31",
    "since",
    "between",
    "and",
    "of",
    "in",
    "to",
    "a",
]


@given(st.lists(st.sampled_from(_WORDS), max_size=9), st.dates(date(1850, 1, 1)))
def test_any_words_are_read(words: list[str], today: date) -> None:
    text = " ".join(words)
    end = 0
    for found in find_periods(text, today):
        assert end <= found.first < found.last <= len(text)
        end = found.last
        start, stop = found.period.start, found.period.stop
        assert start or stop
        assert start is None or stop is None or start < stop
