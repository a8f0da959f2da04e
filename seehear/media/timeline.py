"""One clock for a file: seconds from its start, which a player shows as zero.

Videos, sound tracks and thumbnails are all timed on it. Containers number their packets as they
like: from 600 s on, below zero, or anew in the middle, where two recordings were joined.

    stamps    600 ... 620 | 1.4 ... 21.4      a transport stream, two recordings joined
    clock       0 ...  20 |  20 ... 40
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import av

from seehear.media import container as containers
from seehear.media import truncation
from seehear.media.limits import LIMITS
from seehear.media.source import size_of

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

ROUNDING_S = 0.0015
"""Times are rounded to a millisecond, here and by most containers."""
_JUMPING = frozenset({"mpegts", "mpeg", "ogg"})
"""Demuxers of streams that may be joined by appending one file to another."""
_COUNTED = frozenset({"aac", "ac3", "eac3", "dts", "amr"})
"""Demuxers that estimate the duration from a bit rate."""
_END_STATED = frozenset({"matroska", "asf"})
"""Containers whose stated duration is the time stamp of the end, wherever they start."""
_BACK_S = 1.0
"""Stamps of one stream that go back by more than this have begun anew."""
_LOST_S = 10.0
"""A pause of all streams longer than this, where packets are missing, is a join."""
_PAUSE_S = 300.0
"""The same where nothing tells that packets are missing."""
_LEAD_S = 0.15
"""Sound that begins before the video by less than this is silence, put there by its encoder."""
_OVERHANG_S = 0.5
"""Where recordings are joined, frame follows frame; a sound that is longer by this has its way."""
_CHUNK_BYTES = 8 << 20
"""What is read at once to look for jumps; larger files are probed at some places first."""
_PROBES = 64
_MOST_PIECES = 1_000


class Piece(NamedTuple):
    """A part of a file whose stamps run on: from byte `at` on, `shift_s` is added to them."""

    at: int
    shift_s: float
    begin_s: float
    """Where it begins on the clock of the file."""


class _Stamp(NamedTuple):
    at: int
    stream: int
    video: bool
    dts_s: float
    pts_s: float
    end_s: float
    lost: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """The clock of one file; it holds for every container that is opened on the file."""

    origin_s: float
    """The stamp of the first moment."""
    duration_s: float | None
    """Where the last track ends; None where it is unknown."""
    video_s: float | None = None
    """Where the last frame of the video ends; None where it is unknown or there is no video."""
    pieces: tuple[Piece, ...] = ()
    """More than one for joined recordings, else none."""
    size: int = 0

    def packets(self, container: InputContainer, stream: Stream) -> Iterator[Packet[Any]]:
        """Yield the packets of a stream from the current position, with stamps that run on."""
        at = 0
        for packet in container.demux(stream):
            if self.pieces:
                at = at if packet.pos is None else packet.pos
                shift_s = self.pieces[self._piece_at(at)].shift_s
                if shift_s and packet.time_base:
                    ticks = round(shift_s / packet.time_base)
                    packet.pts = None if packet.pts is None else packet.pts + ticks
                    packet.dts = None if packet.dts is None else packet.dts + ticks
            yield packet

    def frames(
        self, container: InputContainer, stream: Stream, damage: containers.DecodeErrors
    ) -> Iterator[tuple[Any, float]]:
        """Yield decoded frames with their times, from the current position."""
        period_s = period_of(stream)
        due_s = 0.0
        for packet in self.packets(container, stream):
            for frame in damage.decode(packet):
                time_s = due_s if frame.time is None else frame.time - self.origin_s
                due_s = time_s + _length_of(frame, period_s)
                yield frame, time_s

    def frames_from(
        self,
        container: InputContainer,
        stream: Stream,
        damage: containers.DecodeErrors,
        time_s: float,
        late_s: float = ROUNDING_S,
    ) -> Iterator[tuple[Any, float]]:
        """Yield frames with their times; the first one comes at most `late_s` after `time_s`.

        Only where the stream itself begins later, its first frame is later. For time 0 the
        container must be at its start, as it is when it was opened. A seek may land behind a time:
        a transport stream has no index, and decoding begins at the next key frame. It is repeated
        from ever earlier places.
        """
        if time_s <= 0:
            yield from self.frames(container, stream, damage)
            return
        back_s = 0.0
        while True:
            begin_s = time_s - back_s
            self._seek(container, stream, begin_s)
            frames = self.frames(container, stream, damage)
            first = next(frames, None)
            if begin_s <= 0 or (first is not None and first[1] <= time_s + late_s):
                break
            back_s = max(1.0, 2 * back_s)
        if first is not None:
            yield first
            yield from frames

    def _piece_at(self, at: int) -> int:
        return max(0, bisect_right(self.pieces, at, key=lambda piece: piece.at) - 1)

    def _seek(self, container: InputContainer, stream: Stream, time_s: float) -> None:
        if not self.pieces:
            stamp_s = max(0.0, time_s) + self.origin_s
            container.seek(int(stamp_s * av.time_base), backward=True)
            return
        # FFmpeg searches by time, which needs stamps in order; here they are so within a piece.
        number = bisect_right(self.pieces, time_s, key=lambda piece: piece.begin_s) - 1
        piece = self.pieces[max(0, number)]
        stamp_s = time_s + self.origin_s - piece.shift_s
        low, high = piece.at, [*(one.at for one in self.pieces), self.size][max(0, number) + 1]
        while high - low > containers.BUFFER_BYTES:
            middle = (low + high) // 2
            found = next(_stamps(container, [stream], middle), None)
            if found is None or found.at >= high or found.dts_s > stamp_s:
                high = middle
            else:
                low = middle
        container.seek(low, unsupported_byte_offset=True)


def measure(
    file: BinaryIO,
    container: InputContainer,
    video: VideoStream | None,
    track: AudioStream | None,
) -> Timeline:
    """Read the clock of a file; `video` and `track` are what is read of it.

    Leaves the container at any position. Raises MediaError, MediaLimitError for a duration beyond
    the limit.
    """
    streams = [stream for stream in (video, track) if stream is not None]
    name = container.format.name.split(",")[0]
    origin_s = _origin_of(streams, container)
    size = size_of(file)
    pieces: tuple[Piece, ...] = ()
    ends: dict[int, float] = {}
    if name in _JUMPING:
        pieces, ends = _scanned(container, streams, size, origin_s)
    elif name not in _COUNTED and (name != "mp3" or truncation.states_mp3_size(file)):
        ends = _stated_ends(container, streams, origin_s)
    if not ends:
        for stamp in _stamps(container, streams):
            ends[stamp.stream] = max(ends.get(stamp.stream, 0.0), stamp.end_s - origin_s)
    duration_s = max(ends.values(), default=0.0)
    truncation.limit_duration(duration_s, LIMITS.audio_duration_s, "recording")
    video_s = ends.get(video.index) if video is not None else None
    return Timeline(origin_s, duration_s or None, video_s, pieces, size)


def period_of(stream: Any) -> float:
    """Return the usual time from one frame of a video to the next, in seconds."""
    rate = getattr(stream, "average_rate", None)
    return 1 / float(rate) if rate else 1 / 25


def _length_of(frame: Any, period_s: float) -> float:
    samples = getattr(frame, "samples", None)
    return period_s if samples is None else float(samples / frame.sample_rate)


def _origin_of(streams: Sequence[Stream], container: InputContainer) -> float:
    """Return the first stamp; not the container's, which subtitles may make an earlier one.

    The first frame of a video is at 0, also where the sound begins shortly before it.
    """
    starts = {
        stream.type: float(stream.start_time * stream.time_base)
        for stream in streams
        if stream.start_time is not None and stream.time_base
    }
    first_s = min(starts.values(), default=(container.start_time or 0) / av.time_base)
    video_s = starts.get("video", first_s)
    return video_s if video_s - first_s < _LEAD_S else first_s


def _stated_ends(
    container: InputContainer, streams: Sequence[Stream], origin_s: float
) -> dict[int, float]:
    """Return where tracks end as the file states it; under -1 where the last one ends."""
    name = container.format.name.split(",")[0]
    states_end = name in _END_STATED
    ends = {}
    for stream in streams:
        end_s = _tag_seconds(stream.metadata.get("DURATION", ""))
        if stream.duration and stream.time_base:
            end_s = float(stream.duration * stream.time_base)
            if not states_end and stream.start_time:
                end_s += float(stream.start_time * stream.time_base) - origin_s
        if end_s > 0:
            ends[stream.index] = end_s
    if container.duration and (name == "matroska" or not ends):
        ends[-1] = container.duration / av.time_base
    if states_end and min(ends.values(), default=0.0) > origin_s > 1.0:
        ends = {index: end_s - origin_s for index, end_s in ends.items()}
    return ends


def _tag_seconds(tag: str) -> float:
    """Return the seconds of a tag like 00:10:08.040000000, which Matroska has; 0 without one."""
    match = re.fullmatch(r"(\d{1,6}):(\d\d):(\d\d(?:\.\d{1,9})?)", tag)
    if match is None:
        return 0.0
    hours, minutes, seconds = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _stamps(
    container: InputContainer, streams: Sequence[Stream], at: int | None = None
) -> Iterator[_Stamp]:
    """Yield the stamps of packets from byte `at` on, or from the current position."""
    if at is not None:
        container.seek(at, unsupported_byte_offset=True)
    here: dict[int, int] = {}
    for packet in container.demux(list(streams)):
        stream, base = packet.stream, packet.time_base
        if packet.pos is not None:
            here[stream.index] = packet.pos
        if packet.dts is None or not base or not packet.size:
            continue
        video = stream.type == "video"
        pts = packet.dts if packet.pts is None else packet.pts
        length_s = float((packet.duration or 0) * base) or (period_of(stream) if video else 0.0)
        yield _Stamp(
            here.get(stream.index, at or 0),
            stream.index,
            video,
            float(packet.dts * base),
            float(pts * base),
            float(pts * base) + length_s,
            bool(packet.is_corrupt),
        )


def _scanned(
    container: InputContainer, streams: Sequence[Stream], size: int, origin_s: float
) -> tuple[tuple[Piece, ...], dict[int, float]]:
    """Return the pieces of a file, and where its tracks end."""
    joins: list[tuple[int, float, float]] = []
    for low, high in _suspects(container, streams, size):
        found = _joins(_sorted_stamps(container, streams, low, high + _CHUNK_BYTES // 4))
        joins.extend(join for join in found if low < join[0] <= high)
    shift_s = 0.0
    pieces = [Piece(0, 0.0, 0.0)]
    for at, end_s, begin_s in joins[:_MOST_PIECES]:
        pieces.append(Piece(at, shift_s + end_s - begin_s, end_s + shift_s - origin_s))
        shift_s += end_s - begin_s
    ends: dict[int, float] = {}
    tail = max(pieces[-1].at, size - _CHUNK_BYTES)
    for stamp in _stamps(container, streams, tail):
        if stamp.at >= tail:
            end_s = stamp.end_s + shift_s - origin_s
            ends[stamp.stream] = max(ends.get(stamp.stream, 0.0), end_s)
    return tuple(pieces) if joins else (), ends


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

    def probe(at: int) -> _Stamp | None:
        return next(_stamps(container, streams[:1], at), None)

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
        if -_BACK_S < passed_s < _LOST_S + 8 * max(0.0, usual) * (b.at - a.at):
            continue
        middle = probe((a.at + b.at) // 2) if b.at - a.at > _CHUNK_BYTES else None
        if middle is None or not a.at < middle.at < b.at:
            yield a.at, b.at
        else:
            parts += [(middle, b), (a, middle)]


def _sorted_stamps(
    container: InputContainer, streams: Sequence[Stream], low: int, high: int
) -> list[_Stamp]:
    """Return the stamps of the packets between two bytes, in the order of the file."""
    stamps = []
    for stamp in _stamps(container, streams, low):
        if stamp.at > high:
            break
        stamps.append(stamp)
    return sorted(stamps, key=lambda stamp: stamp.at)


def _joins(stamps: list[_Stamp]) -> Iterator[tuple[int, float, float]]:
    """Yield where stamps begin anew: (byte, stamp of the end before, stamp of the start after)."""
    last: dict[int, float] = {}
    begin, newest, lost_s = 0, -math.inf, -math.inf
    for index, stamp in enumerate(stamps):
        lost_s = stamp.dts_s if stamp.lost else lost_s
        pause = _LOST_S if newest - lost_s < _BACK_S or stamp.lost else _PAUSE_S
        back = stamp.dts_s < last.get(stamp.stream, -math.inf) - _BACK_S
        if back or (last and stamp.dts_s > newest + pause):
            end_s = _edge((one.video, one.end_s) for one in stamps[begin:index])
            near = [one for one in stamps[index:] if abs(one.dts_s - stamp.dts_s) < 2 * _BACK_S]
            yield stamp.at, end_s, -_edge((one.video, -one.pts_s) for one in near)
            last, begin, newest, lost_s = {}, index, -math.inf, -math.inf
        last[stamp.stream] = stamp.dts_s
        newest = max(newest, stamp.dts_s)


def _edge(values: Iterable[tuple[bool, float]]) -> float:
    """Return the largest value of the video, or of the sound where that is larger by far."""
    most = {True: -math.inf, False: -math.inf}
    for video, value in values:
        most[video] = max(most[video], value)
    return most[False] if most[False] > most[True] + _OVERHANG_S else most[True]
