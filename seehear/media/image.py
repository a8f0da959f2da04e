"""Decode images that Pillow reads (HEIC through pillow-heif) to upright RGB.

An image is scaled as early as possible: JPEG while it is decoded (a twelfth of the work for a photo
of 12 megapixels), HEIC by its embedded thumbnail where that is large enough and shows the same,
JPEG 2000 by leaving out resolutions, everything else directly after decoding.
Colour profiles, transparency and orientation are applied to the small image, where they cost
little.
"""

from __future__ import annotations

import functools
import importlib
import io
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile

from seehear.errors import BrokenMediaError, MediaError, MediaLimitError
from seehear.media import deep_tiff, truncation
from seehear.media.hdr import Colours, colours_of_stream, to_sdr
from seehear.media.limits import LIMITS, out_of_memory
from seehear.media.mute_logs import mute
from seehear.media.sniff import SniffedFormat
from seehear.media.source import head_of
from seehear.types import ImageSample

MOST_ELONGATED = 32
"""Longest allowed ratio of the sides. Of a longer image (a strip, a log of pixels) the middle is
kept, so that a sample stays small: encoders look at squares."""

THUMB_PX = 16

_PLUGINS = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "JPEG2000": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "PPM": ("PIL.PpmImagePlugin", "PpmImageFile"),
    "PSD": ("PIL.PsdImagePlugin", "PsdImageFile"),
    "ICO": ("PIL.IcoImagePlugin", "IcoImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIF": ("pillow_heif.as_plugin", "HeifImageFile"),
}

_BOX = re.compile(rb"colrnclx(..)(..)", re.DOTALL)
_STATED_COLOURS = {
    "AVIF": _BOX,
    "HEIF": _BOX,
    "PNG": re.compile(rb"\x00\x00\x00\x04cICP(.)(.)", re.DOTALL),
}
"""Where a file states its primaries and its transfer, by the numbers of ITU-T H.273."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@contextmanager
def opened_image(
    file: BinaryIO, kind: SniffedFormat, *, partly: bool = False
) -> Iterator[ImageFile.ImageFile]:
    """Open the image and read its headers, within limits. Decoder errors become MediaErrors.

    With `partly`, also one whose end is missing, or whose sums and sizes are wrong.
    """
    with mute(), as_media_errors("probe"):
        # The plugin itself, not Image.open: no format is guessed, and our pixel limit applies.
        module, name = _PLUGINS[kind.decoder]
        if kind.decoder == "TIFF":
            deep_tiff.let_pillow_open()
        plugin = getattr(importlib.import_module(module), name)
        try:
            image: ImageFile.ImageFile = plugin(file)
        except Exception:
            if not partly:
                raise
            image = plugin(truncation.filled_up(file, kind)[0])
        # Closing the image would close the file, which belongs to the caller.
        if kind.decoder == "ICO":  # the directory states a size in one byte, the image in four
            icon: Any = image
            check_size(*icon.ico.frame(icon.ico.getentryindex(icon.size)).size)
    check_size(*image.size)
    yield image


def check_size(width_px: int, height_px: int) -> None:
    """Raise MediaLimitError for too many pixels, BrokenMediaError for zero pixels."""
    if width_px < 1 or height_px < 1:
        raise BrokenMediaError("corrupt: the image has no pixels", stage="probe")
    if width_px * height_px > LIMITS.image_pixels:
        raise MediaLimitError(
            f"{width_px:,} x {height_px:,} pixels; the limit is "
            f"{LIMITS.image_pixels // 1_000_000} megapixels",
            stage="probe",
        )


def check_frames(file: BinaryIO, kind: SniffedFormat) -> None:
    """Raise MediaLimitError for a GIF with too many frames; counts them by walking its blocks."""
    if kind.format != "gif":
        return
    file.seek(10)
    flags = file.read(3)[:1]
    if flags and flags[0] & 0x80:
        file.seek(3 * 2 ** ((flags[0] & 7) + 1), io.SEEK_CUR)
    frames = 0
    while block := file.read(1):
        if block == b"!":
            file.seek(1, io.SEEK_CUR)
        elif block == b",":
            frames += 1
            if frames > LIMITS.image_frames:
                raise MediaLimitError(
                    f"an animation of more than {LIMITS.image_frames:,} frames", stage="probe"
                )
            colours = file.read(9)[8:]
            table = 3 * 2 ** ((colours[0] & 7) + 1) if colours and colours[0] & 0x80 else 0
            file.seek(table + 1, io.SEEK_CUR)
        else:
            break
        while (length := file.read(1)) not in (b"", b"\x00"):
            file.seek(length[0], io.SEEK_CUR)
    file.seek(0)


def load(file: BinaryIO, kind: SniffedFormat, min_px: int) -> ImageSample:
    """Decode to upright RGB, uint8 (height, width, 3). Raises MediaError.

    The shorter side is scaled down to `min_px` where it is longer; 0 keeps the size.
    """
    with decoding(file, kind) as (image, finish):
        if min_px and kind.decoder == "JPEG":
            image.draft(None, (min_px, min_px))
        elif min_px and kind.decoder == "JPEG2000":
            image.reduce = _halvings(file, image.size, min_px)  # type: ignore[method-assign, assignment]
        return ImageSample(finish(min_px))


@contextmanager
def decoding(
    file: BinaryIO, kind: SniffedFormat
) -> Iterator[tuple[ImageFile.ImageFile, Callable[[int], NDArray[np.uint8]]]]:
    """Open an image to be decoded. Raises MediaError.

    The function loads the frame at hand, and returns it as `finished` does.
    """
    colours = colours_of(file, kind)
    with opened_image(file, kind) as image, mute(), as_media_errors("decode"):
        turn = orientation_of(image, kind)

        def finish(min_px: int) -> NDArray[np.uint8]:
            profile = image.info.get("icc_profile")
            if deep_tiff.is_deep(image):
                deep, stored = deep_tiff.read(file, image), deep_tiff.orientation_of(image)
                return finished(deep, min_px, turn=stored, profile=profile)
            if min_px and kind.decoder == "HEIF" and colours is None:
                # Of phones a twentieth of the work. pillow-heif checks that the thumbnail is a
                # scaled copy: the same turn, crop, colours and ratio of the sides.
                image.draft(None, (min_px, min_px))
            image.load()
            return finished(image, min_px, turn=turn, profile=profile, colours=colours)

        yield image, finish


def colours_of(file: BinaryIO, kind: SniffedFormat) -> Colours | None:
    """Return how a file states its colours by numbers; None for an ordinary image."""
    if kind.decoder not in {"AVIF", "HEIF", "PNG"}:
        return None
    head = head_of(file)
    if b"tmap" in head:  # with a gain map, the image itself is an ordinary one
        return None
    for found in _STATED_COLOURS[kind.decoder].finditer(head):
        primaries, transfer = (int.from_bytes(number) for number in found.groups())
        if (colours := Colours(transfer, primaries)).is_hdr:
            return colours
    return colours_of_stream(file) if kind.decoder != "PNG" and b"colr" not in head else None


def orientation_of(image: Image.Image, kind: SniffedFormat) -> int:
    """Return the EXIF orientation that must still be applied, 1 to 8."""
    if kind.decoder == "TIFF":
        return 1  # Pillow turns a TIFF by itself while it loads
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # a broken EXIF block must not make the image unreadable
        return 1
    return value if value in _UPRIGHT else 1


def finished(
    image: Image.Image,
    min_px: int,
    *,
    turn: int = 1,
    profile: bytes | None = None,
    colours: Colours | None = None,
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return any decoded image as uint8 (height, width, 3): small, sRGB, over white, upright."""
    image = displayable(image)
    if min_px:
        image = _scaled(image, min_px)
    rgb = _flattened(image, profile, colours)
    if turn in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[turn])
    # A copy: np.asarray would give a view that cannot be written to.
    return np.array(rgb, dtype=np.uint8)


