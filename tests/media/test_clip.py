"""Clips that are cut out of sounds and videos: decoded, they begin and end where they should."""

from __future__ import annotations

import io
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from seehear.errors import BrokenMediaError, MediaLimitError, UnsupportedMediaError
from seehear.media import clip, decode
from seehear.media.cut_clip import CutClip
from seehear.media.workers.pool import DecodePool
from tests.media.make import BLUE, GREEN, RED, Colour, make_audio, make_image, make_video, make_wav
from tests.media.make_timed import Scene, Tone, make_film

FRAME_S = 0.04
SCENES = (Scene(RED, 0, 2), Scene(GREEN, 2, 4), Scene(BLUE, 4, 6))
TONES = (Tone(440, 0, 2), Tone(880, 2, 4), Tone(660, 4, 6))


def cut(path: Path, start_s: float, stop_s: float, tolerance_s: float = 0.5) -> CutClip:
    with decode.recognised_media(str(path)) as item:
        return clip.cut(item, start_s, stop_s, tolerance_s)


def frames_in(made: CutClip) -> list[tuple[float, Colour]]:
    """The frames of a clip: time and colour, where there is no mark."""
    with av.open(io.BytesIO(made.data), "r") as opened:
        found = []
        for frame in opened.decode(video=0):
            pixels = frame.to_ndarray(format="rgb24")
            found.append((float(frame.time or 0.0), tuple(pixels[-4, -4].tolist())))
        return found


def sound_in(made: CutClip) -> tuple[np.ndarray[Any, Any], int]:
    """The samples of a clip, mono, and their rate; silence where the sound begins later."""
    with av.open(io.BytesIO(made.data), "r") as opened:
        blocks: list[Any] = []
        rate = 0
        for frame in opened.decode(audio=0):
            rate = frame.sample_rate
            if not blocks:
                blocks.append(np.zeros(max(0, round((frame.time or 0.0) * rate))))
            values = frame.to_ndarray()
            if not frame.format.is_planar:
                values = values.reshape(-1, frame.layout.nb_channels).T
            blocks.append(values[0])
        return np.concatenate(blocks), rate


def pitch(samples: np.ndarray[Any, Any], rate: int, at_s: float) -> float:
    piece = samples[round(at_s * rate) : round((at_s + 0.1) * rate)].astype(float)
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 1 << 15))
    return float(np.argmax(spectrum) * rate / (1 << 15))


def is_like(one: Colour, other: Colour) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) < 20


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "ts", "flv"])
@pytest.mark.parametrize("offset_s", [0.0, 600.0])
def test_a_key_frame_that_is_near_is_copied_from(
    tmp_path: Path, suffix: str, offset_s: float
) -> None:
    film = make_film(
        tmp_path / f"film.{suffix}", SCENES, TONES, offset_s=offset_s, key_frame_every=25,
        b_frames=0 if suffix == "webm" else 2,
    )  # fmt: skip
    made = cut(film, 2.3, 4.2)
    assert made.copied
    assert made.start_s == pytest.approx(2.0, abs=FRAME_S)  # the key frame
    assert 4.2 - FRAME_S <= made.stop_s <= 4.2 + 3 * FRAME_S
    frames = frames_in(made)
    assert frames[0][0] == pytest.approx(0.0, abs=FRAME_S)
    assert is_like(frames[0][1], GREEN)
    assert is_like(frames[-1][1], BLUE)
    assert len(frames) == pytest.approx((made.stop_s - made.start_s) / FRAME_S, abs=1)
    assert np.allclose(np.diff([at for at, _ in frames]), FRAME_S, atol=0.005)
    samples, rate = sound_in(made)
    assert pitch(samples, rate, 1.0) == pytest.approx(880, abs=10)
    assert pitch(samples, rate, 2.05) == pytest.approx(660, abs=10)
    assert len(samples) / rate == pytest.approx(2.2, abs=0.1)


@pytest.mark.parametrize(
    ("suffix", "offset_s", "b_frames"),
    [("mp4", 0.0, 2), ("mkv", 600.0, 2), ("ts", 600.0, 0), ("webm", 0.0, 0), ("avi", 0.0, 0)],
)
def test_an_exact_start_is_encoded(
    tmp_path: Path, suffix: str, offset_s: float, b_frames: int
) -> None:
    film = make_film(
        tmp_path / f"film.{suffix}", SCENES, TONES, offset_s=offset_s, key_frame_every=25,
        b_frames=b_frames,
    )  # fmt: skip
    made = cut(film, 2.32, 4.2, 0.05)
    assert (made.copied, made.suffix, made.start_s) == (False, ".mp4", 2.32)
    frames = frames_in(made)
    # The frame of 2.32 is shown up to 2.36, and that of 4.16 up to the end.
    assert [at for at, _ in frames[:2]] == pytest.approx([0.0, FRAME_S], abs=0.005)
    assert len(frames) == pytest.approx(1.88 / FRAME_S, abs=1)
    turns = [at for at, colour in frames if is_like(colour, BLUE)]
    assert turns[0] == pytest.approx(4.0 - 2.32, abs=FRAME_S)
    samples, rate = sound_in(made)
    assert len(samples) / rate == pytest.approx(1.88, abs=0.05)
    assert pitch(samples, rate, 1.5) == pytest.approx(880, abs=10)
    assert pitch(samples, rate, 1.75) == pytest.approx(660, abs=10)


