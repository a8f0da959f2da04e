"""Read the time stamps of packets: where they begin anew, and where the tracks of a file end."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import av.error

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_BACK_S = 1.0
"""Stamps of one stream that go back by more than this have begun anew."""
_LOST_S = 10.0
"""A pause of all streams longer than this, where packets are missing, is a join."""
LONGEST_PAUSE_S = 300.0
"""The same where nothing tells that packets are missing."""
_GOES_ON_S = 5.0
_OVERHANG_S = 0.5
"""Where recordings are joined, frame follows frame; a sound that is longer by this has its way."""
_CHUNK_BYTES = 4 << 20
"""What is read at once to look for jumps; larger files are probed at some places first."""
_PROBES = 64
_MOST_PIECES = 1_000


class Piece(NamedTuple):
    """A part of a file whose stamps run on: from byte `at` on, `shift_s` is added to them."""

    at: int
    shift_s: float
    begin_s: float
    """Where it begins on the clock of the file."""


class Stamp(NamedTuple):
    """The times of one packet, as its container numbers them."""

    at: int
    """Its first byte."""
    stream: int
    video: bool
    dts_s: float
    pts_s: float
    length_s: float
    """0 where it is unknown."""
    lost: bool
    """Whether something is missing from it."""


def read_stamps(
    container: InputContainer, streams: Sequence[Stream], at: int | None = None
) -> Iterator[Stamp]:
    """Yield the stamps of packets from byte `at` on, or from the current position."""
    if at is not None:
        container.seek(at, unsupported_byte_offset=True)
    here: dict[int, int] = {}
    bases: dict[int, Fraction] = {}  # a packet makes its own anew each time it is asked
    with suppress(av.error.FFmpegError):  # what follows cannot be read
        for packet in container.demux(list(streams)):
            stream = packet.stream
            index = stream.index
            if packet.pos is not None:
                here[index] = packet.pos
            base = bases.get(index) or packet.time_base
            if packet.dts is None or not base:
                continue
            bases[index] = base
            pts = pts_of(packet, base)
            assert pts is not None  # the packet has a dts
            yield Stamp(
                here.get(index, at or 0),
                index,
                stream.type == "video",
                seconds_of(packet.dts, base),
                seconds_of(pts, base),
                seconds_of(packet.duration or 0, base),
                bool(packet.is_corrupt),
            )


def seconds_of(ticks: int, base: Fraction) -> float:
    """Return float(ticks * base), without a fraction in between: that takes ten times as long."""
    return ticks * base.numerator / base.denominator


def pts_of(packet: Packet[Any], base: Fraction | None) -> int | None:
    """Return when a packet is shown; its dts where that is wrong.

    Where a stream jumps, FFmpeg may take the time of the last packet before it from the one after.
    """
    pts, dts = packet.pts, packet.dts
    if pts is None or dts is None or not base:
        return dts if pts is None else pts
    return pts if -0.5 < seconds_of(pts - dts, base) < _GOES_ON_S else dts


def find_pieces(
    container: InputContainer, streams: Sequence[Stream], size: int, origin_s: float
) -> tuple[tuple[Piece, ...], dict[int, float]]:
    """Return the pieces of a file, and where its tracks end."""
    joins: list[tuple[int, float, float]] = []
    # The frames of a program stream come at a fixed rate; a transport stream may be of slides.
    pause_s = _LOST_S if container.format.name == "mpeg" else LONGEST_PAUSE_S
    for low, high in _suspects(container, streams, size):
        around = max(0, low - _CHUNK_BYTES // 4), high + _CHUNK_BYTES // 4
        found = _joins(_sorted_stamps(container, streams, *around), pause_s)
        joins.extend(join for join in found if low < join[0] <= high)
    shift_s = 0.0
    pieces = [Piece(0, 0.0, 0.0)]
    for at, end_s, begin_s in joins[:_MOST_PIECES]:
        pieces.append(Piece(at, shift_s + end_s - begin_s, end_s + shift_s - origin_s))
        shift_s += end_s - begin_s
    tail = max(pieces[-1].at, size - _CHUNK_BYTES)
    stamps = (stamp for stamp in read_stamps(container, streams, tail) if stamp.at >= tail)
    return tuple(pieces) if joins else (), ends_of(stamps, shift_s - origin_s)


def ends_of(stamps: Iterable[Stamp], shift_s: float) -> dict[int, float]:
    """Return where the packets of each stream end, moved by `shift_s`.

    A last frame of unknown length is shown as long as the one before it.
    """
    last: dict[int, tuple[float, float, float]] = {}  # time, length, time of the one before
    for stamp in stamps:
        time_s, length_s, before_s = last.get(stamp.stream, (-math.inf, 0.0, -math.inf))
        if stamp.pts_s > time_s:
            last[stamp.stream] = stamp.pts_s, stamp.length_s, time_s
        elif stamp.pts_s > before_s:
            last[stamp.stream] = time_s, length_s, stamp.pts_s
    return {
        stream: time_s
        + shift_s
        + (length_s or (time_s - before_s if before_s > -math.inf else 0.0))
        for stream, (time_s, length_s, before_s) in last.items()
    }


def _suspects(
    container: InputContainer, streams: Sequence[Stream], size: int
) -> Iterator[tuple[int, int]]:
    """Yield the parts of a file (from byte, to byte) in which its stamps may jump, in order.

    A large file is probed at some places: between two of them time goes on, about as fast as
    elsewhere, or the part between is looked at more closely.
    """
    if size <= _CHUNK_BYTES:
        yield 0, size
        return

    def probe(at: int) -> Stamp | None:
        return next(read_stamps(container, streams[:1], at), None)

    step = max(_CHUNK_BYTES, size // _PROBES)
    probes = [
        probe(at) for at in [*range(0, size - _CHUNK_BYTES // 8, step), size - _CHUNK_BYTES // 8]
    ]
    marks = [mark for mark in probes if mark is not None]
    parts = [(one, other) for one, other in itertools.pairwise(marks) if other.at > one.at]
    if not parts:
        return
    usual = statistics.median((b.dts_s - a.dts_s) / (b.at - a.at) for a, b in parts)
    parts.reverse()
    while parts:
        a, b = parts.pop()
        passed_s = b.dts_s - a.dts_s
        if -_BACK_S < passed_s < _LOST_S + 2 * max(0.0, usual) * (b.at - a.at):
            continue
        middle = probe((a.at + b.at) // 2) if b.at - a.at > _CHUNK_BYTES else None
        if middle is None or not a.at < middle.at < b.at:
            yield a.at, b.at
        else:
            parts += [(middle, b), (a, middle)]


def _sorted_stamps(
    container: InputContainer, streams: Sequence[Stream], low: int, high: int
) -> list[Stamp]:
    """Return the stamps of the packets between two bytes, in the order of the file."""
    stamps = []
    for stamp in read_stamps(container, streams, low):
        if stamp.at > high:
            break
        stamps.append(stamp)
    return sorted(stamps, key=lambda stamp: stamp.at)


def _joins(stamps: list[Stamp], pause_s: float) -> Iterator[tuple[int, float, float]]:
    """Yield where stamps begin anew: (byte, stamp of the end before, stamp of the start after)."""
    last: dict[int, float] = {}
    begin, newest, lost_s = 0, -math.inf, -math.inf
    for index, stamp in enumerate(stamps):
        lost_s = stamp.dts_s if stamp.lost else lost_s
        pause = _LOST_S if newest - lost_s < _BACK_S or stamp.lost else pause_s
        back = stamp.dts_s < last.get(stamp.stream, -math.inf) - _BACK_S
        ahead = bool(last) and stamp.dts_s > newest + pause
        if (back or ahead) and not _others_go_on(last, stamp.stream, stamps[index:]):
            kinds = {one.stream: one.video for one in stamps}
            ends = ends_of(stamps[begin:index], 0.0).items()
            near = [one for one in stamps[index:] if abs(one.dts_s - stamp.dts_s) < 2 * _BACK_S]
            yield (
                stamp.at,
                _edge((kinds[stream], end_s) for stream, end_s in ends),
                -_edge((one.video, -one.pts_s) for one in near),
            )
            last, begin, newest, lost_s = {}, index, -math.inf, -math.inf
        last[stamp.stream] = stamp.dts_s
        newest = max(newest, stamp.dts_s)


def _others_go_on(last: dict[int, float], leapt: int, rest: Sequence[Stamp]) -> bool:
    """Tell whether another stream goes on as before where one has leapt: that one is wrong."""
    coming: dict[int, float] = {}
    for stamp in rest:
        coming.setdefault(stamp.stream, stamp.dts_s)
        if len(coming) == len(last):
            break
    return any(
        stream != leapt and stream in coming and -_BACK_S < coming[stream] - dts_s < _GOES_ON_S
        for stream, dts_s in last.items()
    )


def _edge(values: Iterable[tuple[bool, float]]) -> float:
    """Return the largest value of the video, or of the sound where that is larger by far."""
    most = {True: -math.inf, False: -math.inf}
    for video, value in values:
        most[video] = max(most[video], value)
    return most[False] if most[False] > most[True] + _OVERHANG_S else most[True]
