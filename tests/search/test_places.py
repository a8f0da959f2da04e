"""A file at several locations is shown at the requested one."""

from __future__ import annotations

from pathlib import Path

import pytest

from seehear.encoders.fake import image, video
from seehear.types import Modality
from tests.search.library import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """One picture under three names, and two others."""
    library = Library(tmp_path)
    for name in ("old/first.jpg", "new/second.jpg", "new/third.jpg"):
        library.add(name, image("red"), content="same")
    library.add("old/blue.jpg", image("blue"))
    library.add("new/green.jpg", image("green"))
    return library


def shown(library: Library, where: str = "", **options: object) -> list[str]:
    """The places of the best hit, the one that is shown first."""
    hit = library.search("red", where=where, k=1, **options)[0]
    return [str(path.relative_to(library.media)) for path in (hit.path, *hit.duplicates)]


def test_the_oldest_place_is_shown_where_nothing_is_asked(library: Library) -> None:
    assert shown(library) == ["old/first.jpg", "new/second.jpg", "new/third.jpg"]


def test_the_place_that_meets_the_filter_is_shown(library: Library) -> None:
    first, second, third = "old/first.jpg", "new/second.jpg", "new/third.jpg"
    assert shown(library, "name = third.jpg") == [third, first, second]
    assert shown(library, "name ~ '*D.JPG'") == [second, first, third]
    assert shown(library, f"folder = '{library.media / 'new'}'") == [second, first, third]
    assert shown(library, "not name = first.jpg") == [second, first, third]
    assert shown(library, "name = third.jpg or name = first.jpg") == [first, second, third]
    assert shown(library, "width > 10") == [first, second, third]
    assert shown(library, under=library.media / "new") == [second, first, third]
    both = {"where": "name != second.jpg", "under": library.media / "new"}
    assert shown(library, **both) == [third, first, second]  # type: ignore[arg-type]


def test_a_place_that_can_be_reached_is_shown_first(library: Library, tmp_path: Path) -> None:
    asset = library.search("red", k=1)[0].asset_id
    drive = library.catalog.locations.add_root(tmp_path / "drive")
    with library.catalog.batch() as batch:
        batch.put_location(drive.id, tmp_path / "drive" / "third.jpg", asset, 1000, 10**18, 9)
    library.catalog.locations.set_online(library.root.id, False)
    hit = library.search("red", where="name = third.jpg", k=1)[0]
    assert hit.path == tmp_path / "drive" / "third.jpg"


def test_a_film_found_by_its_subtitles_is_shown_where_the_filter_says(library: Library) -> None:
    for name in ("a/film.mp4", "b/film.mp4"):
        library.add(name, (0.0, 3.0, video("grey")), modality=Modality.VIDEO, content="film")
    library.add("a/film.srt", (1.0, 2.0, "a red balloon"), content="lines")
    with library.catalog.batch() as batch:
        batch.set_sidecars(library.root.id)
    for folder in ("a", "b"):
        where = f"folder = '{library.media / folder}' and kind = video"
        hit = library.search("a red balloon", where=where, k=1)[0]
        assert hit.path == library.media / folder / "film.mp4"