def test_a_film_without_key_frames_is_decoded_from_its_start(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", SCENES, key_frame_every=10_000)
    made = cut(film, 4.4, 5.0)
    assert not made.copied
    frames = frames_in(made)
    assert len(frames) == pytest.approx(15, abs=1)
    assert all(is_like(colour, BLUE) for _, colour in frames)


def test_a_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    scenes = (Scene(RED, 0, 1, 0.1), Scene(GREEN, 1, 3, None), Scene(BLUE, 3, 4, 0.02))
    film = make_film(tmp_path / "film.mkv", scenes, key_frame_every=10_000)
    made = cut(film, 0.85, 3.5, 0.0)
    times = [at for at, _ in frames_in(made)]
    # The frame of 0.8 is shown at the start, then those of 0.9, 1.0, and of every 0.02 from 3 on.
    assert times[:4] == pytest.approx([0.0, 0.05, 0.15, 2.15], abs=0.002)
    assert times[4] == pytest.approx(2.17, abs=0.002)
    assert times[-1] == pytest.approx(2.63, abs=0.002)
    assert made.stop_s == pytest.approx(3.5, abs=0.03)


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("tolerance_s", [0.5, 0.0])
def test_a_rotated_film_stays_upright(tmp_path: Path, rotation: int, tolerance_s: float) -> None:
    film = make_video(tmp_path / "film.mp4", ((RED, 2.0),), (), rotation=rotation)
    made = cut(film, 0.2, 1.0, tolerance_s)
    assert made.copied is (tolerance_s > 0)
    (tmp_path / "clip.mp4").write_bytes(made.data)
    before = decode.frame_at(str(film), 0.5, 0).pixels
    after = decode.frame_at(str(tmp_path / "clip.mp4"), 0.3, 0).pixels
    assert after.shape == before.shape
    assert float(np.abs(before.astype(int) - after).mean()) < 6


def test_odd_sizes_and_pixels_that_are_not_square(tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", ((RED, 1.0),), (), pixel_aspect=2)
    made = cut(film, 0.1, 0.6, 0.0)
    with av.open(io.BytesIO(made.data), "r") as opened:
        assert opened.streams.video[0].sample_aspect_ratio == 2


@pytest.mark.parametrize(
    ("suffix", "made_of", "copied"),
    [
        (".wav", ".wav", False),
        (".aiff", ".wav", False),
        (".flac", ".flac", False),
        (".mp3", ".mp3", True),
        (".m4a", ".m4a", True),
        (".opus", ".opus", True),
        (".ogg", ".ogg", True),
        (".wma", ".m4a", False),
        (".ac3", ".ac3", True),
    ],
)
def test_sound_alone(tmp_path: Path, suffix: str, made_of: str, copied: bool) -> None:
    source = make_audio(tmp_path / f"sound{suffix}", ((440, 2.0), (880, 2.0), (660, 2.0)))
    made = cut(source, 2.5, 4.5)
    assert (made.suffix, made.copied) == (made_of, copied)
    samples, rate = sound_in(made)
    exact = 0.001 if made_of in {".wav", ".flac"} else 0.1
    assert len(samples) / rate == pytest.approx(2.0, abs=exact)
    assert pitch(samples, rate, 0.5) == pytest.approx(880, abs=10)
    assert pitch(samples, rate, 1.7) == pytest.approx(660, abs=10)


def test_sound_without_loss_keeps_every_sample(tmp_path: Path) -> None:
    source = make_wav(tmp_path / "sound.wav", ((440, 3.0),))
    whole, rate = sound_in(CutClip(source.read_bytes(), ".wav", 0, 3, copied=True))
    samples, same_rate = sound_in(cut(source, 1.0, 2.25))
    assert same_rate == rate
    assert np.array_equal(samples, whole[rate : round(2.25 * rate)])


def test_no_copy_of_sound_is_taken_where_a_packet_is_too_long(tmp_path: Path) -> None:
    made = cut(make_audio(tmp_path / "sound.mp3", ((440, 3.0),)), 1.0, 2.0, 0.0)
    assert (made.copied, made.suffix) == (False, ".m4a")
    samples, rate = sound_in(made)
    assert len(samples) / rate == pytest.approx(1.0, abs=0.03)


def test_what_cannot_be_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = make_film(tmp_path / "film.mp4", SCENES, TONES)
    with pytest.raises(BrokenMediaError, match=r"nothing to cut from 9\.0 s to 6"):
        cut(film, 9.0, 12.0)
    with pytest.raises(UnsupportedMediaError, match="has no sound"):
        cut(make_image(tmp_path / "photo.png"), 0, 1)
    monkeypatch.setattr(clip, "MOST_BYTES", 2000)
    for tolerance_s in (0.5, 0.0):
        with pytest.raises(MediaLimitError, match="cut a shorter moment"):
            cut(film, 0.3, 5.0, tolerance_s)
    monkeypatch.setattr(clip, "MOST_S", 3.0)
    with pytest.raises(MediaLimitError, match="at most"):
        cut(film, 0.3, 5.0)


def test_a_worker_cuts(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", SCENES, TONES, key_frame_every=25)
    with closing(DecodePool(1, 2 << 30, 20.0)) as pool:
        for tolerance_s in (0.5, 0.0):
            made = pool.clip(film, 2.3, 3.0, tolerance_s)
            assert made.copied is (tolerance_s > 0)
            assert is_like(frames_in(made)[0][1], GREEN)
        timing = pool.timing(film)
        assert (timing.rate, timing.channels, timing.sample_rate_hz) == (Fraction(25), 1, 48_000)
        assert timing.duration_s == pytest.approx(6.0, abs=0.05)
        with pytest.raises(UnsupportedMediaError):
            pool.timing(make_image(tmp_path / "photo.png"))
