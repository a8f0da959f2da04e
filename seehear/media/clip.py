"""Cut a moment out of a sound or a video: copy its packets where that is exact enough.

    key frames      K . . . . . K . . . . . K . . . . .
    moment                    [           )
    copied                      K . . . . .               from the last key frame, if it is near
    encoded                   x x x x x x                 else decoded, and encoded from its start

What is copied keeps its quality and takes no time. Sound without loss (WAV, FLAC) is written again
without loss, to the sample. All times are those of the file's clock (timeline.py).
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.error

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.media import clip_encode
from seehear.media import container as containers
from seehear.media.cut_clip import CutClip, MediaTiming
from seehear.media.media_info import OpenFile, timeline_of
from seehear.media.timeline import ROUNDING_S, Timeline, period_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

MOST_BYTES = 256 << 20
"""Size of one clip: a minute of a camera's 4K. It is made in memory, as workers write no files."""
MOST_S = 1800.0
"""Length of one clip: half an hour; a list (EDL, M3U) has moments of any length."""
_MP4_VIDEO = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4"})
_MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "alac"})
_WEBM_VIDEO, _WEBM_AUDIO = frozenset({"vp8", "vp9", "av1"}), frozenset({"opus", "vorbis"})
_AUDIO_FORMS = {
    "mp3": ("mp3", ".mp3"), "aac": ("ipod", ".m4a"), "alac": ("ipod", ".m4a"),
    "opus": ("ogg", ".opus"), "vorbis": ("ogg", ".ogg"), "ac3": ("ac3", ".ac3"),
    "eac3": ("eac3", ".eac3"),
}  # fmt: skip
"""Container and suffix for the packets of a sound; Matroska takes all others."""
_SUFFIXES = {"mp4": ".mp4", "mov": ".mov", "webm": ".webm", "matroska": ".mkv"}
_SEEK_BACK_S = (0.0, 2.0, 8.0)
"""Where there is no index, such as in a transport stream, a seek may land behind a time."""
_KEPT_TAGS = ("title", "artist", "album", "date", "creation_time", "location", "comment")


def cut(item: OpenFile, start_s: float, stop_s: float, tolerance_s: float) -> CutClip:
    """Cut [start_s, stop_s) out of an open file; a copy may begin `tolerance_s` earlier.

    Raises MediaError where nothing of it can be read, MediaLimitError for a clip beyond MOST_BYTES.
    """
    timeline = timeline_of(item)
    start_s = max(0.0, start_s)
    stop_s = min(stop_s, timeline.duration_s or stop_s)
    if stop_s - start_s > MOST_S:
        raise MediaLimitError(f"a clip has at most {MOST_S / 60:.0f} minutes; cut a shorter moment")
    if stop_s - start_s < ROUNDING_S:
        raise BrokenMediaError(f"there is nothing to cut from {start_s:.1f} s to {stop_s:.1f} s")
    with containers.opened_container(item.file, item.kind, "cut") as container:
        copied = _copied(container, timeline, start_s, stop_s, tolerance_s)
        if copied is not None:
            return copied
    # Anew: what was demuxed may have moved its decoders.
    with containers.opened_container(item.file, item.kind, "cut") as container:
        return _encoded(container, timeline, start_s, stop_s)


def _copied(
    container: InputContainer,
    timeline: Timeline,
    start_s: float,
    stop_s: float,
    tolerance_s: float,
) -> CutClip | None:
    """Return a clip of the source's own packets; None where they are not exact enough."""
    video, audio = containers.video_stream(container), containers.audio_stream(container)
    if timeline.pieces or (video is None and _is_lossless(audio)):
        return None
    begin_s = start_s
    shown: list[tuple[float, Packet[Any]]] = []
    if video is not None:
        for back_s in _SEEK_BACK_S:
            found = _packets(container, video, timeline, start_s - back_s, stop_s)
            if shown := _group(found, start_s, tolerance_s):
                break
        else:
            return None
        begin_s = shown[0][0]
        shown = _whole_end(shown, stop_s)
    audible: list[tuple[float, Packet[Any]]] = []
    if audio is not None:
        found = _packets(container, audio, timeline, begin_s, stop_s)
        audible = [one for one in found if begin_s - ROUNDING_S <= one[0] < stop_s - ROUNDING_S]
        functools.reduce(_limited, (packet for _, packet in audible), 0)
        if video is None and (not audible or _longest(audible) > max(tolerance_s, ROUNDING_S)):
            return None
    form, suffix = _form_of(container, video, audio)
    tracks = [(video, shown), (audio, audible)]
    try:
        data = _mux_copies(
            container, form, [(s, p) for s, p in tracks if s and p], begin_s, timeline
        )
    except (av.error.FFmpegError, ValueError):
        return None  # the container does not take them after all
    last_s, last = max(shown or audible, key=lambda one: one[0])
    end_s = last_s + (_length(last) or (period_of(video) if video is not None else 0.0))
    if not _plays(data, is_video=video is not None):
        return None
    return CutClip(data, suffix, begin_s, end_s, copied=True)