def displayable(image: Image.Image) -> Image.Image:
    """Convert to 8 bits per channel, palettes resolved: colours cannot be mixed by index."""
    mode = image.mode
    if mode in {"I", "F"} or mode.startswith("I;"):
        return _from_deep(image)
    if mode in {"P", "PA"}:
        return image.convert("RGBA" if mode == "PA" or "transparency" in image.info else "RGB")
    if mode in {"1", "L"}:
        return image.convert("RGBA") if "transparency" in image.info else image.convert("L")
    if mode == "RGB" and "transparency" in image.info:
        return image.convert("RGBA")
    if mode in {"RGB", "RGBA", "LA", "CMYK", "LAB"}:
        return image
    return image.convert("RGBA" if mode in {"La", "RGBa"} else "RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """Scale grey of 16 bits, 32 bits or floating point to 8 bits.

    Sixteen bits are taken as the full range unless all values are far below it: cameras and
    microscopes store 10 or 12 bits in 16, which would look black. The other kinds have no fixed
    range and are stretched from their least to their greatest value.
    """
    values = np.asarray(image).astype(np.float32)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode != "F" and low >= 0 and 255 < high <= 65535:
        low, high = 0.0, 65535.0 if high > 65535 / 8 else high
    elif low >= 0 and (high <= 1.0 if image.mode == "F" else high <= 255):
        low, high = 0.0, 1.0 if image.mode == "F" else 255.0
    scale = 255.0 / (high - low) if high > low else 0.0
    return Image.fromarray(np.clip((values - low) * scale + 0.5, 0, 255).astype(np.uint8), "L")


def _scaled(image: Image.Image, min_px: int) -> Image.Image:
    width, height = image.size
    if max(width, height) > MOST_ELONGATED * min(width, height):
        keep = MOST_ELONGATED * min(width, height)
        left, top = max(0, (width - keep) // 2), max(0, (height - keep) // 2)
        image = image.crop((left, top, min(width, left + keep), min(height, top + keep)))
        width, height = image.size
    if min(width, height) <= min_px:
        return image
    scale = min_px / min(width, height)
    size = (max(min_px, round(width * scale)), max(min_px, round(height * scale)))
    # Halving first looks the same and is several times faster on large images.
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def _flattened(image: Image.Image, profile: bytes | None, colours: Colours | None) -> Image.Image:
    """Convert to sRGB without transparency: transparent parts become white, as on paper."""
    alpha = None
    if image.mode in {"RGBA", "LA"}:
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    if colours is not None:
        image = Image.fromarray(to_sdr(np.asarray(image.convert("RGB")), colours))
    elif profile and image.mode in {"RGB", "CMYK", "LAB"}:
        image = _to_srgb(image, profile)
    rgb = image.convert("RGB")
    if alpha is not None:
        white = Image.new("RGB", rgb.size, (255, 255, 255))
        white.paste(rgb, mask=alpha)
        return white
    return rgb


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    if len(profile) > LIMITS.metadata_bytes:
        return image
    try:
        transform = _transform(profile, image.mode)
        if transform is None:
            return image
        return ImageCms.applyTransform(image, transform) or image
    except (ImageCms.PyCMSError, ValueError, OSError):
        return image  # a broken profile changes the colours slightly; the image is still readable


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "srgb" in ImageCms.getProfileDescription(source).lower():
        return None
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")


def _halvings(file: BinaryIO, size: tuple[int, int], min_px: int) -> int:
    """Return how many resolutions of a JPEG 2000 to leave out, limited by its coding style."""
    head = head_of(file)
    style = head.find(b"\xff\x52", head.find(b"\xff\x4f\xff\x51"))
    if not 0 <= style < len(head) - 9:
        return 0
    most = max(0, min(head[style + 9], int(math.log2(max(1.0, min(size) / min_px)))))
    return next(count for count in range(most, -1, -1) if _agrees(size, 1 << count))


def _agrees(size: tuple[int, int], part: int) -> bool:
    """Tell whether Pillow and the decoder round the reduced size alike.

    Pillow rounds to the nearest number, the decoder rounds up; where they differ, Pillow fails.
    """
    return all((side + part // 2) // part == -(-side // part) for side in size)


@contextmanager
def as_media_errors(stage: str) -> Iterator[None]:
    """Turn what Pillow and its plugins raise for bad content, any exception, into MediaErrors."""
    try:
        yield
    except MediaError:
        raise
    except MemoryError:
        raise out_of_memory(stage) from None
    except Image.DecompressionBombError:
        raise MediaLimitError("more pixels than the limit", stage=stage) from None
    except Exception as error:
        text = " ".join(str(error).split())
        known = "truncat" in text.lower() or isinstance(error, EOFError)
        word = "truncated" if known else "corrupt"
        raise BrokenMediaError(
            f"{word}: the image cannot be decoded{in_brackets(text)}", stage=stage
        ) from None


def in_brackets(reason: str) -> str:
    """Return what a decoder said as ` (reason)`; nothing where it said no words."""
    said_words = any(char.isalpha() for char in reason)
    return f" ({reason[:120]})" if said_words else ""


def encoded(pixels: np.ndarray[Any, np.dtype[np.uint8]], image_format: str) -> bytes:
    """Encode RGB pixels, uint8 (height, width, 3), as a PNG or WebP file."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": 80} if image_format == "WEBP" else {}
    Image.fromarray(pixels, "RGB").save(buffer, image_format, **options)
    return buffer.getvalue()


def resized(
    pixels: np.ndarray[Any, np.dtype[np.uint8]], longer_px: int
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Scale RGB pixels down so that the longer side has at most `longer_px`."""
    image = Image.fromarray(pixels, "RGB")
    image.thumbnail((longer_px, longer_px), Image.Resampling.BICUBIC)
    return np.array(image, dtype=np.uint8)


def thumb_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return mean colours of a 16 x 16 grid of pixels (h, w, 3): float32 (16, 16, 3)."""
    height, width = pixels.shape[:2]
    rows = np.linspace(0, height, min(THUMB_PX, height) + 1).astype(int)[:-1]
    columns = np.linspace(0, width, min(THUMB_PX, width) + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(pixels, rows, axis=0, dtype=np.uint32), columns, axis=1)
    counts = np.diff([*rows, height])[:, None, None] * np.diff([*columns, width])[None, :, None]
    thumb: NDArray[np.float32] = (sums / counts).astype(np.float32)
    return thumb


def fit_global_limit() -> None:
    """Raise Pillow's own pixel limit to ours, never lower it: plugins check Pillow's limit."""
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, LIMITS.image_pixels)


fit_global_limit()
