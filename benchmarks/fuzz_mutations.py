"""Damage the bytes of a file at random: anywhere, and where its structure says what they mean.

A mutation gets the bytes, a source of chance and the other seeds, and returns the damaged bytes.
Those that know the structure find the sizes, offsets, time stamps and directories of boxes (MP4,
HEIC), chunks (RIFF, PNG, AIFF, CAF), elements (Matroska), objects (ASF), segments (JPEG), entries
(TIFF and EXIF, zip) and pages (Ogg), and make them lie.
"""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Dice = random.Random
Mutation = Callable[[bytearray, Dice, Sequence[bytes]], bytearray]

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_STATED = (320, 240, 128, 96, 48_000, 16_000, 2_000, 2_048, 25, 12_800, 96_000)
"""Dimensions, rates, durations and time bases that the seeds are made with: where such a number
stands in a header, it is likely to be one of those."""


def flip(data: bytearray, dice: Dice, _others: Sequence[bytes]) -> bytearray:
    """Up to 64 bits flipped, half of the time within the first kilobyte."""
    reach = len(data) if dice.random() < 0.5 else min(len(data), 1024)
    for _ in range(dice.choice((1, 2, 4, 16, 64))):
        data[dice.randrange(reach)] ^= 1 << dice.randrange(8)
    return data


def overwrite(data: bytearray, dice: Dice, _others: Sequence[bytes]) -> bytearray:
    """A range of noise, zeros or ones."""
    start = dice.randrange(len(data))
    count = min(len(data) - start, dice.choice((4, 32, 256, 4096)))
    filling = dice.choice((None, 0x00, 0xFF))
    data[start : start + count] = (
        dice.randbytes(count) if filling is None else bytes([filling]) * count
    )
    return data


def truncate(data: bytearray, dice: Dice, _others: Sequence[bytes]) -> bytearray:
    """Cut anywhere; sometimes filled with zeros to its old length, as a broken copy is."""
    length = len(data)
    cut = data[: dice.randrange(length)]
    if dice.random() < 0.25:
        cut += bytes(length - len(cut))
    return cut


def leave_out(data: bytearray, dice: Dice, _others: Sequence[bytes]) -> bytearray:
    """A range removed from the middle."""
    start = dice.randrange(len(data))
    del data[start : start + dice.choice((1, 7, 64, 1024))]
    return data


def repeat(data: bytearray, dice: Dice, _others: Sequence[bytes]) -> bytearray:
    """A range many times over: chunks, frames, table entries."""
    start = dice.randrange(len(data))
    part = bytes(data[start : start + dice.choice((4, 16, 128, 1024))])
    data[start:start] = part * dice.choice((1, 8, 64))
    return data


def swap_head(data: bytearray, dice: Dice, others: Sequence[bytes]) -> bytearray:
    """The beginning of a file of another format."""
    count = dice.choice((4, 12, 32, 128, 512))
    data[:count] = dice.choice(others)[:count]
    return data


def splice(data: bytearray, dice: Dice, others: Sequence[bytes]) -> bytearray:
    """The end of another file."""
    other = dice.choice(others)
    return data[: dice.randrange(len(data))] + other[dice.randrange(len(other)) :]


def lie(data: bytearray, dice: Dice, _others: Sequence[bytes]) -> bytearray:
    """A number that states a dimension, a rate or a duration replaced by an extreme one."""
    layouts = ("<H", ">H", "<I", ">I", "<Q", ">Q", "<f", ">d")
    places = []
    for layout in layouts[:4]:
        for value in _STATED:
            if layout[1] == "H" and value > 0xFFFF:
                continue
            at = data.find(struct.pack(layout, value), 0, 65_536)
            if at >= 0:
                places.append((at, layout))
    if not places or dice.random() < 0.3:
        layout = dice.choice(layouts)
        at = dice.randrange(max(1, min(len(data), 2048) - 8))
    else:
        at, layout = dice.choice(places)
    size = struct.calcsize(layout)
    if layout[1] in "fd":
        new = struct.pack(layout, dice.choice((0.0, -1.0, 1e30, float("inf"), float("nan"))))
    else:
        new = struct.pack(layout, dice.choice(_EXTREMES) & ((1 << 8 * size) - 1))
    data[at : at + size] = new
    return data


