"""Cut sound into windows, as a stream: at most one window and one packet are in memory.

         0         5         10        15        20     23.4 s
    1    |-------------------|
    2              |-------------------|
    3                        |-------------------|
    4                               |-------------------|      the last one ends with the sound

A sound shorter than a window is one window.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import av
import numpy as np
from numpy.typing import NDArray

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.media import container as containers
from seehear.media.limits import LIMITS
from seehear.media.sniff import SniffedFormat
from seehear.silence import is_silent
from seehear.types import AudioSample, Modality, SampleSpec, Segment

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

Samples = NDArray[np.float32]
_T = TypeVar("_T")

TAIL_SHARE = 0.1
"""The rest after the last full window gets no window of its own if it is shorter than this share
of the hop."""
LEAST_FRAME = 32
"""Samples of a frame, on average over the first `FRAMES_LOOKED_AT`. Codecs have 80 and more; each
frame costs as much as some thousand samples do."""
FRAMES_LOOKED_AT = 2_000
BLOCK_S = 0.1
"""Shorter blocks are joined before they are cut into windows."""
SHORTEST_SHOT_S = 1.0
"""The sound of a shot shorter than this is not used as a query by itself: it says too little."""


def waveform_blocks(
    container: InputContainer,
    stream: AudioStream,
    sample_rate_hz: int,
    *,
    start_s: float = 0.0,
    most_s: float = LIMITS.audio_duration_s,
    damage: containers.DecodeErrors | None = None,
) -> Iterator[Samples]:
    """Yield mono float32 (n,) blocks from `start_s` on, resampled. Raises MediaError.

    `damage` counts the packets that cannot be decoded.
    """
    damage = damage or containers.DecodeErrors()
    containers.share_cores(stream)
    resampler = _Resampler(sample_rate_hz)
    left = most_s * sample_rate_hz
    frames = samples = 0
    skip = 0
    if start_s > 0:
        origin = containers.start_of(container)
        container.seek(int((start_s + origin) * av.time_base), backward=True)
    waiting = start_s > 0
    for packet in damage.packets(container, stream):
        for frame in damage.decode(packet):
            frames, samples = frames + 1, samples + frame.samples
            if frames == FRAMES_LOOKED_AT and samples < LEAST_FRAME * frames:
                raise BrokenMediaError("corrupt: its sound is in pieces of a few samples")
            if waiting:  # a seek lands before the wanted time
                at = (frame.time or 0.0) - containers.start_of(container)
                skip = max(0, round((start_s - at) * sample_rate_hz))
                waiting = False
            for whole in resampler.take(frame):
                block = whole[skip:]
                skip -= len(whole) - len(block)
                if len(block) == 0:
                    continue
                if len(block) >= left:
                    yield block[: int(left)]
                    if most_s >= LIMITS.audio_duration_s:
                        raise MediaLimitError(
                            f"longer than {LIMITS.audio_duration_s / 3600:.0f} hours of sound"
                        )
                    return
                left -= len(block)
                yield block
    for block in resampler.take(None):
        yield block[skip:]
    if start_s <= 0:
        damage.raise_if_too_many()


class _Resampler:
    """Resample frames to mono; start anew where a stream changes its format midway."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._format: tuple[object, ...] | None = None
        self._inner: av.AudioResampler | None = None

    def take(self, frame: Any) -> Iterator[Samples]:
        if frame is not None:
            layout = (
                frame.format.name,
                frame.layout.name,
                frame.layout.nb_channels,
                frame.sample_rate,
            )
            if layout != self._format:
                if frame.sample_rate < LIMITS.least_sample_rate_hz:
                    raise MediaLimitError(f"a sample rate of {frame.sample_rate} Hz")
                yield from self._flushed()
                self._format = layout
                self._inner = av.AudioResampler(format="flt", layout="mono", rate=self._rate)
            # Time stamps of hostile or cut files leap; windows are timed by counting samples.
            frame.pts = None
            assert self._inner is not None
            for out in self._inner.resample(frame):
                yield _clean(out.to_ndarray())
        else:
            yield from self._flushed()

    def _flushed(self) -> Iterator[Samples]:
        if self._inner is not None:
            for out in self._inner.resample(None):
                yield _clean(out.to_ndarray())
        self._inner = None


def _clean(block: NDArray[Any]) -> Samples:
    waveform = block.reshape(-1).astype(np.float32)
    if not np.isfinite(waveform).all():  # wav files of floats may hold anything
        waveform = np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(waveform, -1.0, 1.0)


