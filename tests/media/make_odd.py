"""Make files that are valid but unusual: samples beyond full scale, animations, pages, tracks."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.media import make

Pixels = NDArray[np.uint8]


def make_float_wav(path: Path, samples: NDArray[Any], sample_rate_hz: int = 16_000) -> Path:
    """A wav of 32-bit floats: samples (n,) or (n, channels) as they are, beyond 1.0, too."""
    data = samples.astype("<f4").tobytes()
    channels = samples.shape[1] if samples.ndim == 2 else 1
    rates = (sample_rate_hz, 4 * channels * sample_rate_hz, 4 * channels, 32)
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 3, channels, *rates)
    body = head + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def scene(number: int, size: tuple[int, int] = (160, 120)) -> Pixels:
    """A picture (height, width, 3) of coarse squares, unlike those of other numbers."""
    width, height = size
    squares = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(squares).resize((width, height), Image.Resampling.NEAREST))


def make_animation(
    path: Path, frames: Sequence[Pixels], delay_s: float = 0.5, **options: Any
) -> Path:
    """An animation, or the pages of a TIFF, in the format of the suffix."""
    first, *others = [Image.fromarray(frame) for frame in frames]
    if path.suffix != ".tif":
        options |= {"duration": round(delay_s * 1000)}
    if path.suffix == ".webp":
        options |= {"lossless": True}
    first.save(path, save_all=True, append_images=others, **options)
    return path


def make_scan(path: Path, pages: Sequence[Pixels | str]) -> Path:
    """A PDF with a page for each picture, which fills it, and for each text."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b""]
    objects.append(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    kids = []
    for page in pages:
        if isinstance(page, str):
            width, height, content = 612, 792, f"BT /F1 12 Tf 40 740 Td ({page}) Tj ET".encode()
        else:
            height, width = page.shape[:2]
            content = b"q %d 0 0 %d 0 0 cm /P Do Q" % (width, height)
            buffer = io.BytesIO()
            Image.fromarray(page).save(buffer, "JPEG")
            head = b"<</Type/XObject/Subtype/Image/Width %d/Height %d" % (width, height)
            head += b"/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode/Length %d>>"
            objects.append(head % len(buffer.getvalue()) + _stream(buffer.getvalue()))
        picture = len(objects)
        objects.append(b"<</Length %d>>" % len(content) + _stream(content))
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents %d 0 R/Resources"
            b"<</Font<</F1 3 0 R>>/XObject<</P %d 0 R>>>>>>"
            % (width, height, len(objects), picture)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), b" ".join(kids))
    path.write_bytes(make.pdf_of(objects))
    return path


def _stream(content: bytes) -> bytes:
    return b"stream\n" + content + b"\nendstream"


def make_tiff(path: Path, samples: NDArray[Any], *, alpha: int = 0, planar: bool = False) -> Path:
    """A TIFF, not packed, of samples (h, w, channels) of any type; `alpha` as its ExtraSamples."""
    height, width, count = samples.shape
    stored = np.moveaxis(samples, 2, 0) if planar else samples
    data = np.ascontiguousarray(stored).astype(samples.dtype.newbyteorder("<")).tobytes()
    planes = count if planar else 1
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    tags: list[tuple[int, str, list[int]]] = [
        (256, "I", [width]), (257, "I", [height]), (258, "H", [8 * samples.itemsize] * count),
        (259, "H", [1]), (262, "H", [2 if count > 2 else 1]),
        (273, "I", [8 + len(data) // planes * at for at in range(planes)]), (277, "H", [count]),
        (278, "I", [height]), (279, "I", [len(data) // planes] * planes),
        (284, "H", [2 if planar else 1]),
    ]  # fmt: skip
    if count in {2, 4}:
        tags.append((338, "H", [alpha]))
    tags.append((339, "H", [kind] * count))
    at = 8 + len(data)
    entries, beyond = b"", b""
    for tag, form, values in tags:
        packed = struct.pack(f"<{len(values)}{form}", *values)
        if len(packed) > 4:
            place = at + 2 + 12 * len(tags) + 4 + len(beyond)
            beyond += packed
            packed = struct.pack("<I", place)
        entries += struct.pack("<HHI", tag, 3 if form == "H" else 4, len(values))
        entries += packed.ljust(4, b"\0")
    directory = struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"
    path.write_bytes(b"II*\0" + struct.pack("<I", at) + data + directory + beyond)
    return path