def _packets(
    container: InputContainer, stream: Stream, timeline: Timeline, start_s: float, stop_s: float
) -> Iterator[tuple[float, Packet[Any]]]:
    """Yield packets with their times, in order of decoding, from before a time to after another.

    One without a time ends them: it cannot be placed.
    """
    container.seek(int((max(0.0, start_s) + timeline.origin_s) * av.time_base), backward=True)
    for packet in timeline.packets(container, stream, containers.DecodeErrors()):
        if not packet.size or packet.time_base is None:
            continue
        if packet.pts is None:
            return
        decoded = packet.pts if packet.dts is None else packet.dts
        if float(decoded * packet.time_base) - timeline.origin_s >= stop_s + 1.0:
            return
        yield float(packet.pts * packet.time_base) - timeline.origin_s, packet


def _group(
    packets: Iterator[tuple[float, Packet[Any]]], start_s: float, tolerance_s: float
) -> list[tuple[float, Packet[Any]]]:
    """Return the packets from the last key frame at or before a time; none where it is too far.

    Frames that are shown before their key frame need the group before it, and are left out.
    """
    held: list[tuple[float, Packet[Any]]] = []
    near, size = False, 0
    for time_s, packet in packets:
        if packet.is_keyframe and time_s <= start_s + ROUNDING_S:
            held, size, near = [], 0, time_s >= start_s - tolerance_s - ROUNDING_S
        if near:
            held.append((time_s, packet))
            size = _limited(size, packet)
        elif time_s > start_s + 1.0:
            break
    return [one for one in held if one[0] >= held[0][0]]


def _limited(size: int, packet: Packet[Any]) -> int:
    size += packet.size
    if size > MOST_BYTES:
        raise MediaLimitError(
            f"the clip would be larger than {MOST_BYTES >> 20} MB; cut a shorter moment"
        )
    return size


def _whole_end(
    shown: Sequence[tuple[float, Packet[Any]]], stop_s: float
) -> list[tuple[float, Packet[Any]]]:
    """Return the packets of all frames shown before a time, and of those that they need.

    These are shown some frames later; so that none is missing between, those before them stay, too.
    """
    last = max((n for n, (at, _) in enumerate(shown) if at < stop_s - ROUNDING_S), default=0)
    end_s = max(at for at, _ in shown[: last + 1])
    return [one for n, one in enumerate(shown) if n <= last or one[0] < end_s]


def _mux_copies(
    container: InputContainer,
    form: str,
    tracks: Sequence[tuple[Stream, Sequence[tuple[float, Packet[Any]]]]],
    begin_s: float,
    timeline: Timeline,
) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=form) as clip:
        _keep_tags(container, clip)
        every: list[Packet[Any]] = []
        for stream, packets in tracks:
            copy = clip.add_stream_from_template(stream, opaque=True)
            for key in ("language", "title"):
                if key in stream.metadata:
                    copy.metadata[key] = stream.metadata[key]
            chosen = [packet for _, packet in packets]
            _order(chosen)
            for packet in chosen:
                assert packet.time_base is not None
                shift = round((begin_s + timeline.origin_s) / packet.time_base)
                packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
                packet.stream = copy
            every += chosen
        _mux(clip, every)
    return out.getvalue()


def _order(packets: Sequence[Packet[Any]]) -> None:
    """State when each packet is decoded, in their order, where the container does not say it."""
    if all(packet.dts is not None for packet in packets):
        return
    shown = sorted(packet.pts or 0 for packet in packets)
    ahead = max(at - (packet.pts or 0) for at, packet in zip(shown, packets, strict=True))
    for at, packet in zip(shown, packets, strict=True):
        packet.dts = at - ahead


