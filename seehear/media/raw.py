"""Decode camera RAW through LibRaw: the embedded preview, or a quick development."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import rawpy
from PIL import Image

from seehear.errors import BrokenMediaError, MediaError
from seehear.media import image, metadata
from seehear.media.dates import Dated
from seehear.media.details import Details
from seehear.media.limits import out_of_memory
from seehear.media.mute_logs import mute
from seehear.media.sniff import Decoder, SniffedFormat
from seehear.types import ImageSample

_JPEG = SniffedFormat("jpeg", Decoder.PILLOW, "JPEG")
_TURN_OF_FLIP = {3: 3, 5: 8, 6: 6}
"""LibRaw's flip -> EXIF orientation."""


class NotRawError(Exception):
    """Raised when LibRaw does not know the file: it may still be an ordinary TIFF."""


@contextmanager
def opened_raw(file: BinaryIO) -> Iterator[Any]:
    """Open a RAW file and read its headers, within the pixel limit.

    Raises NotRawError for a file that LibRaw does not know, MediaError for one it cannot read.
    """
    file.seek(0)
    raw = rawpy.RawPy()
    try:
        try:
            raw.open_buffer(file)
        except rawpy.LibRawFileUnsupportedError:
            raise NotRawError from None
        sizes = raw.sizes
        image.check_size(max(sizes.raw_width, sizes.width), max(sizes.raw_height, sizes.height))
        yield raw
    except (rawpy.LibRawError, MemoryError, ValueError) as error:
        text = error.args[0] if error.args else ""
        detail = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        if isinstance(error, MemoryError) or "memory" in detail.lower():
            raise out_of_memory() from None
        raise BrokenMediaError(
            f"corrupt: the RAW image cannot be decoded{image.in_brackets(detail)}"
        ) from None
    finally:
        raw.close()


def size_px(raw: Any) -> tuple[int, int]:
    """Return width and height in pixels, upright."""
    sizes = raw.sizes
    upright = (sizes.width, sizes.height)
    return upright[::-1] if sizes.flip in (5, 6) else upright


def load(file: BinaryIO, min_px: int) -> ImageSample:
    """Return the embedded preview where it is large enough, else develop the RAW at half its size.

    Raises NotRawError and MediaError.
    """
    with opened_raw(file) as raw:
        preview = _preview(raw, min_px) if min_px else None
        if preview is not None:
            return preview
        half = bool(min_px) and min(raw.sizes.width, raw.sizes.height) >= 2 * min_px
        with mute():
            pixels = raw.postprocess(use_camera_wb=True, half_size=half, output_bps=8)
        return ImageSample(image.finished(Image.fromarray(pixels), min_px))


def _preview(raw: Any, min_px: int) -> ImageSample | None:
    """Return the embedded preview if its shorter side has `min_px` pixels, else None."""
    try:
        thumb = raw.extract_thumb()
    except rawpy.LibRawError:
        return None
    try:
        return _shaped(thumb, raw.sizes.flip, min_px)
    except MediaError:
        return None  # a broken preview: the RAW data is still there


def _shaped(thumb: Any, flip: int, min_px: int) -> ImageSample | None:
    turn = _TURN_OF_FLIP.get(flip, 1)
    if thumb.format == rawpy.ThumbFormat.BITMAP:
        pixels = np.ascontiguousarray(thumb.data)
        if pixels.ndim != 3 or min(pixels.shape[:2]) < min_px:
            return None
        return ImageSample(image.finished(Image.fromarray(pixels), min_px, turn=turn))
    if thumb.format != rawpy.ThumbFormat.JPEG:
        return None
    with image.opened_image(io.BytesIO(thumb.data), _JPEG) as embedded:
        if min(embedded.size) < min_px:
            return None
        if image.orientation_of(embedded, _JPEG) != 1:
            turn = 1  # the preview states its own orientation, and `load` applies it
    whole = image.load(io.BytesIO(thumb.data), _JPEG, min_px)
    if turn == 1:
        return whole
    return ImageSample(image.finished(Image.fromarray(whole.pixels), 0, turn=turn))


def preview_jpeg(raw: Any) -> bytes | None:
    """Return the embedded JPEG, for its EXIF block, or None."""
    try:
        thumb = raw.extract_thumb()
    except rawpy.LibRawError:
        return None
    return bytes(thumb.data) if thumb.format == rawpy.ThumbFormat.JPEG else None


def details_of(file: BinaryIO, raw: Any) -> tuple[list[Dated], Details]:
    """Read dates and details from the EXIF block of the file itself or of its preview."""
    file.seek(0)
    if file.read(4) in (b"II*\x00", b"MM\x00*"):
        file.seek(0)
        try:
            exif = Image.Exif()
            exif.load_from_fp(file)
            with mute():
                dates, details = metadata.of_exif(exif)
        except Exception:  # a broken block must not make the image unreadable
            dates, details = [], {}
        if dates or details:
            return dates, details
    preview = preview_jpeg(raw)
    if preview is None:
        return [], {}
    try:
        with image.opened_image(io.BytesIO(preview), _JPEG) as embedded:
            return metadata.of_image(embedded)
    except MediaError:
        return [], {}
