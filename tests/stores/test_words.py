"""Words find the same in both databases: how they are split, matched, ordered and removed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seehear.errors import UsageError
from seehear.stores import Catalog, Generation
from seehear.stores.catalog.asked_words import AskedWord, WordMarker, asked_words
from seehear.stores.catalog.tokens import (
    LONGEST_TEXT,
    LONGEST_WORD,
    parted,
    spans_of,
    stems_of,
    words_of,
)
from seehear.stores.catalog.word_index import EMPTY, WordIndex, build, equal, stem_term
from seehear.stores.catalog.words import WordIndexes
from seehear.types import MediaInfo, Modality, Segment
from tests.stores.conftest import both_databases, put
from tests.stores.one_by_one import put_asset
from tests.words import search_words


class Names(NamedTuple):
    passages: list[str]
    files: list[str]


def found(catalog: Catalog, wanted: str, k: int = 20) -> Names:
    """The names of the files that words find, best first."""
    return Names(*(
        [(f.sidecar or f.path).name for f in catalog.segments.resolve(ids)]
        for ids in search_words(catalog, 1, wanted, k)
    ))  # fmt: skip


def passage(catalog: Catalog, generation: Generation, name: str, *texts: str) -> None:
    segments = [Segment(Modality.TEXT, text=text) for text in texts]
    put(catalog, generation, f"/media/photos/{name}", MediaInfo(Modality.TEXT, "txt"), segments)


FITTING = [
    ("img", {"IMG_2041.jpg"}),
    ("2041", {"IMG_2041.jpg"}),
    ("img_2041.JPG", {"IMG_2041.jpg"}),
    ("2041 img", {"IMG_2041.jpg"}),  # words in any order
    ('"2041 img"', set()),  # but not in a phrase
    ("204", set()),  # nor a part of a word
    ('"beach summer"', {"IMG_2041.jpg"}),
    ('"jpg media"', set()),  # no phrase reaches from the name into the folder
    ('"2024 beach"', set()),  # nor from there into the caption
    ("2024 beach", {"IMG_2041.jpg"}),
    ("photos", {"IMG_2041.jpg", "snow.png", "song.mp3", "film.mp4", "film.srt", "fox.md"}),
    ("blue-danube", {"song.mp3"}),
    ("winter | song", set()),
    ("!", set()),
    ("_", set()),
    ("_ winter", {"snow.png"}),
    ("winter & ! song", set()),
    ("winter')", {"snow.png"}),
    ("winter:*", {"snow.png"}),
    ("<b>winter</b>", set()),
]


@both_databases
def test_files_by_words(filled: Catalog) -> None:
    for wanted, expected in FITTING:
        assert set(found(filled, wanted).files) == expected, wanted


@both_databases
def test_names_come_before_captions_and_folders(catalog: Catalog, generation: Generation) -> None:
    titled = MediaInfo(Modality.IMAGE, "jpeg", details={"title": "Elephant"})
    put(catalog, generation, "/media/photos/elephant/a.jpg")
    put(catalog, generation, "/media/photos/zoo/b.jpg", titled)
    put(catalog, generation, "/media/photos/zoo/elephant.jpg")
    assert found(catalog, "elephant").files == ["elephant.jpg", "b.jpg", "a.jpg"]
    assert found(catalog, "elephant", k=1).files == ["elephant.jpg"]


@both_databases
def test_a_short_passage_comes_before_a_long_one(catalog: Catalog, generation: Generation) -> None:
    passage(catalog, generation, "long.txt", "A tiger and " + "something else " * 40)
    passage(catalog, generation, "often.txt", "tiger, tiger, tiger")
    passage(catalog, generation, "short.txt", "A tiger here.")
    assert found(catalog, "tiger").passages == ["often.txt", "short.txt", "long.txt"]


@both_databases
def test_words_follow_what_they_speak_of(catalog: Catalog, generation: Generation) -> None:
    info = MediaInfo(Modality.IMAGE, "jpeg", details={"caption": "a lighthouse"})
    put(catalog, generation, "/media/photos/a.jpg", info, content="same")
    put(catalog, generation, "/media/photos/old/b.jpg", info, content="same")
    assert found(catalog, "lighthouse").files == ["a.jpg"]  # once, though it lies at two places
    with catalog.batch() as batch:  # another content at the same path
        asset = put_asset(batch, "other", 1, MediaInfo(Modality.IMAGE, "jpeg"))
        batch.put_location(1, Path("/media/photos/a.jpg"), asset.id, 1, 1, 1)
    assert found(catalog, "lighthouse").files == ["b.jpg"]
    catalog.locations.relocate({Path("/media/photos"): Path("/elsewhere")})
    assert found(catalog, "photos").files == []
    assert found(catalog, "elsewhere lighthouse").files == ["b.jpg"]
    passage(catalog, generation, "c.txt", "first", "second thought")
    passage(catalog, generation, "c.txt", "second reading")
    assert found(catalog, "thought").passages == []
    assert found(catalog, "reading").passages == ["c.txt"]
    catalog.locations.remove(Path("/elsewhere/old"))
    assert found(catalog, "lighthouse").files == []
    assert catalog.integrity_issues() == []


@both_databases
def test_words_of_another_generation_do_not_count(filled: Catalog, generation: Generation) -> None:
    new = filled.generations.create("other", "2", [])
    assert search_words(filled, new.id, "fox", 5) == ([], [])
    passages, _ = search_words(filled, generation.id, "fox", 5)
    assert len(passages) == 1


@both_databases
def test_words_and_texts_of_any_length(catalog: Catalog, generation: Generation) -> None:
    endless = "x" * 5_000
    passage(catalog, generation, "endless.txt", endless)
    passage(catalog, generation, "many.txt", " ".join(f"w{n}" for n in range(60_000)))
    passage(catalog, generation, "wide.txt", "\N{GRINNING FACE} \U00020000" * 40_000)
    passage(catalog, generation, "same.txt", "again " * 40_000)
    assert found(catalog, endless).passages == ["endless.txt"]
    assert found(catalog, "w7 w3").passages == ["many.txt"]
    assert found(catalog, '"again again"').passages == ["same.txt"]


@both_databases
def test_a_null_character_is_refused(catalog: Catalog) -> None:
    with pytest.raises(UsageError, match="null"):
        search_words(catalog, 1, "a\0b", 5)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("IMG_2041-Cat.JPG", ["img", "2041", "cat", "jpg"]),
        ("naïve NAI\u0308VE", ["naive", "naive"]),
        ("Ünïcödé ŁÓDŹ Ærø", ["unicode", "lodz", "aero"]),
        ("ΟΔΟΣ οδός straße İstanbul", ["οδοσ", "οδοσ", "strasse", "istanbul"]),
        ("Ёлка أحمد", ["елка", "احمد"]),
        ("The ﬁrst oﬃce shuﬄed ﬂamingos", ["the", "first", "office", "shuffled", "flamingos"]),
        ("demon\u00adstra\u00adtion zero\u200bwidth", ["demonstration", "zerowidth"]),
        ("كِتَابٌ جَمِيلٌ كـتـاب", ["كتاب", "جميل", "كتاب"]),
        ("שָׁלוֹם", ["שלום"]),
        ("東京タワー 夜 iPhone手机", [*"東京タワー夜", "iphone", "手", "机"]),
        ("カ\u3099 ｶﾞ ガ", ["ガ", "ガ", "ガ"]),
        ("กินข้าว", ["กิ", "น", "ข้", "า", "ว"]),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af 한글", ["한글", "한글"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("서울 3.14 1e5 a+b", ["서울", "3", "14", "1e5", "a", "b"]),
        ("<b>x</b> http://a.b/c user@host", ["b", "x", "b", "http", "a", "b", "c", "user", "host"]),
        ("ｆｕｌｌ ｗｉｄｔｈ ① m²", ["full", "width", "1", "m2"]),
        ("´ \u0301 ' ·", []),
        ("x" * (LONGEST_WORD + 1), ["x" * LONGEST_WORD]),
        ("a " * LONGEST_TEXT, ["a"] * (LONGEST_TEXT // 2)),
    ],
)
def test_the_words_of_a_text(told: str, expected: list[str]) -> None:
    assert words_of(told) == expected
    if len(told) < LONGEST_WORD:
        assert [word for word, *_ in spans_of(told)] == expected


@given(st.text(max_size=30))
def test_spans_are_those_of_the_words(told: str) -> None:
    spans = spans_of(told)
    assert all(0 <= start < stop <= len(told) for _, _, start, stop in spans)
    assert [start for _, _, start, _ in spans] == sorted(start for _, _, start, _ in spans)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MyHolidayPhoto", "My Holiday Photo"),
        ("IMG2041", "IMG 2041"),
        ("HTMLPage2", "HTML Page 2"),
        ("iPhone", "i Phone"),
        ("ÉtéÀParis", "Été À Paris"),
        ("IMG_2041", "IMG_2041"),
    ],
)
def test_names_are_parted(name: str, expected: str) -> None:
    assert parted(name) == expected


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The dogs were running home.", "dog run"),
        ("Die Häuser der Stadt und die Gärten", "haus garten"),
        ("Les chevaux sont dans la prairie", "cheval"),
        ("Los gatos y las casas son del pueblo", "gato casa"),
        ("De katten liggen op het bed", "kat"),
        ("Рецепт ржаного хлеба: смешайте муку", "хлеб ржаной мука"),
        ("Η γάτα κοιμάται στο παράθυρο", "γάτες"),
        ("قرأت الكتب في المكتبات", "مكتبة"),
        ("Kediler ve köpekler bir evde yaşıyor", "kedi"),
        ("고양이가 잔다", "고양이"),
    ],
)
def test_other_forms_of_a_word(text: str, wanted: str) -> None:
    index = WordIndex([build([(1, 0, [fields_of(text)])])], [1.0])
    for word, has in zip(wanted.split(), index.look_up(asked_words(wanted)), strict=True):
        assert has.any_form.all(), (word, stems_of(text))
    found = {number for _, _, number in WordMarker(asked_words(wanted)).find(text)}
    assert found == set(range(len(wanted.split())))


@both_databases
def test_words_as_written_come_before_other_forms(catalog: Catalog, generation: Generation) -> None:
    passage(catalog, generation, "stem.txt", "She runs and runs and runs.")
    passage(catalog, generation, "exact.txt", "A long text in which one was running, once only.")
    passage(catalog, generation, "other.txt", "A runt.")
    assert found(catalog, "running").passages == ["exact.txt", "stem.txt"]
    assert found(catalog, '"running"').passages == ["exact.txt"]  # a quoted word is no other


@both_databases
def test_names_by_their_parts_and_by_prefix(catalog: Catalog, generation: Generation) -> None:
    for name in ("MyHolidayPhoto.jpg", "IMG2041.jpg", "e-mail.txt", "Cafe\u0301.png", "写真.jpg"):
        put(catalog, generation, f"/media/photos/{name}")
    fitting = {
        "holiday": ["MyHolidayPhoto.jpg"],
        "holiday photo": ["MyHolidayPhoto.jpg"],
        "myholidayphoto": ["MyHolidayPhoto.jpg"],
        "2041": ["IMG2041.jpg"],
        "IMG_2041": ["IMG2041.jpg"],
        "email": [],
        "e-mail": ["e-mail.txt"],
        "café": ["Cafe\u0301.png"],
        "CAFE": ["Cafe\u0301.png"],
        "写": ["写真.jpg"],
    }
    for wanted, expected in fitting.items():
        assert found(catalog, wanted).files == expected, wanted
    assert found(catalog, "holid").files == []
    typed = asked_words("photo holid", typing=True)
    first, *rest = search_words(catalog, 1, typed, 5)[1]
    assert not rest
    assert catalog.segments.resolve([first])[0].path.name == "MyHolidayPhoto.jpg"


TEXT = st.text(
    st.sampled_from("aAbsÄé1 _-.,:'\"*()&|!<>\\東あ한бйกิ\u00ad\u200b\u0301ﬁ"), max_size=14
)


def fields_of(told: str) -> list[str]:
    return [*words_of(told), *map(stem_term, stems_of(told))]


def has_word(fields: Sequence[Sequence[str]], word: AskedWord) -> bool:
    """Whether a text has a word in any form, told by looking through it."""
    joined = [f" {' '.join(terms)} " for terms in fields]
    written = (f" {' '.join(phrase)} " for phrase in word.phrases)
    begun = (f" {' '.join(phrase)}" for phrase in word.prefixes)
    stems = (f" {stem_term(stem)} " for stem in word.stems)
    return any(form in one for form in (*written, *begun, *stems) for one in joined)


@given(
    told=st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=6),
    wanted=TEXT,
    taken=st.lists(st.booleans(), min_size=6, max_size=6),
    at=st.integers(0, 6),
)
def test_an_index_finds_what_looking_through_the_texts_finds(
    told: list[tuple[str, str, str]], wanted: str, taken: list[bool], at: int
) -> None:
    texts = [
        (number, number // 2, [fields_of(text) for text in fields])
        for number, fields in enumerate(told)
    ]
    gone = np.array(taken[: len(texts)])
    whole = WordIndex([build(texts)], [4.0, 1.0, 2.0]).extended(gone, EMPTY)
    grown = WordIndex([build(texts[:at])], [4.0, 1.0, 2.0])
    for one in texts[at:]:
        grown = grown.extended(np.zeros(len(grown.ids), dtype=np.bool_), build([one]))
    grown = grown.extended(gone, EMPTY)
    assert equal(whole.merged(), grown.merged())
    asked = asked_words(wanted, typing=True)
    expected = [
        [number for number, _, fields in texts if has_word(fields, word) and not gone[number]]
        for word in asked
    ]
    indexes = (whole, grown, WordIndex([grown.merged()], [4.0, 1.0, 2.0]))
    ranked: list[list[int]] = []
    for index in indexes:
        found = index.look_up(asked)
        assert [index.ids[word.any_form].tolist() for word in found] == expected
        rows = np.arange(len(index.ids))
        rows = rows if index.alive is None else rows[index.alive]
        equal_ranks = np.zeros(len(rows), dtype=np.int64)
        best = index.ids[index.best(rows, found, equal_ranks, 6)].tolist()
        assert index.ids[index.best(rows, found, equal_ranks, 2)].tolist() == best[:2]
        ranked.append(best)
    assert ranked[0] == ranked[1] == ranked[2]


@both_databases
def test_a_damaged_file_gives_no_wrong_answer(catalog: Catalog, generation: Generation) -> None:
    for number in range(20):
        passage(catalog, generation, f"{number}.txt", f"a fox and a hare, as number {number}")
    before = found(catalog, "fox hare")
    assert len(before.passages) == 20
    for path in (catalog.folder / "cache").glob("*.words"):
        data = bytearray(path.read_bytes())
        for at in range(8, len(data), len(data) // 12):
            data[at] ^= 1
            path.write_bytes(data)
            words = WordIndexes(catalog._transactions, path.parent, read_only=False)
            index, has = words.look_up(1, asked_words("fox hare"))[0]
            rows = np.flatnonzero(has[0].any_form & has[1].any_form)
            assert len(index.best(rows, has, np.zeros(len(rows), dtype=np.int64), 99)) == 20
            data[at] ^= 1


@both_databases
def test_an_index_is_kept_and_brought_up_to_date(catalog: Catalog, generation: Generation) -> None:
    passage(catalog, generation, "fox.txt", "A fox.")
    assert found(catalog, "fox").passages == ["fox.txt"]
    again = Catalog.open(
        catalog.folder,
        url=None
        if catalog.engine.dialect.name == "sqlite"
        else str(catalog.engine.url.render_as_string(hide_password=False)),
    )
    passage(again, generation, "hare.txt", "A hare and a fox.")
    assert found(catalog, "fox").passages == found(again, "fox").passages == ["fox.txt", "hare.txt"]
    assert found(catalog, "hare txt").files == ["hare.txt"]
    again.locations.remove(Path("/media/photos/fox.txt"))
    assert found(catalog, "fox").passages == ["hare.txt"]
    assert found(catalog, "txt").files == ["hare.txt"]
    assert again.words.check(repair=False)
    again.close()
