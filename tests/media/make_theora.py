"""Write a Theora video of plain grey scenes as an Ogg file, by hand: no encoder is at hand.

Frames that are the same as the one before them are packets without content, as encoders write
them for a still scene.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_GRANULE_SHIFT = 6


def ogg_theora(
    levels: Sequence[int],
    frames_each: int,
    frames_per_s: int = 25,
    size: tuple[int, int] = (64, 48),
) -> bytes:
    """Return scenes of so many frames each: 1 is light, -1 dark, 0 grey."""
    headers = [_identification(size, frames_per_s), b"\x81theora" + bytes(8), _setup()]
    pages = [_page(headers[0], 0, 0, 2), _page(headers[1], 1, 0), _page(headers[2], 2, 0)]
    key = 0
    for number in range(len(levels) * frames_each):
        level, fresh = levels[number // frames_each], number % frames_each == 0
        key = number + 1 if fresh else key
        granule = key << _GRANULE_SHIFT | number + 1 - key
        last = 4 if number == len(levels) * frames_each - 1 else 0
        pages.append(_page(_frame(level) if fresh else b"", len(pages), granule, last))
    return b"".join(pages)


def _packed(*fields: tuple[int, int]) -> bytes:
    """Pack (value, bits) from the highest bit on."""
    text = "".join(format(value, f"0{bits}b") for value, bits in fields)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _identification(size: tuple[int, int], frames_per_s: int) -> bytes:
    width, height = size
    return b"\x80theora" + _packed(
        (3, 8), (2, 8), (1, 8), (width // 16, 16), (height // 16, 16), (width, 24), (height, 24),
        (0, 16), (frames_per_s, 32), (1, 32), (1, 24), (1, 24), (0, 8), (0, 24), (0, 6),
        (_GRANULE_SHIFT, 5), (0, 2), (0, 3),
    )  # fmt: skip


def _setup() -> bytes:
    """No loop filter, the same matrix for everything, and the same short code for all tables."""
    scales = [(15, 4), *[(1000, 16)] * 64] * 2
    matrices = [(1, 9), *[(16, 8)] * 128]
    ranges = [(0, 1), (62, 6), (0, 1), *[(0, 1)] * 2, *[(0, 2)] * 3]
    # A code tree of three tokens: "+1" is 0, "-1" is 10, "no more coefficients" is 11.
    tree = [(0, 1), (1, 1), (9, 5), (0, 1), (1, 1), (10, 5), (1, 1), (6, 5)]
    return b"\x82theora" + _packed((0, 3), *scales, *matrices, *ranges, *tree * 80)


def _frame(level: int) -> bytes:
    """A key frame: the first block has the level, and the others are predicted from it."""
    token = {1: [(0, 1)], -1: [(2, 2)], 0: []}[level]
    end = [(3, 2), (0, 12)]
    return _packed((0, 1), (0, 1), (32, 6), (0, 1), (0, 3), (0, 8), *token, *end, (0, 8), (0, 32))


def _page(packet: bytes, number: int, granule: int, flags: int = 0) -> bytes:
    lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    head = struct.pack("<4sBBQIII", b"OggS", 0, flags, granule, 7, number, 0)
    page = bytearray(head + bytes([len(lacing)]) + lacing + packet)
    page[22:26] = struct.pack("<I", _checksum(page))
    return bytes(page)


def _checksum(data: bytes | bytearray) -> int:
    total = 0
    for byte in data:
        total ^= byte << 24
        for _ in range(8):
            total = (total << 1 ^ 0x04C11DB7 if total & 1 << 31 else total << 1) & 0xFFFFFFFF
    return total
