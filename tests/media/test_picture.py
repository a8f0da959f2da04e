"""Images are upright, in the right colours, and scaled while they are decoded."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from pillow_heif.as_plugin import HeifImageFile

from seehear import media
from seehear.errors import UnsupportedMediaError
from seehear.types import ImageSample
from tests.media import make
from tests.media.make import MARK, RED


def colour_at(sample: ImageSample, x: float, y: float) -> tuple[int, ...]:
    height, width = sample.pixels.shape[:2]
    return tuple(int(value) for value in sample.pixels[int(y * height), int(x * width)])


def close(one: tuple[int, ...], other: tuple[int, ...], most: int = 16) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= most


def saved(image: Image.Image, name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


# Where the mark of the stored upper left corner is seen, by EXIF orientation.
CORNERS = {
    1: (0.1, 0.1), 2: (0.9, 0.1), 3: (0.9, 0.9), 4: (0.1, 0.9),
    5: (0.1, 0.1), 6: (0.9, 0.1), 7: (0.9, 0.9), 8: (0.1, 0.9),
}  # fmt: skip


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "tif", "png", "webp", "heic", "avif"])
def test_pictures_stand_upright(suffix: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"turned.{suffix}"
    make.make_image(path, exif=exif if suffix == "tif" else exif.tobytes())
    info = media.probe(path)
    assert (info.width_px, info.height_px) == ((320, 240) if orientation < 5 else (240, 320))
    assert info.details["orientation"] == ("landscape" if orientation < 5 else "portrait")
    sample = media.load_image(path, 120)
    assert sample.pixels.shape == ((120, 160, 3) if orientation < 5 else (160, 120, 3))
    for corner in CORNERS.values():
        expected = MARK if corner == CORNERS[orientation] else RED
        assert close(colour_at(sample, *corner), expected)


def test_transparency_shows_white() -> None:
    image = Image.new("RGBA", (64, 64), (200, 0, 0, 0))
    image.paste((200, 0, 0, 255), (0, 0, 32, 64))
    image.paste((0, 0, 0, 128), (32, 0, 64, 16))
    for name in ("PNG", "WEBP", "TIFF", "JPEG2000"):
        options = {"lossless": True} if name == "WEBP" else {}
        sample = media.load_image(saved(image, name, **options), 0)
        assert close(colour_at(sample, 0.2, 0.5), (200, 0, 0)), name
        assert close(colour_at(sample, 0.8, 0.8), (255, 255, 255)), name
        assert close(colour_at(sample, 0.8, 0.1), (127, 127, 127)), name


def test_palettes_and_their_transparent_index() -> None:
    image = Image.new("P", (64, 64), 1)
    image.putpalette([255, 0, 0, 0, 200, 0])
    image.paste(0, (0, 0, 32, 64))
    for name in ("PNG", "GIF"):
        sample = media.load_image(saved(image, name, transparency=0), 0)
        assert close(colour_at(sample, 0.2, 0.5), (255, 255, 255)), name
        assert close(colour_at(sample, 0.8, 0.5), (0, 200, 0)), name


def test_grey_with_transparency_and_one_bit() -> None:
    grey = Image.new("LA", (32, 32), (90, 255))
    assert close(colour_at(media.load_image(saved(grey, "PNG"), 0), 0.5, 0.5), (90, 90, 90))
    bits = Image.new("1", (32, 32), 1)
    assert close(colour_at(media.load_image(saved(bits, "TIFF"), 0), 0.5, 0.5), (255,) * 3)


@pytest.mark.parametrize(
    ("values", "seen"),
    [
        ([0, 32768, 65535], [0, 128, 255]),
        # Twelve bits in sixteen are stretched; they would be black otherwise.
        ([0, 2048, 4095], [0, 128, 255]),
    ],
)
@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_sixteen_bits(values: list[int], seen: list[int], name: str) -> None:
    stripes = np.repeat(np.array(values, dtype=np.uint16), 20)[None].repeat(60, axis=0)
    sample = media.load_image(saved(Image.fromarray(stripes), name), 0)
    for index, expected in enumerate(seen):
        assert close(colour_at(sample, (index + 0.5) / 3, 0.5), (expected,) * 3, 2)


def test_floating_point_with_holes() -> None:
    values = np.linspace(-5, 5, 60, dtype=np.float32)[None].repeat(60, axis=0)
    values[0, 0], values[1, 1] = np.nan, np.inf
    sample = media.load_image(saved(Image.fromarray(values), "TIFF"), 0)
    assert colour_at(sample, 0.02, 0.5)[0] < 10
    assert colour_at(sample, 0.98, 0.5)[0] > 245


def test_cmyk() -> None:
    image = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    for name in ("JPEG", "TIFF"):
        red, green, blue = colour_at(media.load_image(saved(image, name), 0), 0.5, 0.5)
        assert red > 200, name
        assert max(green, blue) < 60, name


def test_colour_profiles_are_followed() -> None:
    """The same numbers under another profile are another colour; sRGB changes nothing."""
    image = Image.new("RGB", (64, 64), (120, 200, 80))
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    sample = media.load_image(saved(image, "PNG", icc_profile=plain), 0)
    assert colour_at(sample, 0.5, 0.5) == (120, 200, 80)
    swapped = bytearray(plain)
    # Exchange what the profile says of red and blue: its tags "rXYZ" and "bXYZ".
    red, blue = swapped.index(b"rXYZ"), swapped.index(b"bXYZ")
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    name = swapped.find("sRGB".encode("utf-16-be"))
    if name >= 0:
        swapped[name : name + 8] = "test".encode("utf-16-be")
    swapped[84:100] = bytes(16)  # the digest of the profile
    text = bytes(swapped).replace(b"sRGB", b"test")
    sample = media.load_image(saved(image, "PNG", icc_profile=text), 0)
    assert close(colour_at(sample, 0.5, 0.5), (80, 200, 120), 30)
    sample = media.load_image(saved(image, "PNG", icc_profile=b"no profile"), 0)
    assert colour_at(sample, 0.5, 0.5) == (120, 200, 80)


@pytest.mark.parametrize("px", [1, 64, 100, 224, 240, 500, 0])
@pytest.mark.parametrize("suffix", ["jpg", "png", "jp2"])
def test_never_less_than_asked_for(suffix: str, px: int, tmp_path: Path) -> None:
    path = make.make_image(tmp_path / f"a.{suffix}", (1000, 240))
    height, width = media.load_image(path, px).pixels.shape[:2]
    assert height == (min(px, 240) or 240)
    assert width == pytest.approx(1000 * height / 240, abs=2)


@pytest.mark.parametrize("size", [(1001, 777), (513, 1025), (640, 480), (999, 250)])
def test_jpeg_2000_of_any_size_is_scaled(size: tuple[int, int], tmp_path: Path) -> None:
    path = make.make_image(tmp_path / "a.jp2", size)
    for px in (8, 33, 64, 200):
        sample = media.load_image(path, px)
        assert min(sample.pixels.shape[:2]) == px
        assert close(colour_at(sample, 0.6, 0.6), RED)


def test_scaling_agrees_with_full_decoding(tmp_path: Path) -> None:
    """Decoding at an eighth gives what decoding whole and scaling gives, but for rounding."""
    ramp = np.linspace(0, 255, 2400, dtype=np.uint8)
    image = np.stack([ramp[None].repeat(1800, 0)] * 3, axis=2)
    image[600:900, 700:1000] = (0, 200, 90)
    data = saved(Image.fromarray(image), "JPEG", quality=95)
    fast = media.load_image(data, 224).pixels.astype(int)
    slow = np.asarray(Image.fromarray(image).resize(fast.shape[1::-1], Image.Resampling.BICUBIC))
    assert np.abs(fast - slow.astype(int)).mean() < 2.0


@pytest.mark.parametrize(
    ("px", "from_thumbnail"), [(160, True), (240, True), (256, False), (0, False)]
)
def test_a_thumbnail_in_a_heic_stands_for_it_where_it_is_large_enough(
    px: int, *, from_thumbnail: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make.make_image(tmp_path / "photo.heic", (1280, 960), thumbnails=[320])
    bare = make.make_image(tmp_path / "bare.heic", (1280, 960))
    decoded: set[tuple[int, int]] = set()
    load: Any = HeifImageFile.load

    def watched(image: Image.Image) -> Any:
        result = load(image)
        decoded.add(image.size)
        return result

    monkeypatch.setattr(HeifImageFile, "load", watched)
    shown = media.load_image(whole, px).pixels
    assert decoded == {(320, 240) if from_thumbnail else (1280, 960)}
    full = media.load_image(bare, px).pixels
    assert shown.shape == full.shape
    assert np.abs(shown.astype(int) - full).mean() < 4


def test_a_strip_is_cut_to_its_middle(tmp_path: Path) -> None:
    data = saved(Image.new("RGB", (20_000, 30), (10, 20, 30)), "PNG")
    assert media.load_image(data, 16).pixels.shape == (16, 512, 3)


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ((200, 0, 0), (0, 0, 200))]
    for name in ("GIF", "WEBP", "PNG"):
        data = saved(frames[0], name, save_all=True, append_images=frames[1:])
        assert close(colour_at(media.load_image(data, 0), 0.5, 0.5), (200, 0, 0)), name


def test_raw_uses_a_large_enough_preview(tmp_path: Path) -> None:
    small, large = tmp_path / "a.dng", tmp_path / "b.dng"
    make.make_dng(small, (640, 480), preview=True)
    make.make_dng(large, (640, 480), preview=False)
    for path in (small, large):
        sample = media.load_image(path, 200)
        assert sample.pixels.shape == (200, 267, 3)
        assert colour_at(sample, 0.1, 0.1)[1] > 150, "the mark is light"
        red, green, _ = colour_at(sample, 0.7, 0.7)
        assert red > 2 * green


def test_samples_can_be_written_to(tmp_path: Path) -> None:
    sample = media.load_image(make.make_image(tmp_path / "a.png"), 0)
    sample.pixels[0, 0] = 1
    assert sample.pixels.flags.owndata


def test_thumbnails(every_format: dict[str, Path]) -> None:
    for name in ("jpg", "dng", "heic", "mp4", "mp3"):
        data = media.thumbnail(every_format[name], None, 96)
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.format == "WEBP"
            assert max(picture.size) == 96
    with pytest.raises(UnsupportedMediaError):
        media.thumbnail(every_format["txt"], None, 96)
