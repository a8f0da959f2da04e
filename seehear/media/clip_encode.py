"""Encode what was decoded of a moment: H.264 or HEVC with AAC, or sound without loss."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.filter
import numpy as np
from numpy.typing import NDArray

from seehear.media import container as containers
from seehear.media.audio import JITTER_S
from seehear.media.hdr import Colours
from seehear.media.timeline import ROUNDING_S, Timeline, period_of
from seehear.media.video import check_size, display_axes

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

TICK = Fraction(1, 240_000)
"""In which frames of 24000/1001, 25, 30000/1001, 50 and 60 a second all have whole lengths."""
THREADS = 2
WARM_UP_S = 0.2
"""Sound that is decoded before its start: a frame of AAC or MP3 adds to the one before it."""
_H264 = {"crf": "18", "preset": "veryfast"}
_HEVC = {"crf": "20", "preset": "superfast", "x265-params": "log-level=error:pools=2"}
_AAC_RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)
_PCM = {"u8": "pcm_u8", "s16": "pcm_s16le", "s32": "pcm_s32le", "dbl": "pcm_f64le"}


def video(
    container: InputContainer,
    clip: Any,
    stream: VideoStream,
    timeline: Timeline,
    start_s: float,
    stop_s: float,
) -> tuple[list[Packet[Any]], float]:
    """Return the packets of the frames shown in [start_s, stop_s), upright, and where they end.

    Frames keep their times, also of a variable frame rate. Raises MediaError.
    """
    containers.share_cores(stream)
    made: Any = None
    upright = _Upright()
    packets: list[Packet[Any]] = []
    ticks: list[int] = []
    for frame, time_s in _shown(container, stream, timeline, start_s, stop_s):
        check_size(frame.width, frame.height)
        if made is None:
            made = _video_track(clip, stream, frame)
        at = round(max(0.0, time_s - start_s) / TICK)
        if ticks and at <= ticks[-1]:
            continue  # two frames at one time: the first one is shown
        ticks.append(at)
        shown = upright.turned(frame, made.width, made.height, made.pix_fmt)
        shown.pts, shown.time_base = at, TICK
        shown.pict_type = 0  # the encoder decides
        packets += made.encode(shown)
    if made is None:
        return [], 0.0
    packets += made.encode(None)
    end = max(round((stop_s - start_s) / TICK), ticks[-1] + 1)
    usual = round(period_of(stream) / TICK)
    if timeline.video_s is not None and stop_s > timeline.video_s:
        end = min(end, ticks[-1] + usual)
    lengths = dict(zip(ticks, np.diff([*ticks, end]).tolist(), strict=True))
    for packet in packets:
        packet.duration = lengths.get(packet.pts or 0, usual)
    return packets, float(end * TICK)


def _shown(
    container: InputContainer,
    stream: VideoStream,
    timeline: Timeline,
    start_s: float,
    stop_s: float,
) -> Iterator[tuple[Any, float]]:
    """Yield the frames shown in an interval; the first one may begin before it."""
    damage = containers.DecodeErrors()
    first: tuple[Any, float] | None = None
    if start_s <= 0:
        container.seek(0)
    for frame, time_s in timeline.frames_from(container, stream, damage, start_s):
        if time_s <= start_s + ROUNDING_S:
            first = frame, time_s
            continue
        if first is not None:
            yield first
            first = None
        if time_s >= stop_s - ROUNDING_S:
            return
        yield frame, time_s
    if first is not None:
        yield first


def _video_track(clip: Any, stream: VideoStream, frame: Any) -> Any:
    """Return an encoder for frames such as this one: 10 bits and its colours where it has them."""
    rate = stream.average_rate or Fraction(25)
    is_deep = max(part.bits for part in frame.format.components) > 8
    made = clip.add_stream("libx265" if is_deep else "libx264", rate=rate)
    made.options = _HEVC if is_deep else _H264
    swapped = display_axes(frame)[0]
    width, height = (frame.height, frame.width) if swapped else (frame.width, frame.height)
    made.width, made.height = max(2, width // 2 * 2), max(2, height // 2 * 2)
    made.pix_fmt = "yuv420p10le" if is_deep else "yuv420p"
    context = made.codec_context
    context.time_base, context.thread_count = TICK, THREADS
    aspect = stream.sample_aspect_ratio
    if aspect:
        context.sample_aspect_ratio = 1 / aspect if swapped else aspect
    if is_deep:
        context.codec_tag = "hvc1"
    if Colours(frame.color_trc, frame.color_primaries).is_hdr:
        context.color_trc, context.color_primaries = frame.color_trc, frame.color_primaries
        context.colorspace = frame.colorspace
    context.color_range = frame.color_range
    return made


class _Upright:
    """Turn frames upright, by a filter of FFmpeg where their display matrix asks for it."""

    def __init__(self) -> None:
        self._graph: Any = None
        self._of: tuple[Any, ...] = ()

    def turned(self, frame: Any, width: int, height: int, form: str) -> Any:
        """Return a frame as it is shown, of a size and a pixel format."""
        swapped, flip_x, flip_y = display_axes(frame)
        names = ["transpose"] * swapped + ["hflip"] * flip_x + ["vflip"] * flip_y
        if names:
            asked = (frame.width, frame.height, frame.format.name, *names)
            if asked != self._of:
                self._graph, self._of = self._made(frame, names), asked
            frame.pts, frame.time_base = 0, TICK
            self._graph.push(frame)
            frame = self._graph.pull()
        if abs(frame.width - width) <= 1 and abs(frame.height - height) <= 1:
            # Without an odd last row and column, by a scale that nobody sees.
            return frame.reformat(width, height).reformat(format=form)
        return frame.reformat(width, height, form)  # the size changes within the file

    @staticmethod
    def _made(frame: Any, names: list[str]) -> Any:
        graph = av.filter.Graph()
        nodes = [
            graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=TICK
            )
        ]
        # Rows become columns: the first of FFmpeg's four ways to transpose.
        options = {"transpose": "dir=cclock_flip"}
        nodes += [graph.add(name, options.get(name, "")) for name in names]
        nodes.append(graph.add("buffersink"))
        for one, other in itertools.pairwise(nodes):
            one.link_to(other)
        graph.configure()
        return graph


def audio_form(stream: AudioStream, *, lossless: bool) -> tuple[str, str, str]:
    """Return the container, the suffix and the codec for a sound that is encoded."""
    context = stream.codec_context
    if not lossless:
        return "ipod", ".m4a", "aac"
    kind = context.format.packed.name
    if context.name.startswith("pcm_") or kind not in {"s16", "s32"}:
        deep = kind == "s32" and context.name in {"pcm_s24le", "pcm_s24be"}
        return "wav", ".wav", "pcm_s24le" if deep else _PCM.get(kind, "pcm_f32le")
    return "flac", ".flac", "flac"


def audio(
    container: InputContainer,
    clip: Any,
    stream: AudioStream,
    timeline: Timeline,
    start_s: float,
    stop_s: float,
    codec: str,
) -> tuple[list[Packet[Any]], float]:
    """Return the packets of the sound in [start_s, stop_s), to the sample, and where they end.

    Raises MediaError.
    """
    containers.share_cores(stream)
    made: Any = None
    resampler: Any = None
    packets: list[Packet[Any]] = []
    done = rate = 0
    for block, frame in _blocks(container, stream, timeline, start_s, stop_s):
        if made is None:
            rate = frame.sample_rate
            made, resampler = _audio_track(clip, codec, frame)
        piece = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(block.reshape(1, -1)), frame.format.packed.name, frame.layout.name
        )
        piece.sample_rate, piece.pts, piece.time_base = rate, done, Fraction(1, rate)
        done += len(block)
        for part in resampler.resample(piece):
            packets += made.encode(part)
    if made is None:
        return [], 0.0
    for part in resampler.resample(None):
        packets += made.encode(part)
    packets += made.encode(None)
    return packets, done / rate


def _blocks(
    container: InputContainer,
    stream: AudioStream,
    timeline: Timeline,
    start_s: float,
    stop_s: float,
) -> Iterator[tuple[NDArray[Any], Any]]:
    """Yield the samples of an interval, (n, channels), without holes, each with its frame.

    Where the sound has a hole, or begins later, there is silence.
    """
    damage = containers.DecodeErrors()
    before_s = max(0.0, start_s - WARM_UP_S)
    if before_s <= 0:
        container.seek(0)
    given = 0
    due: int | None = None
    for frame, time_s in timeline.frames_from(container, stream, damage, before_s):
        samples, rate = _packed(frame), frame.sample_rate
        last = round((stop_s - start_s) * rate)
        at = round((time_s - start_s) * rate)
        if due is not None and abs(at - due) <= JITTER_S * rate:
            at = due  # stamps are rounded
        due = at + len(samples)
        while given < min(at, last):
            silence = np.full_like(samples, 128 if samples.dtype == np.uint8 else 0)
            yield silence[: min(at, last) - given], frame
            given += min(len(silence), min(at, last) - given)
        piece = samples[max(0, given - at) : max(0, last - at)]
        if len(piece):
            yield piece, frame
            given += len(piece)
        if given >= last:
            return


def _packed(frame: Any) -> NDArray[Any]:
    """Return the samples of a frame, (n, channels)."""
    samples: NDArray[Any] = frame.to_ndarray()
    return samples.T if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)


def _audio_track(clip: Any, codec: str, frame: Any) -> tuple[Any, Any]:
    """Return an encoder for frames such as this one, and what makes its frames of them."""
    rate, layout, channels = frame.sample_rate, frame.layout.name, frame.layout.nb_channels
    if codec == "aac":
        rate = rate if rate in _AAC_RATES else 48_000
        layout = {1: "mono", 6: "5.1"}.get(channels, "stereo")
    made = clip.add_stream(codec, rate=rate, layout=layout)
    context = made.codec_context
    if codec == "aac":
        context.bit_rate = 96_000 * min(channels, 6)
    elif codec == "flac":
        context.format = frame.format.packed.name
    context.thread_count = 1
    context.open()
    resampler = av.AudioResampler(
        context.format.name, context.layout.name, rate, context.frame_size or 1024
    )
    return made, resampler
