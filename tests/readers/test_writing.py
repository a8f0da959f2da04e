"""Writing in images, with the weights inside rapidocr: what is read, and what is left alone."""

import time

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from seehear.errors import UsageError
from seehear.readers import open_reader, passages
from seehear.readers.base import Reader
from seehear.types import AudioSample, ImageSample, Origin

pytest.importorskip("rapidocr", reason="needs the extra ocr")


@pytest.fixture(scope="module")
def reader() -> Reader:
    return open_reader("writing", threads=2)


def background(width_px: int = 480, height_px: int = 360) -> Image.Image:
    """A smooth, dim, coloured surface with some grain, as in a photograph."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(40, 110, (6, 8, 3)).astype(np.uint8)
    smooth = Image.fromarray(coarse).resize((width_px, height_px), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 4, (height_px, width_px, 3))
    return Image.fromarray(np.clip(np.asarray(smooth) + grain, 0, 255).astype(np.uint8))


def drawn(
    image: Image.Image, *lines: str, size: int = 40, left: int = 40, top: int = 60
) -> ImageSample:
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size)
    for at, line in enumerate(lines):
        draw.text((left, top + at * round(1.4 * size)), line, fill="white", font=font)
    return ImageSample(np.asarray(image))


def test_a_sign_in_a_photograph_is_read_and_its_box_is_around_it(reader: Reader) -> None:
    reading = reader.see(drawn(background(), "Platform Seven"))
    (line,) = reading.lines
    assert line.text == "Platform Seven"
    assert line.box is not None
    left, top, right, bottom = line.box
    assert (left, top) == pytest.approx((40 / 480, 70 / 360), abs=0.05)
    assert right == pytest.approx(320 / 480, abs=0.08)
    assert 0 < bottom - top < 0.2
    assert (line.confidence or 0) >= 0.7
    assert line.language is None


def test_text_on_its_head_is_read_from_its_own_top(reader: Reader) -> None:
    upright = drawn(background(), "Platform Seven", "every ten minutes", size=34)
    turned = ImageSample(np.ascontiguousarray(upright.pixels[::-1, ::-1]))
    assert [line.text for line in reader.see(turned).lines] == [
        "Platform Seven",
        "every ten minutes",
    ]
    (passage,) = passages(reader.see(turned), Origin.WRITING)
    assert passage.text == "Platform Seven every ten minutes"


@pytest.mark.parametrize("text", ["7", "24", "A1"])
def test_less_than_three_letters_alone_are_no_writing(reader: Reader, text: str) -> None:
    assert reader.see(drawn(background(), text)).lines == ()


def test_numbers_beside_words_are_kept(reader: Reader) -> None:
    lines = [line.text for line in reader.see(drawn(background(), "Total", "12.50")).lines]
    assert lines == ["Total", "12.50"]


@pytest.mark.parametrize(
    "image",
    [
        background(),
        Image.new("RGB", (640, 480), "white"),
        pytest.param(Image.new("RGB", (640, 480), "black"), marks=pytest.mark.slow),
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (300, 400, 3)).astype(np.uint8)),
        Image.new("RGB", (1, 1)),
        Image.new("RGB", (2000, 3)),
        Image.new("RGB", (20, 20)),
    ],
    ids=["photo", "white", "black", "noise", "one pixel", "strip", "icon"],
)  # fmt: skip
def test_images_without_writing_have_none(reader: Reader, image: Image.Image) -> None:
    assert reader.see(ImageSample(np.asarray(image))).lines == ()


def test_small_letters_of_a_screenshot_are_read(reader: Reader) -> None:
    screen = Image.new("RGB", (900, 600), "#204060")
    reading = reader.see(drawn(screen, "Open the settings", "Save all files", size=16))
    assert [line.text for line in reading.lines] == ["Open the settings", "Save all files"]


def test_a_reader_of_writing_hears_nothing(reader: Reader) -> None:
    with pytest.raises(UsageError, match="hears nothing"):
        reader.hear([(0.0, AudioSample(np.zeros(16_000, np.float32), 16_000))])


@pytest.mark.slow
def test_a_dense_page_is_read_in_part_and_in_time(reader: Reader) -> None:
    rng = np.random.default_rng(0)
    words = [str(one) for one in rng.choice(["river", "garden", "window", "paper"], 5000)]
    page = Image.new("RGB", (2480, 3508), (235, 235, 232))
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(24)
    for row in range(84):
        draw.text((60, 40 + 41 * row), " ".join(words[60 * row : 60 * row + 28]), "black", font)
    read = " ".join(line.text for line in reader.see(ImageSample(np.asarray(page))).lines)
    # 412 of 2,352 when this was written: letters of 14 pixels at the size that is read.
    assert sum(word in {"river", "garden", "window", "paper"} for word in read.split()) > 300


@pytest.mark.slow
def test_a_hundred_megapixels_take_bounded_time(reader: Reader) -> None:
    image = background(12_500, 8_000)
    since = time.process_time()
    reading = reader.see(drawn(image, "Platform Seven", size=900))
    assert time.process_time() - since < 60
    assert [line.text for line in reading.lines] == ["Platform Seven"]
