"""TIFFs of 16 bits and of floating point, with alpha, show the colours that they store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seehear import media
from seehear.types import SampleSpec
from tests.media import make_odd

COLOURS = np.zeros((96, 128, 3))
COLOURS[:, :64] = (0.8, 0.5, 0.1)
COLOURS[:, 64:] = (0.1, 0.2, 0.9)
WHITES = {"u2": 65_535, "f2": 1.0, "f4": 1.0}
"""The value of white, by type."""


def shown(path: Path) -> list[list[int]]:
    info = media.probe(path)
    assert (info.width_px, info.height_px) == (128, 96)
    pixels = media.load_image(path, 96).pixels
    assert pixels.shape == (96, 128, 3)
    ((_, sample),) = media.samples(path, info, SampleSpec(image_px=96))
    np.testing.assert_array_equal(sample.pixels, pixels)  # type: ignore[union-attr]
    return [pixels[48, 20].tolist(), pixels[48, 100].tolist()]


LEFT, RIGHT = [204, 128, 26], [26, 51, 230]


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("dtype", WHITES)
def test_colours_are_kept(dtype: str, planar: bool, tmp_path: Path) -> None:
    values = (COLOURS * WHITES[dtype]).astype(dtype)
    path = make_odd.make_tiff(tmp_path / "a.tif", values, planar=planar)
    assert np.abs(np.array(shown(path)) - [LEFT, RIGHT]).max() <= 1


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("dtype", WHITES)
@pytest.mark.parametrize("alpha", [0, 1, 2], ids=["none", "premultiplied", "alpha"])
def test_alpha_shows_white(alpha: int, dtype: str, planar: bool, tmp_path: Path) -> None:
    opacity = np.ones((96, 128, 1))
    opacity[:, 64:] = 0.25
    colours = COLOURS * opacity if alpha == 1 else COLOURS
    values = (np.concatenate([colours, opacity], axis=2) * WHITES[dtype]).astype(dtype)
    path = make_odd.make_tiff(tmp_path / "a.tif", values, alpha=alpha, planar=planar)
    over_white = [round(255 * (0.25 * part + 0.75)) for part in (0.1, 0.2, 0.9)]
    expected = [LEFT, over_white if alpha else RIGHT]
    assert np.abs(np.array(shown(path)) - expected).max() <= 1


@pytest.mark.parametrize("dtype", ["u2", "f2"])
def test_grey_of_few_kinds(dtype: str, tmp_path: Path) -> None:
    grey = (COLOURS[:, :, :1] * WHITES[dtype]).astype(dtype)
    path = make_odd.make_tiff(tmp_path / "a.tif", grey)
    assert np.abs(np.array(shown(path))[:, 0] - [204, 26]).max() <= 1


def test_twelve_bits_in_sixteen_are_not_black(tmp_path: Path) -> None:
    path = make_odd.make_tiff(tmp_path / "a.tif", (COLOURS * 4_000).astype("u2"))
    assert max(shown(path)[1]) == 255


def test_light_beyond_white_leaves_the_rest_visible(tmp_path: Path) -> None:
    light = (COLOURS * 4).astype("f4")
    light[:1, :5] = 900.0
    left, right = shown(make_odd.make_tiff(tmp_path / "a.tif", light))
    assert max(right) == 255
    assert 100 < left[1] < 200


def test_eight_bits_are_read_as_before(tmp_path: Path) -> None:
    picture = (255 * COLOURS + 0.5).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(media.load_image(tmp_path / "a.tif", 96).pixels, picture)
