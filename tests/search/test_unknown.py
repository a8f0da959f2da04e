"""A filter that asks for what the collection does not have says so, and names what is near."""

from __future__ import annotations

import pickle
from datetime import datetime
from pathlib import Path

import pytest

from seehear.encoders.fake import image, tone
from seehear.errors import UnknownFolderError, UsageError
from seehear.search import parse_where
from seehear.search.unknown import check_values
from seehear.suggestions import did_you_mean, nearest
from seehear.types import Modality, Origin, Segment
from tests.search.library import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = Library(tmp_path)
    library.add(
        "Pictures/2023/Vienna/a.jpg",
        image("red"),
        taken_at=datetime(2024, 6, 1),
        camera="Apple iPhone 12",
        keywords="Beach; summer",
        city="Wien",
    )
    library.add("Pictures/2024/b.jpg", image("blue"), camera="Canon EOS R5", keywords="snow")
    library.add("songs/s.wav", tone("red"), artist="Nina Simone", album="Pastel Blues")
    return library


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("camera = ihpone", 'No camera "ihpone". Did you mean Apple iPhone 12?'),
        ("camera ~ ihpone", 'No camera contains "ihpone". Did you mean Apple iPhone 12?'),
        ("camera = canon", 'No camera "canon". Did you mean Canon EOS R5?'),
        ("camera ~ 'ni*on'", 'No camera matches "ni*on". There are: '),
        ("tag = baech", 'No tag "baech". Did you mean Beach?'),
        ("tag = zzz", 'No tag "zzz". There are: Beach, snow, summer'),
        ("artist = Simon", 'No artist "Simon". Did you mean Nina Simone?'),
        ("city = Vienna", 'No city "Vienna". There are: Wien'),
        ("format = jpgg", 'No format "jpgg". Did you mean jpg?'),
        ("format = jgp", 'No format "jgp". Did you mean jpg?'),
        ("format = weve", 'No format "weve". Did you mean wave?'),
        ("format = tif", 'No format "tif". There are: jpg, wav'),
        ("lens = 50mm", "No file has the field lens"),
        ("folder ~ viena", 'No folder "viena". Did you mean '),
        ("camera ~ '*a*a*a*a*a*a*a*a*a*b*z'", "No camera matches"),
        ("tag in (yyy, zzz)", 'No tag "yyy"'),
        ("width > 5 and (tag = zzz or camera = ihpone)", 'No tag "zzz"'),
    ],
)
def test_an_unknown_value_names_the_nearest(library: Library, where: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        library.search("red", where=where)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError):
        library.engine.duplicates(where=where)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("camera ~ IPHONE", {"a.jpg"}),
        ("camera !~ iphone", {"b.jpg"}),
        ("not camera ~ iphone", {"b.jpg", "s.wav"}),
        ("artist ~ simone", {"s.wav"}),
        ("tag in (beach, zzz)", {"a.jpg"}),
        ("tag = zzz or tag = snow", {"b.jpg"}),
        ("not tag = zzz", {"a.jpg", "b.jpg", "s.wav"}),
        ("camera != zzz", {"a.jpg", "b.jpg"}),
        ("format = jpeg", {"a.jpg", "b.jpg"}),  # here the catalog keeps another of its names
        ("format != jpeg", {"s.wav"}),
        ("folder ~ vienna", {"a.jpg"}),
        ("year = 2024", {"a.jpg"}),
        ("year = 1999", set()),  # no list of values: there are other years
        ("tag = beach and tag = snow", set()),  # both exist, together on nothing
        ("orientation = portrait", set()),
    ],
)
def test_what_exists_is_searched(library: Library, where: str, names: set[str]) -> None:
    assert {hit.path.name for hit in library.search("red", where=where)} == names


@pytest.mark.parametrize("how", ["under", "where"])
def test_an_unknown_folder_names_the_nearest(
    library: Library, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    library.media.mkdir()
    (library.media / "Vien").mkdir()  # what is on the disk is not told
    monkeypatch.chdir(library.media)

    def told(folder: Path) -> str:
        asked = {"under": folder} if how == "under" else {"where": f"folder = '{folder}'"}
        with pytest.raises(UnknownFolderError) as caught:
            library.search("red", **asked)
        return str(caught.value)

    here = library.media
    wanted = "Did you mean Pictures/2023/Vienna?"
    assert told(here / "Vienna") == f'No folder "Vienna". {wanted}'
    assert told(here / "Pictures" / "viena") == f'No folder "Pictures/viena". {wanted}'
    assert told(here / "Picturs") == 'No folder "Picturs". Did you mean Pictures?'
    assert told(Path("/qqq")) == f'No folder "/qqq". The indexed folders are {here}'
    assert told(here / "Vien") == f'No folder "Vien". {wanted}'
    for known in (here / "Pictures", here, here.parent):
        assert library.search("red", under=known)


def test_an_empty_collection_has_nothing_to_compare_with(tmp_path: Path) -> None:
    catalog = Library(tmp_path).catalog
    check_values(catalog, parse_where("tag = zzz or lens = 50mm"), tmp_path / "nowhere")


def test_the_error_of_a_folder_travels_between_processes() -> None:
    error = UnknownFolderError(Path("/a"), [Path("/b"), Path("/c")])
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == 'No folder "/a". Did you mean /b or /c?'
    assert again.told(lambda path: path.name.upper()) == 'No folder "A". Did you mean B or C?'


def test_the_nearest_words() -> None:
    cameras = ["NIKON D750", "Canon EOS R5", "Apple iPhone 12", "Apple iPhone 13"]
    assert nearest("ihpone", cameras) == ["Apple iPhone 12", "Apple iPhone 13"]
    assert nearest("nikkon", cameras) == ["NIKON D750"]
    assert nearest("d750", cameras) == ["NIKON D750"]
    assert nearest("Leica", cameras) == []
    assert nearest("", cameras) == []
    assert did_you_mean("cat", []) == ""
    assert did_you_mean("aaa", ["aab", "aac", "xyz"]) == " Did you mean aab or aac?"


def test_an_unknown_language_names_those_that_are_there(library: Library) -> None:
    with pytest.raises(UsageError, match="No file has the field language"):
        library.search("red", where="language = klingon")
    for number, language in enumerate(("de", "de", "en")):
        passage = Segment(Modality.TEXT, text="red", origin=Origin.SUBTITLES, language=language)
        library.add(f"films/{number}.srt", passage)
    with pytest.raises(UsageError, match=r'No language "klingon"\. There are: de, en'):
        library.search("red", where="language = klingon and has subtitles")
    with pytest.raises(UsageError, match=r'No language "dee"\. Did you mean de\?'):
        library.search("red", where="language = dee")
    assert library.search("red", where="language = en")
