"""Write media that a program holds in memory as a file, which a decode worker then reads as any.

    bytes, an open file, a data URL      the content of a file of any format
    a PIL image                          PNG, with its orientation
    uint8 (height, width[, 1, 3 or 4])   PNG
    (samples, rate_hz)                   WAV; float32, float64 or int16, (n,) or (channels, n)
                                         or (n, channels), at most 8 channels

Arrays may be of any library that numpy reads, such as torch.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seehear.arguments import is_pil, is_waveform
from seehear.errors import UsageError
from seehear.files import scratch_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seehear.types import ImageSample

MOST_CHANNELS = 8
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_FLOATS, _INTEGERS = 3, 1
"""Formats of samples in a WAV file."""


@contextmanager
def written(value: Any) -> Iterator[Path]:
    """Write media in memory as a file of the user's alone, for the block.

    Raises UsageError for what is not of a shape and type that this module names, OSError.
    """
    import tempfile

    with scratch_folder(Path(tempfile.gettempdir())) as folder:
        yield write_into(value, folder)


def write_into(value: Any, folder: Path, prefix: str = "") -> Path:
    """Write media in memory as a file in a folder. Raises as `written`."""
    content, name = _content(value)
    file = folder / f"{prefix}{name}"
    with file.open("wb") as out:
        out.write(content)
    return file


PREVIEW = "preview.webp"
"""The name of the content of an item of which a small image alone is kept."""


def preview_of(sample: ImageSample) -> bytes:
    """Return a decoded image as a WebP file."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(sample.pixels).save(out, "WEBP", quality=90)
    return out.getvalue()


def label_of(value: Any) -> str:
    """Return in words what a value is, for messages and explanations."""
    if isinstance(value, str):
        return "the data URL"
    if is_waveform(value):
        return "the sound"
    if is_pil(value) or hasattr(value, "__array__"):
        return "the image"
    name = getattr(value, "name", None)
    return os.path.basename(name) if isinstance(name, str) else "the file"  # noqa: PTH119


def _content(value: Any) -> tuple[bytes | memoryview, str]:
    """Return the bytes of a file and its name, which has a suffix where one helps to read it."""
    if isinstance(value, str):
        return _of_data_url(value), "media"
    if isinstance(value, bytes | bytearray | memoryview):
        return memoryview(value), "media"
    if is_waveform(value):
        return _wav(_array(value[0], "sound"), value[1]), "sound.wav"
    if is_pil(value):
        return _png(value), "image.png"
    if hasattr(value, "__array__"):
        return _png(_image(_array(value, "image"))), "image.png"
    content = value.read()
    if not isinstance(content, bytes | bytearray | memoryview):
        raise UsageError('the file is open as text; open it with mode "rb"')
    name = getattr(value, "name", None)  # a number, for a file without a name
    suffix = Path(name).suffix if isinstance(name, str) else ""
    return memoryview(content), f"media{suffix if suffix[1:].isalnum() else ''}"


def _of_data_url(url: str) -> bytes:
    """Return what a data URL (RFC 2397) holds."""
    import base64
    import binascii
    import urllib.parse

    head, comma, data = url[5:].partition(",")
    if not comma:
        raise UsageError("the data URL has no comma, and so no data")
    plain = urllib.parse.unquote_to_bytes(data)
    if not head.strip().casefold().endswith(";base64"):
        return plain
    try:
        return base64.b64decode(b"".join(plain.split()), validate=True)
    except binascii.Error:
        raise UsageError("the data URL does not hold base64") from None


def _array(value: Any, what: str) -> NDArray[Any]:
    import numpy as np

    try:
        found = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # such as a tensor on a GPU
        raise UsageError(f"the {what} is not an array that numpy reads: {error}") from None
    if not found.size:
        raise UsageError(f"the {what} is empty: its shape is {found.shape}")
    return found


def _image(pixels: NDArray[Any]) -> Any:
    import numpy as np
    from PIL import Image

    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if pixels.dtype != np.uint8 or flat.ndim < 2 or flat.shape[2:] not in {(), (3,), (4,)}:
        raise UsageError(
            f"an image is uint8 (height, width, 3), not {pixels.dtype} {pixels.shape}; "
            "a sound is a pair: (samples, rate_hz)"
        )
    return Image.fromarray(np.ascontiguousarray(flat))


def _png(image: Any) -> bytes:
    out = io.BytesIO()
    kept = image if image.mode in _PNG_MODES else image.convert("RGB")
    kept.save(out, "PNG", compress_level=1, exif=image.getexif())
    return out.getvalue()


def _wav(samples: NDArray[Any], rate_hz: Any) -> bytes:
    """Write samples as a WAV file of float32 or int16."""
    import numpy as np

    if samples.ndim == 2 and samples.shape[0] <= MOST_CHANNELS < samples.shape[1]:
        samples = samples.T
    channels = 1 if samples.ndim == 1 else samples.shape[-1]
    if samples.ndim > 2 or channels > MOST_CHANNELS:
        raise UsageError(
            f"a sound is (n,), (channels, n) or (n, channels) with at most {MOST_CHANNELS} "
            f"channels, not {samples.shape}"
        )
    if samples.dtype == np.int16:
        form, data = _INTEGERS, samples.astype("<i2")
    elif samples.dtype.kind == "f":
        form, data = _FLOATS, samples.astype("<f4")
        if not np.isfinite(data).all():
            raise UsageError("the sound has samples that are NaN or infinite")
    else:
        raise UsageError(f"a sound is float32 or int16, not {samples.dtype}")
    if rate_hz != int(rate_hz) or not 1_000 <= rate_hz <= 768_000:
        raise UsageError(f"a sound has 1,000 to 768,000 samples a second, not {rate_hz}")
    width = data.itemsize
    about = struct.pack(
        "<HHIIHH", form, channels, int(rate_hz), int(rate_hz) * channels * width,
        channels * width, 8 * width,
    )  # fmt: skip
    body = np.ascontiguousarray(data).tobytes()
    head = struct.pack("<4sI4s4sI", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", len(about))
    return head + about + struct.pack("<4sI", b"data", len(body)) + body
