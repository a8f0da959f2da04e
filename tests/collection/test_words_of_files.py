"""Files are found by their own words, however these are written, and shown where they match.

From the bytes of files to hits, in mode "words": what a model knows of a language plays no part.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import pytest
from PIL import Image

from seehear.collection import Collection
from seehear.types import Hit
from tests.media.make import make_pdf, make_wav
from tests.server.conftest import SETTINGS

LONG = "nothing remarkable whatsoever happened throughout that comparatively uneventful afternoon, "
TEXTS = {
    "ru_bread.txt": "Рецепт ржаного хлеба: смешайте муку, воду, соль и закваску.",
    "ru_train.txt": "Поезд до Мурманска отправляется с третьей платформы в семь часов утра.",
    "zh_zoo.txt": "昨天我们去了动物园，看到了一只大熊猫在吃竹子。孩子们非常高兴。",
    "ja.txt": "昨日、東京タワーで友だちとラーメンを食べました。",
    "th.txt": "แมวนอนอยู่ที่หน้าต่าง",
    "el_cat.txt": "Η γάτα κοιμάται στο παράθυρο και πίνει γάλα κάθε βράδυ.",
    "ligature.txt": "The ﬁrst oﬃce shuﬄed its ﬂamingos. The demon\u00adstra\u00adtion.",
    "vocalised.txt": "كِتَابٌ جَمِيلٌ عَنِ الْبَحْرِ",
    "parted.txt": "The laws of thermo-\ndynamics are well-\nknown, as well-known as any.",
    "story.txt": f"{LONG}until a pelican landed on the jetty of Zanzibar, and then {LONG}",
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    media = tmp_path_factory.mktemp("media")
    for name, text in TEXTS.items():
        (media / name).write_text(text, encoding="utf-8")
    (media / "french.txt").write_bytes("Le garçon est allé à la plage, très tôt.".encode("cp1252"))
    (media / "polish.txt").write_bytes("Łódź leży nad rzeką, więc pójdę.".encode("cp1250"))
    (media / unicodedata.normalize("NFD", "Übung 한글.txt")).write_text("one two", encoding="utf-8")
    for number, caption in enumerate(
        ("OLYMPUS DIGITAL CAMERA", "SONY DSC", "<Digimax i5, Samsung #1>", "a quiet harbour")
    ):
        exif = Image.Exif()
        exif[270] = caption
        picture = Image.new("RGB", (16, 12), (9 * number, 60, 0))
        picture.save(media / f"photo{number}.jpg", exif=exif)
    make_pdf(media / "scan_without_text.pdf", [""])
    make_wav(media / "QuietRoom.wav", tones=[(0.0, 2.0)])
    make_pdf(media / "pages.pdf", ["A page about herons.", "The kingfisher waits.", "The end."])
    with Collection(tmp_path_factory.mktemp("collection"), SETTINGS) as library:
        report = library.index(media)
        assert not report.failures
        yield library


def names(hits: list[Hit]) -> list[str]:
    return [unicodedata.normalize("NFC", hit.path.name) for hit in hits]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("хлеб", "ru_bread.txt"),
        ("мука вода", "ru_bread.txt"),
        ("поезд", "ru_train.txt"),
        ("ПЛАТФОРМА", "ru_train.txt"),
        ("大熊猫", "zh_zoo.txt"),
        ("动物园", "zh_zoo.txt"),
        ("大熊猫吃竹子", "zh_zoo.txt"),  # not as one phrase, but by most of its pairs
        ("ラーメン", "ja.txt"),
        ("แมว", "th.txt"),
        ("γατα", "el_cat.txt"),
        ("flamingo", "ligature.txt"),
        ("office demonstration", "ligature.txt"),
        ("كتاب", "vocalised.txt"),
        ("thermodynamics", "parted.txt"),
        ("plage tôt", "french.txt"),
        ("rzeka łódź", "polish.txt"),
        ("übung", "Übung 한글.txt"),
        ("한글", "Übung 한글.txt"),
        ("quiet harbour", "photo3.jpg"),
        ("scan_without_text.pdf", "scan_without_text.pdf"),
        ("scan without text", "scan_without_text.pdf"),
        ("quiet room", "QuietRoom.wav"),
        ("the pelican of Zanzibar at dusk", "story.txt"),
    ],
)
def test_files_by_their_own_words(library: Collection, wanted: str, name: str) -> None:
    hits = library.search(wanted, mode="words")
    assert names(hits)[:1] == [name]
    assert not hits[0].weak


@pytest.mark.parametrize(
    "wanted", ["digital camera", "sony", "samsung", "olympus", "熊大", "狗", "хл"]
)
def test_what_no_file_says_finds_nothing(library: Collection, wanted: str) -> None:
    assert library.search(wanted, mode="words") == []


def test_a_file_without_content_is_a_hit_by_its_name_alone(library: Collection) -> None:
    (hit,) = library.search("scan_without_text.pdf", mode="words")
    assert hit.score > 0.9
    assert (hit.snippet, hit.text, hit.marks, hit.start_s) == (None, None, (), None)
    assert library.segments(hit.asset_id, 5) == ([], 0)
    found = library.search("a scan of a page", k=50, mode="semantic")
    assert "scan_without_text.pdf" not in names(found)
    assert library.search("scan_without_text.pdf", modalities="text")[0].path == hit.path


def test_a_snippet_shows_the_words_that_matched(library: Collection) -> None:
    (hit,) = library.search("pelicans", mode="words")
    assert hit.text is not None
    assert hit.snippet is not None
    assert len(hit.snippet) < 205 < len(hit.text)
    assert [hit.snippet[start:stop] for start, stop in hit.marks] == ["pelican"]
    assert hit.marks[0][0] < 60  # on a narrow line, too
    assert hit.snippet.strip("… ") in hit.text
    (chinese,) = library.search("大熊猫吃竹子", mode="words")
    assert chinese.snippet is not None
    shown = [chinese.snippet[start:stop] for start, stop in chinese.marks]
    assert shown == ["大熊猫", "吃竹子"]


def test_a_passage_of_a_pdf_tells_its_page(library: Collection) -> None:
    (hit,) = library.search("kingfisher", mode="words")
    assert (hit.page, hit.to_dict()["page"]) == (2, 2)
    assert {segment.page for _, segment in library.segments(hit.asset_id, 9)[0]} == {1, 2, 3}
    assert library.search("pelican", mode="words")[0].page is None


def test_words_that_are_still_being_typed(library: Collection) -> None:
    assert library.search("peli", mode="words") == []
    assert names(library.search("peli", mode="words", typing=True)) == ["story.txt"]
    assert names(library.search("zanzibar jet", mode="words", typing=True)) == ["story.txt"]
    assert library.search("zanz jetty", mode="words", typing=True) == []
    whole, begun = (
        library.search("kingfisher", mode="words", typing=on)[0] for on in (False, True)
    )
    assert whole.score == begun.score


def test_half_of_the_words_count_by_their_share(library: Collection) -> None:
    (some,) = library.search("pelican jetty heron unicorn", mode="words", explain=True)
    assert some.why[0].words == "some of the words in a passage"
    assert some.score == pytest.approx(0.6 * 2 / 4, abs=0.01)
    assert library.search("pelican unicorn", mode="words") == []
    assert library.search("pelican unicorn dragon griffin sphinx", mode="words") == []
