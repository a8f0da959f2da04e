"""Draw SVG with resvg, which runs no script and opens no connection.

The drawing is rewritten before it is drawn, without anything that refers to other files: resvg
would open images by their path. Repetitions by reference are counted first, since ten lines of
ten repetitions each would be drawn ten thousand million times.
"""

from __future__ import annotations

import io
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import BinaryIO
from xml.sax.saxutils import escape, quoteattr

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.media import image, xml_stream
from seehear.media.details import MOST_CHARACTERS, Details
from seehear.media.limits import LIMITS
from seehear.media.metadata import orientation
from seehear.types import ImageSample

LARGEST_PX = 2048
"""Longer side of a drawing that is drawn at its own size; a drawing can be drawn at any size."""
_ACROSS_PX = 300
"""Width of a drawing that states no size, as in browsers."""
_UNITS_PX = {
    "": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0,
    "em": 16.0, "ex": 8.0,
}  # fmt: skip
_LENGTH = re.compile(r"\s*+([+-]?\d{1,9}(?:\.\d{0,9})?(?:[eE][+-]?\d{1,2})?)\s*+([a-z]{0,9}|%)\s*+")
_INLINE_IMAGE = re.compile(r"\s*+data:image/(png|jpe?g|gif|webp)[;,]", re.IGNORECASE)
_REFERENCE = re.compile(r"url\(\s*+[\"']?#([^\"')]{1,200})")
_NUMBER = re.compile(r"[+-]?\d{1,9}(?:\.\d{0,9})?")
_LEFT_OUT = frozenset({"script", "foreignObject"})
_WORDS = frozenset({"title", "desc", "text"})


@dataclass(slots=True)
class Drawing:
    """A drawing that is safe to draw: its XML, size in pixels and words."""

    xml: str
    width_px: int
    height_px: int
    details: Details = field(default_factory=dict)


def read(file: BinaryIO) -> Drawing:
    """Read a drawing, packed or not. Raises MediaError."""
    writer = _Writer()
    xml_stream.read([_unpacked(file)], writer, flat_entities=True, full_names=True)
    if writer.size is None:
        raise BrokenMediaError("corrupt: not an SVG drawing")
    _check_repetitions(writer.own, writer.uses)
    width, height = writer.size
    details: Details = {"orientation": orientation(width, height)}
    words = {name: " ".join(" ".join(parts).split()) for name, parts in writer.words.items()}
    for field_name, value in (
        ("title", words["title"]),
        ("caption", words["desc"] or words["text"]),
    ):
        if value:
            details[field_name] = value[:MOST_CHARACTERS]
    return Drawing("".join(writer.parts), width, height, details)


def load(drawing: Drawing, min_px: int) -> ImageSample:
    """Draw over white; shorter side `min_px` (0 keeps the drawing's own size).

    Returns uint8 (height, width, 3). Raises BrokenMediaError.
    """
    import resvg_py
    from PIL import Image

    short, long = sorted((drawing.width_px, drawing.height_px))
    scale = min_px / short if min_px else 1.0
    scale = min(scale, max(LARGEST_PX, min_px) / long)
    size = [max(1, round(side * scale)) for side in (drawing.width_px, drawing.height_px)]
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=drawing.xml,
            width=size[0],
            height=size[1],
            background="white",
            skip_system_fonts=True,  # a drawing looks the same on every machine
        )
    except ValueError as error:
        words = " ".join(str(error).split())[:120]
        raise BrokenMediaError(f"corrupt: the drawing cannot be drawn ({words})") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's: not an Exception, not importable
            raise
        raise BrokenMediaError("corrupt: the drawing cannot be drawn") from None
    with Image.open(io.BytesIO(png), formats=["PNG"]) as drawn:
        rgb = drawn.convert("RGB")
    if rgb.size != tuple(size):  # resvg rounds the size to keep the aspect ratio
        rgb = rgb.resize((size[0], size[1]))
    return ImageSample(image.finished(rgb, min_px))


def _unpacked(file: BinaryIO) -> bytes:
    file.seek(0)
    data = file.read(LIMITS.svg_bytes + 1)
    if data[:2] == b"\x1f\x8b":
        unpacker = zlib.decompressobj(wbits=31)
        try:
            data = unpacker.decompress(data, LIMITS.svg_bytes + 1)
        except zlib.error as error:
            raise BrokenMediaError(f"corrupt: it cannot be unpacked ({error})") from None
        if not unpacker.eof and len(data) <= LIMITS.svg_bytes:
            raise BrokenMediaError("truncated: it cannot be unpacked to its end")
    if len(data) > LIMITS.svg_bytes:
        raise MediaLimitError(f"a drawing of more than {LIMITS.svg_bytes >> 20} MiB")
    return data


