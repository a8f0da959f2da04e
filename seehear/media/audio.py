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
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import av
import numpy as np
from numpy.typing import NDArray

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.media import container as containers
from seehear.media.limits import LIMITS
from seehear.media.sniff import SniffedFormat
from seehear.silence import FLOAT_SILENCE_DBFS, is_silent, loudness_dbfs
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
BLOCK_S = 0.5
"""Shorter blocks are joined before they are cut into windows."""
CANCELLED = 0.2
"""Share of the loudest channel's power below which a mix has lost the sound. One channel alone in
stereo keeps half of it."""
CUT_SHARE = 1e-4
"""Share of a window's samples that may be cut off at full scale before it is turned down."""
_WEIGHTS = dict.fromkeys(("FL", "FR"), 0.5**0.5) | {"FC": 1.0, "LFE": 0.0}
_WEIGHTS |= dict.fromkeys(("BL", "BR", "SL", "SR", "BC"), 0.5)
_MOST_GUESSED = 8
"""Channels up to which FFmpeg takes the usual layout of so many."""
RAISED_DBFS = -20.0
"""The level of the loudest moment of a recording that was turned up."""
SHORTEST_SHOT_S = 1.0
"""The sound of a shot shorter than this is not used as a query by itself: it says too little."""


def waveform_blocks(
    container: InputContainer,
    stream: AudioStream,
    sample_rate_hz: int,
    *,
    start_s: float = 0.0,
    most_s: float = LIMITS.audio_duration_s,
) -> Iterator[Samples]:
    """Yield mono float32 (n,) blocks from `start_s` on, resampled. Raises MediaError.

    With `most_s`, reading stops early, so a truncated end of the file is not detected.
    """
    damage = containers.DecodeErrors()
    containers.share_cores(stream)
    resampler = _Resampler(sample_rate_hz)
    left = most_s * sample_rate_hz
    decoded = frames = samples = 0
    skip = 0
    if start_s > 0:
        origin = containers.start_of(container)
        container.seek(int((start_s + origin) * av.time_base), backward=True)
    waiting = start_s > 0
    for packet in container.demux(stream):
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
                decoded += len(block)
                yield block
    for block in resampler.take(None):
        decoded += len(block)
        yield block[skip:]
    if start_s <= 0:
        stated = containers.duration_of(container, stream)
        damage.raise_if_too_many(
            decoded / sample_rate_hz, stated if containers.states_duration(container) else None
        )


class _Resampler:
    """Resample frames to mono; start anew where a stream changes its format midway.

    Gives blocks of BLOCK_S, so it holds back up to as much of the sound; `take(None)` gives the
    rest.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._format: tuple[object, ...] | None = None
        self._inner: av.AudioResampler | None = None
        self._weights: Samples = np.ones(1, dtype=np.float32)

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
                self._weights = _weights(frame.layout)
                self._inner = av.AudioResampler(
                    format="flt",
                    layout=frame.layout,
                    rate=self._rate,
                    frame_size=max(1, round(BLOCK_S * self._rate)),
                )
            # Time stamps of hostile or cut files leap; windows are timed by counting samples.
            frame.pts = None
            assert self._inner is not None
            for out in self._inner.resample(frame):
                yield mixed(_clean(out.to_ndarray()), self._weights)
        else:
            yield from self._flushed()

    def _flushed(self) -> Iterator[Samples]:
        if self._inner is not None:
            for out in self._inner.resample(None):
                yield mixed(_clean(out.to_ndarray()), self._weights)
        self._inner = None


def _clean(block: NDArray[Any]) -> Samples:
    block = block.astype(np.float32, copy=False)
    if not np.isfinite(block).all():  # wav files of floats may hold anything
        block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
    return block


def _weights(layout: av.AudioLayout) -> Samples:
    """Return the weights of channels in the mono mix, float32 (channels,).

    As FFmpeg mixes them, after ITU-R BS.775; equal shares for rarer layouts.
    """
    count = layout.nb_channels
    names = [channel.name for channel in layout.channels]
    if set(names) == {"NONE"} and count <= _MOST_GUESSED:  # a file that does not name its channels
        names = [channel.name for channel in av.AudioLayout(f"{count}c").channels]
    if count == 1 or not set(names) <= _WEIGHTS.keys():
        return np.full(count, 1 / count, dtype=np.float32)
    return np.array([_WEIGHTS[name] for name in names], dtype=np.float32)


def mixed(block: Samples, weights: Samples) -> Samples:
    """Mix interleaved samples, float32 of n x channels, to mono, float32 (n,).

    Where the channels cancel each other (one is another one negated) or only one of many sounds,
    the loudest channel is taken instead.
    """
    if len(weights) == 1:
        return block.reshape(-1)
    apart = block.reshape(-1, len(weights))
    mono: Samples = apart @ weights
    powers = np.einsum("ij,ij->j", apart, apart)
    loudest = int(powers.argmax())
    if float(mono @ mono) < CANCELLED * float(powers[loudest]):
        return np.ascontiguousarray(apart[:, loudest])
    return mono


def at_full_scale(waveform: Samples) -> Samples:
    """Return a waveform, float32 (n,), within [-1, 1], turned down where it goes beyond.

    Single samples beyond, as decoders of MP3 give, are cut off instead.
    """
    sizes = np.abs(waveform)
    if len(sizes) == 0 or sizes.max() <= 1.0:
        return waveform
    rank = round((len(sizes) - 1) * (1 - CUT_SHARE))
    top = max(1.0, float(np.partition(sizes, rank)[rank]))
    lowered: Samples = np.clip(waveform / np.float32(top), -1.0, 1.0)
    return lowered


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
    waveform = at_full_scale(waveform)
    if is_silent(waveform, rate):
        return
    begin = offset_s + start / rate
    segment = Segment(Modality.AUDIO, round(begin, 3), round(begin + len(waveform) / rate, 3))
    yield segment, AudioSample(waveform.copy(), rate)


def track_windows(
    container: InputContainer, stream: AudioStream, spec: SampleSpec
) -> Iterator[tuple[Segment, AudioSample]]:
    """Yield all windows of one track, timed on the clock of its container."""
    offset = 0.0
    if stream.start_time and stream.time_base:
        begin = float(stream.start_time * stream.time_base)
        offset = max(0.0, begin - containers.start_of(container))
    rate, heard = spec.sample_rate_hz, False
    blocks = waveform_blocks(container, stream, rate)
    for window in itertools.islice(windows(blocks, spec, offset), LIMITS.segments):
        heard = True
        yield window
    if heard or not _has_float_samples(stream):
        return
    container.seek(0)
    blocks = waveform_blocks(container, stream, rate)
    loudest = max((loudness_dbfs(block, rate) for block in blocks), default=-math.inf)
    if loudest >= FLOAT_SILENCE_DBFS:
        container.seek(0)
        gain = np.float32(10 ** ((RAISED_DBFS - loudest) / 20))
        raised = (gain * block for block in waveform_blocks(container, stream, rate))
        yield from itertools.islice(windows(raised, spec, offset), LIMITS.segments)


def _has_float_samples(stream: AudioStream) -> bool:
    """Tell whether the file itself holds floating-point samples, not only its decoder."""
    context = stream.codec_context
    exact = context.name.startswith("pcm_") or context.name == "wavpack"
    return exact and context.format.name.startswith(("flt", "dbl"))


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
        waveform = at_full_scale(joined(blocks))
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
        return AudioSample(at_full_scale(waveform), sample_rate_hz)


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
