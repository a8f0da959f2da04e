"""Texts: passages that overlap and cut no word, in any encoding and mark-up; subtitles; PDF."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seehear import media
from seehear.errors import BrokenMediaError
from seehear.media import subtitles
from seehear.media.passages import passages
from seehear.types import Modality, Origin, SampleSpec, Segment
from tests.media import make

SPEC = SampleSpec(passage_words=20)
NUMBERS = " ".join(f"w{number}" for number in range(500))


def texts_of(path: Path, spec: SampleSpec = SPEC) -> list[str]:
    found = []
    for segment, sample in media.samples(path, None, spec):
        assert segment.modality is Modality.TEXT
        assert segment.text == sample
        found.append(str(sample))
    return found


def test_passages_overlap_and_cover_everything() -> None:
    found = [passage.split() for passage in passages(NUMBERS, 60)]
    assert [word for passage in found for word in passage] != NUMBERS.split()
    assert set(NUMBERS.split()) == {word for passage in found for word in passage}
    for one, other in itertools.pairwise(found):
        assert len(one) <= 60
        shared = [word for word in one if word in other]
        assert shared == other[: len(shared)]
        assert 5 <= len(shared) <= 15


@given(st.text(max_size=600), st.integers(1, 40))
def test_no_word_is_cut(text: str, most: int) -> None:
    words = set(text.split())
    plain = all(len(word) <= 100 and word.isascii() for word in words) and "-" not in text
    found = list(passages(text, most))
    assert bool(found) == bool(text.split())
    for passage in found:
        assert passage == " ".join(passage.split())
        if plain:
            assert set(passage.split()) <= words
            assert len(passage.split()) <= most


def test_passages_end_with_sentences() -> None:
    text = " ".join(f"This is the sentence with the number {number}." for number in range(40))
    found = list(passages(text, 30))
    assert len(found) > 5
    assert all(passage.endswith(".") for passage in found)


def test_a_paragraph_ends_a_passage_rather_than_a_sentence() -> None:
    text = "One two three. " * 7 + "End of it.\n\nNext starts. " + "Four five six. " * 20
    assert next(passages(text, 30)).endswith("End of it.")


def test_scripts_without_spaces() -> None:
    text = "灯台は北の崖の上に立っている。" * 40
    found = list(passages(text, 30))
    assert len(found) > 5
    assert all(len(passage) <= 60 for passage in found)
    assert "".join(found)[:15] == text[:15]


def test_endless_words_are_bounded() -> None:
    found = list(passages("A" * 100_000, 10))
    assert all(len(passage) <= 1100 for passage in found)
    assert len(list(passages("a-\nb " * 50_000, 60))) > 500


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("thermo-\ndynamics", "thermodynamics"),
        ("Wetter\u2010  \n  bericht", "Wetterbericht"),
        ("well-\nknown and well-known", "well-known and well-known"),
        ("Marie-\nLouise", "Marie- Louise"),
        ("a list -\nof 3-\n4", "a list - of 3- 4"),
        ("pre- and post-war", "pre- and post-war"),
    ],
)
def test_words_parted_at_line_ends_are_joined(text: str, expected: str) -> None:
    assert list(passages(text, 60)) == [expected]


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1252", "Le garçon est allé à la plage où il a mangé un gâteau."),
        ("cp1252", "A canção não começou; são três irmãos."),
        ("cp1252", "Åke går på ängen"),
        ("cp1252", "Perché la città è così bella?"),
        ("cp1252", "café"),
        ("cp1250", "Zażółć gęślą jaźń, Łódź leży nad rzeką."),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy."),
        ("cp1250", "Árvíztűrő tükörfúrógép, őszi eső."),
        ("cp1250", "Această fată merge la şcoală în oraş."),
        ("cp1254", "Güneşli bir gün, çocuklar bahçede oynuyor."),
        ("cp1251", "Привет, как дела? Поезд отправляется."),
    ],
)
def test_short_texts_in_one_byte(encoding: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(words.encode(encoding))
    assert texts_of(tmp_path / "a.txt") == [words]


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-8", "Größe naïve Ωmega 灯台"),
        ("utf-8-sig", "Größe naïve Ωmega 灯台"),
        ("utf-16", "Größe naïve Ωmega 灯台"),
        ("utf-16-le", "The lighthouse stands on the northern cliff"),
        ("utf-16-be", "The lighthouse stands on the northern cliff"),
        ("utf-32", "Größe naïve"),
        (
            "cp1252",
            "Die Größe der Häuser überrascht die Gäste aus Österreich, „schön“ und süß. " * 4,
        ),
        ("cp1251", "Маяк стоит на северном утёсе над гаванью, и смотритель поднимается. " * 4),
        ("shift_jis", "灯台は北の崖の上に立っている。毎晩、番人は二百段を登る。" * 6),
    ],
)
def test_encodings(encoding: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(words.encode(encoding))
    assert words[:4] in texts_of(path)[0]
    assert "".join(texts_of(path)).count("\ufffd") == 0


def test_markdown_loses_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(
        "---\ntitle: Keeper's log\ndate: 2024-01-01\n---\n# The *lighthouse*\n\n"
        "A [link](https://example.org/x) and ![a picture of gulls](gulls.jpg), `code`,\n"
        "**bold**, snake_case_name and 2 * 3 * 4.\n\n> quoted\n\n- [x] done\n* item\n\n---\n"
        "```python\nprint('kept')\n```\n<div class='x'>inside</div>\n",
        encoding="utf-8",
    )
    assert media.probe(path).details["title"] == "Keeper's log"
    text = " ".join(texts_of(path, SampleSpec(passage_words=200)))
    assert text == (
        "The lighthouse A link and a picture of gulls, code, bold, snake_case_name and 2 * 3 * 4. "
        "quoted done item print('kept') inside"
    )


def test_html_shows_what_a_reader_sees(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(
        "<!-- hi --><!DOCTYPE html><html><head><title>The  keeper</title><style>x{}</style></head>"
        "<body><script>if (a < b) {}</script><h1>Night&nbsp;watch</h1><p>The b<b>eaco</b>n &amp; "
        "the sea</p><ul><li>one<li>two</ul><img src=x alt='a gull'><template>no</template>"
        "<noscript>no</noscript></body></html>"
    )
    assert media.probe(path).details["title"] == "The keeper"
    text = " ".join(texts_of(path))
    assert text == "The keeper Night watch The beacon & the sea one two a gull"


def test_html_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<html><head><title>t</title><body>" + "<div>" * 50_000 + "deep inside")
    assert texts_of(path)[-1].endswith("deep inside")


def test_subtitles_have_times(tmp_path: Path) -> None:
    cues = [(10.0 * at, 10.0 * at + 2.5, f"cue number {at}") for at in range(4)]
    for name in ("a.srt", "a.vtt"):
        path = make.make_subtitles(tmp_path / name, cues)
        found = [segment for segment, _ in media.samples(path, None, SPEC)]
        assert found == [Segment(Modality.TEXT, *cue, origin=Origin.SUBTITLES) for cue in cues], (
            "a pause separates passages"
        )


def test_subtitles_as_found_in_the_wild(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_bytes(
        "\ufeff1\r\n00:00:01,000 --> 00:00:02,000 X1:10 X2:20\r\n"
        "<i>Hello</i> {\\an8}there\r\n\r\n\r\n"
        "2\r\n0:0:03.5 --> 0:0:04.5\r\n- Two\r\n- lines &amp; all\r\n\r\n"
        "3\r\n00:00:09,000 --> 00:00:08,000\r\nbackwards\r\n\r\n"
        "4\r\n00:00:20,000 --> 00:00:21,000\r\n\r\n".encode()
    )
    found = [(s.start_s, s.stop_s, s.text) for s, _ in media.samples(path, None, SPEC)]
    assert found == [
        (1.0, 2.0, "Hello there"),
        (3.5, 4.5, "- Two - lines & all"),
        (9.0, 10.0, "backwards"),
    ]


def test_subtitles_without_times_are_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text("nothing of the kind")
    with pytest.raises(BrokenMediaError, match="have no times"):
        list(media.samples(path, None, SPEC))


def test_pdf_pages_are_read_in_order(tmp_path: Path) -> None:
    pages = [f"Page {number} speaks of {topic}." for number, topic in enumerate(("gulls", "ropes"))]
    path = make.make_pdf(tmp_path / "a.pdf", pages)
    assert media.probe(path).details["pages"] == 2
    assert texts_of(path) == pages
    assert [segment.page for segment, _ in media.samples(path, None, SPEC)] == [1, 2]


def test_a_pdf_with_a_password_is_a_failure_and_a_locked_one_is_read(tmp_path: Path) -> None:
    secret = make.make_pdf(tmp_path / "a.pdf", ["hidden words"], password="secret")
    with pytest.raises(BrokenMediaError, match="encrypted"):
        media.probe(secret)
    locked = make.make_pdf(tmp_path / "b.pdf", ["open words"], password="")
    assert texts_of(locked) == ["open words"]


def test_a_text_without_words_gives_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(" \n\n\t ")
    assert texts_of(path) == []
    with pytest.raises(BrokenMediaError, match="nothing to search for"):
        media.query_samples(path, SPEC)


def test_no_half_letters_reach_the_database(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<p>broken &#xD800; letter</p>")
    "".join(texts_of(path)).encode("utf-8")
    assert re.search("broken . letter", texts_of(path)[0])


def cues(words: str, suffix: str = "srt", encoding: str = "utf-8") -> list[tuple[Any, ...]]:
    data = words.encode(encoding)
    return [(c.start_s, c.stop_s, c.text) for c in subtitles.read_cues(io.BytesIO(data), suffix)[0]]


TWO = "1\n00:00:01,000 --> 00:00:02,500\nocelot\n\n2\n00:00:10,000 --> 00:00:12,000\nquagga\n"
READ = [(1.0, 2.5, "ocelot"), (10.0, 12.0, "quagga")]


@pytest.mark.parametrize(
    "words",
    [
        TWO, "\n\n" + TWO, "\ufeff\n" + TWO, TWO.replace("\n", "\r\n"), TWO.replace("\n", "\r"),
        TWO.replace(",", "."), TWO.replace(",", ":"), TWO.replace(",000", ",0"),
        TWO.replace(",000", ",000000"), TWO.replace(",000", ""), TWO.replace(",", ", "),
        TWO.replace("-->", "->"), TWO.replace(" --> ", "-->"), TWO.replace("-->", "\u2013>"),
        TWO.replace("00:00:", "00:"), TWO.replace("00:00:", "000:00:"),
        TWO.replace(",500", ",500 X1:10 X2:90"), TWO.replace("ocelot", "\nocelot"),
        TWO.replace("\n\n2\n", "\n"), TWO.replace("\n\n2\n", "\n2\n"),
    ],
)  # fmt: skip
def test_subtitles_however_their_times_are_written(words: str) -> None:
    assert cues(words) == READ


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_subtitles_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_bytes(TWO.encode(encoding))
    assert media.probe(tmp_path / "a.srt").format == "srt"
    assert cues(TWO, encoding=encoding) == READ


def test_a_blank_line_within_a_cue_and_times_below_zero() -> None:
    assert cues(TWO.replace("ocelot", "1984\n\nan ocelot\n")) == [
        (1.0, 2.5, "1984 an ocelot"), READ[1],
    ]  # fmt: skip
    assert cues(TWO.replace("00:00:01,000", "-00:00:01,000"))[0] == (0.0, 2.5, "ocelot")
    assert cues(TWO.replace("00:00:01,", "00:00:-1,"))[0] == (0.0, 2.5, "ocelot")
    early = TWO.replace("00:00:01,", "-00:00:09,").replace("00:00:02,", "-00:00:08,")
    assert cues(early)[0] == (0.0, 1.0, "ocelot")
    assert cues(TWO.replace("00:00:02,500", "00:00:00,500"))[0] == (1.0, 2.0, "ocelot")
    assert cues(TWO.replace("00:00:1", "120:00:1"))[1] == (432_010.0, 432_012.0, "quagga")


def test_a_blank_line_ends_a_cue_of_the_web() -> None:
    vtt = (
        "WEBVTT - a title\n\nNOTE\n00:09 is a remark\n\nSTYLE\n::cue {color: red}\n\nname\n"
        "00:01 --> 00:02.500 align:start\n<v Ann>ocelot\n\nNOTE a remark\n\n"
        "00:10,000 --> 00:12.000\n<c.red>quagga</c>\n"
    )
    assert cues(vtt, "vtt") == READ


@pytest.mark.parametrize(
    ("suffix", "words"),
    [
        ("ass", "Dialogue: 0,0:00:01,0:00:02.5,,,0,0,0,,{\\i1}ocelot\nDialogue: 0,-0:00:01.0,"
         "0:00:12.0,,,0,0,0,,quagga\n"),
        ("sbv", "-0:00:01,0:00:02\nocelot\n\n0:00:10.5,0:00:12\nquagga\n"),
        ("lrc", "[-00:01.00]ocelot\n[00:00:10.50]quagga\n"),
        ("ttml", "\n<?xml version='1.0'?><tt><p begin='-00:00:01'>ocelot</p>"
         "<p begin='00:00:10,5' end='00:00:12'>quagga</p></tt>"),
    ],
)  # fmt: skip
def test_other_subtitles_with_odd_times(suffix: str, words: str) -> None:
    found = cues(words, suffix)
    assert sorted(text for *_, text in found) == ["ocelot", "quagga"]
    assert all(0 <= start < stop for start, stop, _ in found)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("srt", TWO),
        ("vtt", "WEBVTT\n\n00:01.000 --> 00:02.500\nocelot\n\n00:10.000 --> 00:12.000\nquagga\n"),
        ("ass", "Dialogue: 0,0:00:01.0,0:00:02.5,,,0,0,0,,ocelot\n"
         "Dialogue: 0,0:00:10.0,0:00:12.0,,,0,0,0,,quagga\n"),
        ("sbv", "0:00:01.0,0:00:02.5\nocelot\n\n0:00:10.0,0:00:12.0\nquagga\n"),
        ("lrc", "[00:01.00]ocelot\n[00:10.00]quagga\n"),
        ("ttml", "<tt><body><div><p begin='1s' end='2.5s'>ocelot</p>\n"
         "<p begin='10s' end='12s'>quagga</p></div></body></tt>"),
    ],
)  # fmt: skip
def test_subtitles_that_are_cut_off_are_read_up_to_there(form: str, words: str) -> None:
    first = words.index("ocelot") + len("ocelot</p>" if form == "ttml" else "ocelot")
    for end in range(first, len(words)):
        found, is_whole = subtitles.read_cues(io.BytesIO(words[:end].encode()), form)
        assert found[0].start_s == 1.0
        assert found[0].text.startswith("ocelot"), words[:end]  # the next number may follow
        assert is_whole == (form != "ttml")
        assert all("quagga".startswith(cue.text) or "\n" in cue.text for cue in found[1:])


def test_a_cut_timed_text_is_partial(tmp_path: Path) -> None:
    whole = "<tt><body><div><p begin='1s' end='2.5s'>ocelot</p><p begin='10s'"
    path = tmp_path / "a.ttml"
    path.write_text(whole)
    info = media.probe(path)
    assert [sample for _, sample in media.samples(path, info, SPEC)] == ["ocelot"]
    assert info.details["partial"] == "cut off or damaged after 2.5 s"
    path.write_text("<tt><body><div><p begin='1s' end='2.5s'")
    with pytest.raises(BrokenMediaError, match="XML"):
        list(media.samples(path, None, SPEC))
