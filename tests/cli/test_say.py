"""Spoken questions: what was heard is shown and asked with; silence says what to do."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from seehear import Collection, MediaError, Settings, UsageError
from seehear.readers.fake import say
from seehear.types import Floats
from tests.cli.conftest import Run


def wav(path: Path, waveform: Floats) -> Path:
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((waveform * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(autouse=True)
def speech_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEHEAR_SPEECH_MODEL", "fake")


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    return wav(tmp_path / "asked.wav", say("a red rose", 1.0).waveform)


def test_a_spoken_question_is_shown_and_asked_as_words(
    run: Run, indexed: Path, asked: Path
) -> None:
    typed = run("search", "--text", "a red rose", "--paths")
    spoken = run("search", "--say", asked, "--paths")
    assert spoken.stdout == typed.stdout
    assert 'heard: "a red rose" (en)\n' in spoken.stderr
    assert run("search", "--audio", asked, "--as", "speech", "--paths").stdout == typed.stdout


def test_it_is_combined_with_other_parts(run: Run, indexed: Path, asked: Path) -> None:
    typed = run("search", "--text", "blue", "--text", "a red rose", "--json")
    spoken = run("search", "--text", "blue", "--say", asked, "--json")
    assert spoken.stdout == typed.stdout
    both = run("search", "--audio", asked, "--as", "both", "--explain", "--json").stdout
    assert '"part": "a red rose"' in both
    assert '"part": "asked.wav"' in both


def test_the_question_may_come_from_the_input(run: Run, indexed: Path, asked: Path) -> None:
    given = io.TextIOWrapper(io.BytesIO(asked.read_bytes()))
    with mock.patch.object(sys, "stdin", given):
        assert 'heard: "a red rose"' in run("search", "--say", "-").stderr
    silence = io.TextIOWrapper(io.BytesIO(b""))
    with mock.patch.object(sys, "stdin", silence):
        assert run("search", "--say", "-", check=False).returncode != 0


def test_a_sound_without_words_says_what_to_do(run: Run, indexed: Path, tmp_path: Path) -> None:
    silent = wav(tmp_path / "silent.wav", np.full(16_000, 0.01, np.float32))
    done = run("search", "--say", silent, check=False)
    assert done.returncode == 2
    assert "nothing said in" in done.stderr
    assert f"to search by how it sounds use --audio {silent}" in done.stderr.replace("\n", " ")


def test_wrong_questions_are_told_in_a_line(run: Run, indexed: Path, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("words on paper")
    assert "has no sound" in run("search", "--say", note, check=False).stderr
    assert "No file" in run("search", "--say", tmp_path / "none.wav", check=False).stderr
    assert "--as must be" in run("search", "--audio", note, "--as", "x", check=False).stderr
    unknown = run("search", "--say", note, "--speech-model", "whisper-basis", check=False)
    assert "Did you mean whisper-base" in unknown.stderr


def test_a_library_hears_files_and_what_a_program_holds(tmp_path: Path, asked: Path) -> None:
    with Collection(tmp_path / "c", Settings(model="fake", speech_model="fake")) as library:
        reading = library.hear(asked)
        assert (reading.text, reading.language) == ("a red rose", "en")
        assert reading.lines[0].words[0] == ("a", 1.0, 1.25)
        assert library.hear(asked.read_bytes()) == reading
        assert library.hear((say("a red rose", 1.0).waveform, 16_000)) == reading
        assert library.hear(asked, most_s=0.9).lines == ()
        german = wav(tmp_path / "german.wav", say("de|gute de|Nacht").waveform)
        assert library.hear(german, translate=True).lines[0].translation == "in English: gute Nacht"
        with pytest.raises(UsageError, match="No file"):
            library.hear(tmp_path / "none.wav")
        with pytest.raises(MediaError, match="no sound"):
            library.hear(b"only words")


def test_a_long_sound_is_heard_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seehear.query_builder.PIECE_S", 2.0)
    waveform = np.concatenate([say("one two", 1.8).waveform, say("three", 2.4).waveform])
    with Collection(tmp_path / "c", Settings(model="fake", speech_model="fake")) as library:
        reading = library.hear(wav(tmp_path / "long.wav", waveform))
    words = [(word, start_s) for line in reading.lines for word, start_s, _ in line.words]
    assert words == [("one", 1.8), ("two", 2.1), ("three", 4.8)]
