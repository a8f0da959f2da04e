"""What lies beside a photo and describes it is taken up when it is added, changed or removed."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from seehear.types import Asset, FileState
from tests.indexers.helpers import InProcess, Library, age, counts, picture, sound
from tests.media.test_sidecars import TAKEOUT, XMP
from tests.words import search_words

TAKEN = datetime(2024, 6, 15, 8, 30, 15)


def describe(path: Path, caption: str = "A blimp", by_s: int = 0) -> Path:
    """An XMP file, or Takeout's JSON, by the suffix; dated `by_s` after the other files."""
    if path.suffix == ".json":
        path.write_text(json.dumps(TAKEOUT | {"description": caption}))
    else:
        path.write_text(XMP.replace("A blimp", caption))
    return age(path, by_s)


def asset_at(library: Library, path: Path) -> Asset:
    (place,) = [one for one in library.catalog.locations.in_folder(path.parent) if one.path == path]
    asset = library.catalog.assets.get(place.asset_id)
    assert asset is not None
    return asset


def found_by(library: Library, word: str) -> set[str]:
    """The names of the files whose words hold a word."""
    _, files = search_words(library.catalog, 1, word)
    return {found.path.name for found in library.catalog.segments.resolve(files)}


@pytest.mark.parametrize("name", ["IMG.xmp", "IMG.jpg.supplemental-metadata.json"])
def test_added_changed_and_removed(
    name: str, library: Library, media_folder: Path, in_process: InProcess
) -> None:
    photo = picture(media_folder / "IMG.jpg")
    picture(media_folder / "below" / "IMG.jpg", "blue")
    picture(media_folder / "IMG2.jpg", "green")
    library.index(media_folder)
    encoded = library.encoded
    assert asset_at(library, photo).taken_at is None

    beside = describe(media_folder / name)
    report = library.index(media_folder)
    asset = asset_at(library, photo)
    assert (asset.taken_at, asset.details["caption"]) == (TAKEN, "A blimp")
    assert asset.details["people"].startswith("Anna Stone")  # type: ignore[union-attr]
    assert asset.details["latitude"] == pytest.approx(35.6595)
    assert asset.details["described_by"] == name
    assert found_by(library, "blimp") == {"IMG.jpg"}
    assert report.unchanged == 3
    assert report.changed
    assert report.notes == ("1 file described anew by what lies beside (XMP, Takeout)",)

    describe(beside, "A glider", by_s=60)
    library.index(media_folder)
    assert asset_at(library, photo).details["caption"] == "A glider"
    assert (found_by(library, "glider"), found_by(library, "blimp")) == ({"IMG.jpg"}, set())

    beside.unlink()
    library.index(media_folder)
    asset = asset_at(library, photo)
    assert (asset.taken_at, dict(asset.details)) == (None, {"orientation": "landscape"})
    assert found_by(library, "glider") == set()
    for other in ("below/IMG.jpg", "IMG2.jpg"):
        assert asset_at(library, media_folder / other).taken_at is None
    in_process.decoded.clear()
    assert not library.index(media_folder).notes
    texts = 0 if name.endswith("xmp") else 2  # Takeout's JSON is a text of its own
    assert library.encoded == encoded + texts
    assert "IMG.jpg" not in in_process.decoded


@pytest.mark.parametrize("name", ["IMG.jpg.xmp", "IMG.jpg.json"])
def test_a_pair_that_is_renamed_and_one_that_is_parted(
    name: str, library: Library, media_folder: Path
) -> None:
    photo = picture(media_folder / "IMG.jpg")
    beside = describe(media_folder / name)
    library.index(media_folder)
    encoded = library.encoded
    moved = photo.rename(media_folder / "DSC.jpg")
    beside = beside.rename(media_folder / name.replace("IMG", "DSC"))
    report = library.index(media_folder)
    assert report.moved >= 1
    asset = asset_at(library, moved)
    assert (asset.taken_at, asset.details["caption"]) == (TAKEN, "A blimp")
    assert asset.details["described_by"] == name.replace("IMG", "DSC")

    alone = moved.rename(media_folder / "alone.jpg")
    library.index(media_folder)
    assert dict(asset_at(library, alone).details) == {"orientation": "landscape"}
    together = alone.rename(moved)
    library.index(media_folder)
    assert asset_at(library, together).taken_at == TAKEN
    assert library.encoded == encoded


