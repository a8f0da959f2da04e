"""Sound: streamed, resampled, cut into windows that overlap, silence left out."""

from __future__ import annotations

import io
import time
import tracemalloc
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from seehear import media
from seehear.errors import BrokenMediaError, UnsupportedMediaError
from seehear.media import audio
from seehear.silence import is_silent
from seehear.types import AudioSample, Modality, SampleSpec
from tests.media import make, make_odd

SPEC = SampleSpec(window_s=2.0, hop_s=1.0)


def times_of(path: Path, spec: SampleSpec = SPEC) -> list[tuple[float | None, float | None]]:
    return [(segment.start_s, segment.stop_s) for segment, _ in media.samples(path, None, spec)]


def pitch_of(sample: AudioSample) -> float:
    spectrum = np.abs(np.fft.rfft(sample.waveform * np.hanning(len(sample.waveform))))
    return float(spectrum.argmax() * sample.sample_rate_hz / len(sample.waveform))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.3, [(0.0, 0.3)]),
        (2.0, [(0.0, 2.0)]),
        (2.05, [(0.0, 2.0)]),  # a rest of a tenth of the hop has no window of its own
        (2.5, [(0.0, 2.0), (0.5, 2.5)]),  # the last window ends with the sound
        (4.0, [(0.0, 2.0), (1.0, 3.0), (2.0, 4.0)]),
        (4.4, [(0.0, 2.0), (1.0, 3.0), (2.0, 4.0), (2.4, 4.4)]),
    ],
)
def test_windows_cover_the_sound(
    seconds: float, expected: list[tuple[float, float]], tmp_path: Path
) -> None:
    assert times_of(make.make_wav(tmp_path / "a.wav", [(440, seconds)])) == expected


def naive_windows(waveform: np.ndarray, rate: int, spec: SampleSpec) -> Iterator[tuple[int, int]]:
    length, hop = round(spec.window_s * rate), round(spec.hop_s * rate)
    starts = [at for at in range(0, len(waveform), hop) if at + length <= len(waveform)]
    if not starts:
        yield 0, len(waveform)
        return
    for start in starts:
        yield start, start + length
    if len(waveform) - (starts[-1] + length) > audio.TAIL_SHARE * hop:
        yield len(waveform) - length, len(waveform)


@pytest.mark.parametrize("hop_s", [0.3, 0.5, 1.0, 1.7])
@pytest.mark.parametrize("seconds", [0.9, 1.0, 1.3, 4.77, 7.0])
@pytest.mark.parametrize("block", [1, 160, 1600, 99_999])
def test_streaming_agrees_with_slicing(hop_s: float, seconds: float, block: int) -> None:
    rate, spec = 800, SampleSpec(window_s=1.0, hop_s=hop_s, sample_rate_hz=800)
    whole = np.random.default_rng(1).uniform(-1, 1, round(seconds * rate)).astype(np.float32)
    blocks = ((at, whole[at : at + block]) for at in range(0, len(whole), block))
    streamed = [sample.waveform for _, sample in audio.windows(blocks, spec)]
    sliced = [whole[start:stop] for start, stop in naive_windows(whole, rate, spec)]
    assert len(streamed) == len(sliced)
    for one, other in zip(streamed, sliced, strict=True):
        np.testing.assert_array_equal(one, other)


def test_silence_gives_no_window(tmp_path: Path) -> None:
    path = make.make_wav(tmp_path / "a.wav", [(440, 2.0), (0, 5.0), (880, 2.0)])
    assert times_of(path) == [(0, 2), (1, 3), (6, 8), (7, 9)]
    silent = make.make_wav(tmp_path / "b.wav", [(0, 5.0)])
    assert times_of(silent) == []
    with pytest.raises(BrokenMediaError, match="silent"):
        media.query_samples(silent, SPEC)


def test_one_click_in_silence_counts_and_faint_noise_does_not() -> None:
    noise = np.random.default_rng(1).normal(0, 10 ** (-70 / 20), 16_000).astype(np.float32)
    assert is_silent(noise, 16_000)
    noise[5_000:5_400] += 0.1
    assert not is_silent(noise, 16_000)
    assert is_silent(np.zeros(0, dtype=np.float32), 16_000)


@pytest.mark.parametrize("name", make.AUDIO_FORMATS)
def test_pitch_survives_decoding_and_resampling(name: str, tmp_path: Path) -> None:
    path = make.make_audio(tmp_path / f"a.{name}", [(440, 1.5), (1000, 1.5)])
    for rate in (8_000, 16_000, 44_100):
        whole = media.load_audio(path, rate)
        assert whole.duration_s == pytest.approx(3.0, abs=0.1)
        first, second = whole.waveform[: int(1.3 * rate)], whole.waveform[int(1.7 * rate) :]
        assert pitch_of(AudioSample(first, rate)) == pytest.approx(440, abs=3)
        assert pitch_of(AudioSample(second, rate)) == pytest.approx(1000, abs=3)
        assert np.quantile(np.abs(first), 0.99) == pytest.approx(0.3, abs=0.05)