def windows(
    blocks: Iterator[Samples], spec: SampleSpec, offset_s: float = 0.0
) -> Iterator[tuple[Segment, AudioSample]]:
    """Yield windows of `spec.window_s` every `spec.hop_s`, without the silent ones.

    `blocks` are float32 (n,) at `spec.sample_rate_hz`; `offset_s` is the time of their start.
    """
    rate = spec.sample_rate_hz
    length, hop = round(spec.window_s * rate), max(1, round(spec.hop_s * rate))
    held: Samples = np.zeros(0, dtype=np.float32)
    start = 0  # of the next window, in samples from the beginning
    first = 0  # of `held`
    for block in _joined_to(max(1, round(BLOCK_S * rate)), blocks):
        held = np.concatenate([held, block])
        while first + len(held) >= start + length:
            yield from _window(held[start - first : start - first + length], start, rate, offset_s)
            start += hop
            # Keep the previous window: the last one may reach back into it.
            gone = max(0, start - hop - first)
            held, first = held[gone:], first + gone
    total = first + len(held)
    covered = start - hop + length if start else 0
    if start == 0 and total > 0:
        yield from _window(held, 0, rate, offset_s)
    elif total - covered > TAIL_SHARE * hop:
        begin = max(first, total - length)
        yield from _window(held[begin - first :], begin, rate, offset_s)


def _joined_to(least: int, blocks: Iterator[Samples]) -> Iterator[Samples]:
    """Yield blocks of at least so many samples, except for the last one."""
    waiting: list[Samples] = []
    size = 0
    for block in blocks:
        waiting.append(block)
        size += len(block)
        if size >= least:
            yield np.concatenate(waiting)
            waiting, size = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _window(
    waveform: Samples, start: int, rate: int, offset_s: float
) -> Iterator[tuple[Segment, AudioSample]]:
    if is_silent(waveform, rate):
        return
    begin = offset_s + start / rate
    segment = Segment(Modality.AUDIO, round(begin, 3), round(begin + len(waveform) / rate, 3))
    yield segment, AudioSample(waveform.copy(), rate)


def track_windows(
    container: InputContainer,
    stream: AudioStream,
    spec: SampleSpec,
    damage: containers.DecodeErrors | None = None,
) -> Iterator[tuple[Segment, AudioSample]]:
    """Yield all windows of one track, timed on the clock of its container."""
    offset = 0.0
    if stream.start_time and stream.time_base:
        begin = float(stream.start_time * stream.time_base)
        offset = max(0.0, begin - containers.start_of(container))
    blocks = waveform_blocks(container, stream, spec.sample_rate_hz, damage=damage)
    yield from itertools.islice(windows(blocks, spec, offset), LIMITS.segments)


def spread_windows(
    container: InputContainer,
    stream: AudioStream,
    spec: SampleSpec,
    most: int,
    shots: Sequence[Segment] = (),
) -> list[AudioSample]:
    """Return at most `most` windows spread over the track; a long track is read by seeking.

    In a short video no window crosses from one of its `shots` into the next, so that the sound of
    each shot is a query by itself.
    """
    duration = containers.duration_of(container, stream)
    if duration is None or duration <= 2 * most * spec.window_s:
        if len(shots) > 1:
            whole = joined(waveform_blocks(container, stream, spec.sample_rate_hz))
            within = list(_windows_within(whole, shots, spec))
            if within:
                return list(spread_evenly(within, most))
            container.seek(0)
        every = [sample for _, sample in track_windows(container, stream, spec)]
        return list(spread_evenly(every, most))
    chosen = []
    for index in range(most):
        begin = (duration - spec.window_s) * index / (most - 1)
        blocks = waveform_blocks(
            container,
            stream,
            spec.sample_rate_hz,
            start_s=begin if index else 0.0,
            most_s=spec.window_s,
        )
        waveform = joined(blocks)
        if not is_silent(waveform, spec.sample_rate_hz):
            chosen.append(AudioSample(waveform, spec.sample_rate_hz))
        if index == 0:
            container.seek(0)
    return chosen


def _windows_within(
    whole: Samples, shots: Sequence[Segment], spec: SampleSpec
) -> Iterator[AudioSample]:
    rate = spec.sample_rate_hz
    for shot in shots:
        part = whole[round((shot.start_s or 0.0) * rate) : round((shot.stop_s or 0.0) * rate)]
        if len(part) >= SHORTEST_SHOT_S * rate:
            yield from (sample for _, sample in windows(iter([part]), spec))


def load(
    file: BinaryIO, kind: SniffedFormat, sample_rate_hz: int, start_s: float, most_s: float
) -> AudioSample:
    """Decode a part of a sound, or of a video's sound track. Raises MediaError."""
    with containers.opened_container(file, kind) as container, containers.as_media_errors("decode"):
        stream = containers.audio_stream(container)
        if stream is None:
            raise BrokenMediaError("it has no sound")
        containers.duration_of(container, stream)
        waveform = joined(
            waveform_blocks(container, stream, sample_rate_hz, start_s=start_s, most_s=most_s)
        )
        return AudioSample(waveform, sample_rate_hz)


def joined(blocks: Iterator[Samples]) -> Samples:
    """Join blocks to one waveform, float32 (n,)."""
    return np.concatenate([np.zeros(0, dtype=np.float32), *blocks])


def spread_evenly(items: Sequence[_T], most: int) -> Sequence[_T]:
    """Return at most `most` items spread over the list, the first and the last among them."""
    if len(items) <= most:
        return items
    if most == 1:
        return [items[len(items) // 2]]
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]
