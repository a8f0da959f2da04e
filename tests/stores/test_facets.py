"""Values and their counts, the same in both databases, and as the filters find them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from seehear.stores import Catalog, Facet, Generation
from seehear.stores.catalog.filters import Compare, Field, Op
from seehear.types import MediaInfo, Modality
from tests.stores.conftest import both_databases, put


def photo(**fields: object) -> MediaInfo:
    taken_at = fields.pop("taken_at", None)
    return MediaInfo(Modality.IMAGE, "jpeg", 640, 480, taken_at=taken_at, details=fields)  # type: ignore[arg-type]


@pytest.fixture
def media(catalog: Catalog, generation: Generation) -> Catalog:
    """Six contents, one of which lies at two places. No subtitle is known to be one yet."""
    summer = photo(
        taken_at=datetime(2023, 7, 1, 12), camera="Apple iPhone 12", keywords="Beach; summer"
    )
    put(catalog, generation, "/media/photos/a.jpg", summer, content="a")
    put(catalog, generation, "/media/photos/2023/copy.jpg", summer, content="a")
    again = photo(
        taken_at=datetime(2023, 8, 31, 23),
        camera="APPLE IPHONE 12",
        keywords="beach; 50% off; beach",
    )
    put(catalog, generation, "/media/photos/2023/b.jpg", again)
    winter = photo(taken_at=datetime(2024, 1, 1), camera="Canon", keywords="")
    put(catalog, generation, "/media/photos/2024/c.jpg", winter)
    song = {"artist": "Björk", "album": "Début"}
    put(catalog, generation, "/media/photos/s.mp3", MediaInfo(Modality.AUDIO, "mp3", details=song))
    put(catalog, generation, "/media/photos/f.mp4", MediaInfo(Modality.VIDEO, "mp4"))
    put(catalog, generation, "/media/photos/f.srt", MediaInfo(Modality.TEXT, "srt"))
    return catalog


def listed(catalog: Catalog, facet: Facet, top: int | None = None) -> list[tuple[str, int]]:
    return [(one.value, one.count) for one in catalog.assets.facet(facet, top).values]


@both_databases
def test_values_come_with_counts_the_most_frequent_first(media: Catalog) -> None:
    assert listed(media, Facet.TYPE) == [("image", 3), ("audio", 1), ("text", 1), ("video", 1)]
    assert listed(media, Facet.FORMAT) == [("jpeg", 3), ("mp3", 1), ("mp4", 1), ("srt", 1)]
    assert listed(media, Facet.YEAR) == [("2023", 2), ("2024", 1)]
    assert listed(media, Facet.MONTH) == [("2023-07", 1), ("2023-08", 1), ("2024-01", 1)]
    assert listed(media, Facet.ARTIST) == [("Björk", 1)]
    assert listed(media, Facet.FOLDER) == [
        ("/media/photos", 4), ("/media/photos/2023", 2), ("/media/photos/2024", 1)
    ]  # fmt: skip
    assert listed(media, Facet.LENS) == []


@both_databases
def test_spellings_that_differ_in_case_are_one_value(media: Catalog) -> None:
    ((camera, count), canon) = listed(media, Facet.CAMERA)
    assert (camera.casefold(), count, canon) == ("apple iphone 12", 2, ("Canon", 1))
    assert listed(media, Facet.TAG) == [("Beach", 2), ("50% off", 1), ("summer", 1)]


@both_databases
def test_the_first_of_many(media: Catalog) -> None:
    found = media.assets.facet(Facet.FORMAT, 2)
    assert (len(found.values), found.distinct) == (2, 4)
    assert media.assets.facet(Facet.TAG, 1).distinct == 3


@both_databases
def test_filters_find_what_is_counted(media: Catalog) -> None:
    fields = {Facet.CAMERA: Field.CAMERA, Facet.TAG: Field.KEYWORD, Facet.ALBUM: Field.ALBUM}
    for facet, field in fields.items():
        for one in media.assets.facet(facet).values:
            where = Compare(field, Op.EQ, one.value.upper())
            assert len(media.segments.ids(1, where=where)) == one.count
    assert len(media.segments.ids(1, where=Compare(Field.FOLDER, Op.LIKE, "*/2023/"))) == 2


@both_databases
def test_what_lies_below_a_folder(media: Catalog) -> None:
    for path in ("/media", "/media/photos", "/media/photos/2023", "/media/photos/2024/c.jpg", "/"):
        assert media.locations.any_below(Path(path)), path
    for path in ("/media/photo", "/media/photos/202", "/media/photos/2025", "/media/photos/a.jp"):
        assert not media.locations.any_below(Path(path)), path


@both_databases
def test_an_empty_catalog_has_no_values(catalog: Catalog) -> None:
    for facet in Facet:
        assert listed(catalog, facet) == []
    assert not catalog.locations.any_below(Path("/"))


@both_databases
def test_subtitles_beside_a_video_are_that_video(filled: Catalog) -> None:
    counts = {str(kind): n for kind, n in filled.counts().by_modality.items() if n}
    listed_types = dict(listed(filled, Facet.TYPE))
    assert listed_types["video"] == 1
    assert set(listed_types) <= set(counts)
    assert "srt" not in dict(listed(filled, Facet.FORMAT))
