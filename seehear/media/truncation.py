"""Detect files that are shorter than their own headers say.

FFmpeg decodes what is left of a truncated file without an error, as players do, and nobody would
learn that the rest is missing. So the sizes that containers state about themselves are compared
with the size on disk, before anything is decoded.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Container
from contextlib import suppress
from typing import BinaryIO, cast

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.media.limits import LIMITS
from seehear.media.sniff import Decoder, SniffedFormat
from seehear.media.source import head_of, size_of, start_behind_tags

_UNKNOWN_SIZES = frozenset({0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0x7FFFFFFF, 0x7FFFFF00})
"""Written by programs that stream to a pipe and cannot go back to fill in the size."""
SLACK_BYTES = 64
"""Programs miscount headers and padding by a few bytes; a truncated file lacks far more."""

_MOST_CHUNKS = 10_000
_RIFF_DATA = frozenset({b"RIFF", b"LIST", b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"})
_INDEX_BOXES = frozenset({b"moov", b"moof", b"meta"})
_CAF_CHUNKS = frozenset(
    b"desc data pakt chan kuki strg mark regn midi ovvw peak umid uuid info free inst edct".split()
)
_DATA_BOXES = _INDEX_BOXES | {b"ftyp", b"mdat"}


def missing_bytes(file: BinaryIO, kind: SniffedFormat) -> int:
    """Return how many bytes the file lacks by its own headers; 0 for a whole file.

    Raises BrokenMediaError where it ends within its header, MediaLimitError where the headers
    claim a duration beyond the limits.
    """
    check = _CHECKS.get(kind.format)
    if kind.reader is Decoder.RAW and check is None:
        check = _tiff
    if check is None:
        return 0
    size = size_of(file)
    try:
        missing = check(file, size)
    except struct.error:
        raise BrokenMediaError("truncated: it ends within its header", stage="probe") from None
    finally:
        file.seek(0)
    return missing if missing > SLACK_BYTES else 0


def content_size(file: BinaryIO, kind: SniffedFormat) -> int:
    """Return the size of a file without the data of other programs behind its end.

    Of formats whose decoders would take such data for sound, or estimate the duration from it.
    """
    size, end = size_of(file), 0
    with suppress(struct.error):
        if kind.format == "au":
            end = size + _au(file, size)
        elif kind.format == "w64":
            end = size + _w64(file, size)
        elif kind.format == "caf":
            end = _caf_end(file, size)
    file.seek(0)
    return end if 0 < end < size - SLACK_BYTES else size


def _caf_end(file: BinaryIO, size: int) -> int:
    """Return where the last chunk of a CAF file ends; 0 where it does not state that."""
    at = 8
    for _ in range(_MOST_CHUNKS):
        if at + 12 > size:
            break
        file.seek(at)
        name, length = cast(tuple[bytes, int], _read(file, ">4sq"))
        if name not in _CAF_CHUNKS:
            break
        if length < 0:
            return 0
        at += 12 + length
    return at


def _read(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _chunks(file: BinaryIO, size: int, at: int, layout: str, wanted: Container[bytes]) -> int:
    """Walk chunks of (name, size) to the first one in `wanted` that runs past the end.

    What the size of the whole claims does not matter: programs leave it wrong, and players do not
    look at it. Other data may follow the last chunk.
    """
    header = struct.calcsize(layout)
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        if at + header > size:
            break
        name, length = cast(tuple[bytes, int], _read(file, layout))
        if length < 0 or length in _UNKNOWN_SIZES:
            break
        at += header + length + (length % 2 if header == 8 else 0)
        if at > size:
            return at - size if name in wanted else 0
    return 0


def _riff(file: BinaryIO, size: int) -> int:
    return _chunks(file, size, 12, "<4sI", _RIFF_DATA)


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
    return _chunks(file, size, 12, ">4sI", (b"SSND",))


def _boxes(file: BinaryIO, size: int) -> int:
    """Walk the top-level boxes of an MP4; the last one may run to the end (size 0).

    Cameras and programs put data of their own behind the last box.
    """
    at, index_seen = 0, False
    while at + 8 <= size:
        file.seek(at)
        length, name = cast(tuple[int, bytes], _read(file, ">I4s"))
        index_seen = index_seen or name in _INDEX_BOXES
        header = 8
        if length == 1:
            (length,) = _read(file, ">Q")
            header = 16
        if length != 0 and (length < header or (at + length > size and name not in _DATA_BOXES)):
            break  # no box, or one that holds no media
        at = size if length == 0 else at + length
    if not index_seen:
        raise BrokenMediaError(
            "truncated: its index (the box moov or meta) is missing; many cameras write it last",
            stage="probe",
        )
    return max(0, at - size)


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
    missing = 0 if claimed is None else start + claimed - size
    # Editors that cut without re-encoding keep the old header: allow 5 %.
    return missing if missing > (claimed or 0) // 20 else 0


def _mp3_sizes(file: BinaryIO) -> tuple[int, int | None]:
    """Return the first byte behind the tags, and the size that a Xing header states."""
    start = start_behind_tags(file)
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


def states_size(file: BinaryIO, demuxer: str) -> bool:
    """Tell whether a file states its own size, from which FFmpeg takes its duration.

    Of MP3 and ASF; all others do. Keeps the position.
    """
    position = file.tell()
    try:
        if demuxer == "asf":
            return _asf(file, size_of(file)) >= -SLACK_BYTES
        if demuxer != "mp3":
            return True
        start, claimed = _mp3_sizes(file)
        return claimed is not None and abs(start + claimed - size_of(file)) <= claimed // 20
    except struct.error:
        return False
    finally:
        file.seek(position)


def _w64(file: BinaryIO, size: int) -> int:
    file.seek(16)
    (claimed,) = _read(file, "<Q")
    return 0 if claimed in _UNKNOWN_SIZES else claimed - size


def _caf(file: BinaryIO, size: int) -> int:
    return _chunks(file, size, 8, ">4sq", (b"data",))


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


def filled_up(file: BinaryIO, kind: SniffedFormat) -> tuple[BinaryIO, int]:
    """Return a damaged image as one that decoders take, and how many bytes of it are made up.

    With its last marker, the sums and sizes of its chunks, and zeros for the bytes that it lacks.
    Raises BrokenMediaError where most of it is missing.
    """
    size, missing = size_of(file), missing_bytes(file, kind)
    if missing > 3 * size or size + missing > LIMITS.image_bytes:
        raise BrokenMediaError("truncated: most of it is missing", stage="probe")
    file.seek(0)
    data = file.read()
    if kind.format == "jpeg":
        data = data.rstrip(b"\0") + b"\xff\xd9"
    elif kind.format == "png":
        data = _with_right_sums(data)
    else:
        data += bytes(missing)
        if kind.format == "webp":
            data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    return io.BytesIO(data), missing


def _with_right_sums(png: bytes) -> bytes:
    """Leave out chunks of text and the like whose sum is wrong; end a chunk that is cut off."""
    parts, at = [png[:8]], 8
    while at + 8 <= len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        chunk, given = png[at + 4 : at + 8 + length], png[at + 8 + length : at + 12 + length]
        summed = struct.pack(">I", zlib.crc32(chunk))
        if len(given) < 4:
            given = summed
        if given == summed or not name[0] & 0x20:  # a small letter: not needed for the image
            parts.append(struct.pack(">I", len(chunk) - 4) + chunk + given)
        at += 12 + length
    return b"".join(parts) + b"\0\0\0\0IEND\xaeB`\x82"


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
