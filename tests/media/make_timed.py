"""Make films of scenes and tones at stated times, in any container, with offsets and holes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from tests.media.make import Colour, tone

RATE_HZ = 48_000
SIZE = (64, 48)
_FORMS = {
    "mp4": ("mp4", "libx264", "aac"), "mov": ("mov", "libx264", "aac"),
    "mkv": ("matroska", "libx264", "libopus"), "webm": ("webm", "libvpx", "libopus"),
    "ts": ("mpegts", "libx264", "aac"), "vob": ("vob", "mpeg2video", "ac3"),
    "avi": ("avi", "mpeg4", "libmp3lame"), "flv": ("flv", "libx264", "aac"),
    "ogv": ("ogg", "libvpx", "libopus"), "wmv": ("asf", "msmpeg4", "wmav2"),
    "flac": ("flac", "", "flac"), "opus": ("ogg", "", "libopus"), "m4a": ("ipod", "", "aac"),
    "mka": ("matroska", "", "libopus"), "mp3": ("mp3", "", "libmp3lame"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """A colour over [start_s, stop_s), in frames `period_s` apart; one frame where it is None."""

    colour: Colour
    start_s: float
    stop_s: float
    period_s: float | None = 0.04

    @property
    def length_s(self) -> float:
        """Seconds for which each frame is shown."""
        return self.period_s or self.stop_s - self.start_s

    def times(self) -> list[float]:
        """Return the times of its frames."""
        count = max(1, round((self.stop_s - self.start_s) / self.length_s))
        return [self.start_s + index * self.length_s for index in range(count)]


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone over [start_s, stop_s)."""

    frequency_hz: float
    start_s: float
    stop_s: float


def make_film(
    path: Path,
    scenes: Sequence[Scene],
    tones: Sequence[Tone] = (),
    *,
    offset_s: float = 0.0,
    key_frame_every: int = 12,
    b_frames: int = 0,
    options: dict[str, str] | None = None,
    tracks: Sequence[Track] = (),
    tags: dict[str, str] | None = None,
) -> Path:
    """A film in the container of the suffix, with subtitle tracks and tags.

    `offset_s` is added to all stamps; `options` go to the muxer.
    """
    form, film_codec, sound_codec = _FORMS[path.suffix[1:]]
    with av.open(str(path), "w", format=form, options=options or {}) as out:
        packets = []
        if scenes:
            packets += _film(out, film_codec, scenes, key_frame_every, b_frames)
        if tones:
            packets += _sound(out, sound_codec, tones)
        for track in tracks:
            packets += _subtitles(out, track)
        out.metadata.update(tags or {})
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        for packet in packets:
            shift = round(offset_s / packet.time_base)
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            out.mux(packet)
    return path


def make_tracks(
    path: Path,
    films: Sequence[Sequence[Scene]] = (),
    sounds: Sequence[tuple[str, str, NDArray[np.float32]]] = (),
) -> Path:
    """A container with several tracks; sounds are (codec, language, float32 (n,) at 48 kHz)."""
    form, film_codec, _ = _FORMS[path.suffix[1:]]
    with av.open(str(path), "w", format=form) as out:
        packets = [packet for scenes in films for packet in _film(out, film_codec, scenes, 12, 0)]
        for codec, language, wave in sounds:
            track: Any = out.add_stream(codec, rate=RATE_HZ, layout="mono")
            if language:
                track.metadata["language"] = language
            packets += _encoded(track, [(0.0, wave)])
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)
    return path


def _film(
    out: Any, codec: str, scenes: Sequence[Scene], key_frame_every: int, b_frames: int
) -> list[Any]:
    fixed = codec in {"mpeg2video", "msmpeg4", "mpeg4"} or out.format.name == "ogg"
    base = Fraction(1, 25) if fixed else Fraction(1, 1000)
    film: Any = out.add_stream(codec, rate=25)
    film.width, film.height, film.pix_fmt = *SIZE, "yuv420p"
    context = film.codec_context
    context.gop_size, context.thread_count, context.time_base = key_frame_every, 1, base
    context.max_b_frames = b_frames
    if codec == "libx264":
        film.options = {"preset": "ultrafast", "sc_threshold": "0", "bf": str(b_frames)}
    elif codec == "libvpx":
        film.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    packets = []
    for scene in scenes:
        pixels = np.full((SIZE[1], SIZE[0], 3), scene.colour, dtype=np.uint8)
        for time_s in scene.times():
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(time_s / base), base
            packets += film.encode(frame)
    last = scenes[-1]
    packets += film.encode(None)
    packets[-1].duration = round((last.stop_s - last.times()[-1]) / packets[-1].time_base)
    return packets


