"""What a collection says of its files: assets, locations, segments, folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seehear.collection import Collection
from seehear.config import Settings
from seehear.types import Modality
from tests.media import make_odd

FAKE = Settings(model="fake", device="cpu", decode_workers=1)


@pytest.fixture
def media(tmp_path: Path) -> Path:
    media = tmp_path / "media"
    for folder in ("", "2024/July"):
        (media / folder).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 8), "red").save(media / "red.png")
    shutil.copy(media / "red.png", media / "2024/July/copy.png")
    (media / "2024/July/diary.md").write_text("We saw a lighthouse.\n\n" * 400)
    return media


def test_a_hit_leads_to_its_asset_locations_and_segments(media: Path, tmp_path: Path) -> None:
    with Collection(tmp_path / "collection", FAKE) as library:
        assert library.segments(1, 5) == ([], 0)
        library.index(media)
        (hit,) = library.search("lighthouse", k=1, modalities="text")
        asset = library.asset(hit.asset_id)
        assert asset is not None
        assert (asset.format, library.assets_by_id([asset.id, 99])) == ("md", {asset.id: asset})
        assert [at.path for at in library.locations(asset.id)] == [media / "2024/July/diary.md"]
        some, total = library.segments(asset.id, 2)
        assert len(some) == 2 < total
        every, _ = library.segments(asset.id, total)
        assert hit.segment_id in [id_ for id_, _ in every]
        assert every[:2] == some
        (red,) = library.search("red", k=1, modalities="image")
        assert {at.path.name for at in library.locations(red.asset_id)} == {"red.png", "copy.png"}


def test_an_id_of_no_asset(media: Path, tmp_path: Path) -> None:
    with Collection(tmp_path / "collection", FAKE) as library:
        library.index(media)
        assert (library.asset(99), library.locations(99)) == (None, [])
        assert library.segments(99, 5) == ([], 0)


def test_folders_are_those_that_hold_files(media: Path, tmp_path: Path) -> None:
    odd = tmp_path / "media" / "\udcff"
    odd.mkdir()
    (odd / "note.md").write_text("A note.")
    with Collection(tmp_path / "collection", FAKE) as library:
        assert library.folders() == []
        library.index(media)
        assert library.folders() == [media, media / "2024/July", odd]


@pytest.mark.parametrize("indexed", [False, True])
def test_a_warmed_collection_answers_the_same(media: Path, tmp_path: Path, indexed: bool) -> None:
    found = []
    for warmed in (False, True):
        with Collection(tmp_path / "collection", FAKE) as library:
            if indexed:
                library.index(media)
            if warmed:
                library.warm_up()
            assert library.model().name == "fake"
            found.append(library.search("red", k=5))
    assert found[0] == found[1]
    assert bool(found[0]) == indexed


def test_a_scan_is_found_by_what_its_page_shows_and_stays_a_text(tmp_path: Path) -> None:
    """Images belong to other assets only as pages, and a search among photos leaves those out."""
    (tmp_path / "media").mkdir()
    reds = [np.full((60, 80, 3), (200 + at, 10, 10), dtype=np.uint8) for at in (0, 30)]
    for red in reds:
        red[:10, :10] = 255
    with Collection(tmp_path / "collection", FAKE) as library:
        for found in (["photo.png"], ["photo.png", "scan.pdf"]):
            if "scan.pdf" in found:
                make_odd.make_scan(tmp_path / "media" / "scan.pdf", [reds[1]])
            else:
                Image.fromarray(reds[0]).save(tmp_path / "media" / "photo.png")
            library.index(tmp_path / "media")
            hits = library.search("red", show_duplicates=True)
            assert sorted(hit.path.name for hit in hits) == found
            photos = library.search("red", modalities="image", show_duplicates=True)
            assert [hit.path.name for hit in photos] == ["photo.png"]
        (scan,) = library.search("red", modalities="text")
        assert (scan.modality, scan.matched_modality) == (Modality.TEXT, Modality.IMAGE)
        both = library.search("red", modalities=["image", "text"])
        assert {hit.path.name for hit in both} == set(found)
