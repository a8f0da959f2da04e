"""Groups of duplicates under filters: what is named, and in which order."""

from __future__ import annotations

from pathlib import Path

from seehear.encoders.fake import image
from tests.search.library import Library


def test_a_copy_that_meets_the_filter_stands_first(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for place in ("x/a.jpg", "y/b.jpg", "z/c.jpg"):
        library.add(place, image("green"), content="green")
    media = library.media
    for filters, first in (
        ({"where": "name = 'b.jpg'"}, "y/b.jpg"),
        ({"under": media / "z"}, "z/c.jpg"),
        ({}, "x/a.jpg"),
    ):
        (group,) = library.engine.duplicates(**filters)
        rest = [place for place in ("x/a.jpg", "y/b.jpg", "z/c.jpg") if place != first]
        assert group.paths == tuple(media / place for place in (first, *rest))