def test_a_copy_that_is_described_speaks_for_all(library: Library, media_folder: Path) -> None:
    picture(media_folder / "a" / "IMG.jpg")
    copy = picture(media_folder / "b" / "IMG.jpg")
    library.index(media_folder)
    describe(copy.with_suffix(".xmp"))
    library.index(media_folder)
    assert asset_at(library, media_folder / "a" / "IMG.jpg").taken_at == TAKEN
    assert found_by(library, "blimp") == {"IMG.jpg"}


@pytest.mark.parametrize("name", ["IMG.xmp", "IMG.jpg.XMP"])
def test_a_description_counts_as_read_while_its_photo_is_there(
    name: str, library: Library, media_folder: Path
) -> None:
    def states() -> dict[str, str]:
        found = library.catalog.locations.files()
        assert library.catalog.counts().files == {
            state: sum(one.state == state for one in found) for state in FileState
        }
        return {one.path.name: one.state for one in found}

    photo = picture(media_folder / "IMG.jpg")
    beside = describe(media_folder / name)
    describe(media_folder / "alone.xmp")
    (media_folder / "IMG2.xmp").write_text("no description")
    picture(media_folder / "IMG2.jpg", "blue")
    report = library.index(media_folder)
    assert counts(report) == {"added": 3, "skipped": 2}
    assert dict(report.unsupported) == library.catalog.locations.unsupported() == {".xmp": 2}
    expected = {"IMG.jpg": "complete", name: "complete", "IMG2.jpg": "complete"}
    assert states() == expected | {"alone.xmp": "skipped", "IMG2.xmp": "skipped"}
    assert counts(library.index(media_folder)) == {"unchanged": 3, "skipped": 2}
    describe(beside, "A glider", by_s=60)
    assert counts(library.index(media_folder)) == {"updated": 1, "unchanged": 2, "skipped": 2}

    away = photo.rename(media_folder.parent / "IMG.jpg")
    assert counts(library.index(media_folder)) == {"removed": 1, "unchanged": 1, "skipped": 3}
    assert states()[name] == "skipped"
    away.rename(photo)
    assert counts(library.index(media_folder)) == {"added": 1, "unchanged": 2, "skipped": 2}
    assert states()[name] == "complete"


def test_sounds_are_described_and_what_is_partial_stays_so(
    library: Library, media_folder: Path
) -> None:
    recording = sound(media_folder / "a.wav", "red", seconds=8.0)
    data = recording.read_bytes()
    recording.write_bytes(data[: len(data) // 2])
    age(recording)
    library.index(media_folder)
    before = asset_at(library, recording)
    assert "cut off" in str(before.details["partial"])
    describe(media_folder / "a.xmp")
    library.index(media_folder)
    after = asset_at(library, recording)
    assert after.details["caption"] == "A blimp"
    assert after.details["partial"] == before.details["partial"]


def test_json_of_others_and_texts_cost_nothing(
    library: Library, media_folder: Path, in_process: InProcess
) -> None:
    picture(media_folder / "IMG.jpg")
    library.index(media_folder)
    in_process.decoded.clear()
    other = media_folder / "IMG.jpg.json"
    other.write_text(json.dumps({"title": "settings of a program"}))
    age(other)
    report = library.index(media_folder)
    assert (counts(report), report.notes) == ({"added": 1, "unchanged": 1}, ())
    assert in_process.decoded == ["IMG.jpg.json"]
