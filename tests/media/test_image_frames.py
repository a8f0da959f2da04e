"""Animations, pages and elongated images give several pictures; a photo gives one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from seehear import media
from seehear.errors import MediaError
from seehear.media import image_frames, pdf
from seehear.types import ImageSample, Modality, SampleSpec, Segment
from tests.media import make, make_odd
from tests.media.make_odd import Pixels, scene

SPEC = SampleSpec(image_px=96)
BLANK = np.full((120, 160, 3), 255, dtype=np.uint8)
ANIMATIONS = ["gif", "webp", "png", "avif"]


def pictures_of(path: Path) -> list[tuple[Segment, Pixels]]:
    pairs = list(media.samples(path, None, SPEC))
    assert {segment.modality for segment, _ in pairs} == {Modality.IMAGE}
    return [(segment, one.pixels) for segment, one in pairs if isinstance(one, ImageSample)]


def times_of(path: Path) -> list[tuple[float | None, float | None]]:
    return [(segment.start_s, segment.stop_s) for segment, _ in pictures_of(path)]


def shows(pixels: Pixels, expected: Pixels) -> bool:
    size = (pixels.shape[1], pixels.shape[0])
    scaled = np.asarray(Image.fromarray(expected).resize(size, Image.Resampling.BICUBIC))
    return bool(np.abs(pixels.astype(int) - scaled).mean() < 15)


@pytest.mark.parametrize("suffix", ANIMATIONS)
def test_an_animation_gives_its_frames_that_differ(suffix: str, tmp_path: Path) -> None:
    one, two, three = scene(1), scene(2), scene(3)
    frames = [one, one, two, two, one, three]
    path = make_odd.make_animation(tmp_path / f"a.{suffix}", frames)
    assert times_of(path) == [(0.0, 1.0), (1.0, 2.5), (2.5, 3.0)]
    for (_, pixels), expected in zip(pictures_of(path), (one, two, three), strict=True):
        assert pixels.shape == (96, 128, 3)
        assert shows(pixels, expected)


@pytest.mark.parametrize("suffix", [*ANIMATIONS, "tif"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_blank_frame_is_not_what_a_file_is_found_by(at: int, suffix: str, tmp_path: Path) -> None:
    frames = [scene(1), scene(2)]
    frames.insert(at, BLANK)
    path = make_odd.make_animation(tmp_path / f"a.{suffix}", frames)
    found = [pixels for _, pixels in pictures_of(path)]
    assert len(found) == 2
    assert shows(found[0], scene(1))
    assert shows(found[1], scene(2))
    assert shows(media.load_image(path, 96).pixels, scene(1))
    _, asked = media.query_samples(path, SPEC)
    assert len(asked) == 2


def test_a_file_of_one_plain_colour_is_still_a_picture(tmp_path: Path) -> None:
    path = make_odd.make_animation(tmp_path / "a.gif", [BLANK, BLANK // 2])
    assert len(pictures_of(path)) == 1
    plain = make_odd.make_animation(tmp_path / "a.png", [BLANK])
    assert times_of(plain) == [(None, None)]


@pytest.mark.parametrize("suffix", ANIMATIONS)
def test_the_frame_of_a_time_is_shown(suffix: str, tmp_path: Path) -> None:
    frames = [BLANK, scene(1), scene(2)]
    path = make_odd.make_animation(tmp_path / f"a.{suffix}", frames)
    for time_s, expected in ((0.2, BLANK), (0.7, frames[1]), (1.2, frames[2]), (9.0, frames[2])):
        assert shows(media.frame_at(path, time_s, 96).pixels, expected)
    with Image.open(io.BytesIO(media.thumbnail(path, px=128, time_s=0.7))) as thumbnail:
        assert shows(np.asarray(thumbnail.convert("RGB")), frames[1])
    with Image.open(io.BytesIO(media.thumbnail(path, px=128))) as thumbnail:
        assert shows(np.asarray(thumbnail.convert("RGB")), frames[1])


def test_pages_of_a_tiff_have_no_times_and_each_its_own_size(tmp_path: Path) -> None:
    pages = [scene(1), scene(2, (300, 100)), scene(2, (300, 100)), scene(3)]
    path = make_odd.make_animation(tmp_path / "a.tif", pages)
    assert times_of(path) == [(None, None)] * 3
    assert [pixels.shape for _, pixels in pictures_of(path)] == [
        (96, 128, 3), (96, 288, 3), (96, 128, 3),
    ]  # fmt: skip


def test_pages_of_print_differ_by_little(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    pages = [np.where(random.random((800, 600, 1)) < 0.1, 0, 255).repeat(3, 2) for _ in range(3)]
    for number, page in enumerate(pages):
        page[100 + 200 * number : 160 + 200 * number] = 255
    path = make_odd.make_animation(tmp_path / "a.tif", [page.astype(np.uint8) for page in pages])
    assert len(pictures_of(path)) == 3


def test_a_smaller_copy_within_a_tiff_is_not_a_page(tmp_path: Path) -> None:
    small = Image.fromarray(scene(7, (80, 60)))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    Image.fromarray(scene(1)).save(tmp_path / "a.tif", save_all=True, append_images=[small])
    assert len(pictures_of(tmp_path / "a.tif")) == 1


def test_the_number_of_pictures_is_bounded(tmp_path: Path) -> None:
    frames = [scene(number, (64, 48)) for number in range(150)]
    path = make_odd.make_animation(tmp_path / "a.png", frames, 0.1)
    times = times_of(path)
    assert image_frames.MOST_IMAGES // 2 <= len(times) <= image_frames.MOST_IMAGES
    assert times[0][0] == 0.0
    assert (times[-1][0] or 0.0) > 11.0
    assert times == sorted(times)


def test_a_damaged_frame_ends_an_animation(tmp_path: Path) -> None:
    path = make_odd.make_animation(tmp_path / "a.gif", [scene(1), scene(2), scene(3)])
    data = bytearray(path.read_bytes())
    third = data.rindex(b"\x2c")  # the last image descriptor
    data[third + 9 : third + 11] = b"\x00\x40"  # an impossible code size
    path.write_bytes(data)
    assert len(pictures_of(path)) == 2


@pytest.mark.parametrize(
    ("size", "tiles"),
    [
        ((240, 100), 0),
        ((300, 100), 4),
        ((100, 300), 4),
        ((900, 100), 12),
        ((100, 4000), image_frames.MOST_TILES),
    ],
)
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_an_elongated_image_gives_tiles_too(
    suffix: str, size: tuple[int, int], tiles: int, tmp_path: Path
) -> None:
    width, height = size
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noise).save(path)
    (first, whole), *others = pictures_of(path)
    assert (first.start_s, min(whole.shape[:2])) == (None, 96)
    assert len(others) == tiles
    assert all(pixels.shape == (96, 96, 3) for _, pixels in others)
    if tiles:
        np.testing.assert_array_equal(others[0][1], whole[:96, :96])
        np.testing.assert_array_equal(others[-1][1], whole[-96:, -96:])


def test_plain_tiles_are_left_out(tmp_path: Path) -> None:
    wide = np.full((100, 1000, 3), 255, dtype=np.uint8)
    wide[:, 450:550] = scene(1, (100, 100))
    Image.fromarray(wide).save(tmp_path / "a.png")
    assert 1 <= len(pictures_of(tmp_path / "a.png")) - 1 <= 4


def test_an_ordinary_photo_is_one_picture_as_before(tmp_path: Path) -> None:
    path = make.make_jpeg(tmp_path / "a.jpg", (640, 480), orientation=6)
    ((segment, pixels),) = pictures_of(path)
    assert segment == Segment(Modality.IMAGE)
    np.testing.assert_array_equal(pixels, media.load_image(path, 96).pixels)


def thumbnail_of(path: Path, page: int) -> Pixels:
    with Image.open(io.BytesIO(media.thumbnail(path, px=128, page=page))) as drawn:
        return np.asarray(drawn.convert("RGB"))


@pytest.mark.parametrize("suffix", ["tif", "heic", "pdf"])
def test_the_thumbnail_of_a_page_shows_that_page(suffix: str, tmp_path: Path) -> None:
    pages = [scene(1), scene(2), np.full((120, 160, 3), 255, np.uint8), scene(3)]
    path = tmp_path / f"a.{suffix}"
    if suffix == "tif":
        make_odd.make_animation(path, pages)
    elif suffix == "pdf":
        make_odd.make_scan(path, pages)
    else:
        images = [Image.fromarray(page) for page in pages]
        heif = pillow_heif.from_pillow(images[0])
        for one in images[1:]:
            heif.add_from_pillow(one)
        heif.save(path, quality=90)
    found = [segment.page for segment, _ in media.samples(path, None, SPEC)]
    assert found == [1, 2, 4]
    for page in (1, 2, 4):
        assert shows(thumbnail_of(path, page), pages[page - 1])
    with pytest.raises(MediaError):
        thumbnail_of(path, 9)


LETTER = "The keeper of the lighthouse climbs two hundred steps"


def test_pages_of_a_pdf_without_text_are_drawn(tmp_path: Path) -> None:
    pages: list[Pixels | str] = [scene(1), LETTER, BLANK, scene(2, (120, 160)), scene(1)]
    pairs = list(media.samples(make_odd.make_scan(tmp_path / "a.pdf", pages), None, SPEC))
    assert [segment.modality for segment, _ in pairs] == [Modality.TEXT, *[Modality.IMAGE] * 2]
    assert "lighthouse" in str(pairs[0][1])
    drawn = [sample.pixels for _, sample in pairs if isinstance(sample, ImageSample)]
    assert [pixels.shape for pixels in drawn] == [(96, 128, 3), (128, 96, 3)]
    assert shows(drawn[0], scene(1))
    assert shows(drawn[1], scene(2, (120, 160)))


def test_pages_that_are_drawn_keep_their_numbers(tmp_path: Path) -> None:
    path = make_odd.make_scan(tmp_path / "a.pdf", [LETTER, scene(1), LETTER, scene(2)])
    with path.open("rb") as file:
        assert [number for number, _ in pdf.images_of(file, 96)] == [2, 4]


def test_a_long_scan_is_drawn_in_part(tmp_path: Path) -> None:
    pages = [scene(number, (32, 24)) for number in range(80)]
    with make_odd.make_scan(tmp_path / "a.pdf", pages).open("rb") as file:
        numbers = [number for number, _ in pdf.images_of(file, 24)]
    assert len(numbers) == media.LIMITS.pdf_images
    assert (numbers[0], numbers[-1]) == (1, 78)


def test_a_scan_is_asked_with_by_what_it_shows(tmp_path: Path) -> None:
    path = make_odd.make_scan(tmp_path / "a.pdf", [scene(1), scene(2)])
    _, samples = media.query_samples(path, SPEC)
    assert [type(sample) for sample in samples] == [ImageSample, ImageSample]
    path = make_odd.make_scan(tmp_path / "b.pdf", [scene(1), LETTER])
    assert [type(sample) for sample in media.query_samples(path, SPEC)[1]] == [str]


def test_a_pdf_that_pdfium_cannot_draw_keeps_its_words(tmp_path: Path) -> None:
    path = make_odd.make_scan(tmp_path / "a.pdf", [LETTER, scene(1)])
    path.write_bytes(path.read_bytes().replace(b"/Type/XObject/Subtype/Image", b"/Type/X"))
    pairs = list(media.samples(path, None, SPEC))
    assert [segment.modality for segment, _ in pairs] == [Modality.TEXT]


@pytest.mark.parametrize("size", [(1, 100_000), (14_000, 14_000), (100_000, 2)])
def test_pages_of_absurd_sizes_are_drawn_small(size: tuple[int, int], tmp_path: Path) -> None:
    path = make_odd.make_scan(tmp_path / "a.pdf", [scene(1)])
    data = path.read_bytes().replace(b"MediaBox[0 0 160 120]", b"MediaBox[0 0 %d %d]" % size)
    path.write_bytes(data)
    for _, sample in media.samples(path, None, SPEC):
        assert isinstance(sample, ImageSample)
        assert sample.pixels.size < 3 * 96 * 96 * 40
