"""Compute the checksum of a row: a row that no longer has its own was damaged after writing."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

_KEY = struct.Struct("<qqq")


def vector_crc(segment_id: int, space_id: int, modality: str, change: int, data: bytes) -> int:
    """Return the CRC-32 of a row of `vectors`."""
    key = _KEY.pack(segment_id, space_id, change) + modality.encode()
    return zlib.crc32(data, zlib.crc32(key))


def segment_crc(
    generation_id: int,
    asset_id: int,
    ordinal: int,
    modality: str,
    start_s: float | None,
    stop_s: float | None,
    text: str | bytes | None,
    page: int | None = None,
    origin: str | None = None,
    language: str | None = None,
    confidence: float | None = None,
    box: Sequence[float] | None = None,
) -> int:
    """Return the CRC-32 of a row of `segments`, without its id, which the database gives."""
    # Adding 0.0 makes a float of an int, and 0.0 of -0.0: databases store no difference.
    times = [None if time is None else time + 0.0 for time in (start_s, stop_s)]
    told: list[object] = [text is None]
    told += [] if page is None else [page]
    if origin is not None:
        told += [str(origin), language, confidence, None if box is None else [*map(float, box)]]
    key = repr((generation_id, asset_id, ordinal, modality, *times, *told)).encode()
    words = text.encode() if isinstance(text, str) else text or b""
    return zlib.crc32(words, zlib.crc32(key))


def is_intact(
    segment_id: int, space_id: int, modality: str, change: int, data: bytes, crc: int | None
) -> bool:
    """Tell whether a row of `vectors` is as it was written."""
    return crc == vector_crc(segment_id, space_id, modality, change, data)
