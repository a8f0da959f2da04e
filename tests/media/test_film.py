"""Test videos: shots with times, upright frames, seeking instead of decoding everything."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from seehear import media
from seehear.media import video
from seehear.media.container import DecodeErrors
from seehear.types import AudioSample, Modality, SampleSpec, Segment, VideoSample
from tests.media import make
from tests.media.make import BLUE, GREEN, MARK, RED

SPEC = SampleSpec()


def shots_of(path: Path) -> list[tuple[Segment, VideoSample]]:
    pairs = media.samples(path, None, SPEC)
    return [(segment, sample) for segment, sample in pairs if isinstance(sample, VideoSample)]


def colour_of(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    seen: np.ndarray = pixels[3 * height // 4, 3 * width // 4].astype(int)
    return seen


def close(pixels: np.ndarray, colour: make.Colour, most: int = 25) -> bool:
    return bool(np.abs(colour_of(pixels) - np.array(colour)).max() <= most)


@pytest.mark.parametrize("name", make.VIDEO_FORMATS)
def test_a_shot_for_each_scene(name: str, tmp_path: Path) -> None:
    scenes = [(RED, 3.0), (BLUE, 2.0), (GREEN, 3.0)]
    path = make.make_video(tmp_path / f"a.{name}", scenes, [(440, 8.0)])
    shots = shots_of(path)
    assert len(shots) == 3
    edges = [0.0, 3.0, 5.0, 8.0]
    for (segment, sample), (colour, _), start, stop in zip(
        shots, scenes, edges[:-1], edges[1:], strict=True
    ):
        assert segment.start_s == pytest.approx(start, abs=0.5)
        assert segment.stop_s == pytest.approx(stop, abs=0.5)
        assert 1 <= len(sample.frames) <= video.SHOT_FRAMES
        assert all(close(frame.pixels, colour) for frame in sample.frames)
    for (one, _), (other, _) in itertools.pairwise(shots):
        assert one.stop_s == other.start_s, "shots tile the film"


def test_the_sound_track_follows_the_film(tmp_path: Path) -> None:
    path = make.make_video(tmp_path / "a.mp4", [(RED, 12.0)], [(440, 6.0), (880, 6.0)])
    pairs = list(media.samples(path, None, SPEC))
    kinds = [segment.modality for segment, _ in pairs]
    assert kinds == sorted(kinds, key=[Modality.VIDEO, Modality.AUDIO].index)
    sound = [(s.start_s, s.stop_s) for s, sample in pairs if isinstance(sample, AudioSample)]
    assert [start for start, _ in sound] == [0.0, pytest.approx(2.0, abs=0.05)]


def test_a_still_scene_is_several_shots_of_bounded_length(tmp_path: Path) -> None:
    path = make.make_video(tmp_path / "a.mp4", [(RED, 25.0)], (), frames_per_s=10)
    shots = shots_of(path)
    assert len(shots) == 3
    assert all(len(sample.frames) == video.SHOT_FRAMES for _, sample in shots[:2])
    assert shots[-1][0].stop_s == pytest.approx(25.0, abs=0.1)


def test_noise_and_small_motion_make_no_cut(tmp_path: Path) -> None:
    random = np.random.default_rng(1)

    def grain(picture: make.Pixels, number: int) -> make.Pixels:
        picture = picture.copy()
        left = 10 + number % 60
        picture[60:80, left : left + 15] = (250, 240, 30)
        noise = random.normal(0, 12, picture.shape)
        return np.clip(picture + noise, 0, 255).astype(np.uint8)

    path = make.make_video(tmp_path / "a.mp4", [(RED, 6.0)], (), shade=grain)
    assert len(shots_of(path)) == 1


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_frames_stand_upright(rotation: int, tmp_path: Path) -> None:
    path = make.make_video(tmp_path / "a.mp4", [(RED, 1.0)], (), rotation=rotation)
    info = media.probe(path)
    turned = rotation in (90, -90)
    assert (info.width_px, info.height_px) == ((96, 128) if turned else (128, 96))
    assert info.details["orientation"] == ("portrait" if turned else "landscape")
    frame = shots_of(path)[0][1].frames[0].pixels
    assert frame.shape == ((128, 96, 3) if turned else (96, 128, 3))
    upright = np.rot90(make.pixels((128, 96), RED), rotation // 90)
    assert np.abs(frame.astype(int) - upright).mean() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_display_matrices_flip_as_well_as_turn(orientation: int, tmp_path: Path) -> None:
    """The eight matrices of quarter turns and mirrors, by the numbers that EXIF gives them."""
    matrix = {
        1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
        5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
    }[orientation]  # fmt: skip
    path = make.make_video(tmp_path / "a.mp4", [(RED, 1.0)], ())
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (number << 16 for number in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    stored = Image.fromarray(make.pixels((128, 96), RED))
    stored.getexif()[274] = orientation
    upright = np.asarray(ImageOps.exif_transpose(stored)).astype(int)
    info = media.probe(path)
    assert (info.height_px, info.width_px) == upright.shape[:2]
    frame = shots_of(path)[0][1].frames[0].pixels
    assert np.abs(frame - upright).mean() < 12
    assert np.abs(media.frame_at(path, 0.5, 0).pixels - upright).mean() < 12


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    wide = make.make_video(tmp_path / "a.mkv", [(RED, 1.0)], (), pixel_aspect=2)
    info = media.probe(wide)
    assert (info.width_px, info.height_px) == (256, 96)
    assert shots_of(wide)[0][1].frames[0].pixels.shape == (96, 256, 3)


def test_a_cover_beside_the_film_is_not_the_film(tmp_path: Path) -> None:
    plain = make.make_video(tmp_path / "a.mp4", [(RED, 1.0)], ())
    cover = make.make_image(tmp_path / "cover.jpg", (64, 64), BLUE)
    path = tmp_path / "covered.mp4"
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        old = source.streams.video[0]
        picture = out.add_stream("mjpeg")
        picture.width = picture.height = 64
        picture.pix_fmt = "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        new = out.add_stream_from_template(old)
        shown = av.Packet(cover.read_bytes())
        shown.stream, shown.pts, shown.dts = picture, 0, 0
        out.mux(shown)
        for packet in source.demux(old):
            if packet.dts is not None:
                packet.stream = new
                out.mux(packet)
    assert media.probe(path).width_px == 128
    assert close(shots_of(path)[0][1].frames[0].pixels, RED)


@pytest.mark.parametrize("name", ["mp4", "mkv", "webm", "avi", "ts"])
def test_the_frame_at_a_time(name: str, tmp_path: Path) -> None:
    path = make.make_video(tmp_path / f"a.{name}", [(RED, 2.0), (BLUE, 2.0), (GREEN, 2.0)])
    for time_s, colour in (
        (0.0, RED), (1.9, RED), (2.1, BLUE), (3.9, BLUE), (4.1, GREEN), (5.9, GREEN), (99, GREEN),
    ):  # fmt: skip
        assert close(media.frame_at(path, time_s, 48).pixels, colour), time_s
    assert media.frame_at(path, 1.0, 48).pixels.shape == (48, 64, 3)


def test_the_frame_of_a_picture_is_the_picture(tmp_path: Path) -> None:
    path = make.make_image(tmp_path / "a.png")
    assert media.frame_at(path, 3.0, 48).pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("key_frame_every", [10, 60])
def test_long_films_are_sampled_by_seeking(
    key_frame_every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes at a frame every two seconds: key frames are decoded, not what lies between.

    Where key frames are further apart than that, no sample is missing, and nothing is decoded
    more than twice.
    """
    scenes = [(RED if minute % 2 else BLUE, 30.0) for minute in range(20)]
    path = make.make_video(
        tmp_path / "a.mp4", scenes, (), size=(32, 32), frames_per_s=5,
        key_frame_every=key_frame_every,
    )  # fmt: skip
    decoded = 0
    original = DecodeErrors.decode

    def counting(self: DecodeErrors, packet: av.Packet[Any]) -> list[object]:
        nonlocal decoded
        frames: list[object] = original(self, packet)
        decoded += len(frames)
        return frames

    monkeypatch.setattr(DecodeErrors, "decode", counting)
    shots = shots_of(path)
    total = 600 * 5
    assert decoded < total // 2 if key_frame_every == 10 else decoded < 2 * total
    assert shots[0][0].start_s == 0.0
    assert shots[-1][0].stop_s == pytest.approx(600.0, abs=1.0)
    for at, (colour, _) in enumerate(scenes):
        middle = 30.0 * at + 15
        segment, sample = next((s, v) for s, v in shots if (s.stop_s or 0) > middle)
        assert close(sample.frames[len(sample.frames) // 2].pixels, colour)
        assert (segment.stop_s or 0) - (segment.start_s or 0) <= 2.5 * video.SHOT_SAMPLES
    # Every cut is found, to the two seconds between samples.
    starts = [segment.start_s or 0.0 for segment, _ in shots]
    for cut in range(30, 600, 30):
        assert min(abs(start - cut) for start in starts) <= 2.0


def test_the_number_of_samples_is_bounded() -> None:
    for hours in (1, 2, 5, 24):
        duration = hours * 3600.0
        assert duration / video.spacing(duration) <= media.LIMITS.video_frames


def test_queries_by_long_clips_are_bounded(tmp_path: Path) -> None:
    scenes = [((index * 9 % 256, 255 - index * 9, index * 31 % 256), 2.0) for index in range(28)]
    path = make.make_video(tmp_path / "a.mp4", scenes, [(440, 56.0)], size=(32, 32), frames_per_s=5)
    modality, samples = media.query_samples(path, SPEC)
    assert modality is Modality.VIDEO
    assert sum(isinstance(sample, VideoSample) for sample in samples) == 8
    assert 1 <= sum(isinstance(sample, AudioSample) for sample in samples) <= 8


def test_a_clip_as_a_query_is_heard_shot_by_shot(tmp_path: Path) -> None:
    path = make.make_video(tmp_path / "a.mp4", [(RED, 3.0), (BLUE, 3.0)], [(440, 3.0), (1760, 3.0)])
    _, samples = media.query_samples(path, SPEC)
    heard = [sample for sample in samples if isinstance(sample, AudioSample)]
    pitches = []
    for sample in heard:
        inner = sample.waveform[sample.sample_rate_hz // 4 : -sample.sample_rate_hz // 4]
        strongest = int(np.abs(np.fft.rfft(inner)).argmax())
        pitches.append(strongest * sample.sample_rate_hz / len(inner))
    assert pitches == pytest.approx([440, 1760], rel=0.01)


def test_mark_is_seen_in_the_corner(tmp_path: Path) -> None:
    path = make.make_video(tmp_path / "a.mp4", [(RED, 1.0)], ())
    frame = media.frame_at(path, 0.5, 96).pixels
    assert np.abs(frame[8, 8].astype(int) - np.array(MARK)).max() < 25


@pytest.mark.parametrize("form", ["yuv420p", "yuv422p10le", "nv12", "gray", "rgb24", "yuvj420p"])
@pytest.mark.parametrize("px", [96, 95, 192])
def test_a_scaled_frame_has_the_pixels_of_packed_colours(form: str, px: int) -> None:
    """Scaling by planes is faster, and used where it gives the same to the last bit."""
    pixels = np.random.default_rng(2).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=form)
    got = video.scaled(frame, px)
    height, width = got.shape[:2]
    rgb = frame.reformat(width, height, format="rgb24", interpolation="BICUBIC")
    assert np.array_equal(got, rgb.to_ndarray())
