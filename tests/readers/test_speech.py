"""Speech, with Whisper tiny.en and what flite or espeak-ng says; other sounds have no words."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from seehear import media
from seehear.errors import (
    EnvironmentFaultError,
    ModelUnavailableError,
    UnknownModelError,
    UsageError,
)
from seehear.readers import SAMPLE_RATE_HZ, open_reader, passages
from seehear.readers.base import Reader
from seehear.readers.process import ReaderProcess
from seehear.readers.speech import SpeechReader, with_translations
from seehear.readers.speech_models import find_model
from seehear.types import AudioSample, Floats, ImageSample, Line, Origin

SENTENCE = "The children planted tomatoes behind the old school."


@pytest.fixture(scope="module")
def reader(whisper: Path) -> Reader:
    return open_reader("speech", model=str(whisper), threads=2)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("spoken") / "spoken.wav"
    if shutil.which("flite"):
        command = ["flite", "-voice", "slt", "-t", SENTENCE, "-o", str(file)]
    elif shutil.which("espeak-ng"):
        command = ["espeak-ng", "-w", str(file), SENTENCE]
    else:
        pytest.skip("needs flite or espeak-ng, which say the sentence")
    subprocess.run(command, check=True, capture_output=True)
    return file


def padded(speech: Floats, before_s: float, after_s: float) -> AudioSample:
    parts = [np.zeros(round(s * SAMPLE_RATE_HZ), np.float32) for s in (before_s, after_s)]
    return AudioSample(np.concatenate([parts[0], speech, parts[1]]), SAMPLE_RATE_HZ)


def words_of(text: str) -> set[str]:
    return set(text.lower().replace(".", "").replace(",", "").split())


def test_a_sentence_is_heard_where_it_is_said(reader: Reader, spoken: Path) -> None:
    speech = media.load_audio(str(spoken), SAMPLE_RATE_HZ).waveform
    block = padded(speech, 7.0, 3.0)
    reading = reader.hear([(100.0, block)], translate=True)
    assert reading.language == "en"
    text = " ".join(line.text for line in reading.lines)
    assert len(words_of(text) & words_of(SENTENCE)) >= 6
    words = [word for line in reading.lines for word in line.words]
    assert words[0][1] == pytest.approx(107.0, abs=0.5)
    assert all(start_s <= stop_s for _, start_s, stop_s in words)
    assert words[-1][2] == pytest.approx(107.0 + len(speech) / SAMPLE_RATE_HZ, abs=0.8)
    assert {line.translation for line in reading.lines} == {None}
    found = passages(reading, Origin.SPEECH)
    assert found[0].start_s == pytest.approx(107.0, abs=0.5)
    assert 0.0 < (found[0].confidence or 0.0) <= 1.0
    assert reader.measure_speech([(0.0, block)]) == pytest.approx(len(speech) / 16_000, abs=1.0)


def test_a_telephone_s_sound_of_8_khz_is_read(reader: Reader, spoken: Path) -> None:
    speech = media.load_audio(str(spoken), 8000)
    narrow = np.repeat(speech.waveform, 2)  # nothing above 4 kHz that was there
    text = " ".join(line.text for line in reader.hear([(0.0, padded(narrow, 1.0, 1.0))]).lines)
    assert len(words_of(text) & words_of(SENTENCE)) >= 5


def chord(*tones_hz: float) -> Floats:
    times_s = np.arange(8 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    beats = 0.5 + 0.5 * np.cos(2 * np.pi * 2 * times_s)
    waves = sum(np.sin(2 * np.pi * hz * times_s) for hz in tones_hz)
    return np.asarray(0.2 * beats * waves, dtype=np.float32)


QUIET = np.zeros(8 * SAMPLE_RATE_HZ, np.float32)
NOISE = np.random.default_rng(0).normal(0, 0.1, 8 * SAMPLE_RATE_HZ).astype(np.float32)


@pytest.mark.parametrize(
    "waveform",
    [
        QUIET[:0],
        QUIET[:100],
        QUIET,
        NOISE,
        0.001 * NOISE,
        np.sign(NOISE),
        np.cumsum(NOISE) / np.abs(np.cumsum(NOISE)).max(),
        chord(440.0),
        chord(262.0, 330.0, 392.0),
        np.where(np.arange(len(QUIET)) % 8000 < 40, np.float32(0.9), QUIET),
    ],
    ids=["empty", "short", "silence", "hiss", "faint", "clipped", "rumble", "tone", "chord",
         "clicks"],
)  # fmt: skip
def test_sounds_without_speech_have_no_words(reader: Reader, waveform: Floats) -> None:
    sound = AudioSample(waveform.astype(np.float32), SAMPLE_RATE_HZ)
    assert reader.hear([(0.0, sound)]).lines == ()


def test_a_reader_of_speech_sees_nothing(reader: Reader) -> None:
    with pytest.raises(UsageError, match="sees nothing"):
        reader.see(ImageSample(np.zeros((8, 8, 3), np.uint8)))


@pytest.fixture
def copied(whisper: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(whisper, folder)
    return folder


@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        ("model.bin", None, "it lacks model.bin"),
        ("tokenizer.json", None, "it lacks tokenizer.json"),
        ("config.json", None, "it lacks config.json"),
        ("model.bin", 1_000_000, "cannot be loaded"),
        ("model.bin", 0, "cannot be loaded"),
        ("tokenizer.json", 1000, "cannot be loaded"),
    ],
)
def test_a_damaged_model_is_a_fault_of_the_environment(
    copied: Path, name: str, damage: int | None, told: str
) -> None:
    file = copied / name
    content = file.read_bytes()
    file.unlink()
    if damage is not None:
        file.write_bytes(content[:damage])
    with (
        pytest.raises(EnvironmentFaultError) as caught,
        ReaderProcess("speech", f"whisper:{copied}") as reader,
    ):
        reader.hear([(0.0, AudioSample(QUIET, SAMPLE_RATE_HZ))])
    message = str(caught.value)
    assert told in message
    assert str(copied) in message
    assert "\n" not in message


def test_a_model_that_is_not_here_says_the_ways_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailableError) as caught:
        find_model(None)
    for part in ("whisper-base (145 MB, licence MIT)", "--speech-model whisper:FOLDER"):
        assert part in str(caught.value)
    assert "tiny" not in str(caught.value)
    with pytest.raises(UnknownModelError, match=r"Did you mean whisper-base"):
        find_model("wisper-base")
    with pytest.raises(EnvironmentFaultError, match=r"it lacks model\.bin, config\.json"):
        find_model(f"whisper:{tmp_path}")


class Guesses:
    """In place of Whisper: tells a language by the level of a sound, and is never quite sure."""

    def detect_language(self, speech: Floats) -> tuple[str, float, list[tuple[str, float]]]:
        level = round(float(speech.mean()), 2)
        shares = {0.1: {"en": 0.9, "de": 0.05}, 0.2: {"de": 0.7, "en": 0.1}}.get(
            level, {"cy": 0.3, "en": 0.2}
        )
        every = sorted(shares.items(), key=lambda one: -one[1])
        return (*every[0], every)


def languages(*parts: tuple[float, float]) -> list[tuple[str, int]]:
    """Return the language of each stretch, and of how many parts it is, for (level, seconds)."""
    reader = SpeechReader.__new__(SpeechReader)
    reader._reads_all, reader._whisper = True, Guesses()
    waveform = np.concatenate(
        [np.full(round(s * SAMPLE_RATE_HZ), level, np.float32) for level, s in parts]
    )
    stops = np.cumsum([round(s * SAMPLE_RATE_HZ) for _, s in parts]).tolist()
    voiced = [
        {"start": start, "stop": stop}
        for start, stop in zip([0, *stops[:-1]], stops, strict=True)
    ]  # fmt: skip
    found = reader._by_language(waveform, voiced, {})
    return [(language, len(group)) for language, group in found]


def test_each_stretch_of_a_file_has_its_language() -> None:
    assert languages((0.1, 20), (0.2, 10), (0.1, 5)) == [("en", 1), ("de", 1), ("en", 1)]
    assert languages((0.1, 20), (0.1, 5)) == [("en", 2)]


def test_an_unclear_stretch_is_in_the_language_of_the_file() -> None:
    assert languages((0.1, 20), (0.3, 10), (0.1, 5)) == [("en", 3)]


def test_a_short_stretch_has_the_language_of_the_one_before() -> None:
    assert languages((0.2, 20), (0.1, 1)) == [("de", 2)]


def test_a_translation_goes_to_the_line_that_it_shares_most_time_with() -> None:
    lines = [Line("eins", 0.0, 4.0), Line("zwei", 4.0, 9.0), Line("drei", 20.0, 21.0)]
    english = [Line("one", 0.0, 3.0), Line("and", 3.0, 4.5), Line("two", 4.5, 9.0)]
    found = with_translations(lines, english)
    assert [line.translation for line in found] == ["one and", "two", None]
