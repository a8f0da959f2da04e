"""Make camera RAW files, which no library writes."""

from __future__ import annotations

import io
import struct
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def dng(pixels: NDArray[np.uint8], *, preview: bool = True) -> bytes:
    """A DNG of a picture (height, width, 3), as a Bayer mosaic with an embedded JPEG preview."""
    height, width = pixels.shape[:2]
    shown = pixels.astype(np.uint16) * 16
    mosaic = np.empty((height, width), dtype="<u2")
    mosaic[0::2, 0::2] = shown[0::2, 0::2, 0]
    mosaic[0::2, 1::2] = shown[0::2, 1::2, 1]
    mosaic[1::2, 0::2] = shown[1::2, 0::2, 1]
    mosaic[1::2, 1::2] = shown[1::2, 1::2, 2]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    jpeg = buffer.getvalue() if preview else b""
    raw = _Directory()
    for tag, kind, values in (
        (254, 4, [0]), (256, 4, [width]), (257, 4, [height]), (258, 3, [16]), (259, 3, [1]),
        (262, 3, [32803]), (277, 3, [1]), (278, 4, [height]), (279, 4, [mosaic.nbytes]),
        (33421, 3, [2, 2]), (33422, 1, [0, 1, 1, 2]), (50714, 4, [0]), (50717, 4, [4095]),
    ):  # fmt: skip
        raw.put(tag, kind, values)
    raw.put_data(273, mosaic.tobytes())
    main = _Directory()
    for tag, kind, values in (
        (254, 4, [1]), (274, 3, [1]), (50706, 1, [1, 4, 0, 0]), (50707, 1, [1, 1, 0, 0]),
        (50778, 3, [21]),
        (50721, 10, [10000, 10000, 0, 1, 0, 1, 0, 1, 10000, 10000, 0, 1, 0, 1, 0, 1, 10000, 10000]),
        (50728, 5, [1, 1, 1, 1, 1, 1]),
    ):  # fmt: skip
        main.put(tag, kind, values)
    main.put(271, 2, list(b"Seehear\x00"))
    main.put(272, 2, list(b"Model One\x00"))
    main.put(306, 2, list(b"2024:06:01 12:34:56\x00"))
    main.put(50708, 2, list(b"Seehear Model One\x00"))
    if preview:
        for tag, kind, values in (
            (256, 4, [width]), (257, 4, [height]), (258, 3, [8, 8, 8]), (259, 3, [7]),
            (262, 3, [6]), (277, 3, [3]), (278, 4, [height]), (279, 4, [len(jpeg)]),
        ):  # fmt: skip
            main.put(tag, kind, values)
        main.put_data(273, jpeg)
    main.put_directory(330, raw)
    return b"II*\x00\x08\x00\x00\x00" + main.build(8)


class _Directory:
    """A TIFF directory, little-endian, with everything that it points to right behind it."""

    _LAYOUTS: ClassVar = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 10: "i"}

    def __init__(self) -> None:
        self._entries: dict[int, tuple[int, int, bytes]] = {}
        self._data: dict[int, bytes] = {}
        self._directories: dict[int, _Directory] = {}

    def put(self, tag: int, kind: int, values: list[int]) -> None:
        layout = self._LAYOUTS[kind]
        count = len(values) // 2 if kind in (5, 10) else len(values)
        self._entries[tag] = (kind, count, struct.pack(f"<{len(values)}{layout}", *values))

    def put_data(self, tag: int, data: bytes) -> None:
        self._data[tag] = data

    def put_directory(self, tag: int, inner: _Directory) -> None:
        self._directories[tag] = inner

    def build(self, at: int) -> bytes:
        tags = sorted({*self._entries, *self._data, *self._directories})
        table, behind = b"", b""
        start = at + 2 + 12 * len(tags) + 4
        for tag in tags:
            if tag in self._entries:
                kind, count, value = self._entries[tag]
                if len(value) > 4:
                    value, behind = struct.pack("<I", start + len(behind)), behind + value
            else:
                kind, count, value = 4, 1, struct.pack("<I", start + len(behind))
                inner = self._directories.get(tag)
                data = self._data.get(tag, b"")
                behind += inner.build(start + len(behind)) if inner else data
            behind += b"\x00" * (len(behind) % 2)
            table += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\x00")
        return struct.pack("<H", len(tags)) + table + b"\x00\x00\x00\x00" + behind
