"""A query takes what programs hold: pixels, samples, bytes, open files, PIL images, data URLs."""

from __future__ import annotations

import base64
import io
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import seehear
from seehear.types import AudioSample, ImageSample, Modality, QueryPart

RATE_HZ = 16_000
PIXELS = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
TONE = np.sin(np.arange(2 * RATE_HZ) * 0.1).astype(np.float32) * 0.5


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seehear.Collection]:
    with seehear.open(tmp_path_factory.mktemp("held") / "collection", model="fake") as library:
        yield library


@pytest.fixture(scope="module")
def png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "PNG")
    return out.getvalue()


def pixels_of(part: QueryPart) -> Any:
    (sample,) = part.samples
    assert isinstance(sample, ImageSample)
    return sample.pixels


def wave_of(part: QueryPart) -> Any:
    (sample,) = part.samples
    assert isinstance(sample, AudioSample)
    assert sample.sample_rate_hz == RATE_HZ
    return sample.waveform


def test_a_picture_in_any_form_is_the_same_picture(
    library: seehear.Collection, png: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(png)
    url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    with path.open("rb") as file:
        forms = [
            str(path), path, png, bytearray(png), memoryview(png), file, io.BytesIO(png), url,
            PIXELS, Image.fromarray(PIXELS), np.dstack([PIXELS, np.full((40, 60), 255, np.uint8)]),
        ]  # fmt: skip
        for form in forms:
            part = library.file_part(form, expected="image")
            np.testing.assert_array_equal(pixels_of(part), PIXELS)


def test_an_open_file_without_a_name(library: seehear.Collection, png: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(png)
        file.seek(0)
        np.testing.assert_array_equal(pixels_of(library.file_part(file)), PIXELS)


def test_grey_pixels_and_other_modes_of_pil(library: seehear.Collection) -> None:
    grey = PIXELS[..., 0]
    for form in (grey, grey[..., None], Image.fromarray(grey)):
        np.testing.assert_array_equal(pixels_of(library.file_part(form))[..., 0], grey)
    for mode in ("CMYK", "YCbCr", "P", "1", "LA", "F"):
        assert pixels_of(library.file_part(Image.fromarray(PIXELS).convert(mode))).shape[2] == 3


def test_an_image_of_pil_keeps_its_orientation(library: seehear.Collection) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(PIXELS).save(out, "PNG", exif=exif)
    opened = Image.open(io.BytesIO(out.getvalue()))
    np.testing.assert_array_equal(pixels_of(library.file_part(opened)), np.rot90(PIXELS, -1))


def test_a_sound_in_any_form_is_the_same_sound(library: seehear.Collection, tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((TONE * 32768).astype("<i2").tobytes())
    heard = wave_of(library.file_part(path))
    stereo = np.stack([TONE, TONE])
    whole = np.round(TONE * 32767).astype(np.int16)
    for samples in (TONE, TONE.astype(np.float64), stereo, stereo.T, whole):
        part = library.file_part((samples, RATE_HZ), expected="audio")
        found = wave_of(part)  # two equal channels are louder than one, as those of a file are
        np.testing.assert_allclose(found / found.max(), heard / heard.max(), atol=2e-3)


def test_another_rate_is_resampled(library: seehear.Collection) -> None:
    (sample,) = library.file_part((TONE, 2 * RATE_HZ)).samples
    assert isinstance(sample, AudioSample)
    assert sample.duration_s == pytest.approx(1.0, abs=0.01)


def test_arrays_of_other_libraries(library: seehear.Collection) -> None:
    import torch

    np.testing.assert_array_equal(pixels_of(library.file_part(torch.tensor(PIXELS))), PIXELS)
    assert len(library.file_part((torch.tensor(TONE), RATE_HZ)).samples) == 1


def test_several_at_once_and_beside_words(library: seehear.Collection, png: bytes) -> None:
    library.search("blue", image=[PIXELS, png], audio=(TONE, RATE_HZ), weights=[1, 2, 1, 1])
    library.search(image=PIXELS, without_files=Image.fromarray(PIXELS))
    assert library.file_part(PIXELS, exclude=True).exclude
    assert library.file_part(b"a few words").samples == ("a few words",)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (PIXELS.astype(np.float32), r"an image is uint8 \(height, width, 3\), not float32"),
        (PIXELS[None], r"not uint8 \(1, 40, 60, 3\)"),
        (TONE, r"a sound is a pair: \(samples, rate_hz\)"),
        (PIXELS[:0], "the image is empty"),
        ((TONE[:0], RATE_HZ), "the sound is empty"),
        ((TONE, 0), "1,000 to 768,000 samples a second, not 0"),
        ((TONE, 16000.5), "not 16000.5"),
        ((TONE.astype(np.int32), RATE_HZ), "a sound is float32 or int16, not int32"),
        ((TONE.reshape(20, -1).repeat(9, 0), RATE_HZ), "at most 8 channels"),
        ((np.where(TONE > 0, np.nan, TONE), RATE_HZ), "NaN or infinite"),
        ("data:image/png;base64", "has no comma"),
        ("data:image/png;base64,!!!", "does not hold base64"),
        (io.StringIO("words"), 'open it with mode "rb"'),
        (5, "5 is no file to search by; give a path, bytes"),
        (None, "None is no file"),
    ],
)
def test_what_cannot_be_asked_with_is_told_in_one_line(
    library: seehear.Collection, value: Any, told: str
) -> None:
    with pytest.raises(seehear.UsageError, match=told) as caught:
        library.file_part(value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_media_and_media_of_another_kind(
    library: seehear.Collection, png: bytes
) -> None:
    with pytest.raises(seehear.MediaError, match="the file"):
        library.file_part(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(seehear.UsageError, match="the file is a picture, not a sound"):
        library.file_part(png, expected=Modality.AUDIO)
    with pytest.raises(seehear.UsageError, match="no file to search by"):
        library.search(image=3)
