"""One clock for a file: seconds from its start, which a player shows as zero.

Videos, sound tracks and thumbnails are all timed on it. Containers number their packets as they
like: from 600 s on, below zero, or anew in the middle, where two recordings were joined.

    stamps    600 ... 620 | 1.4 ... 21.4      a transport stream, two recordings joined
    clock       0 ...  20 |  20 ... 40
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import av
import av.error

from seehear.errors import BrokenMediaError
from seehear.media import container as containers
from seehear.media import truncation
from seehear.media.limits import LIMITS
from seehear.media.source import size_of
from seehear.media.stamps import Piece, ends_of, find_pieces, pts_of, read_stamps

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

    from seehear.media.details import Details

ROUNDING_S = 0.0015
"""Times are rounded to a millisecond, here and by most containers."""
_JUMPING = frozenset({"mpegts", "mpeg", "ogg"})
"""Demuxers of streams that may be joined by appending one file to another."""
_COUNTED = frozenset({"aac", "ac3", "eac3", "dts", "amr"})
"""Demuxers that estimate the duration from a bit rate."""
_END_STATED = frozenset({"matroska", "asf"})
"""Containers whose stated duration is the time stamp of the end, wherever they start."""
_EXACT_DURATIONS = frozenset({"flac", "tta", "wv", "flv"})
"""Demuxers that report the exact duration, as the file states it: not an estimate from a bit rate,
not the longest track, not the value before an edit list. Other containers state their sizes, see
truncation.py."""
_SHORTER_S = 0.05
_SHORTER_SHARE = 0.02
_TAIL_S = 2.0
_LEAD_S = 0.15
"""Sound that begins before the video by less than this is silence, put there by its encoder."""


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

    def packets(
        self, container: InputContainer, stream: Stream, damage: containers.DecodeErrors
    ) -> Iterator[Packet[Any]]:
        """Yield the packets of a stream from the current position, with stamps that run on."""
        at = 0
        for packet in damage.packets(container, stream):
            if self.pieces:
                at = at if packet.pos is None else packet.pos
                number = bisect_right(self.pieces, at, key=lambda piece: piece.at) - 1
                shift_s = self.pieces[max(0, number)].shift_s
                if packet.time_base:
                    ticks = round(shift_s / packet.time_base)
                    pts, dts = pts_of(packet, packet.time_base), packet.dts
                    packet.pts = None if pts is None else pts + ticks
                    packet.dts = None if dts is None else dts + ticks
            yield packet

    def frames(
        self, container: InputContainer, stream: Stream, damage: containers.DecodeErrors
    ) -> Iterator[tuple[Any, float]]:
        """Yield decoded frames with their times, from the current position."""
        period_s = period_of(stream)
        due_s = 0.0
        for packet in self.packets(container, stream, damage):
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
            found = next(read_stamps(container, [stream], middle), None)
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
        pieces, ends = find_pieces(container, streams, size, origin_s)
    elif name not in _COUNTED and truncation.states_size(file, name):
        ends = _stated_ends(container, streams, origin_s)
    if not ends:
        ends = ends_of(read_stamps(container, streams), -origin_s)
    duration_s = max(ends.values(), default=0.0)
    truncation.limit_duration(duration_s, LIMITS.audio_duration_s, "recording")
    video_s = ends.get(video.index) if video is not None else None
    return Timeline(origin_s, duration_s or None, video_s, pieces, size)


def of_track(timeline: Timeline, container: InputContainer, stream: Stream) -> Timeline:
    """Return the clock of a file with the end of another one of its video tracks."""
    if stream.type != "video":
        return timeline
    ends = {} if timeline.pieces else _stated_ends(container, [stream], timeline.origin_s)
    return replace(timeline, video_s=ends.get(stream.index))


def cut_off(
    timeline: Timeline, container: InputContainer, missing_bytes: int, details: Details
) -> Timeline:
    """Return the clock of what is there; say in `details` where that is not all.

    Looks only at files that lack bytes, and at those that state the exact duration. Raises
    BrokenMediaError where nothing is there.
    """
    name = container.format.name.split(",")[0]
    stated_s = timeline.duration_s
    if not missing_bytes and not (name in _EXACT_DURATIONS and stated_s):
        return timeline
    ends_s = _last_end(timeline, container)
    if ends_s <= 0:
        raise BrokenMediaError("truncated: it ends before its sound or video", stage="probe")
    if name == "asf":
        stated_s = None  # FFmpeg's own estimate
    if stated_s is not None and ends_s < (1 - _SHORTER_SHARE) * stated_s - _SHORTER_S:
        details["partial"] = f"cut off after {ends_s:.1f} s of {stated_s:.1f} s"
    elif missing_bytes:
        details["partial"] = f"cut off after {ends_s:.1f} s; {missing_bytes:,} bytes are missing"
    else:
        return timeline
    video_s = None if timeline.video_s is None else min(timeline.video_s, ends_s)
    return replace(timeline, duration_s=ends_s, video_s=video_s)


def _last_end(timeline: Timeline, container: InputContainer) -> float:
    """Return when the last packet that is there ends, in seconds, without decoding it."""
    if container.format.name.split(",")[0] in _JUMPING:
        return timeline.duration_s or 0.0  # measured from the packets
    origin_s, ends_s = timeline.origin_s, 0.0
    for start_s in (max(0.0, (timeline.duration_s or 0.0) - _TAIL_S), 0.0):
        with suppress(av.error.FFmpegError):
            container.seek(int((start_s + origin_s) * av.time_base), backward=True)
            for packet in container.demux():
                if packet.pts is not None and packet.size:
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    ends_s = max(ends_s, end - origin_s)
        if ends_s > 0:
            break
    return ends_s


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
    longest_s = (container.duration or 0) / av.time_base
    ends = {}
    for stream in streams:
        end_s = min(_tag_seconds(stream.metadata.get("DURATION", "")), longest_s)
        if stream.duration and stream.time_base:
            end_s = float(stream.duration * stream.time_base)
            if not states_end and stream.start_time:
                end_s += float(stream.start_time * stream.time_base) - origin_s
        if end_s > 0:
            ends[stream.index] = end_s
    if longest_s and (name == "matroska" or not ends):
        ends[-1] = longest_s
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