class _Writer:
    """Write the drawing out again, without references to other files, and count its elements."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size: tuple[int, int] | None = None
        self.words: dict[str, list[str]] = {name: [] for name in _WORDS}
        self.own: dict[str, int] = {"": 0}
        """Number of elements directly in the part of each id; "" is the whole drawing."""
        self.uses: dict[str, Counter[str]] = {"": Counter()}
        """How often each part repeats or contains each id."""
        self._ids: list[str] = [""]
        self._reading: list[str] = []
        self._left_out = 0
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        kind = xml_stream.local(name)
        if self.size is None:
            if kind != "svg":
                raise BrokenMediaError("corrupt: not an SVG drawing")
            self.size = _size(attributes)
        if kind in _LEFT_OUT or self._left_out:
            self._left_out += 1
            return
        self._count += 1
        if self._count > LIMITS.svg_elements:
            raise MediaLimitError(f"a drawing of more than {LIMITS.svg_elements:,} elements")
        self._note(attributes)
        if kind in _WORDS:
            self._reading.append(kind)
        kept = "".join(
            f" {key}={quoteattr(value)}"
            for key, value in attributes.items()
            if not _leads_outside(key, value)
        )
        self.parts.append(f"<{name}{kept}>")

    def end(self, name: str) -> None:
        if self._left_out:
            self._left_out -= 1
            return
        self._ids.pop()
        if self._reading and xml_stream.local(name) == self._reading[-1]:
            self.words[self._reading.pop()].append(" ")
        self.parts.append(f"</{name}>")

    def data(self, text: str) -> None:
        if self._left_out:
            return
        if self._reading:
            self.words[self._reading[-1]].append(text)
        self.parts.append(escape(text))

    def _note(self, attributes: dict[str, str]) -> None:
        """Count the element to the innermost part that has an id, and note the ids it refers to."""
        inside = self._ids[-1]
        own_id = attributes.get("id", "")
        if own_id and own_id not in self.own:
            self.own[own_id], self.uses[own_id] = 0, Counter()
            self.uses[inside][own_id] += 1
            inside = own_id
        self.own[inside] += 1
        for key, value in attributes.items():
            if xml_stream.local(key) == "href" and value.strip().startswith("#"):
                self.uses[inside][value.strip()[1:]] += 1
            elif "url(" in value:
                self.uses[inside].update(_REFERENCE.findall(value[:10_000]))
        self._ids.append(inside)


def _leads_outside(key: str, value: str) -> bool:
    if xml_stream.local(key) in {"href", "src", "base"}:
        return not (value.strip().startswith("#") or _INLINE_IMAGE.match(value))
    return False


def _check_repetitions(own: dict[str, int], uses: dict[str, Counter[str]]) -> None:
    """Raise MediaLimitError where a drawing with its repetitions has too many elements."""
    weights: dict[str, int] = {}
    opened: set[str] = set()
    pending = [""]
    while pending:
        part = pending[-1]
        if part in weights:
            pending.pop()
            continue
        inner = {name: count for name, count in uses[part].items() if name in own}
        # No program draws a part that contains itself: count it as nothing the second time.
        waiting = [name for name in inner if name not in weights and name not in opened]
        if part not in opened and waiting:
            opened.add(part)
            pending.extend(waiting)
            continue
        pending.pop()
        opened.add(part)
        weight = own[part] + sum(weights.get(name, 0) * count for name, count in inner.items())
        if weight > LIMITS.svg_elements:
            raise MediaLimitError(
                f"a drawing that repeats its parts to more than {LIMITS.svg_elements:,} elements"
            )
        weights[part] = weight


def _size(attributes: dict[str, str]) -> tuple[int, int]:
    """Return width and height in pixels, at least 1 and within the limit for images."""
    box = [float(number) for number in _NUMBER.findall(attributes.get("viewBox", "")[:200])]
    across, down = (box[2], box[3]) if len(box) == 4 and min(box[2:]) > 0 else (0.0, 0.0)
    width = _pixels(attributes.get("width"), across)
    height = _pixels(attributes.get("height"), down)
    if width is None and height is None:
        width, height = across or _ACROSS_PX, down or _ACROSS_PX / 2
    ratio = across / down if across and down else 1.0
    width = width if width is not None else (height or 0.0) * ratio
    height = height if height is not None else width / ratio
    if not (width > 0 and height > 0):
        raise BrokenMediaError("corrupt: the drawing has no size", stage="probe")
    longest = max(width, height)
    if longest > 1e6 or longest / min(width, height) > 10_000:
        raise MediaLimitError(f"a drawing of {width:,.0f} x {height:,.0f} pixels", stage="probe")
    return max(1, round(width)), max(1, round(height))


def _pixels(value: str | None, whole: float) -> float | None:
    match = _LENGTH.fullmatch(value or "")
    if match is None:
        return None
    number, unit = float(match[1]), match[2]
    if unit == "%":
        return number / 100 * whole if whole else None
    return number * _UNITS_PX[unit] if unit in _UNITS_PX else None
