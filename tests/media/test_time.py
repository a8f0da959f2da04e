"""Test the clock of a file: what is seen and heard at a time is what was put there."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from seehear import media
from seehear.media import audio, stamps
from seehear.media.timeline import Timeline
from seehear.types import AudioSample, SampleSpec, VideoSample
from tests.media import make
from tests.media.make import Colour, tone
from tests.media.make_timed import Scene, Tone, make_bare_sound, make_film

SPEC = SampleSpec(window_s=2.0, hop_s=1.0)
WITHIN_S = 0.1
COLOURS: tuple[Colour, ...] = (
    (200, 40, 40), (40, 70, 190), (40, 160, 60), (230, 220, 60), (20, 20, 20), (235, 235, 235),
    (150, 40, 170),
)  # fmt: skip
PITCHES_HZ = (400.0, 700.0, 1100.0, 1600.0, 2300.0, 3100.0)
LOUD = 0.05
"""A level between that of silence and that of the tones."""


def check_film(
    path: Path, scenes: Sequence[Scene], tones: Sequence[Tone] = (), within_s: float = WITHIN_S
) -> None:
    """Compare duration, shots, frames at a time, and sounds at a time with what was made."""
    info = media.probe(path)
    end_s = max([scene.stop_s for scene in scenes] + [tone.stop_s for tone in tones])
    # Some containers do not say for how long their last frame is shown.
    last_s = 0.0 if path.suffix in {".mp4", ".mov", ".mkv"} else scenes[-1].length_s
    assert info.duration_s == pytest.approx(end_s, abs=within_s + last_s)
    pairs = list(media.samples(path, info, SPEC))
    check_shots(pairs, scenes, end_s, within_s, last_s)
    inner = [scene for scene in scenes if scene.stop_s - scene.start_s > 3 * within_s]
    for scene in inner:  # a look into a file measures all of it
        for share in (0.0, 0.3, 0.7, 1.0) if len(inner) < 4 else (0.0, 1.0):
            low, high = scene.start_s + 1.1 * within_s, scene.stop_s - 1.1 * within_s
            time_s = low + share * (high - low)
            assert nearest(media.frame_at(path, time_s, 0).pixels) == scene.colour, time_s
    assert nearest(media.frame_at(path, end_s + 60.0, 0).pixels) == scenes[-1].colour
    if tones:
        whole = media.load_audio(path, SPEC.sample_rate_hz)
        within_s = SOUND_WITHIN_S.get(path.suffix, within_s)
        check_pitches(whole, 0.0, tones, within_s)
        windows = [(s.start_s or 0.0, x) for s, x in pairs if isinstance(x, AudioSample)]
        for start_s, window in windows:
            check_pitches(window, start_s, tones, within_s)
        for tone in tones:
            middle = (tone.start_s + tone.stop_s) / 2
            assert any(
                start - within_s <= middle <= start + window.duration_s + within_s
                for start, window in windows
            ), tone


def check_shots(
    pairs: list[Any], scenes: Sequence[Scene], end_s: float, within_s: float, last_s: float
) -> None:
    shots = [(segment, sample) for segment, sample in pairs if isinstance(sample, VideoSample)]
    assert (shots[0][0].start_s or 0.0) == pytest.approx(scenes[0].start_s, abs=within_s)
    stop_s = shots[-1][0].stop_s or 0.0
    assert scenes[-1].stop_s - within_s - last_s <= stop_s <= end_s + within_s + last_s
    for (one, _), (other, _) in itertools.pairwise(shots):
        assert one.stop_s == other.start_s, "shots tile the film"
    edges = [segment.start_s or 0.0 for segment, _ in shots]
    for scene in scenes:
        assert min(abs(edge - scene.start_s) for edge in edges) <= within_s, scene
    for segment, sample in shots:
        middle = ((segment.start_s or 0.0) + (segment.stop_s or 0.0)) / 2
        shown = next((one for one in scenes if middle < one.stop_s), scenes[-1])
        assert all(nearest(frame.pixels) == shown.colour for frame in sample.frames), segment


def nearest(pixels: np.ndarray) -> Colour:
    seen = pixels.reshape(-1, 3).mean(axis=0)
    return min(COLOURS, key=lambda colour: float(np.abs(seen - np.array(colour)).sum()))


def check_pitches(
    sample: AudioSample, start_s: float, tones: Sequence[Tone], within_s: float
) -> None:
    """Compare the pitch of each tenth of a second with the tone there, away from edges."""
    rate = sample.sample_rate_hz
    size = round(0.05 * rate)
    for at in range(0, len(sample.waveform) - size, 2 * size):
        low_s, high_s = start_s + at / rate, start_s + (at + size) / rate
        edges = [edge for tone in tones for edge in (tone.start_s, tone.stop_s)]
        if any(low_s - within_s < edge < high_s + within_s for edge in edges):
            continue
        piece = sample.waveform[at : at + size]
        expected = [tone for tone in tones if tone.start_s < low_s < tone.stop_s]
        if not expected:
            assert np.abs(piece).max() < LOUD, f"a sound at {low_s:.2f} s"
            continue
        assert np.abs(piece).max() > LOUD, f"nothing at {low_s:.2f} s"
        peak = int(np.abs(np.fft.rfft(piece * np.hanning(size))).argmax()) * rate / size
        assert peak == pytest.approx(expected[0].frequency_hz, abs=60), f"at {low_s:.2f} s"


FILMS = ("mp4", "mov", "mkv", "webm", "ts", "vob", "avi", "flv", "ogv", "wmv")
PLAIN = frozenset({"avi"})
"""Containers without stamps: all frames and samples follow one another from the start."""
FIXED = PLAIN | {"vob", "ogv"}
"""Containers whose frames are equally long, or are read so."""
SOUND_WITHIN_S = {".vob": 0.4, ".ogv": 1.1}
"""Containers that state the time of some packets only: where a hole is, is not known better."""
THREE = [Scene(COLOURS[0], 0, 2), Scene(COLOURS[1], 2, 5), Scene(COLOURS[2], 5, 8)]


def random_film(seed: int, form: str) -> tuple[list[Scene], list[Tone], float]:
    """Return a layout of scenes and tones that the container can hold, and an offset."""
    chance = random.Random(f"{seed} {form}")
    plain, fixed = form in PLAIN, form in FIXED
    time_s = 0.0 if plain else chance.choice([0.0, 0.0, 1.6])
    scenes: list[Scene] = []
    for _ in range(chance.randint(3, 5)):
        others = [one for one in COLOURS if not scenes or one != scenes[-1].colour]
        length_s = chance.randint(35, 110) * 0.04
        period_s = chance.choice([0.04, 0.04, 0.08, 0.2, None])
        period_s = 0.04 if fixed else period_s
        if period_s:
            length_s = period_s * round(length_s / period_s)
        scenes.append(Scene(chance.choice(others), time_s, time_s + length_s, period_s))
        time_s += length_s
    tones: list[Tone] = []
    at_s = 0.0 if plain or scenes[0].start_s else chance.choice([0.0, 2.3])
    while at_s < time_s - 1.0:
        stop_s = min(at_s + chance.uniform(0.8, 4.0), time_s)
        tones.append(Tone(chance.choice(PITCHES_HZ), at_s, stop_s))
        at_s = stop_s + (0.0 if plain else chance.choice([0.0, 0.5, 3.0]))
    return scenes, tones, 0.0 if plain else chance.choice([0.0, 0.0, 1.4, 600.0])


@pytest.mark.parametrize("form", FILMS)
@pytest.mark.parametrize("seed", [1])
def test_random_films(form: str, seed: int, tmp_path: Path) -> None:
    scenes, tones, offset_s = random_film(seed, form)
    path = make_film(tmp_path / f"a.{form}", scenes, tones, offset_s=offset_s)
    check_film(path, scenes, tones)


@pytest.mark.slow
@pytest.mark.parametrize("form", FILMS)
@pytest.mark.parametrize("seed", range(2, 23))
def test_many_random_films(form: str, seed: int, tmp_path: Path) -> None:
    test_random_films(form, seed, tmp_path)


AS_GIVEN = {"avoid_negative_ts": "disabled"}


def slides(*lengths_s: float) -> list[Scene]:
    """Scenes of one frame each."""
    edges = [0.0, *itertools.accumulate(lengths_s)]
    return [Scene(COLOURS[at], edges[at], edges[at + 1], None) for at in range(len(lengths_s))]


@pytest.mark.parametrize("form", ["mp4", "mov", "mkv", "webm", "ts", "flv"])
def test_a_frame_is_shown_until_the_next_one_comes(form: str, tmp_path: Path) -> None:
    scenes = slides(20.0, 25.0, 15.0)
    check_film(make_film(tmp_path / f"a.{form}", scenes), scenes)


@pytest.mark.parametrize("offset_s", [2**33 / 90_000 - 4, 2**33 / 90_000 - 16, -5.0])
def test_stamps_that_wrap(offset_s: float, tmp_path: Path) -> None:
    scenes = [Scene(colour, 10.0 * at, 10.0 * at + 10.0, 0.2) for at, colour in enumerate(COLOURS)]
    scenes = scenes[:3]
    tones = [Tone(400.0, 0, 12), Tone(700.0, 15, 30)]
    path = make_film(tmp_path / "a.ts", scenes, tones, offset_s=offset_s, options=AS_GIVEN)
    check_film(path, scenes, tones)


@pytest.mark.parametrize("form", ["mp4", "mov"])
def test_what_an_edit_list_cuts_off_is_not_shown(form: str, tmp_path: Path) -> None:
    made = [Tone(400.0, 0, 4), Tone(700.0, 4, 8)]
    path = make_film(tmp_path / f"a.{form}", THREE, made, offset_s=-3.0)
    shown = [Scene(COLOURS[1], 0, 2), Scene(COLOURS[2], 2, 5)]
    check_film(path, shown, [Tone(400.0, 0, 1), Tone(700.0, 1, 5)])


def joined(path: Path, *parts: tuple[list[Scene], list[Tone], float]) -> Path:
    """Files joined by appending one to the other, as `cat` does."""
    data = b"".join(
        make_film(
            path.with_name(f"part{at}{path.suffix}"), scenes, tones, offset_s=offset_s
        ).read_bytes()
        for at, (scenes, tones, offset_s) in enumerate(parts)
    )
    path.write_bytes(data)
    return path


def later(by_s: float, scenes: list[Scene], tones: list[Tone]) -> tuple[list[Scene], list[Tone]]:
    moved = [replace(one, start_s=one.start_s + by_s, stop_s=one.stop_s + by_s) for one in scenes]
    return moved, [
        replace(one, start_s=one.start_s + by_s, stop_s=one.stop_s + by_s) for one in tones
    ]


JUMPS, NONE, SMALL = (600.0, 1.4, 8000.0), (0.0, 0.0, 0.0), (2.0, 30.0, 5.0)
WHOLE, PARTS = 4 << 20, 16 << 10
JOINED = [(form, by, chunk) for form in ("ts", "vob") for by in (JUMPS, NONE, SMALL)
          for chunk in (WHOLE, PARTS)]  # fmt: skip
QUICK_JOINED = {("ts", by, PARTS) for by in (JUMPS, NONE, SMALL)}
QUICK_JOINED |= {("ts", JUMPS, WHOLE), ("vob", JUMPS, PARTS)}


@pytest.mark.parametrize(
    ("form", "offsets_s", "chunk_bytes"),
    [pytest.param(*one, marks=() if one in QUICK_JOINED else pytest.mark.slow) for one in JOINED],
)
def test_joined_recordings_run_on(
    form: str,
    offsets_s: tuple[float, float, float],
    chunk_bytes: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where a file is too large to be read as a whole, and is probed at some places."""
    monkeypatch.setattr(stamps, "_CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr("seehear.media.container.BUFFER_BYTES", 8 << 10)
    tones = [Tone(400.0, 0, 4), Tone(1600.0, 5, 8)]
    other = [Scene(COLOURS[at], 4.0 * at - 12, 4.0 * at - 8) for at in (3, 4, 5)]
    path = joined(
        tmp_path / f"a.{form}",
        (THREE, tones, offsets_s[0]),
        (other, [Tone(700.0, 0, 12)], offsets_s[1]),
        (THREE, tones, offsets_s[2]),
    )
    middle, last = later(8.0, other, [Tone(700.0, 0, 12)]), later(20.0, THREE, tones)
    check_film(path, [*THREE, *middle[0], *last[0]], [*tones, *middle[1], *last[1]])


@pytest.mark.parametrize("form", ["ts", "mp4"])
def test_a_scene_between_distant_key_frames(form: str, tmp_path: Path) -> None:
    edges = [0.0, 103.0, 109.0, 330.0]
    scenes = [Scene(COLOURS[at], edges[at], edges[at + 1], 1.0) for at in range(3)]
    path = make_film(tmp_path / f"a.{form}", scenes, key_frame_every=20)
    check_film(path, scenes, within_s=1.0)
    assert nearest(media.frame_at(path, 106.0, 0).pixels) == COLOURS[1]


@pytest.mark.parametrize("name", ["aac", "mp3", "ac3"])
def test_an_estimated_duration_is_replaced(name: str, tmp_path: Path) -> None:
    """Silence is coded in a few bytes, so a bit rate guessed from it gives hours."""
    path = make_bare_sound(tmp_path / f"a.{name}", [(0.0, 20.0), (700.0, 8.0)])
    assert media.probe(path).duration_s == pytest.approx(28.0, abs=WITHIN_S)
    windows = list(media.samples(path, None, SPEC))
    assert windows[0][0].start_s == pytest.approx(19.0, abs=1.0 + WITHIN_S)
    assert windows[-1][0].stop_s == pytest.approx(28.0, abs=WITHIN_S)
    _, heard = media.query_samples(path, SPEC)
    assert isinstance(heard[-1], AudioSample)
    check_pitches(heard[-1], 0.0, [Tone(700.0, -1.0, 9.0)], 0.0)


@pytest.mark.parametrize("wrong_s", [18_000.0, -18_000.0, 400.0])
@pytest.mark.parametrize("count", [1, 30, 1000])
def test_a_wrong_stamp_makes_no_silence(wrong_s: float, count: int) -> None:
    """The stamps of some frames in the middle, or of all later ones, are hours away."""
    rate = 8_000
    whole = tone(400.0, 10.0, rate)

    def frames() -> Iterator[tuple[av.AudioFrame, float]]:
        for at in range(100):
            piece = whole[at * 800 : at * 800 + 800][None, :]
            frame = av.AudioFrame.from_ndarray(piece, format="flt", layout="mono")
            frame.sample_rate = rate
            yield frame, at / 10 + (wrong_s if 50 <= at < 50 + count else 0.0)

    timeline = Timeline(0.0, 10.0, 10.0)
    placed = list(audio._positioned(frames(), rate, timeline))
    np.testing.assert_allclose(audio.joined(iter(placed)), whole, atol=1e-3)


@pytest.mark.parametrize("name", ["ogg", "opus", "mp3"])
def test_joined_sounds_run_on(name: str, tmp_path: Path) -> None:
    one = make.make_audio(tmp_path / f"one.{name}", [(400.0, 3.0)])
    other = make.make_audio(tmp_path / f"other.{name}", [(700.0, 4.0)])
    path = tmp_path / f"a.{name}"
    path.write_bytes(one.read_bytes() + other.read_bytes())
    assert media.probe(path).duration_s == pytest.approx(7.0, abs=WITHIN_S)
    tones = [Tone(400.0, 0, 3), Tone(700.0, 3, 7)]
    check_pitches(media.load_audio(path, SPEC.sample_rate_hz), 0.0, tones, 0.2)
