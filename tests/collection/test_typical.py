"""What stands apart in a stocked collection, and what stands for the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seehear.collection import Collection
from seehear.config import Settings
from seehear.encoders.fake import concept
from seehear.errors import UsageError
from seehear.search import typicality
from tests.indexers.helpers import note, sound

STOCK = {"red": 12, "blue": 8, "green": 4}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """Photos of three themes, each a little different, and one photo that is like none of them."""
    folder = tmp_path_factory.mktemp("typical")
    chance = np.random.default_rng(7)
    for colour, count in {**STOCK, "yellow": 1}.items():
        for number in range(count):
            path = folder / "media" / colour / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.array(concept(colour).rgb) + chance.integers(-12, 13, (48, 64, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
    for number in range(4):
        sound(folder / "media" / "sounds" / f"{number}.wav", "red", seconds=2.0 + number)
    sound(folder / "media" / "sounds" / "odd.wav", "purple", seconds=3.0)
    note(folder / "media" / "one.txt", "A single text has no neighbours.")
    with Collection(folder / "collection", Settings(model="fake")) as opened:
        assert opened.index(folder / "media").failed == 0
        yield opened


def test_the_planted_outlier_stands_apart(library: Collection) -> None:
    found = library.unusual(k=2)
    assert {one.modality for one in found} == {"image", "audio"}  # one text is no kind to compare
    image, audio = (
        next(one for one in found if one.modality == kind) for kind in ("image", "audio")
    )
    assert image.path.parent.name == "yellow"
    assert audio.path.name == "odd.wav"
    assert image.apart > 1
    assert image.nearest.parent.name in STOCK
    others = library.unusual(k=25, modalities="photos")
    assert [one.similarity for one in others] == sorted(one.similarity for one in others)
    # The smallest theme has too few photos to be ten neighbours of each other.
    assert [one.path.parent.name for one in others[1:5]] == ["green"] * 4
    assert all(one.apart < image.apart for one in others[1:])
    assert library.hit_at(image.address).path == image.path
    assert image.to_dict()["address"] == image.address


def test_typical_files_differ_and_stand_for_all(library: Collection) -> None:
    found = library.typical(k=3, modalities="photos")
    assert [one.path.parent.name for one in found] == ["red", "blue", "green"]
    assert sum(one.stands_for for one in found) == 25
    counts = Counter(STOCK)
    for one in found:
        assert one.stands_for == pytest.approx(counts[one.path.parent.name], abs=1)
        assert one.share == pytest.approx(one.stands_for / 25)
    (medoid,) = library.typical(k=1, modalities="photos")
    assert (medoid.path.parent.name, medoid.stands_for) == ("red", 25)
    assert len(library.typical(k=99, modalities="photos")) == 25


def test_filters_choose_what_is_compared(library: Collection) -> None:
    red = library.folder.parent / "media" / "red"
    assert {one.path.parent for one in library.typical(k=3, under=red)} == {red}
    assert {one.path.parent.name for one in library.unusual(k=1, under=red)} == {"red"}
    assert [one.modality for one in library.typical(k=1, where="type = sound")] == ["audio"]
    for find in (library.unusual, library.typical):
        with pytest.raises(UsageError):
            find(where="colour = blue")
        with pytest.raises(UsageError, match="from 1 to"):
            find(k=0)


def test_an_empty_collection_has_neither(tmp_path: Path) -> None:
    with Collection(tmp_path, Settings(model="fake")) as empty:
        assert not empty.unusual()
        assert not empty.typical()


def test_facility_location_is_the_greedy_one() -> None:
    chance = np.random.default_rng(3)
    vectors = chance.normal(size=(40, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chosen: list[int] = []
    for _ in range(5):  # word for word: the row that raises the objective most
        value = [
            -np.inf if row in chosen else (vectors @ vectors[[*chosen, row]].T).max(axis=1).sum()
            for row in range(40)
        ]
        chosen.append(int(np.argmax(value)))
    assert typicality.choose_typical(vectors, 5).tolist() == chosen


def test_neighbours_of_many_are_those_of_a_spread_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(5)
    vectors = chance.normal(size=(300, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    expected = np.sort(cosines, axis=1)[:, -10:].mean(axis=1)
    monkeypatch.setattr(typicality, "_ROWS", 64)
    means, nearest = typicality._neighbours(vectors)
    assert np.allclose(means, expected, atol=1e-5)
    assert np.array_equal(nearest, cosines.argmax(axis=1))
    monkeypatch.setattr(typicality, "MOST_COMPARED", 100)
    some, _ = typicality._neighbours(vectors)
    assert np.corrcoef(some, expected)[0, 1] > 0.5
    assert (some <= means + 1e-5).all()
