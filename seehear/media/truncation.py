"""Detect files that are shorter than their own headers say.

FFmpeg decodes what is left of a truncated file without an error, and a collection would keep half
a sound for good. So the sizes that containers state about themselves are compared with the size
on disk, before anything is decoded.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.media.limits import LIMITS
from seehear.media.sniff import Decoder, SniffedFormat
from seehear.media.source import head_of, size_of

_UNKNOWN_SIZES = frozenset({0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0x7FFFFFFF, 0x7FFFFF00})
"""Written by programs that stream to a pipe and cannot go back to fill in the size."""
SLACK_BYTES = 64
"""Programs miscount headers and padding by a few bytes; a truncated file lacks far more."""


def check_complete(file: BinaryIO, kind: SniffedFormat) -> None:
    """Raise BrokenMediaError where the file ends before its headers say.

    Raises MediaLimitError where the headers claim a duration beyond the limits.
    """
    check = _CHECKS.get(kind.format)
    if kind.reader is Decoder.RAW and check is None:
        check = _tiff
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
    """Walk the chunks to `data`; byte rate and data size give the claimed duration."""
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
    """Walk the top-level boxes of an MP4; the last one may run to the end (size 0)."""
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
    """Read a variable-length number of EBML; None where the size is unknown."""
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
    """Check that the last page is complete; pages are below 64 KiB."""
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
    # A cut inside the page means a truncated file, even where few bytes are missing.
    return SLACK_BYTES + missing if missing > 0 else 0


def _mp3(file: BinaryIO, size: int) -> int:
    """Compare with the stream size of a Xing header; without one, a cut cannot be detected."""
    start, claimed = _mp3_sizes(file)
    if claimed is None:
        return start - size if start > size else 0
    missing = start + claimed - size
    # Editors that cut without re-encoding keep the old header: allow 5 %.
    return missing if missing > claimed // 20 else 0


def _mp3_sizes(file: BinaryIO) -> tuple[int, int | None]:
    """Return the first byte behind the tags, and the size that a Xing header states."""
    file.seek(0)
    tag = file.read(10)
    start = 0
    if tag[:3] == b"ID3" and len(tag) == 10:
        start = 10 + (tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9])
    file.seek(start)
    frame = file.read(512)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or at > 200 or len(frame) < at + 20:
        return start, None
    flags = int.from_bytes(frame[at + 4 : at + 8], "big")
    if not flags & 2:
        return start, None
    field = at + 8 + (4 if flags & 1 else 0)
    return start, int.from_bytes(frame[field : field + 4], "big")


def states_mp3_size(file: BinaryIO) -> bool:
    """Tell whether an MP3 states its own size, and so its duration; keeps the position."""
    position = file.tell()
    try:
        start, claimed = _mp3_sizes(file)
        return claimed is not None and abs(start + claimed - size_of(file)) <= claimed // 20
    finally:
        file.seek(position)


def _w64(file: BinaryIO, size: int) -> int:
    file.seek(16)
    (claimed,) = _read(file, "<Q")
    return 0 if claimed in _UNKNOWN_SIZES else claimed - size


def _caf(file: BinaryIO, size: int) -> int:
    """Walk the chunks; the data chunk may have an unknown size (-1)."""
    at = 8
    while at + 12 <= size:
        file.seek(at)
        (length,) = _read(file, ">4xq")
        if length < 0:
            return 0
        at += 12 + length
    return at - size


def _au(file: BinaryIO, size: int) -> int:
    file.seek(4)
    start, length = _read(file, ">II")
    return 0 if length in _UNKNOWN_SIZES else start + length - size


_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def _asf(file: BinaryIO, size: int) -> int:
    head = head_of(file)
    at = head.find(_ASF_FILE_PROPERTIES)
    if at < 0:
        raise struct.error
    (claimed,) = struct.unpack_from("<Q", head, at + 40)
    (flags,) = struct.unpack_from("<I", head, at + 88)
    return 0 if flags & 1 or claimed in _UNKNOWN_SIZES else claimed - size


_STRIPS = ((273, 279), (324, 325), (513, 514))
"""Tags of (offsets, lengths): strips, tiles, and the old kind of embedded JPEG."""
_MOST_DIRECTORIES = 32
_MOST_VALUES = 100_000


def _tiff(file: BinaryIO, size: int) -> int:
    """Walk the directories of a TIFF, or of a RAW file like it, to the end of their pixels."""
    file.seek(0)
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(file.read(4))
    if order is None:
        return 0
    todo, seen, end = list(_read(file, order + "I")), set[int](), 0
    while todo and len(seen) < _MOST_DIRECTORIES:
        at = todo.pop()
        if at in seen or at == 0:
            continue
        seen.add(at)
        if at + 2 > size:
            return max(end, at + 2) - size
        file.seek(at)
        (count,) = _read(file, order + "H")
        end = max(end, at + 2 + 12 * count + 4)
        if end > size:
            return end - size
        tags = _tags(file, order, count, size)
        todo.extend(_read(file, order + "I"))
        todo.extend(tags.get(330, ()))
        for positions, lengths in _STRIPS:
            ends = zip(tags.get(positions, ()), tags.get(lengths, ()), strict=False)
            end = max([end, *(position + length for position, length in ends)])
    return end - size


def _tags(file: BinaryIO, order: str, count: int, size: int) -> dict[int, tuple[int, ...]]:
    """Return the integers of one directory, by tag; leaves the file after the last entry."""
    wanted = {330, *(tag for pair in _STRIPS for tag in pair)}
    tags: dict[int, tuple[int, ...]] = {}
    start = file.tell()
    for index in range(count):
        file.seek(start + 12 * index)
        tag, kind, number = _read(file, order + "HHI")
        layout = {3: "H", 4: "I", 13: "I"}.get(kind)
        if tag not in wanted or tag in tags or layout is None or not 0 < number <= _MOST_VALUES:
            continue
        whole = f"{order}{number}{layout}"
        if struct.calcsize(whole) > 4:
            (position,) = _read(file, order + "I")
            if position + struct.calcsize(whole) > size:
                raise struct.error
            file.seek(position)
        tags[tag] = _read(file, whole)
    file.seek(start + 12 * count)
    return tags


_CHECKS = {
    "wav": _wav, "avi": _riff, "webp": _riff, "aiff": _aiff, "w64": _w64, "caf": _caf, "au": _au,
    "asf": _asf, "mp4": _boxes, "mov": _boxes, "3gp": _boxes, "heic": _boxes, "avif": _boxes,
    "cr3": _boxes, "mkv": _matroska, "webm": _matroska, "ogg": _ogg, "mp3": _mp3, "mp2": _mp3,
    "tiff": _tiff,
}  # fmt: skip


def limit_duration(duration_s: float, most_s: float, what: str) -> None:
    """Raise MediaLimitError where a claimed duration is beyond the limit."""
    if duration_s > most_s:
        raise MediaLimitError(
            f"the {what} claims {duration_s / 3600:,.0f} hours; the limit is {most_s / 3600:.0f}",
            stage="probe",
        )
