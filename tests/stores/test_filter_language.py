"""Any text of the filter language is evaluated or refused in one line, in both databases."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark

from seehear.errors import UsageError
from seehear.search import parse_where
from seehear.search.fields import FIELD_WORDS
from seehear.search.unknown import check_values
from seehear.stores import Catalog, Generation
from seehear.stores.catalog.filter_sql import conditions, own_ids
from seehear.types import MediaInfo, Modality, Origin, Segment
from tests.stores.conftest import ROOT, both_databases, put

GRAMMAR = Lark(resources.files("seehear.search").joinpath("where.lark").read_text("utf-8"))
VALUES = (
    "0001 9999 1677 1678 2261 2262-04-12 2024-02-29 2024-06-01T14:30 9999-12-31T23:59:59 0000 "
    "-0 1e308 1e14 -90 180 nan inf 0.0000001 10TB 5min 1ms photo jpg portrait /etc ~root ~nobody "
    "~ .. / * ? *a*a*a*a*a*b % _ \\ \u0130 \ufb03 \U0001f600"
)
HARD = [*VALUES.split(), "9" * 400, "\0", "a\0b", "\ud800", "\udcff"]
filters = from_lark(
    GRAMMAR,
    start="start",
    explicit={
        "NAME": st.sampled_from(sorted(FIELD_WORDS)),
        "BARE": st.sampled_from(HARD),
        "QUOTED": st.one_of(
            st.sampled_from(HARD).map('"{}"'.format),
            st.text(max_size=12).filter(lambda text: "'" not in text).map("'{}'".format),
        ),
    },
)


def evaluate(catalog: Catalog, generation: Generation, text: str) -> bool:
    """Search by a filter and explain it; return False if it is refused in one line."""
    try:
        where = parse_where(text)
        for item in Modality:
            catalog.segments.ids(generation.id, item=item, where=where)
        check_values(catalog, where, None)
    except UsageError as error:
        told = str(error)
    else:
        return True
    assert "\n" not in told
    return False


@both_databases
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=filters)
def test_what_the_grammar_allows(catalog: Catalog, generation: Generation, text: str) -> None:
    if catalog.counts().assets == 0:
        put(catalog, generation, "/media/a.jpg")
    evaluate(catalog, generation, text)


@both_databases
def test_what_is_large_nested_or_long_ago(catalog: Catalog, generation: Generation) -> None:
    put(catalog, generation, "/media/a.jpg")
    for text in (
        "modified < 0001",
        "modified >= 9999",
        "modified != 0001 and taken != 9999",
        "modified = 1677 or modified = 1678 or modified = 2262",
        "folder = '~nobody' or modified > 1970",
        "width < 1e14",
        f"size < {'9' * 400}",
        "name in (" + ",".join("a" * 199) + ") or width > 1",
        " or ".join(["width = 1"] * 150),
        "not " * 400 + "width = 1",
        "(" * 40 + "width = 1" + ")" * 40,
    ):
        assert evaluate(catalog, generation, text), text
    for text in (
        "name in (" + ",".join("a" * 900) + ")",
        "".join("(width = 1 or (width = 2 and " for _ in range(60)) + "width = 1" + "))" * 60,
        'name = "a\0b"',
        "name ~ '\ud800'",
        "folder = '\ud800'",
        "camera = 'a\nb'",
        "folder = '/a\nb'",
        "folder ~ 'a\nb'",
        "width = 'a\nb' and",
    ):
        assert not evaluate(catalog, generation, text), text


SAID = {
    "has speech": "talk.mp3", "has writing": "sign.jpg", "has lyrics": "song.mp3",
    "has subtitles": "film.mp4 both.mkv", "has written": "sign.jpg",
    "has said": "talk.mp3 film.mp4 both.mkv song.mp3",
    "language = de": "film.mp4 both.mkv", "language = German": "film.mp4 both.mkv",
    "language = GER": "film.mp4 both.mkv", "language = fr": "both.mkv",
    "language in (fr, en)": "both.mkv talk.mp3", "language = nl": "",
    "has language and not language = de": "talk.mp3",
    "has subtitles and language != fr": "film.mp4",
    "said ~ ankle": "talk.mp3", "said ~ 'ankles broken'": "talk.mp3",
    "said ~ 'broken leg'": "", "said ~ aurore": "both.mkv", "said ~ dawn": "film.mp4",
    "said ~ aube or said ~ moon": "song.mp3", "said ~ exit": "",
    "written ~ exit": "sign.jpg", "written ~ ankle": "", "said ~ '...'": "",
    "written ~ note": "", "has subtitles and duration > 5": "film.mp4",
    "type = audio and said !~ moon": "talk.mp3",
}  # fmt: skip


@both_databases
def test_what_is_said_and_written(catalog: Catalog, generation: Generation) -> None:
    def put_said(name: str, kind: Modality, *words: Segment, duration_s: float = 1.0) -> None:
        info = MediaInfo(kind, name.rpartition(".")[2], duration_s=duration_s)
        put(catalog, generation, f"/media/photos/{name}", info, [Segment(kind), *words])

    def line(words: str, origin: Origin, language: str | None = None) -> Segment:
        return Segment(Modality.TEXT, 1.0, 2.0, words, origin=origin, language=language)

    put_said("talk.mp3", Modality.AUDIO, line("the broken ankle", Origin.SPEECH, "en"))
    put_said("sign.jpg", Modality.IMAGE, line("exit only", Origin.WRITING))
    put_said("song.mp3", Modality.AUDIO, line("the moon", Origin.LYRICS))
    put_said("film.mp4", Modality.VIDEO, duration_s=9.0)
    put_said("film.srt", Modality.TEXT, line("dawn", Origin.SUBTITLES, "de"))
    put_said(
        "both.mkv", Modality.VIDEO,
        line("Morgen", Origin.SUBTITLES, "de"), line("aurore", Origin.SUBTITLES, "fr"),
    )  # fmt: skip
    put_said("note.txt", Modality.TEXT, Segment(Modality.TEXT, text="a note of the broken ankle"))
    with catalog.batch() as batch:
        batch.set_sidecars(catalog.locations.add_root(ROOT).id)

    def found(text: str) -> set[str]:
        ids = catalog.segments.ids(generation.id, where=parse_where(text))
        return {one.path.name for one in catalog.segments.resolve(ids)}

    assert {text: found(text) for text in SAID} == {
        text: set(names.split()) for text, names in SAID.items()
    }


@both_databases
def test_dates_out_of_range_are_compared_rightly(catalog: Catalog, generation: Generation) -> None:
    put(catalog, generation, "/media/a.jpg")

    def finds(text: str) -> bool:
        return bool(
            len(catalog.segments.ids(generation.id, item=Modality.IMAGE, where=parse_where(text)))
        )

    for text in ("modified > 0001", "modified >= 1600", "modified < 9999", "modified <= 2262"):
        assert finds(text), text
        assert not finds(f"not {text}"), text
    assert not finds("modified < 0001")
    assert not finds("modified = 1600")


@both_databases
def test_whole_and_other_numbers_are_compared_alike(
    catalog: Catalog, generation: Generation
) -> None:
    put(catalog, generation, "/media/a.jpg", size_bytes=1000)

    def finds(text: str) -> bool:
        return bool(
            len(catalog.segments.ids(generation.id, item=Modality.IMAGE, where=parse_where(text)))
        )

    for text in (
        *("size < 1000.5", "size <= 1000.5", "size > 999.5", "size >= 999.5", "size != 1000.5"),
        *("size = 1000", "size <= 1000", "size >= 1000", "size < 99999999999TB"),
        *("width > 639.9", "width < 640.1", "width = 640", "size < 1001", "size > 999"),
    ):
        assert finds(text), text
        assert not finds(f"not {text}"), text


@pytest.mark.parametrize("catalog", ["postgresql"], indirect=True)
@pytest.mark.parametrize("text", ["size < 1571", "size >= 1570.5", "taken < 2019-07-01"])
def test_postgresql_compares_what_its_indexes_hold(catalog: Catalog, text: str) -> None:
    met = conditions(None, parse_where(text), lambda _: np.zeros(0, dtype=np.int64))
    with catalog.reading() as connection:
        asked = own_ids(met).compile(connection)
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # of few rows, all are read
        steps = connection.exec_driver_sql(f"EXPLAIN {asked}", asked.params).all()
    assert "assets_by" in "\n".join(str(step) for step in steps)


@pytest.mark.parametrize(
    ("text", "under", "by"),
    [
        ("taken >= 2019-06-01 and taken < 2019-07-01", None, "assets_by_time (taken_at"),
        ("size > 4GB and width > 10", None, "assets_by_size (size_bytes"),
        ("width > 10", Path("/photos/2019"), "(path"),
    ],
)
def test_files_are_looked_up_by_indexes(
    catalog: Catalog, text: str, under: Path | None, by: str
) -> None:
    met = conditions(under, parse_where(text), lambda _: np.zeros(0, dtype=np.int64))
    with catalog.reading() as connection:
        asked = own_ids(met).compile(connection, compile_kwargs={"literal_binds": True})
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}").all()
    told = "\n".join(step[-1] for step in steps)
    assert by in told
    assert "SCAN own_location" not in told.partition("video_location")[0]
