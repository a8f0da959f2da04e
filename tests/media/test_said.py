"""What is said in films and songs, as their makers wrote it: subtitle tracks, lyrics, passages."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from seehear import media
from seehear.languages import language_code, language_named
from seehear.media import decode, media_info, subtitles
from seehear.media.passages import count_words, sentences
from seehear.media.subtitles import Cue
from seehear.types import Modality, Origin, SampleSpec, Segment
from tests.media import make
from tests.media.make_timed import BARE_MP3, Scene, Tone, Track, make_film

SPEC = SampleSpec()
SCENES = [Scene((200, 30, 30), 0, 3, 0.2)]
TONES = [Tone(440, 0, 1)]
CUES = [(0.5, 1.2, "Hello there"), (2.0, 2.8, "General Kenobi")]
Timed = tuple[float | None, float | None, str | None]


def said(path: Path) -> list[Segment]:
    return [one for one, _ in media.samples(path, None, SPEC) if one.modality is Modality.TEXT]


def timed(segments: Sequence[Segment]) -> list[Timed]:
    return [(one.start_s, one.stop_s, one.text) for one in segments]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mkv", "subrip"), ("b.mkv", "ass"), ("c.mkv", "webvtt"), ("d.webm", "webvtt"),
        ("e.mp4", "mov_text"), ("f.mov", "mov_text"),
    ],
)  # fmt: skip
def test_a_subtitle_track_is_read_with_its_times(name: str, codec: str, tmp_path: Path) -> None:
    path = make_film(tmp_path / name, SCENES, tracks=[Track(codec, CUES, "ger")])
    assert timed(said(path)) == CUES
    assert {(one.origin, one.language) for one in said(path)} == {(Origin.SUBTITLES, "de")}
    assert media.probe(path).modality is Modality.VIDEO


@pytest.mark.parametrize("name", ["a.mkv", "b.mp4"])
def test_a_track_is_on_the_clock_of_its_film(name: str, tmp_path: Path) -> None:
    codec = "mov_text" if name.endswith("mp4") else "subrip"
    path = make_film(tmp_path / name, SCENES, tracks=[Track(codec, CUES)], offset_s=600.0)
    for found, made in zip(timed(said(path)), CUES, strict=True):
        assert found[:2] == pytest.approx(made[:2], abs=0.005)
    assert {one.language for one in said(path)} == {None}


@pytest.mark.parametrize(
    ("codec", "written"),
    [
        ("subrip", "<i>Hello</i> <font color='red'>there</font>"),
        ("subrip", "{\\an8}Hello\nthere"),
        ("ass", "{\\pos(10,10)\\b1}Hello\\N{\\i1}there"),
        ("ass", "Hello\\hthere{a remark}"),
        ("webvtt", "<v Ann>Hello <c.red>there</c>"),
    ],
)
def test_marks_are_left_out(codec: str, written: str, tmp_path: Path) -> None:
    path = make_film(tmp_path / "a.mkv", SCENES, tracks=[Track(codec, [(0.5, 1.5, written)])])
    assert timed(said(path)) == [(0.5, 1.5, "Hello there")]


def test_drawings_are_no_words(tmp_path: Path) -> None:
    drawn = Track("ass", [(0.5, 1.5, "{\\p1}m 0 0 l 9 9{\\p0}"), (2.0, 2.5, "Hello, there")])
    path = make_film(tmp_path / "a.mkv", SCENES, tracks=[drawn])
    assert timed(said(path)) == [(2.0, 2.5, "Hello, there")]


def test_each_language_is_read_once_and_forced_tracks_too(tmp_path: Path) -> None:
    def line(words: str) -> list[tuple[float, float, str]]:
        return [(0.5, 1.5, words)]

    tracks = [
        Track("subrip", [(1.8, 2.4, "Nyet"), *CUES[:1]], "eng", forced=True),
        Track("subrip", CUES, "eng"),
        Track("ass", line("Hello there, for the deaf"), "en"),
        Track("subrip", line("Guten Tag"), "deu"),
        Track("ass", line("Grüß Gott"), "ger"),
        Track("subrip", line("Bonjour"), "fra"),
        Track("subrip", line("One unknown")),
        Track("subrip", line("Another unknown")),
    ]
    found = said(make_film(tmp_path / "a.mkv", SCENES, TONES, tracks=tracks))
    assert [(one.text, one.language) for one in found] == [
        ("Hello there", "en"), ("General Kenobi", "en"), ("Guten Tag", "de"), ("Bonjour", "fr"),
        ("One unknown", None), ("Another unknown", None), ("Nyet", "en"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("a.flac", {"LYRICS": "The moon is\nrising"}),
        ("b.opus", {"UNSYNCEDLYRICS": "The moon is\nrising"}),
        ("c.m4a", {"lyrics": "The moon is\rrising"}),
        ("d.mka", {"LYRICS": "The moon is\nrising"}),
        ("e.flac", {"UNSYNCEDLYRICS": "The moon is rising", "LYRICS": "The moon is rising"}),
    ],
)
def test_the_words_of_a_song_are_read_from_its_tags(
    name: str, tags: dict[str, str], tmp_path: Path
) -> None:
    found = said(make_film(tmp_path / name, [], TONES, tags=tags))
    assert timed(found) == [(None, None, "The moon is rising")]
    assert found[0].origin is Origin.LYRICS


def test_lyrics_with_times_are_moments(tmp_path: Path) -> None:
    tags = {"LYRICS": "[ti:Song]\n[00:00.20]The moon\n[00:01.50]is rising\n", "UNSYNCEDLYRICS": "x"}
    found = said(make_film(tmp_path / "a.flac", [], TONES, tags=tags))
    assert timed(found) == [(0.2, 6.5, "The moon is rising")]


def frame(version: int, name: bytes, content: bytes, flags: bytes = b"\0\0") -> bytes:
    size = len(content)
    if version == 2:
        return name + size.to_bytes(3, "big") + content
    stated = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return name + (stated if version == 4 else size.to_bytes(4, "big")) + flags + content


def tagged(path: Path, version: int, frames: bytes, flags: int = 0) -> Path:
    """Put an ID3 tag before a sound that has none."""
    sound = make_film(path, [], TONES, options=BARE_MP3).read_bytes()
    stated = bytes(len(frames) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3" + bytes([version, 0, flags]) + stated + frames + sound)
    return path


def sylt(encoding: int, lines: Sequence[tuple[float, str]], content: int = 1) -> bytes:
    coder = ("latin-1", "utf-16", "utf-16-be", "utf-8")[encoding]
    end = b"\0\0" if coder.startswith("utf-16") else b"\0"
    data = bytes([encoding]) + b"deu" + bytes([2, content]) + "about".encode(coder) + end
    for start_s, words in lines:
        data += words.encode(coder) + end + struct.pack(">I", round(start_s * 1000))
    return data


LINES = [(0.0, "Der Mond"), (0.4, "ist aufgegangen"), (5.0, "Die goldnen Sternlein")]
READ = [(0.0, 10.0, "Der Mond ist aufgegangen Die goldnen Sternlein")]


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("encoding", [0, 1, 2, 3])
def test_lyrics_with_times_of_an_mp3(version: int, encoding: int, tmp_path: Path) -> None:
    name = b"SLT" if version == 2 else b"SYLT"
    first = frame(version, b"TT2" if version == 2 else b"TIT2", b"\0A song")
    tag = first + frame(version, name, sylt(encoding, LINES)) + b"\0" * 40
    found = said(tagged(tmp_path / "a.mp3", version, tag))
    assert timed(found) == READ
    assert {(one.origin, one.language) for one in found} == {(Origin.LYRICS, "de")}


def test_syllables_of_lyrics_are_joined_and_chords_left_out(tmp_path: Path) -> None:
    sung = [(0.0, "Der "), (0.2, "Mond"), (0.4, "\nist auf"), (0.6, "gegangen"), (5.0, "\nDie")]
    chords = sylt(3, [(0.0, "Am"), (1.0, "Dm")], content=5)
    tag = frame(3, b"SYLT", chords) + frame(3, b"SYLT", sylt(3, sung))
    assert timed(said(tagged(tmp_path / "a.mp3", 3, tag))) == [
        (0.0, 10.0, "Der Mond ist aufgegangen Die")
    ]


def test_plain_lyrics_of_an_mp3_in_two_languages(tmp_path: Path) -> None:
    tag = frame(3, b"USLT", b"\0engabout\0The moon\nhas risen") + frame(
        3, b"USLT", b"\0deu\0Der Mond"
    )
    found = [(one.text, one.language) for one in said(tagged(tmp_path / "a.mp3", 3, tag))]
    assert found == [("The moon has risen", "en"), ("Der Mond", "de")]


@pytest.mark.parametrize("flags", [0, 0x40, 0x80, 0xC0])
@pytest.mark.parametrize("cut", [0, 7, 30, 60])
def test_a_damaged_tag_costs_no_sound(flags: int, cut: int, tmp_path: Path) -> None:
    tag = frame(3, b"SYLT", sylt(1, LINES))[: cut or None]
    path = tagged(tmp_path / "a.mp3", 3, tag, flags)
    kinds = {one.modality for one, _ in media.samples(path, None, SPEC)}
    assert Modality.AUDIO in kinds


def test_passages_end_at_pauses_and_sentences() -> None:
    cues = [
        Cue(0, 1, "I have seen a ship"), Cue(1.1, 2, "on the horizon."), Cue(2.1, 3, "It sails."),
        Cue(3.4, 4, "Look there!"), Cue(4.6, 5, "Where?"), Cue(5.1, 6, "Where?"),
    ]  # fmt: skip
    found = timed([one for one, _ in subtitles.passages(cues, Origin.SUBTITLES)])
    assert found == [
        (0, 2, "I have seen a ship on the horizon."), (2.1, 4, "It sails. Look there!"),
        (4.6, 5, "Where?"),
    ]  # fmt: skip


def test_a_long_cue_is_cut_in_equal_parts_with_their_times() -> None:
    words = " ".join(f"word{number:02}" for number in range(30))
    found = list(subtitles.passages([Cue(10, 40, words)], Origin.SPEECH, "en"))
    assert timed([one for one, _ in found]) == [
        (10.0 + 10 * part, 20.0 + 10 * part, " ".join(words.split()[10 * part : 10 * part + 10]))
        for part in range(3)
    ]
    assert {(one.origin, one.language) for one, _ in found} == {(Origin.SPEECH, "en")}


def test_no_passage_has_more_than_twelve_words_and_none_is_lost() -> None:
    text = "灯台は北の崖の上に立っている。" * 9 + " one two three four five six." * 9
    cues = [Cue(at, at + 1, text[at * 20 : at * 20 + 20]) for at in range(-(-len(text) // 20))]
    found = [words for _, words in subtitles.passages(cues, Origin.SUBTITLES)]
    assert all(0 < count_words(words) <= subtitles.PASSAGE_WORDS for words in found)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert list(sentences("", 12)) == list(sentences(" \n", 12)) == []


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("film.srt", None), ("film.de.srt", "de"), ("film.ger.srt", "de"),
        ("film.German.srt", "de"), ("film.pt-BR.srt", "pt"), ("film.en.forced.srt", "en"),
        ("film.part2.srt", None),
        ("de.srt", None), ("song.fr.lrc", "fr"),
    ],
)  # fmt: skip
def test_the_name_of_a_subtitle_file_tells_its_language(
    name: str, language: str | None, tmp_path: Path
) -> None:
    lyrics = name.endswith("lrc")
    text = "[00:01.00]Bonjour\n" if lyrics else "1\n00:00:01,000 --> 00:00:02,000\nBonjour\n"
    (tmp_path / name).write_text(text)
    (found,) = said(tmp_path / name)
    assert found.language == language
    assert found.origin is (Origin.LYRICS if lyrics else Origin.SUBTITLES)


def test_languages_have_one_code() -> None:
    tags = ["ger", "deu", "de-AT", "DE", "und", "", "zxx", "chi", "gsw", "English", "x"]
    assert [language_code(tag) for tag in tags] == [
        "de", "de", "de", "de", None, None, None, "zh", "gsw", None, None,
    ]  # fmt: skip
    assert [language_named(name) for name in ("German", "spa", "klingon")] == ["de", "es", None]


def test_a_sound_is_opened_for_its_words_only_if_the_probe_has_found_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    open_ = av.open

    def counted(*arguments: Any, **options: Any) -> Any:
        opened.append("once")
        return open_(*arguments, **options)

    plain, sung = make.make_wav(tmp_path / "plain.wav"), tmp_path / "sung.mp3"
    with av.open(str(sung), "w", format="mp3") as out:
        out.metadata["lyrics"] = "a harbour in the morning"
        track = out.add_stream("libmp3lame", rate=44_100)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 2 * 1152), np.int16), format="s16", layout="stereo"
        )
        frame.sample_rate = 44_100
        resampler = av.AudioResampler(track.format.name, "stereo", 44_100)
        for piece in resampler.resample(frame):
            out.mux(track.encode(piece))
        out.mux(track.encode())
    monkeypatch.setattr(av, "open", counted)
    found = []
    for path in (plain, sung):
        opened.clear()
        with decode.recognised(path) as item:
            media_info.probe_open(item)
            words = [
                one for _, one in decode.samples_open(item, SampleSpec()) if isinstance(one, str)
            ]
        found.append((len(opened), words))
    assert found == [(2, []), (3, ["a harbour in the morning"])]
