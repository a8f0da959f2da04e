"""PQ and HLG, as films and as stills, look as they do on an ordinary screen."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from seehear import media
from seehear.media.hdr import HLG, PQ, Colours, to_sdr
from seehear.types import SampleSpec, VideoSample
from tests.media.make_odd import Pixels

BT2020 = 9
RED_709 = (0.6274, 0.0691, 0.0164)
"""The red of BT.709 in the primaries of BT.2020 (ITU-R BT.2087)."""


def pq_code(light: float) -> float:
    """The inverse EOTF of SMPTE ST 2084, of light in cd/m2."""
    power = (light / 10_000) ** (2610 / 16384)
    return float(((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32))


def hlg_code(light: float) -> float:
    """The OETF of HLG (ITU-R BT.2100) for grey light of a screen of 1,000 cd/m2."""
    scene = (light / 1_000) ** (1 / 1.2)
    if scene <= 1 / 12:
        return float(np.sqrt(3 * scene))
    return float(0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073)


def srgb(light: float) -> float:
    return float(255 * (1.055 * light ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_light_below_the_knee_is_kept_and_above_it_compressed(transfer: int) -> None:
    code = pq_code if transfer == PQ else hlg_code
    lights = [0.5, 2.0, 10.0, 40.0, 90.0, 203.0, 400.0, 1_000.0]
    codes = np.array([round(65_535 * code(light)) for light in lights], dtype=np.uint16)
    grey = codes[None, :, None].repeat(3, axis=2)
    shown = to_sdr(grey, Colours(transfer, BT2020))[0].astype(int)
    assert (np.ptp(shown, axis=1) <= 1).all()
    for light, value in zip(lights[1:5], shown[1:5, 0], strict=True):
        assert value == pytest.approx(srgb(light / 203), abs=1.5)
    assert (np.diff(shown[:, 0]) > 0).all()
    assert 215 < shown[5, 0] < 240, "the white of paper"
    assert shown[-1, 0] == 255


def test_brightness_beyond_the_peak_and_colours_outside_are_cut_off() -> None:
    strong = np.array([[[65_535, 0, 0], [0, 65_535, 0], [65_535] * 3]], dtype=np.uint16)
    shown = to_sdr(strong, Colours(PQ, BT2020))[0].tolist()
    assert shown == [[255, 0, 0], [0, 255, 0], [255, 255, 255]]


@pytest.mark.parametrize("light", [20.0, 100.0])
def test_primaries_are_converted(light: float) -> None:
    codes = [round(65_535 * pq_code(light * share)) for share in RED_709]
    shown = to_sdr(np.array([[codes]], dtype=np.uint16), Colours(PQ, BT2020))[0, 0]
    assert shown[0] == pytest.approx(srgb(light / 203), abs=2)
    assert shown[1:].max() <= 3


def red_and_grey(size: tuple[int, int] = (128, 96)) -> Pixels:
    """Left the red of BT.709, right a grey, both at 100 cd/m2, in PQ and BT.2020."""
    width, height = size
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[:, : width // 2] = [round(255 * pq_code(100 * share)) for share in RED_709]
    picture[:, width // 2 :] = round(255 * pq_code(100))
    return picture


def assert_shown(pixels: Pixels, most: int) -> None:
    height, width = pixels.shape[:2]
    red, grey = (pixels[height // 2, round(width * at)].astype(int) for at in (0.25, 0.75))
    assert np.abs(red - (186, 0, 0)).max() <= most
    assert np.abs(grey - 186).max() <= most


def make_film(path: Path, picture: Pixels, **colours: int) -> Path:
    with av.open(str(path), "w") as out:
        film: Any = out.add_stream("libx264", rate=10)
        film.height, film.width = picture.shape[:2]
        film.pix_fmt = "yuv420p10le"
        film.options = {"qp": "4"}
        for name, value in colours.items():
            setattr(film.codec_context, name, value)
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format="yuv420p10le", dst_colorspace="BT2020")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            for name, value in colours.items():
                setattr(frame, name, value)
            for packet in film.encode(frame):
                out.mux(packet)
        for packet in film.encode(None):
            out.mux(packet)
    return path


def test_a_film_in_pq_is_shown_as_an_ordinary_one(tmp_path: Path) -> None:
    path = make_film(
        tmp_path / "a.mp4", red_and_grey(),
        color_trc=PQ, color_primaries=BT2020, colorspace=BT2020, color_range=1,
    )  # fmt: skip
    ((_, sample),) = media.samples(path, None, SampleSpec())
    assert isinstance(sample, VideoSample)
    assert_shown(sample.frames[0].pixels, 10)
    assert_shown(media.frame_at(path, 0.5, 48).pixels, 10)


def test_a_film_in_hlg_is_shown_as_an_ordinary_one(tmp_path: Path) -> None:
    picture = np.full((96, 128, 3), round(255 * hlg_code(203)), dtype=np.uint8)
    path = make_film(
        tmp_path / "a.mp4", picture,
        color_trc=HLG, color_primaries=BT2020, colorspace=BT2020, color_range=1,
    )  # fmt: skip
    assert media.frame_at(path, 0.5, 48).pixels.mean() == pytest.approx(229, abs=6)


def still(
    suffix: str, *, picture: Pixels | None = None, transfer: int = PQ, gain_map: bool = False
) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(red_and_grey() if picture is None else picture)
    if suffix == "heic":
        import pillow_heif

        pillow_heif.from_pillow(image).save(
            buffer, quality=95, chroma=444,
            color_primaries=BT2020, transfer_characteristics=transfer, matrix_coefficients=BT2020,
        )  # fmt: skip
        return buffer.getvalue()
    if suffix == "avif":
        image.save(buffer, "AVIF", quality=95, subsampling="4:4:4")
        data = buffer.getvalue()
        at = data.index(b"colrnclx") + 8
        data = data[:at] + struct.pack(">HH", BT2020, transfer) + data[at + 4 :]
        return data + b"\0\0\0\x0cfreetmap" if gain_map else data  # the name of its item
    image.save(buffer, "PNG")
    data = buffer.getvalue()
    chunk = b"cICP" + bytes([BT2020, transfer, 0, 1])
    chunk = struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return data[:33] + chunk + data[33:]


@pytest.mark.parametrize("suffix", ["png", "heic", "avif"])
def test_a_still_in_pq_is_shown_as_an_ordinary_one(suffix: str) -> None:
    assert_shown(media.load_image(still(suffix), 96).pixels, 12)


@pytest.mark.parametrize("suffix", ["png", "heic", "avif"])
@pytest.mark.parametrize("light", [20, 100, 203, 600])
def test_a_still_in_hlg_is_as_bright_as_a_film_in_hlg(suffix: str, light: float) -> None:
    picture = np.full((96, 128, 3), round(255 * hlg_code(light)), dtype=np.uint8)
    shown = media.load_image(still(suffix, picture=picture, transfer=HLG), 96).pixels
    (wanted,) = to_sdr(picture[:1, :1], Colours(HLG, BT2020))[0, :, 0]
    assert shown.mean() == pytest.approx(int(wanted), abs=4)
    assert int(wanted) == pytest.approx(srgb(light / 203), abs=5) or light > 100


def make_sequence(pictures: Sequence[Pixels]) -> bytes:
    """An AVIF animation in PQ of 10 bits, half a second for each picture."""
    buffer = io.BytesIO()
    colours = {"color_trc": PQ, "color_primaries": BT2020, "colorspace": BT2020, "color_range": 1}
    with av.open(buffer, "w", format="avif") as out:
        film: Any = out.add_stream("libsvtav1", rate=2)
        film.height, film.width = pictures[0].shape[:2]
        film.pix_fmt, film.options = "yuv420p10le", {"preset": "11", "crf": "10"}
        for name, value in colours.items():
            setattr(film.codec_context, name, value)
        packets = []
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format="yuv420p10le", dst_colorspace="BT2020")
            frame.pts, frame.time_base = number, Fraction(1, 2)
            for name, value in colours.items():
                setattr(frame, name, value)
            packets += film.encode(frame)
        for packet in [*packets, *film.encode(None)]:
            out.mux(packet)
    return buffer.getvalue()


def test_each_frame_of_a_sequence_is_shown_as_an_ordinary_one() -> None:
    dark = np.full((96, 128, 3), round(255 * pq_code(5)), dtype=np.uint8)
    pairs = list(media.samples(make_sequence([red_and_grey(), dark]), None, SampleSpec()))
    assert len(pairs) == 1, "a plain frame says nothing"
    assert_shown(pairs[0][1].pixels, 12)  # type: ignore[union-attr]
    darkened = make_sequence([red_and_grey(), red_and_grey() // 4])
    bright, dim = (x.pixels for _, x in media.samples(darkened, None, SampleSpec()))  # type: ignore[union-attr]
    assert_shown(bright, 12)
    assert dim.max() < 30


def test_the_part_of_a_cut_image_is_shown_as_an_ordinary_one() -> None:
    noise = np.random.default_rng(1).integers(0, 3, (96, 128, 3), dtype=np.uint8)
    data = still("png", picture=red_and_grey() + noise)
    part = media.load_image(data[: len(data) * 3 // 4], 0).pixels
    assert 48 < len(part) < 90
    assert_shown(part, 12)


@pytest.mark.parametrize("suffix", ["heic", "avif"])
def test_colours_that_only_the_codec_states_count(suffix: str) -> None:
    data = make_sequence([red_and_grey()]) if suffix == "avif" else still("heic")
    assert b"colrnclx" in data
    silent = data.replace(b"colrnclx", b"freenclx")
    assert_shown(media.load_image(silent, 96).pixels, 12)


def test_the_image_before_a_gain_map_is_an_ordinary_one() -> None:
    stored = red_and_grey()[48, 96, 0]
    pixels = media.load_image(still("avif", gain_map=True), 96).pixels
    assert int(pixels[48, 96, 0]) == pytest.approx(int(stored), abs=6)


def test_an_ordinary_film_keeps_its_colours(tmp_path: Path) -> None:
    path = make_film(
        tmp_path / "a.mp4", red_and_grey(), color_trc=1, color_primaries=1, colorspace=BT2020
    )
    stored = red_and_grey()[48, 96, 0]
    shown = media.frame_at(path, 0.5, 96).pixels[48, 96, 0]
    assert int(shown) == pytest.approx(int(stored), abs=6)
