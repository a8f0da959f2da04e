"""Addresses of moments: written by a search, read again, opened and asked with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seehear.address import Address, is_address, parse_address
from seehear.collection import Collection
from seehear.config import Settings
from seehear.errors import UsageError
from tests.indexers.helpers import picture, sound

HOME = "seehear://00000000000000ab/7"


@pytest.mark.parametrize(
    ("fragment", "moment"),
    [
        ("", (None, None, None)),
        ("#t=12.5,19", (12.5, 19.0, None)),
        ("#t=12.5", (12.5, None, None)),
        ("#t=,19", (0.0, 19.0, None)),
        ("#t=npt:3,4.25s", (3.0, 4.25, None)),
        ("#t=1:02,1:00:03.5", (62.0, 3603.5, None)),
        ("#page=3", (None, None, 3)),
        ("#t=1,2&page=3", (1.0, 2.0, None)),
    ],
)
def test_fragments(fragment: str, moment: tuple[float | None, float | None, int | None]) -> None:
    found = parse_address(HOME + fragment)
    assert (found.start_s, found.stop_s, found.page) == moment
    assert (found.collection, found.asset_id) == ("00000000000000ab", 7)
    assert parse_address(str(found)) == found


def test_one_spelling() -> None:
    assert str(Address("00000000000000ab", 7, 12.5, 19.0)) == f"{HOME}#t=12.5,19"
    assert str(Address("00000000000000ab", 7, 0.0, 0.0625)) == f"{HOME}#t=0,0.062"
    assert str(Address("00000000000000ab", 7, page=3)) == f"{HOME}#page=3"
    # Short, in capitals, and with the slash that a path loses.
    assert parse_address(str(Path("SEEHEAR://AB/7#t=1,2"))) == parse_address(f"{HOME}#t=1,2")


@pytest.mark.parametrize(
    "text",
    [
        *("seehear://xyz/7", "seehear://ab/", "seehear://ab/-1", "seehear://ab/7/8", "seehear:"),
        *(f"{HOME}#t=", f"{HOME}#t=5,5", f"{HOME}#t=9,3", f"{HOME}#t=1,2,3", f"{HOME}#t=-1,3"),
        *(f"{HOME}#t=nan", f"{HOME}#t=1e9", f"{HOME}#page=0", f"{HOME}#page=x", f"{HOME}#top"),
    ],
)
def test_what_is_no_address_is_one_line(text: str) -> None:
    with pytest.raises(UsageError) as told:
        parse_address(text)
    assert "\n" not in str(told.value)


def test_words_are_no_address() -> None:
    assert not any(map(is_address, ["", "see hear", "seehear", Path("photo.jpg"), b"seehear", 3]))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    folder = tmp_path_factory.mktemp("addresses")
    media = folder / "media"
    sound(media / "two.wav", "red", "blue", seconds=6.0)
    sound(media / "siren.wav", "red", seconds=6.0)
    picture(media / "rose.png", "red")
    picture(media / "sky.png", "blue")
    with Collection(folder / "collection", Settings(model="fake")) as opened:
        assert opened.index(media).failed == 0
        yield opened


def test_a_hit_is_found_again_by_its_address(library: Collection) -> None:
    for hit in library.search("red", k=10, moments=3):
        again = library.hit_at(hit.address)
        assert (again.path, again.moment, again.segment_id) == (
            hit.path, hit.moment, hit.segment_id,
        )  # fmt: skip
        assert again.address == hit.address == hit.to_dict()["address"]
        for moment, told in zip(hit.moments, hit.to_dict()["moments"], strict=True):
            found = library.hit_at(moment.address)
            assert found.moment == (moment.start_s, moment.stop_s)
            assert told["address"] == moment.address


def test_a_moment_is_asked_with(library: Collection) -> None:
    two = next(h for h in library.search("blue", modalities="audio") if h.path.name == "two.wav")
    whole = two.address.partition("#")[0]
    red, blue = f"{whole}#t=0,5", f"{whole}#t=7,12"
    for address, name in ((red, "rose.png"), (blue, "sky.png")):
        assert library.search(audio=address, modalities="image")[0].path.name == name
        assert library.search(like=[address], modalities="image")[0].path.name == name
        assert library.similar(address, modalities=["image"])[0].path.name == name
        line = library.parse_query(["1:sound", "+", f"9:{address}"])
        assert [part.label for part in line] == ["sound", "two.wav"]
    assert "two.wav" not in [hit.path.name for hit in library.similar(red)]
    with pytest.raises(UsageError, match="is a sound, not a picture"):
        library.search(image=red)


def test_an_address_needs_no_file(library: Collection, tmp_path: Path) -> None:
    hit = next(h for h in library.search("red") if h.path.name == "siren.wav")
    away = hit.path.rename(tmp_path / "away.wav")
    try:
        assert library.search(audio=hit.address, modalities="image")[0].path.name == "rose.png"
    finally:
        away.rename(hit.path)


def test_what_an_address_cannot_name(library: Collection) -> None:
    hit = library.search("red", modalities="audio")[0]
    own, number = hit.address.partition("#")[0].rsplit("/", 1)
    for address, told in (
        (f"{own}/{number}#t=99,100", "begins behind the end: the file is"),
        (f"{own}/999", "is not in the collection any more"),
        (f"seehear://ab/{number}", f"of another collection; this one is {own}"),
    ):
        with pytest.raises(UsageError, match=told):
            library.hit_at(address)
    assert library.hit_at(f"{own}/{number}#t=1,100").stop_s == library.asset(int(number)).duration_s  # type: ignore[union-attr]
