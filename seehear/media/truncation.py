"""Whether a file is shorter than its own headers say.

FFmpeg plays what is left of a truncated file without a word. A collection that took it for whole
would keep half a sound for good, so the sizes that containers state about themselves are compared
with what lies on disk, before anything is decoded.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.media.limits import LIMITS
from seehear.media.sniff import Kind
from seehear.media.source import size_of

_UNKNOWN_SIZES = frozenset({0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0x7FFFFFFF, 0x7FFFFF00})
"""What programs write that stream to a pipe and cannot come back to fill the size in."""
SLACK_BYTES = 64
"""Writers miscount headers and padding by a few bytes; a cut file lacks far more."""


def check_complete(file: BinaryIO, kind: Kind) -> None:
    """Raise BrokenMediaError where the file ends before its headers say, MediaLimitError where
    they claim a duration beyond the limits."""
    check = {
        "wav": _wav,
        "avi": _riff,
        "webp": _riff,
        "aiff": _aiff,
        "mp4": _boxes,
        "mov": _boxes,
        "3gp": _boxes,
        "heic": _boxes,
        "avif": _boxes,
        "mkv": _matroska,
        "webm": _matroska,
        "ogg": _ogg,
        "mp3": _mp3,
        "mp2": _mp3,
    }.get(kind.format)
    if check is None:
        return
    size = size_of(file)
    try:
        missing = check(file, size)
    except struct.error:
        raise BrokenMediaError("truncated: it ends within its header", stage="probe") from None
    finally:
        file.seek(0)
    if missing > SLACK_BYTES:
        raise BrokenMediaError(
            f"truncated: {missing:,} of {size + missing:,} bytes are missing", stage="probe"
        )


def _read(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _riff(file: BinaryIO, size: int) -> int:
    file.seek(4)
    (claimed,) = _read(file, "<I")
    return 0 if claimed in _UNKNOWN_SIZES else claimed + 8 - size


def _wav(file: BinaryIO, size: int) -> int:
    """Walks the chunks to `data`; byte rate and data size give the duration that is claimed."""
    file.seek(0)
    long_data, byte_rate = None, 0
    at = 12
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"ds64":
            _, long_data = _read(file, "<QQ")
        elif name == b"fmt ":
            *_, byte_rate = _read(file, "<HHII")
        elif name == b"data":
            if length == 0xFFFFFFFF and long_data is not None:
                length = long_data
            if byte_rate and length not in _UNKNOWN_SIZES:
                limit_duration(length / byte_rate, LIMITS.audio_duration_s, "sound")
            return 0 if length in _UNKNOWN_SIZES else at + 8 + length - size
        at += 8 + length + length % 2
    raise BrokenMediaError("truncated: the wav file has no sound data", stage="probe")


def _aiff(file: BinaryIO, size: int) -> int:
    file.seek(4)
    (claimed,) = _read(file, ">I")
    return 0 if claimed in _UNKNOWN_SIZES else claimed + 8 - size


def _boxes(file: BinaryIO, size: int) -> int:
    """Walks the top-level boxes of an MP4; the last one may run to the end (size 0)."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, _ = _read(file, ">I4s")
        header = 8
        if length == 1:
            (length,) = _read(file, ">Q")
            header = 16
        if length == 0:
            return 0
        if length < header:
            return 0  # not a box: junk after the last one
        at += length
    return at - size


def _matroska(file: BinaryIO, size: int) -> int:
    file.seek(4)
    header = _vint(file)
    if header is None:
        return 0
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    length = _vint(file)
    return 0 if length is None else file.tell() + length - size


def _vint(file: BinaryIO) -> int | None:
    """A variable-length number of EBML; None where the size is left open."""
    first = file.read(1)
    if not first or not first[0]:
        raise struct.error
    extra = 8 - first[0].bit_length()
    rest = file.read(extra)
    if len(rest) < extra:
        raise struct.error
    value = int.from_bytes(bytes([first[0] & (0xFF >> (extra + 1))]) + rest, "big")
    return None if value == (1 << (7 * (extra + 1))) - 1 else value


def _ogg(file: BinaryIO, size: int) -> int:
    """The last page must be whole; pages are below 64 KiB."""
    start = max(0, size - (65_307 + 27))
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"OggS\x00")
    if at < 0:
        return 0
    if at + 27 > len(tail):
        return SLACK_BYTES + 1
    segments = tail[at + 26]
    table = tail[at + 27 : at + 27 + segments]
    if len(table) < segments:
        return SLACK_BYTES + 1
    missing = at + 27 + segments + sum(table) - len(tail)
    # A cut inside the page is a cut file even where few bytes are missing.
    return SLACK_BYTES + missing if missing > 0 else 0


def _mp3(file: BinaryIO, size: int) -> int:
    """A Xing header states the bytes of the stream; without one, a cut cannot be told."""
    file.seek(0)
    tag = file.read(10)
    start = 0
    if tag[:3] == b"ID3" and len(tag) == 10:
        start = 10 + (tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9])
    file.seek(start)
    frame = file.read(512)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or at > 200 or len(frame) < at + 20:
        return start - size if start > size else 0
    flags = int.from_bytes(frame[at + 4 : at + 8], "big")
    if not flags & 2:
        return 0
    field = at + 8 + (4 if flags & 1 else 0)
    claimed = int.from_bytes(frame[field : field + 4], "big")
    missing = start + claimed - size
    # Editors that cut without re-encoding leave the header behind; 5 % is theirs.
    return missing if missing > claimed // 20 else 0


def limit_duration(duration_s: float, most_s: float, what: str) -> None:
    """Raise MediaLimitError where a claimed duration is beyond the limit."""
    if duration_s > most_s:
        raise MediaLimitError(
            f"the {what} claims {duration_s / 3600:,.0f} hours; the limit is {most_s / 3600:.0f}",
            stage="probe",
        )