def _encoded(
    container: InputContainer, timeline: Timeline, start_s: float, stop_s: float
) -> CutClip:
    video, audio = containers.video_stream(container), containers.audio_stream(container)
    form, suffix, codec = "mp4", ".mp4", "aac"
    if video is None and audio is not None:
        form, suffix, codec = clip_encode.audio_form(audio, lossless=_is_lossless(audio))
    out = io.BytesIO()
    last_s, size = 0.0, 0
    with av.open(out, "w", format=form) as clip:
        _keep_tags(container, clip)
        packets: list[Packet[Any]] = []
        if video is not None:
            made, last_s = clip_encode.video(container, clip, video, timeline, start_s, stop_s)
            packets += made
        if audio is not None:
            made, heard_s = clip_encode.audio(
                container, clip, audio, timeline, start_s, stop_s, codec
            )
            packets += made
            last_s = max(last_s, heard_s)
        if not packets:
            raise BrokenMediaError(f"nothing can be decoded from {start_s:.1f} s on")
        for packet in packets:
            size = _limited(size, packet)
        _mux(clip, packets)
    return CutClip(out.getvalue(), suffix, start_s, min(stop_s, start_s + last_s), copied=False)


def _mux(clip: Any, packets: list[Packet[Any]]) -> None:
    """Write packets in the order in which they are decoded."""
    clip.start_encoding()
    for packet in sorted(packets, key=lambda one: (one.dts or 0) * (one.time_base or Fraction(1))):
        clip.mux(packet)


def _keep_tags(container: InputContainer, clip: Any) -> None:
    clip.metadata.update({k: container.metadata[k] for k in _KEPT_TAGS if k in container.metadata})


def _form_of(
    container: InputContainer, video: Stream | None, audio: Stream | None
) -> tuple[str, str]:
    """Return the container that takes the packets of two tracks, and its suffix."""
    codec = _codec(audio) if audio is not None else ""
    if video is None:
        return _AUDIO_FORMS.get(codec, ("matroska", ".mka"))
    names, images = container.format.name.split(","), _codec(video)
    if "matroska" in names:
        is_webm = images in _WEBM_VIDEO and codec in {"", *_WEBM_AUDIO}
        form = "webm" if is_webm else "matroska"
    elif images in _MP4_VIDEO and codec in {"", *_MP4_AUDIO}:
        form = "mp4"
    else:
        form = "mov" if "mov" in names else "matroska"
    return form, _SUFFIXES[form]


def _codec(stream: Stream) -> str:
    """Return the name of a codec, whichever of its decoders reads it."""
    return str(stream.codec_context.codec.canonical_name)


def _is_lossless(audio: Stream | None) -> bool:
    name = _codec(audio) if audio is not None else ""
    return name.startswith(("pcm_", "dsd_")) or name in {"flac", "wavpack", "tta", "ape"}


def _length(packet: Packet[Any]) -> float:
    return float((packet.duration or 0) * (packet.time_base or 0))


def _longest(packets: Sequence[tuple[float, Packet[Any]]]) -> float:
    return max(_length(packet) for _, packet in packets)


def _plays(data: bytes, *, is_video: bool) -> bool:
    """Return whether the first packet of a copy can be decoded by itself."""
    try:
        with av.open(io.BytesIO(data), "r") as clip:
            frames = clip.decode(video=0) if is_video else clip.decode(audio=0)
            return next(frames, None) is not None
    except (av.error.FFmpegError, IndexError):
        return False


def timing_of(item: OpenFile) -> MediaTiming:
    """Read the frame rate, length and time code of an open file. Raises MediaError."""
    duration_s = timeline_of(item).duration_s
    with containers.opened_container(item.file, item.kind, "probe") as container:
        video, audio = containers.video_stream(container), containers.audio_stream(container)
        tags = [container.metadata, *(stream.metadata for stream in container.streams)]
        code = next((one["timecode"] for one in tags if "timecode" in one), "")
        rate = None
        if video is not None:
            rate = video.average_rate or video.base_rate or Fraction(25)
        return MediaTiming(
            rate,
            duration_s,
            video.codec_context.width if video is not None else 0,
            video.codec_context.height if video is not None else 0,
            audio.codec_context.channels if audio is not None else 0,
            audio.codec_context.sample_rate if audio is not None else 0,
            code,
        )
