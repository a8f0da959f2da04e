"""Test containers with several tracks of a kind: what the second adds to the first is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from seehear import media
from seehear.media import container, tracks
from seehear.types import AudioSample, MediaInfo, Modality, Sample, SampleSpec, Segment, VideoSample
from tests.media import make
from tests.media.make import BLUE, GREEN, RED, Colour
from tests.media.make_timed import RATE_HZ, Scene, make_tracks

SPEC = SampleSpec(window_s=2.0, hop_s=1.0)
Wave = NDArray[np.float32]


def speech(seed: int, seconds: float = 6.0, words_per_s: float = 3.0) -> Wave:
    """Words, each of a few tones, with pauses: as two voices that say different things."""
    random = np.random.default_rng(seed)
    length = int(RATE_HZ / words_per_s)
    words = []
    for _ in range(round(seconds * words_per_s)):
        times = np.arange(length) / RATE_HZ
        pitches = random.uniform(150, 3_500, 4)
        word = sum(np.sin(2 * np.pi * hz * times) for hz in pitches) * np.hanning(length)
        words.append(0.15 * word * (random.random() > 0.2))
    return np.concatenate(words).astype(np.float32)


def pairs_of(path: Path) -> tuple[MediaInfo, list[tuple[Segment, Sample]]]:
    info = media.probe(path)
    return info, list(media.samples(path, info, SPEC))


def times(pairs: list[tuple[Segment, Sample]], modality: Modality) -> list[tuple[float, float]]:
    return [(one.start_s or 0.0, one.stop_s or 0.0) for one, _ in pairs if one.modality is modality]


def colours(pairs: list[tuple[Segment, Sample]]) -> list[tuple[Colour, float, float]]:
    """The colour of each shot, by its nearest of three, with its times to a tenth of a second."""
    found = []
    for segment, sample in pairs:
        if isinstance(sample, VideoSample):
            mean = sample.frames[0].pixels.mean(axis=(0, 1))
            near = min((RED, GREEN, BLUE), key=lambda one: float(np.abs(mean - one).sum()))
            found.append((near, round(segment.start_s or 0, 1), round(segment.stop_s or 0, 1)))
    return found


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts"])
def test_of_a_second_film_track_what_differs_is_added(suffix: str, tmp_path: Path) -> None:
    first = [Scene(RED, 0.0, 2.0), Scene(BLUE, 2.0, 4.0)]
    second = [Scene(RED, 0.0, 2.0), Scene(GREEN, 2.0, 3.0)]
    info, pairs = pairs_of(make_tracks(tmp_path / f"a.{suffix}", [first, second]))
    assert info.details["video_tracks"] == 2
    assert "sound_tracks" not in info.details
    shots = colours(pairs)
    assert [shot[0] for shot in shots] == [RED, BLUE, GREEN]
    assert shots[2][1:] == pytest.approx((2.0, 3.0), abs=0.2)


def test_a_second_film_track_that_shows_the_same_adds_nothing(tmp_path: Path) -> None:
    scenes = [Scene(RED, 0.0, 2.0), Scene(BLUE, 2.0, 4.0)]
    info, pairs = pairs_of(make_tracks(tmp_path / "a.mkv", [scenes, scenes, scenes]))
    assert info.details["video_tracks"] == 3
    assert len(pairs) == 2


@pytest.mark.parametrize("codec", ["aac", "ac3", "libmp3lame", "libopus"])
@pytest.mark.parametrize("level", [1.0, 0.3])
def test_the_same_sound_in_another_codec_or_volume_adds_nothing(
    codec: str, level: float, tmp_path: Path
) -> None:
    sound = speech(1)
    scenes = [Scene(RED, 0.0, 6.0)]
    path = make_tracks(
        tmp_path / "a.mkv",
        [scenes],
        [("aac", "eng", sound), (codec, "", sound * np.float32(level))],
    )
    info, pairs = pairs_of(path)
    assert info.details["sound_tracks"] == 2
    heard = times(pairs, Modality.AUDIO)
    assert len(heard) == len(set(heard)) == 5


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_another_language_and_a_commentary_are_added_where_they_are_heard(
    suffix: str, tmp_path: Path
) -> None:
    sound, other = speech(1), speech(2)
    other[: 3 * RATE_HZ] = sound[: 3 * RATE_HZ]  # music that both have in common
    commentary = (0.2 * sound + np.concatenate([np.zeros(3 * RATE_HZ), speech(3, 3.0)])).astype(
        np.float32
    )
    for added in (other, commentary):
        path = make_tracks(
            tmp_path / f"a.{suffix}",
            [[Scene(RED, 0.0, 6.0)]],
            [("aac", "eng", sound), ("aac", "eng", added)],
        )
        info, pairs = pairs_of(path)
        assert info.details["sound_tracks"] == 2
        heard = times(pairs, Modality.AUDIO)
        assert [start for start, _ in heard[:5]] == pytest.approx([0, 1, 2, 3, 4], abs=0.1)
        assert [start for start, _ in heard[5:]] == pytest.approx([2, 3, 4], abs=0.1)


def test_of_several_sound_tracks_another_language_is_read(tmp_path: Path) -> None:
    english, french = speech(1), speech(2)
    path = make_tracks(
        tmp_path / "a.mkv",
        [],
        [("libopus", "eng", english), ("ac3", "eng", english), ("libopus", "fre", french)],
    )
    info, pairs = pairs_of(path)
    assert (info.modality, info.details["sound_tracks"]) == (Modality.AUDIO, 3)
    assert len(times(pairs, Modality.AUDIO)) == 10


def test_a_second_track_that_is_silent_where_the_first_sounds_adds_nothing(tmp_path: Path) -> None:
    path = make_tracks(
        tmp_path / "a.mp4",
        [[Scene(RED, 0.0, 3.0)]],
        [("aac", "eng", speech(1, 3.0)), ("aac", "ger", np.zeros(3 * RATE_HZ, np.float32))],
    )
    assert len(times(pairs_of(path)[1], Modality.AUDIO)) == 2


def test_a_second_track_that_cannot_be_decoded_leaves_the_first(tmp_path: Path) -> None:
    path = make_tracks(
        tmp_path / "a.mkv",
        [[Scene(RED, 0.0, 3.0)]],
        [("libopus", "eng", speech(1, 3.0)), ("ac3", "ger", speech(2, 3.0))],
    )
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\x0b\x77", b"\x00\x00"))  # what each packet of AC-3 begins with
    info, pairs = pairs_of(path)
    assert len(times(pairs, Modality.AUDIO)) == 2
    assert info.details["partial"] == "its second sound track cannot be decoded"


def test_one_track_of_a_kind_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    whole = container.opened_container

    def counted(*args: Any) -> object:
        opened.append(args)
        return whole(*args)

    path = make.make_video(tmp_path / "a.mp4", [(RED, 2.0)], [(440, 2.0)])
    info = media.probe(path)
    assert not {"video_tracks", "sound_tracks"} & info.details.keys()
    monkeypatch.setattr(container, "opened_container", counted)
    assert [type(sample) for _, sample in media.samples(path, info, SPEC)]
    assert len(opened) == 4  # the clock, the film, the sound, the words inside


def test_different_sounds_are_told_from_the_same_one() -> None:
    def levels(wave: Wave) -> NDArray[np.int8]:
        window = AudioSample(wave, RATE_HZ)
        return tracks._levels(Segment(Modality.AUDIO, 0.0, window.duration_s), window)[1]

    noise = np.random.default_rng(3).normal(0, 0.01, 6 * RATE_HZ).astype(np.float32)
    one, other = speech(1), speech(2)
    assert tracks.audio_agrees(levels(one), levels(one * np.float32(0.1)))
    assert tracks.audio_agrees(levels(one), levels(one + noise * np.float32(0.1)))
    assert not tracks.audio_agrees(levels(one), levels(other))
    assert not tracks.audio_agrees(levels(one), levels(noise))
    silence = np.full((24, tracks.BANDS), tracks.FLOOR_DB, dtype=np.int8)
    assert not tracks.audio_agrees(silence, levels(one))