def mend(data: bytearray) -> bytearray:
    """Sums of PNG chunks made right again, so that a lie reaches further than the check."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return data
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return data


@dataclass(frozen=True)
class Chunk:
    """A part of a file that states its own size: `end - start - without`, at `size_at`."""

    size_at: int
    layout: str
    start: int
    end: int
    without: int = 0
    around: tuple[Chunk, ...] = ()


_CONTAINERS = re.compile(rb"moov|trak|mdia|minf|stbl|udta|edts|moof|traf|mvex|meta|dinf|iprp|ipco")
_MASTERS = (0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0x1F43B675, 0xA0, 0x1C53BB6B, 0x114D9B74)


def chunks_of(data: bytes) -> list[Chunk]:
    """The chunks of a file of a format that has some, the inner ones too."""
    if data[:4] in (b"RIFF", b"FORM"):
        layout = "<I" if data[:4] == b"RIFF" else ">I"
        whole = Chunk(4, layout, 0, len(data), 8)
        return [whole, *_riff(data, 12, len(data), layout, (whole,))]
    for start, mark, walk in _WALKS:
        if data[start : start + len(mark)] == mark:
            return list(walk(data))
    return []


def _boxes(data: bytes, at: int, end: int, around: tuple[Chunk, ...]) -> Iterator[Chunk]:
    while at + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > end:
            return
        box = Chunk(at, ">I", at, at + size, 0, around)
        yield box
        if _CONTAINERS.fullmatch(name):
            inner = at + (12 if name == b"meta" else 8)
            yield from _boxes(data, inner, at + size, (*around, box))
        at += size


def _riff(
    data: bytes, at: int, end: int, layout: str, around: tuple[Chunk, ...]
) -> Iterator[Chunk]:
    while at + 8 <= end:
        (size,) = struct.unpack_from(layout, data, at + 4)
        chunk = Chunk(at + 4, layout, at, min(end, at + 8 + size), 8, around)
        yield chunk
        if data[at : at + 4] == b"LIST":
            yield from _riff(data, at + 12, chunk.end, layout, (*around, chunk))
        at += 8 + size + size % 2


def _png(data: bytes) -> Iterator[Chunk]:
    at = 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        yield Chunk(at, ">I", at, min(len(data), at + 12 + size), 12)
        at += 12 + size


def _caf(data: bytes) -> Iterator[Chunk]:
    at = 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">q", data, at + 4)
        if size < 0:
            return
        yield Chunk(at + 4, ">Q", at, min(len(data), at + 12 + size), 12)
        at += 12 + size


def _segments(data: bytes) -> Iterator[Chunk]:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (size,) = struct.unpack_from(">H", data, at + 2)
        yield Chunk(at + 2, ">H", at, at + 2 + size, 2)
        at += 2 + size


def _elements(data: bytes, at: int, end: int, around: tuple[Chunk, ...]) -> Iterator[Chunk]:
    """Elements of EBML; the size field is given as the whole bytes that it takes."""
    while at + 2 <= end and data[at] and (id_bytes := 9 - data[at].bit_length()) <= 4:
        size_at = at + id_bytes
        if size_at >= end or not data[size_at]:
            return
        count = 9 - data[size_at].bit_length()
        raw = int.from_bytes(data[size_at : size_at + count], "big")
        size, start = raw & ((1 << 7 * count) - 1), size_at + count
        stop = min(end, start + size)
        layout = {1: ">B", 2: ">H", 4: ">I", 8: ">Q"}.get(count, ">B")
        element = Chunk(size_at, layout, at, stop, start - at, around)
        yield element
        if int.from_bytes(data[at:size_at], "big") in _MASTERS:
            yield from _elements(data, start, stop, (*around, element))
        at = stop


_WALKS: tuple[tuple[int, bytes, Callable[[bytes], Iterator[Chunk]]], ...] = (
    (4, b"ftyp", lambda data: _boxes(data, 0, len(data), ())),
    (0, b"\x89PNG\r\n\x1a\n", _png),
    (0, b"\x1a\x45\xdf\xa3", lambda data: _elements(data, 0, len(data), ())),
    (0, b"\xff\xd8", _segments),
    (0, b"caff", _caf),
)


def _put(data: bytearray, at: int, layout: str, value: int) -> None:
    size = struct.calcsize(layout)
    if at + size <= len(data):
        struct.pack_into(layout.upper(), data, at, value & ((1 << 8 * size) - 1))


def resize(data: bytearray, dice: Dice, others: Sequence[bytes]) -> bytearray:
    """The size of a box, chunk, element or segment made wrong: by a little, or beyond all."""
    chunks = chunks_of(bytes(data))
    if not chunks:
        return repoint(data, dice, others)
    for _ in range(dice.choice((1, 1, 3))):
        chunk = dice.choice(chunks)
        right = chunk.end - chunk.start - chunk.without
        outer = chunk.around[-1].end - chunk.start if chunk.around else len(data)
        choices = (
            right - 1,
            right + 1,
            right - 8,
            right + 8,
            right * 2,
            right // 2,
            outer,
            outer + 1,
        )
        _put(data, chunk.size_at, chunk.layout, dice.choice((*choices, *_EXTREMES)))
    return data


def nest(data: bytearray, dice: Dice, others: Sequence[bytes]) -> bytearray:
    """A box or chunk within itself, hundreds deep; the sizes of all are right."""
    chunks = [one for one in chunks_of(bytes(data)) if one.layout in ("<I", ">I")]
    if not chunks:
        return repeat(data, dice, others)
    chunk, deep = dice.choice(chunks), dice.choice((2, 50, 1_000))
    inner = bytes(data[chunk.start : chunk.end])
    head, field = inner[: chunk.without or 8], chunk.size_at - chunk.start
    for _ in range(deep):
        outer = bytearray(head + inner)
        _put(outer, field, chunk.layout, len(outer) - chunk.without)
        inner = bytes(outer)
    return _replaced(data, chunk, inner)


def rearrange(data: bytearray, dice: Dice, others: Sequence[bytes]) -> bytearray:
    """A box, chunk or segment left out, doubled, or exchanged with another one."""
    chunks = chunks_of(bytes(data))
    if len(chunks) < 2:
        return leave_out(data, dice, others)
    one, other = dice.choice(chunks), dice.choice(chunks)
    part = bytes(data[other.start : other.end])
    own = bytes(data[one.start : one.end])
    return _replaced(data, one, dice.choice((b"", own * 2, own * 40, part, own + part)))


def _replaced(data: bytearray, chunk: Chunk, new: bytes) -> bytearray:
    """Put bytes in the place of a chunk, and make the sizes of what is around it right."""
    more = len(new) - (chunk.end - chunk.start)
    for outer in chunk.around:
        _put(data, outer.size_at, outer.layout, outer.end - outer.start - outer.without + more)
    data[chunk.start : chunk.end] = new
    return data


_POINTERS = {0x014A, 0x8769, 0x8825, 0xA005, 0x0111, 0x0117, 0x0201, 0x0202, 0x0144, 0x927C}
"""Tags of directories within directories, and of the places and lengths of pixels."""


def loop(data: bytearray, dice: Dice, others: Sequence[bytes]) -> bytearray:
    """Directories of a TIFF or of EXIF that lead back to themselves, or have endless entries."""
    starts = [found.start() for found in re.finditer(rb"II\*\x00|MM\x00\*", bytes(data[: 1 << 20]))]
    if not starts:
        return repoint(data, dice, others)
    base = dice.choice(starts)
    order = "<" if data[base] == ord("I") else ">"
    try:
        (first,) = struct.unpack_from(order + "I", data, base + 4)
        at = base + first
        (count,) = struct.unpack_from(order + "H", data, at)
        entries = [at + 2 + 12 * index for index in range(min(count, 200))]
        pointers = [
            one for one in entries if struct.unpack_from(order + "H", data, one)[0] in _POINTERS
        ]
    except struct.error:
        return data
    what = dice.randrange(4)
    if what == 0:
        _put(data, at + 2 + 12 * count, order + "I", dice.choice((first, 8, 0xFFFFFFFF, len(data))))
    elif what == 1 and pointers:
        _put(
            data, dice.choice(pointers) + 8, order + "I", dice.choice((first, 0, len(data) - base))
        )
    elif what == 2 and entries:
        _put(data, dice.choice(entries) + 4, order + "I", dice.choice(_EXTREMES))
    else:
        _put(data, at, order + "H", dice.choice((0, 0xFFFF, count + 1, count * 2)))
    return data


_OFFSETS = (  # what stands before a number, how far it is, and how it is written
    (rb"PK\x03\x04", (18, 22, 26), "<I"),
    (rb"PK\x01\x02", (20, 24, 28, 42), "<I"),
    (rb"PK\x05\x06", (8, 12, 16), "<I"),
    (rb"OggS\x00", (18, 22, 26), "<I"),
    (rb"fLaC", (4, 18, 22), ">I"),
    (rb"ID3", (6,), ">I"),
    (rb"Xing|Info", (4, 8, 12), ">I"),
    (rb"stsz|stco|stsc|iloc|iinf|ipma|co64|trun|stss|elst", (8, 12, 16, 20, 24), ">I"),
    (rb"idx1|strh|avih|strf|fmt |data|ds64|fact", (4, 8, 12, 24, 32, 40), "<I"),
    (rb"IHDR|acTL|fcTL|iCCP", (4, 8, 12), ">I"),
    (rb"GIF8[79]a|,\x00\x00\x00\x00", (5, 6, 8), "<I"),
    (rb"/Length |/Count |/Size |startxref\n", (8, 10), ">I"),
    (rb"wvpk|MAC |TTA1|8BPS", (4, 8, 12, 14, 18), "<I"),
)


def repoint(data: bytearray, dice: Dice, others: Sequence[bytes]) -> bytearray:
    """An offset, a count or a size of a table, a page or a directory made wrong."""
    places = [
        (found.start() + step, layout)
        for mark, steps, layout in _OFFSETS
        for found in list(re.finditer(mark, data))[:50]
        for step in steps
        if found.start() + step + 4 <= len(data)
    ]
    if not places:
        return lie(data, dice, others)
    for at, layout in dice.sample(places, min(len(places), dice.choice((1, 2, 8)))):
        (right,) = struct.unpack_from(layout, data, at)
        _put(data, at, layout, dice.choice((right - 1, right + 1, right * 2, *_EXTREMES)))
    return data


_STAMPS = (
    (rb"OggS\x00.", (6, 8), "<Q"),
    (rb"stts|ctts|mvhd|mdhd|tkhd|tfdt|elst|mehd|sidx", (8, 12, 16, 20, 24), ">I"),
    (rb"\x00\x00\x01[\xc0\xe0].{4}[\x80-\xff]", (9, 11), ">I"),
    (rb"\xe7[\x81\x82\x84]|\xa3[\x80-\xff]{1,2}\x81|\x44\x89[\x84\x88]", (2, 3), ">I"),
    (rb"\x2a\xd7\xb1[\x83\x84]", (4,), ">I"),
    (rb"[\x08\x09]\x00.{2}", (3, 4), ">I"),
)
_DIGITS = re.compile(rb"\d{1,6}(?=[:.,]\d)")


def jump(data: bytearray, dice: Dice, _others: Sequence[bytes]) -> bytearray:
    """Time stamps that leap ahead, go back, or are beyond all: of packets, tables and subtitles."""
    places = [
        (found.start() + step, layout)
        for mark, steps, layout in _STAMPS
        for found in list(re.finditer(mark, data, re.DOTALL))[:200]
        for step in steps
        if found.start() + step + 8 <= len(data)
    ]
    if not places:
        stamps = list(_DIGITS.finditer(data))[:2_000]
        for found in dice.sample(stamps, min(len(stamps), 3)):
            filling = dice.choice((b"9", b"0", b"-"))
            data[found.start() : found.end()] = filling * (found.end() - found.start())
        return data
    for at, layout in dice.sample(places, min(len(places), dice.choice((1, 4, 16)))):
        (right,) = struct.unpack_from(layout, data, at)
        _put(data, at, layout, dice.choice((right + 90_000, right - 90_000, -1, *_EXTREMES)))
    return data


AT_RANDOM: tuple[Mutation, ...] = (
    flip, overwrite, truncate, leave_out, repeat, swap_head, splice, lie,
)  # fmt: skip
BY_STRUCTURE: tuple[Mutation, ...] = (resize, nest, rearrange, loop, repoint, jump)
MUTATIONS = AT_RANDOM + BY_STRUCTURE
