"""The filter language and the compact form of queries."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seehear import arguments
from seehear.encoders.fake import image
from seehear.errors import UsageError
from seehear.query_builder import parse_query
from seehear.search import QueryTerm, is_compact, parse_compact, parse_where
from seehear.stores import Facet
from seehear.stores.catalog.filters import (
    And,
    Compare,
    CompareOwn,
    Field,
    Filter,
    GeoCircle,
    Not,
    Op,
    Or,
)
from seehear.types import Modality, Mode, QueryPart
from tests.search.library import Library, names

MB = 10**6


def date(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("size > 2MB", Compare(Field.SIZE, Op.GT, 2.0 * MB)),
        ("size > 1.5 mb", Compare(Field.SIZE, Op.GT, 1.5 * MB)),
        ("duration <= 5min", Compare(Field.DURATION, Op.LE, 300.0)),
        ("duration<60", Compare(Field.DURATION, Op.LT, 60.0)),
        ("taken >= 2024-06", Compare(Field.TAKEN, Op.GE, date(2024, 6, 1))),
        ("taken > 2024-06", Compare(Field.TAKEN, Op.GE, date(2024, 7, 1))),
        ("taken < 2024", Compare(Field.TAKEN, Op.LT, date(2024, 1, 1))),
        ("taken <= 2024-12", Compare(Field.TAKEN, Op.LT, date(2025, 1, 1))),
        ("taken <= 2024-02-28", Compare(Field.TAKEN, Op.LT, date(2024, 2, 29))),
        (
            "date = 2024-06-01T14:30",
            And(
                (
                    Compare(Field.TAKEN, Op.GE, date(2024, 6, 1, 14, 30)),
                    Compare(Field.TAKEN, Op.LT, date(2024, 6, 1, 14, 31)),
                    Not(Compare(Field.DATE_PRECISION, Op.KNOWN)),
                )
            ),
        ),
        ('name ~ "IMG_*.jpg"', Compare(Field.NAME, Op.LIKE, "IMG_*.jpg")),
        ("name ~ holiday", Compare(Field.NAME, Op.LIKE, "*holiday*")),
        ("camera = 'Canon EOS'", Compare(Field.CAMERA, Op.EQ, "Canon EOS")),
        ("KIND = Photo", Compare(Field.MODALITY, Op.EQ, "image")),
        ("has camera", Compare(Field.CAMERA, Op.KNOWN)),
        ("tag = cats", Compare(Field.KEYWORD, Op.EQ, "cats")),
        ("latitude > -5.5", Compare(Field.LATITUDE, Op.GT, -5.5)),
        (
            "near(48.1, 11.6, 10)",
            Compare(Field.COORDINATES, Op.WITHIN, GeoCircle(48.1, 11.6, 10.0)),
        ),
        ("folder = /media/a", Compare(Field.FOLDER, Op.UNDER, Path("/media/a"))),
        (
            "kind in (image, video)",
            Or(
                (
                    Compare(Field.MODALITY, Op.EQ, "image"),
                    Compare(Field.MODALITY, Op.EQ, "video"),
                )
            ),
        ),
        (
            "width between 100 and 200",
            And((Compare(Field.WIDTH, Op.GE, 100.0), Compare(Field.WIDTH, Op.LE, 200.0))),
        ),
        (
            "not width < 5 and height < 5 or has title",
            Or(
                (
                    And(
                        (
                            Not(Compare(Field.WIDTH, Op.LT, 5.0)),
                            Compare(Field.HEIGHT, Op.LT, 5.0),
                        )
                    ),
                    Compare(Field.TITLE, Op.KNOWN),
                )
            ),
        ),
        (
            "camera !~ canon",
            And(
                (
                    Compare(Field.CAMERA, Op.KNOWN),
                    Not(Compare(Field.CAMERA, Op.LIKE, "*canon*")),
                )
            ),
        ),
        ("name !~ '*.tmp'", Not(Compare(Field.NAME, Op.LIKE, "*.tmp"))),
        ("folder ~ vienna", Compare(Field.FOLDER, Op.LIKE, "*vienna*")),
        ("artist = Bach", Compare(Field.ARTIST, Op.EQ, "Bach")),
        (
            "year = 2024",
            And(
                (
                    Compare(Field.TAKEN, Op.GE, date(2024, 1, 1)),
                    Compare(Field.TAKEN, Op.LT, date(2025, 1, 1)),
                )
            ),
        ),
        ("format = gif", Compare(Field.FORMAT, Op.EQ, "gif")),
        ("", None),
    ],
)
def test_what_filters_mean(text: str, means: Filter | None) -> None:
    assert parse_where(text) == means


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "colour = red",
            r'No field "colour" \(character 1\)\..* The fields are modality, .*duration',
        ),
        ("size > 1MB and color = red", r"character 16"),
        ("taken >= someday", r'"someday" \(character 10\) is not a date'),
        ("taken = 2024-13", "month must be"),
        ("taken = 2023-02-29", "is not a date"),
        ("size > big", "is not a size"),
        ("duration > 3 weeks", "is not a duration"),
        ("width > wide", "is not a number"),
        ("width > 1e400", "out of range"),
        ("kind = moovie", 'No type "moovie". Did you mean movie'),
        ("kind > image", "cannot be compared"),
        ("name >", "is incomplete"),
        ("name = a b", r'filter at "b" \(character 10\)'),
        ("(name = a", "is incomplete"),
        ("name = a)", "character 9"),
        ("and", "character 1"),
        ("near(91, 0, 5)", "latitude"),
        ("name = " + "x" * 3000, "the limit is"),
        ("(" * 900 + "name = a" + ")" * 900, "too many brackets"),
        ("not " * 400 + "name = a", "."),
    ],
)
def test_bad_filters_say_what_and_where(text: str, says: str) -> None:
    if text.startswith("not not"):
        assert parse_where(text) is not None
        return
    with pytest.raises(UsageError, match=says) as caught:
        parse_where(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("jpg", "jpeg"), ("JPEG", "jpeg"), (".jpg", "jpeg"), ("tif", "tiff"), ("mpg", "mpeg"),
        ("m4v", "mp4"), ("heif", "heic"), ("markdown", "md"), ("htm", "html"), ("aif", "aiff"),
        ("mts", "ts"), ("wma", "asf"),
    ],
)  # fmt: skip
def test_a_format_is_found_by_any_of_its_names(asked: str, kept: str) -> None:
    def formats(part: Filter | None) -> set[object]:
        if isinstance(part, Compare):
            return {part.value} if part.field is Field.FORMAT else set()
        if isinstance(part, Not):
            return formats(part.part)
        assert not isinstance(part, CompareOwn)
        return set().union(*map(formats, part.parts)) if part else set()

    for operator in ("=", "!="):
        assert kept in formats(parse_where(f"format {operator} {asked}"))
    assert isinstance(parse_where(f"format != {asked}"), Not)


def test_the_name_of_a_container_says_whether_sound_or_video_is_meant() -> None:
    for name, kind in (("m4a", "audio"), ("m4v", "video")):
        found = parse_where(f"format = {name}")
        assert isinstance(found, And)
        assert found.parts[1] == Compare(Field.MODALITY, Op.EQ, kind)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("photo photos Picture pictures image images", "image"),
        ("sound sounds audio song songs music recordings", "audio"),
        ("video videos film films movie movies clip clips", "video"),
        ("text texts note notes document documents", "text"),
    ],
)
def test_words_for_a_type_are_understood_everywhere(words: str, kind: str) -> None:
    for word in words.split():
        assert arguments.parse_modalities([word]) == frozenset({Modality(kind)})
        assert arguments.parse_modalities(f"{word},{word}") == frozenset({Modality(kind)})
        assert parse_where(f"type = {word}") == Compare(Field.MODALITY, Op.EQ, kind)


@pytest.mark.parametrize(
    ("word", "meant"), [("foto", "photo"), ("vidoes", "video"), ("sond", "sound"), ("nots", "note")]
)
def test_an_unknown_type_names_the_nearest(word: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f'No type "{word}"\\. Did you mean .*{meant}'):
        arguments.parse_modalities([word])


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_a_clear_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_where(text)


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_a_clear_error(text: str) -> None:
    is_compact(text)
    with contextlib.suppress(UsageError):
        assert parse_compact(text)


@pytest.mark.parametrize(
    ("line", "wishes"),
    [
        (
            '"2:red car" + photo.jpg - night',
            (
                QueryTerm("red car", 2.0, quoted=True),
                QueryTerm("photo.jpg"),
                QueryTerm("night", exclude=True),
            ),
        ),
        (
            ["2:red car", "+", "photo.jpg", "-", "night"],
            (QueryTerm("red car", 2.0), QueryTerm("photo.jpg"), QueryTerm("night", exclude=True)),
        ),
        ("a dog on a beach", (QueryTerm("a dog on a beach"),)),
        ("10:30 train", (QueryTerm("10:30 train"),)),
        ("0.5:sea + 2:0.3:x", (QueryTerm("sea", 0.5), QueryTerm("2:0.3:x"))),
        ('"rock - paper"', (QueryTerm("rock - paper", quoted=True),)),
        ("well-known + c++", (QueryTerm("well-known"), QueryTerm("c++"))),
    ],
)
def test_queries_in_one_line(line: str | list[str], wishes: tuple[QueryTerm, ...]) -> None:
    assert parse_compact(line) == wishes


def test_what_counts_as_compact() -> None:
    assert is_compact("red + blue")
    assert is_compact("2:red")
    assert is_compact(["red", "-", "blue"])
    assert not is_compact("a well-known dog at 10:30")
    assert not is_compact('"a - b"')


@pytest.mark.parametrize("line", ["", "a +", "+ - a", "- ", "a + + b", "0:red"])
def test_bad_lines(line: str) -> None:
    with pytest.raises(UsageError):
        parse_compact(line)


def test_files_of_a_line_are_loaded_by_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(b"pixels")

    def load(name: str, *, weight: float, exclude: bool) -> QueryPart:
        return QueryPart(("pixels",), weight, exclude, name)

    assert parse_query('2:photo.jpg - "photo.jpg" + red', load) == [
        QueryPart(("pixels",), 2.0, False, "photo.jpg"),
        QueryPart(("photo.jpg",), 1.0, True, "photo.jpg"),
        QueryPart(("red",), 1.0, False, "red"),
    ]


@pytest.fixture
def dated(tmp_path: Path) -> Library:
    """One file for each precision of a date, all stored at the first instant of 2024."""
    library = Library(tmp_path)
    for precision in ("year", "month", "week", "day"):
        library.add(
            f"{precision}.jpg", image("red"), taken_at=date(2024, 1, 1), date_precision=precision
        )
    library.add("time.jpg", image("red"), taken_at=date(2024, 1, 1), people="Anna Stone; Béla",
                date_from="exif", zone="Asia/Tokyo", zone_from="place")  # fmt: skip
    return library


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("taken = 2024", {"year", "month", "week", "day", "time"}),
        ("taken = 2024-01", {"month", "week", "day", "time"}),
        ("taken = 2024-01-01", {"day", "time"}),
        ("taken = '2024-01-01 00:00'", {"time"}),
        ("taken != 2024-01-01", {"year", "month", "week"}),
        ("taken >= 2024-01-01", {"year", "month", "week", "day", "time"}),
        ("date_precision = year", {"year"}),
        ("date_from = exif and zone_from = place and zone ~ tokyo", {"time"}),
        ('person = "anna stone"', {"time"}),
        ("people ~ bél", {"time"}),
        ("person = anna or people = stone", set()),
        ("has people", {"time"}),
    ],
)
def test_dates_are_told_as_far_as_they_are_known(
    dated: Library, where: str, found: set[str]
) -> None:
    if not found:
        with pytest.raises(UsageError, match="No person"):
            dated.search("red", where=where)
        return
    hits = dated.search("red", where=where, show_duplicates=True)
    assert {name.removesuffix(".jpg") for name in names(hits)} == found


def test_people_are_found_by_their_names_and_listed(dated: Library) -> None:
    assert names(dated.search("béla", mode=Mode.WORDS)) == ["time.jpg"]
    people = dated.catalog.assets.facet(Facet.PERSON).values
    assert [(one.value, one.count) for one in people] == [("Anna Stone", 1), ("Béla", 1)]
    months = dated.catalog.assets.facet(Facet.MONTH).values
    assert [(one.value, one.count) for one in months] == [("2024-01", 4)]
