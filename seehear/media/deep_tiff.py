"""Read TIFFs of more than 8 bits in colour, which Pillow cannot read or keeps 8 bits of, by FFmpeg.

Sixteen bits and floating point, with alpha or without, packed or plane by plane.
"""

from __future__ import annotations

from itertools import product
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from seehear.errors import BrokenMediaError

_BITS, _PHOTOMETRIC, _ORIENTATION, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 258, 262, 274, 338, 339
_GREY_OR_RGB = frozenset({0, 1, 2})
_WHITE_IS_ZERO = 0
_FLOAT = 3
_PREMULTIPLIED, _ALPHA = 1, 2
WHITE_SHARE = 0.995
"""Share of values that lie below white, where floats go beyond 1.0: light without a fixed range."""
MOST_PIXELS = 50_000_000
"""Of larger images of whole numbers Pillow reads the upper 8 bits, in a third of the memory."""
_LEAST_SHARE = 8
"""Sixteen bits are taken as their full range unless all values lie below an eighth of it."""


def let_pillow_open() -> None:
    """Let Pillow read the headers of such files; the pixels are read here."""
    for prefix, bits, kind in product((b"II", b"MM"), (16, 32), (1, _FLOAT)):
        for photometric, count, extra in (
            (2, 3, ()), (2, 4, (0,)), (2, 4, (1,)), (2, 4, (2,)),
            (1, 1, ()), (1, 2, (1,)), (1, 2, (2,)),
        ):  # fmt: skip
            key = (prefix, photometric, (kind,), 1, (bits,) * count, extra)
            TiffImagePlugin.OPEN_INFO.setdefault(key, ("RGB", "RGBX"))


def is_deep(image: Image.Image) -> bool:
    """Tell whether the page at hand is to be read here."""
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS, (1,))
    if max(bits) <= 8 or tags.get(_PHOTOMETRIC) not in _GREY_OR_RGB:
        return False
    floats = tags.get(_SAMPLE_FORMAT, (1,))[0] == _FLOAT
    if len(bits) == 1:
        return bool(floats and bits[0] == 16)
    return floats or image.size[0] * image.size[1] <= MOST_PIXELS


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation that `read` leaves to be applied."""
    tags: Any = getattr(image, "tag_v2", {})
    return int(tags.get(_ORIENTATION, 1))


def read(file: BinaryIO, image: Image.Image) -> Image.Image:
    """Return the page at hand as 8-bit RGB, over white, as stored. Raises BrokenMediaError."""
    import av

    tags: Any = getattr(image, "tag_v2", {})
    file.seek(0)
    decoder: Any = av.CodecContext.create("tiff", "r")
    decoder.options = {"page": str(image.tell() + 1)}
    frames = [*decoder.decode(av.Packet(file.read())), *decoder.decode(None)]
    if not frames:
        raise BrokenMediaError("corrupt: its pixels cannot be read")
    values = _values(frames[0])
    if tags.get(_SAMPLE_FORMAT, (1,))[0] == _FLOAT and values.dtype == np.uint16:
        values = values.view(np.float16)
    colour, alpha = _split(_scaled(values), tags)
    if alpha is not None:
        premultiplied = tags[_EXTRA_SAMPLES][0] == _PREMULTIPLIED
        colour = (colour if premultiplied else colour * alpha) + (1 - alpha)
    rgb = (255 * colour.clip(0, 1) + 0.5).astype(np.uint8)
    return Image.fromarray(np.repeat(rgb, 3 // rgb.shape[2], axis=2))


def _values(frame: Any) -> NDArray[Any]:
    """Return the samples of a frame, (height, width, channels)."""
    if frame.format.name == "ya16le":  # PyAV makes no array of it
        plane = frame.planes[0]
        rows = np.frombuffer(plane, dtype="<u2").reshape(frame.height, plane.line_size // 2)
        return rows[:, : 2 * frame.width].reshape(frame.height, frame.width, 2)
    values: NDArray[Any] = frame.to_ndarray()
    return values.reshape(frame.height, frame.width, -1)


def _scaled(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return samples with white at 1.0."""
    if values.dtype == np.uint16:
        most = int(values[:, :, :3].max(initial=0))
        white = float(most if 255 < most <= 65_535 // _LEAST_SHARE else 65_535)
        scaled = values.astype(np.float32)
        scaled[:, :, :3] /= white
        scaled[:, :, 3:] /= 65_535
        return scaled
    scaled = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    colour = scaled[:, :, :3]
    if colour.size and float(colour.max()) > 1.0:
        colour /= max(1e-6, float(np.quantile(colour, WHITE_SHARE)))
    return scaled


def _split(
    values: NDArray[np.float32], tags: Any
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return colour (h, w, 1 or 3), and alpha (h, w, 1) or None."""
    count = values.shape[2]
    colour = values[:, :, : 3 if count >= 3 else 1]
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        colour = 1 - colour
    has_alpha = count in {2, 4} and tags.get(_EXTRA_SAMPLES, (0,))[0] in {_PREMULTIPLIED, _ALPHA}
    return colour, values[:, :, count - 1 :] if has_alpha else None