def test_many_channels_become_one(tmp_path: Path) -> None:
    path = make.make_wav(tmp_path / "a.wav", [(440, 1.0)], channels=6)
    assert media.probe(path).details["channels"] == 6
    assert pitch_of(media.load_audio(path, 16_000)) == pytest.approx(440, abs=3)


def test_floats_that_are_none(tmp_path: Path) -> None:
    values = np.sin(np.arange(16_000) / 10).astype("<f4")
    values[100:200], values[300:400], values[500] = np.nan, np.inf, 1e30
    waveform = media.load_audio(
        make_odd.make_float_wav(tmp_path / "a.wav", values), 16_000
    ).waveform
    assert np.isfinite(waveform).all()
    assert np.abs(waveform).max() <= 1.0
    # What is left of the sound keeps its level.
    assert np.abs(waveform[1000:]).max() == pytest.approx(1.0, abs=0.01)


TONE = make.tone(440, 2.0)
REST = np.zeros_like(TONE)


@pytest.mark.parametrize(
    "channels",
    [
        (TONE, -TONE),
        (TONE, -0.8 * TONE),
        (-0.5 * TONE, TONE),
        (TONE, -TONE, REST),
        (REST, REST, REST, TONE, REST, REST),  # the deep channel of 5.1
        (REST, REST, REST, REST, TONE, -TONE),
        (*[REST] * 15, TONE),
    ],
    ids=["antiphase", "nearly", "half", "three", "deep", "surround", "one of many"],
)
def test_channels_that_cancel_or_drown_each_other_are_heard(
    channels: tuple[np.ndarray, ...], tmp_path: Path
) -> None:
    path = make_odd.make_float_wav(tmp_path / "a.wav", np.stack(channels, axis=1))
    (_, sample), *_ = media.samples(path, None, SPEC)
    assert isinstance(sample, AudioSample)
    assert pitch_of(sample) == pytest.approx(440, abs=3)
    assert np.abs(sample.waveform).max() > 0.2
    _, asked = media.query_samples(path, SPEC)
    assert isinstance(asked[0], AudioSample)
    assert pitch_of(asked[0]) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("channels", [2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("whole_numbers", [True, False])
def test_ordinary_channels_are_mixed_as_ffmpeg_does(
    whole_numbers: bool, channels: int, tmp_path: Path
) -> None:
    each = [make.tone(300 + 60 * at, 2.0, level=0.05) for at in range(channels)]
    together = np.stack(each, axis=1)
    path = make_odd.make_float_wav(tmp_path / "a.wav", together)
    if whole_numbers:
        path = make.write_wav(tmp_path / "b.wav", together, 16_000)
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
        frames = [*container.decode(audio=0), None]
        expected = [out.to_ndarray()[0] for one in frames for out in resampler.resample(one)]
    waveform = media.load_audio(path, 16_000).waveform
    np.testing.assert_allclose(waveform, np.concatenate(expected), atol=1e-6)


@pytest.mark.parametrize("gain", [32_768.0, 30.0, 1.5, 1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize("channels", [1, 2])
def test_floats_of_any_level_sound_the_same(gain: float, channels: int, tmp_path: Path) -> None:
    """A hot recording is turned down before it would be cut off, a faint one is turned up."""
    whole = np.concatenate([make.tone(440, 2.0, level=0.9), make.tone(880, 2.0, level=0.5)])
    loud = np.repeat(whole[:, None], channels, axis=1)
    usual, other = (
        [one.waveform for _, one in media.samples(path, None, SPEC) if isinstance(one, AudioSample)]
        for path in (
            make_odd.make_float_wav(tmp_path / "a.wav", loud),
            make_odd.make_float_wav(tmp_path / "b.wav", gain * loud),
        )
    )
    assert len(usual) == len(other) == 3
    for one, two in zip(usual, other, strict=True):
        cosine = one @ two / np.sqrt((one @ one) * (two @ two))
        assert cosine > 0.9999
        assert 0.05 < np.abs(two).max() <= 1.0
    assert media.query_samples(tmp_path / "b.wav", SPEC)[0] is Modality.AUDIO


def test_noise_of_whole_numbers_stays_silence(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 10 ** (-75 / 20), 32_000)
    assert times_of(make.write_wav(tmp_path / "a.wav", noise, 16_000)) == []
    assert times_of(make_odd.make_float_wav(tmp_path / "b.wav", np.zeros(32_000))) == []


def test_a_click_beyond_full_scale_leaves_the_rest_as_loud(tmp_path: Path) -> None:
    whole = make.tone(440, 2.0, level=0.5)
    whole[9_000] = 40.0
    waveform = media.load_audio(make_odd.make_float_wav(tmp_path / "a.wav", whole), 16_000).waveform
    assert waveform[9_000] == 1.0
    assert np.abs(np.delete(waveform, 9_000)).max() == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize("name", ["mp3", "flac", "m4a"])
def test_a_cover_makes_no_video(name: str, tmp_path: Path) -> None:
    cover = make.make_image(tmp_path / "cover.jpg", (320, 320))
    path = make.make_audio(tmp_path / f"a.{name}", cover=cover, tags={"title": "Song"})
    info = media.probe(path)
    assert info.modality is Modality.AUDIO
    assert info.details["title"] == "Song"
    modalities = {segment.modality for segment, _ in media.samples(path, info, SPEC)}
    assert modalities == {Modality.AUDIO}


def test_memory_stays_small_over_minutes(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    minute = (make.tone(440, 60.0, 8_000) * 32767).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        for _ in range(5):
            file.writeframes(minute)
    spec = SampleSpec(sample_rate_hz=8_000)
    media.probe(path)
    tracemalloc.start()
    count = sum(1 for _ in media.samples(path, None, spec))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 59
    assert peak < 3 << 20  # the whole would be 9 MiB


def test_load_audio_is_bounded(tmp_path: Path) -> None:
    path = make.make_audio(tmp_path / "a.mp3", [(440, 5.0)])
    assert media.load_audio(path, 16_000, max_s=2.0).duration_s == pytest.approx(2.0)


def test_a_long_query_is_sampled_over_its_length(tmp_path: Path) -> None:
    tones = [(300.0 + 50 * part, 4.0) for part in range(10)]
    path = make.make_audio(tmp_path / "a.mp3", tones)
    modality, samples = media.query_samples(path, SampleSpec(window_s=2.0, hop_s=1.0))
    assert modality is Modality.AUDIO
    assert len(samples) == 8
    pitches = [pitch_of(sample) for sample in samples if isinstance(sample, AudioSample)]
    assert len(pitches) == 8
    assert pitches == sorted(pitches)
    assert pitches[0] == pytest.approx(300, abs=5)
    assert pitches[-1] == pytest.approx(750, abs=5)


def test_a_picture_of_sound(tmp_path: Path) -> None:
    path = make.make_wav(tmp_path / "a.wav", [(300, 1.0), (4000, 1.0)])
    data = media.spectrogram_image(path, 0.0, 2.0, width_px=200, height_px=100)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        assert picture.size == (200, 100)
        shade = np.asarray(picture).astype(int).sum(axis=2)
    low, high = shade[:, 50].argmax(), shade[:, 150].argmax()
    assert low > 70, "300 Hz lie low"
    assert high < 40, "4 kHz lie high"
    part = media.spectrogram_image(path, 1.2, 1.8, width_px=100, height_px=100)
    with Image.open(io.BytesIO(part)) as picture:
        assert np.asarray(picture).astype(int).sum(axis=2)[:, 50].argmax() < 40
    with pytest.raises(UnsupportedMediaError):
        media.spectrogram_image(make.make_image(tmp_path / "a.png"))


def test_a_film_without_sound_has_no_sound(tmp_path: Path) -> None:
    path = make.make_video(tmp_path / "a.mp4", tones=())
    with pytest.raises(BrokenMediaError, match="no sound"):
        media.load_audio(path, 16_000)


def test_a_sound_in_pieces_of_one_sample_is_refused(tmp_path: Path) -> None:
    """Each frame costs as much as thousands of samples: four seconds took nine to decode."""
    data = bytearray(make.make_audio(tmp_path / "a.caf", [(440, 4.0)]).read_bytes())
    at = data.index(b"desc") + 12 + 20
    assert data[at : at + 4] == b"\0\0\0\1"
    data[at + 2] = 0x40  # samples of a packet, which is then not joined with others
    (tmp_path / "b.caf").write_bytes(data)
    began = time.process_time()
    with pytest.raises(BrokenMediaError, match="pieces of a few samples"):
        list(media.samples(tmp_path / "b.caf", None, SPEC))
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize(("count", "windows"), [(1, 0), (8, 0), (70, 0), (160, 1), (1_600, 1)])
def test_a_few_samples_that_are_left_of_a_file_are_no_sound(
    count: int, windows: int, tmp_path: Path
) -> None:
    loud = np.where(np.arange(count) % 2, 0.5, -0.5).astype(np.float32)
    found = times_of(make.write_wav(tmp_path / "a.wav", loud, 16_000))
    assert len(found) == windows
    assert all((start or 0.0) < (stop or 0.0) for start, stop in found)


@pytest.mark.parametrize(
    ("start", "looks"),
    [
        (b"", False),
        (b"\x7f\xfe\x80\x01", True),
        (b"\xfe\x7f\x01\x80", True),
        (bytes(100_000) + b"\xff\x1f\x00\xe8", True),
        (bytes(300_000) + b"\x1f\xff\xe8\x00", False),  # FFmpeg does not look so far either
    ],
)
def test_only_a_wav_file_with_signs_of_dts_is_searched_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: bytes, looks: bool
) -> None:
    path, rng = tmp_path / "a.wav", np.random.default_rng(0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(start + rng.integers(-999, 999, 99_000, dtype=np.int16).tobytes())
    given: list[dict[str, str]] = []
    open_ = av.open

    def opened(*arguments: Any, **options: Any) -> Any:
        given.append(options["options"])
        return open_(*arguments, **options)

    monkeypatch.setattr(av, "open", opened)
    info = media.probe(path)
    assert [("max_probe_packets" not in options) for options in given] == [looks]
    assert info.details["codec"] == "pcm_s16le"