def _sound(out: Any, codec: str, tones: Sequence[Tone]) -> list[Any]:
    track: Any = out.add_stream(codec, rate=RATE_HZ, layout="mono")
    if codec == "wmav2":
        track.codec_context.bit_rate = 64_000
    return _encoded(track, _waves(tones))


def _waves(tones: Sequence[Tone]) -> list[tuple[float, NDArray[np.float32]]]:
    waves = [tone(one.frequency_hz, one.stop_s - one.start_s, RATE_HZ) for one in tones]
    return [(one.start_s, wave) for one, wave in zip(tones, waves, strict=True)]


def _encoded(track: Any, waves: Sequence[tuple[float, NDArray[np.float32]]]) -> list[Any]:
    context = track.codec_context
    context.open()
    size = context.frame_size or 1024
    packets: list[Any] = []
    last = -1
    for start_s, wave in waves:
        begin = max(round(start_s * RATE_HZ), last)
        for at in range(0, len(wave), size):
            piece = wave[at : at + size]
            piece = np.pad(piece, (0, size - len(piece)))[None, :]
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = (
                RATE_HZ,
                begin + at,
                Fraction(1, RATE_HZ),
            )
            last = begin + at + size
            if context.format.name != "fltp":
                (frame,) = av.AudioResampler(context.format.name, "mono", RATE_HZ).resample(frame)
            packets += track.encode(frame)
    packets += track.encode(None)
    return packets


def make_bare_sound(path: Path, tones: Sequence[tuple[float, float]]) -> Path:
    """(frequency in Hz, seconds) after one another, without any header that tells the duration."""
    form, codec = {"aac": ("adts", "aac"), "mp3": ("mp3", "libmp3lame"), "ac3": ("ac3", "ac3")}[
        path.suffix[1:]
    ]
    with av.open(str(path), "w", format=form, options=BARE_MP3 if form == "mp3" else {}) as out:
        track: Any = out.add_stream(codec, rate=RATE_HZ, layout="mono")
        if codec == "libmp3lame":  # of a variable bit rate
            track.options = {"flags": "+qscale", "global_quality": "472"}
        edges = [0.0, *itertools.accumulate(seconds for _, seconds in tones)]
        timed = [Tone(hz, edges[at], edges[at + 1]) for at, (hz, _) in enumerate(tones)]
        for packet in _encoded(track, _waves(timed)):
            out.mux(packet)
    return path


BARE_MP3 = {"write_xing": "0", "id3v2_version": "0"}


@dataclass(frozen=True, slots=True)
class Track:
    """A subtitle track: its decoder by FFmpeg's name, and (start_s, stop_s, words) of each line."""

    codec: str
    cues: Sequence[tuple[float, float, str]]
    language: str = "und"
    forced: bool = False


_ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, \
Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,20,&H0,&H0,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def _subtitles(out: Any, track: Track) -> list[Any]:
    """Return packets as they are stored; nothing is encoded."""
    stream: Any = out.add_stream(track.codec)
    stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
    stream.codec_context.subtitle_header = _ASS_HEADER
    stream.metadata["language"] = track.language
    if track.forced:
        stream.disposition = Disposition.forced
    packets = []
    for number, (start_s, stop_s, words) in enumerate(track.cues):
        data = words.encode()
        if track.codec == "mov_text":
            data = len(data).to_bytes(2, "big") + data
        elif track.codec == "ass":
            data = f"{number},0,Default,,0,0,0,,{words}".encode()
        packet: Any = av.Packet(data)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = round(start_s * 1000)
        packet.duration = round((stop_s - start_s) * 1000)
        packets.append(packet)
    return packets
