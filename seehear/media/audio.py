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
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.media import container as containers
from seehear.media.downmix import BLOCK_S, MonoResampler, at_full_scale
from seehear.media.fingerprints import Fingerprinter
from seehear.media.limits import LIMITS
from seehear.media.stamps import LONGEST_PAUSE_S
from seehear.media.timeline import Timeline
from seehear.silence import FLOAT_SILENCE_DBFS, is_silent, loudness_dbfs
from seehear.types import AudioSample, Floats, Modality, SampleSpec, Segment

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

Block = tuple[int, Floats]
"""Samples, and the position of the first one on the clock of the file, in samples."""
_T = TypeVar("_T")

TAIL_SHARE = 0.1
"""The rest after the last full window gets no window of its own if it is shorter than this share
of the hop."""
LEAST_FRAME = 32
"""Samples of a frame, on average over the first `FRAMES_LOOKED_AT`. Codecs have 80 and more; each
frame costs as much as some thousand samples do."""
FRAMES_LOOKED_AT = 2_000
PRIMING_S = 0.03
"""A sound that begins this late begins at 0: an encoder has put silence before its first sample."""
JITTER_S = 0.08
"""Stamps that are wrong by less than this are rounded; players let it pass, too."""
WRONG_S = 1.0
"""Stamps that are earlier than the sound before them by more than this, or later than the end of
the file, are wrong."""
RAISED_DBFS = -20.0
"""The level of the loudest moment of a recording that was turned up."""
SHORTEST_S = 0.005
"""Less than this, a few samples that are left of a file, is no sound."""
SHORTEST_SHOT_S = 1.0
"""The sound of a shot shorter than this is not used as a query by itself: it says too little."""


def waveform_blocks(
    container: InputContainer,
    stream: AudioStream,
    timeline: Timeline,
    sample_rate_hz: int,
    *,
    start_s: float = 0.0,
    most_s: float = LIMITS.audio_duration_s,
    damage: containers.DecodeErrors | None = None,
) -> Iterator[Block]:
    """Yield mono float32 (n,) blocks from `start_s` on, resampled, each with its position.

    The position is that of its first sample on the clock of the file, in samples. The next block
    follows, or comes later where the sound has a hole. `damage` counts the packets that cannot be
    decoded. Raises MediaError.
    """
    damage = damage or containers.DecodeErrors()
    containers.share_cores(stream)
    frames = timeline.frames_from(container, stream, damage, start_s)
    done, stop = round(start_s * sample_rate_hz), round((start_s + most_s) * sample_rate_hz)
    for position, whole in _positioned(frames, sample_rate_hz, timeline):
        block = whole[max(0, done - position) :]
        first = max(done, position)
        if len(block) == 0:
            continue
        if first + len(block) >= stop:
            if first < stop:
                yield first, block[: stop - first]
            if most_s >= LIMITS.audio_duration_s:
                raise MediaLimitError(
                    f"longer than {LIMITS.audio_duration_s / 3600:.0f} hours of sound"
                )
            return
        yield first, block
        done = first + len(block)
    if start_s <= 0:
        damage.raise_if_too_many()


def _positioned(
    frames: Iterator[tuple[Any, float]], rate: int, timeline: Timeline
) -> Iterator[Block]:
    """Yield the blocks of decoded frames with their positions, which may overlap.

    Floats are counted, since stamps are rounded. Where a stamp is later than that, the sound has
    a hole; earlier, it overlaps. A stamp far earlier, or behind the end of the file, is wrong, and
    so is a long hole behind the end of its video: the sound goes on.
    """
    resampler = MonoResampler(rate)
    due_s = shift_s = 0.0
    position: int | None = None
    count = samples = 0
    pairs = itertools.pairwise(itertools.chain(frames, ((None, math.inf),)))
    for (frame, time_s), (_, next_s) in pairs:
        count, samples = count + 1, samples + frame.samples
        if count == FRAMES_LOOKED_AT and samples < LEAST_FRAME * count:
            raise BrokenMediaError("corrupt: its sound is in pieces of a few samples")
        late_s = time_s + shift_s - due_s
        latest_s = max(timeline.video_s or 0.0, due_s + LONGEST_PAUSE_S)
        latest_s = min(latest_s, timeline.duration_s or latest_s) + WRONG_S
        if position is not None and next_s < time_s:  # a single stamp that is wrong
            late_s = 0.0
        elif position is not None and not -WRONG_S < late_s < latest_s - due_s:
            shift_s, late_s = due_s - time_s, 0.0
        if position is None and 0 < time_s <= PRIMING_S:
            shift_s = -time_s
        if position is None or abs(late_s) > JITTER_S:
            for block in resampler.take(None):
                yield position or 0, block
                position = (position or 0) + len(block)
            due_s = time_s + shift_s
            position = round(due_s * rate)
        for block in resampler.take(frame):
            yield position, block
            position += len(block)
        due_s += frame.samples / frame.sample_rate
    for block in resampler.take(None):
        yield position or 0, block
        position = (position or 0) + len(block)


def windows(blocks: Iterator[Block], spec: SampleSpec) -> Iterator[tuple[Segment, AudioSample]]:
    """Yield windows of `spec.window_s` every `spec.hop_s`, without the silent ones.

    `blocks` are float32 (n,) at `spec.sample_rate_hz`, each with its position in samples. A hole is
    silence; after one as long as a hop, windows begin anew where the sound does.
    """
    rate = spec.sample_rate_hz
    length, hop = round(spec.window_s * rate), max(1, round(spec.hop_s * rate))
    held: Floats = np.zeros(0, dtype=np.float32)
    begin = 0  # where the sound began, in samples from the beginning of the file
    start = 0  # of the next window
    first = 0  # of `held`
    for position, block in joined_to(max(1, round(BLOCK_S * rate)), blocks):
        hole = position - first - len(held)
        if hole >= hop or first + len(held) == begin:
            yield from _last_window(held, first, begin, start, length, hop, rate)
            held, begin, start, first = block, position, position, position
        else:
            held = np.concatenate([held, np.zeros(hole, dtype=np.float32), block])
        while first + len(held) >= start + length:
            yield from _window(held[start - first : start - first + length], start, rate)
            start += hop
            # Keep the previous window: the last one may reach back into it.
            gone = max(0, start - hop - first)
            held, first = held[gone:], first + gone
    yield from _last_window(held, first, begin, start, length, hop, rate)


def _last_window(
    held: Floats, first: int, begin: int, start: int, length: int, hop: int, rate: int
) -> Iterator[tuple[Segment, AudioSample]]:
    total = first + len(held)
    if start == begin:
        yield from _window(held, begin, rate)
    elif total - (start - hop + length) > TAIL_SHARE * hop:
        last = max(first, total - length)
        yield from _window(held[last - first :], last, rate)


def joined_to(least: int, blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield blocks of at least so many samples, except for the last one before a hole."""
    waiting: list[Floats] = []
    size = first = 0
    for position, block in blocks:
        if waiting and (size >= least or position != first + size):
            yield first, np.concatenate(waiting)
            waiting, size = [], 0
        first = first if waiting else position
        waiting.append(block)
        size += len(block)
    if waiting:
        yield first, np.concatenate(waiting)


def _window(waveform: Floats, start: int, rate: int) -> Iterator[tuple[Segment, AudioSample]]:
    waveform = at_full_scale(waveform)
    if len(waveform) < SHORTEST_S * rate or is_silent(waveform, rate):
        return
    begin = start / rate
    segment = Segment(Modality.AUDIO, round(begin, 3), round(begin + len(waveform) / rate, 3))
    yield segment, AudioSample(waveform.copy(), rate)


def track_windows(
    container: InputContainer,
    stream: AudioStream,
    timeline: Timeline,
    spec: SampleSpec,
    damage: containers.DecodeErrors | None = None,
    made: Fingerprinter | None = None,
) -> Iterator[tuple[Segment, AudioSample]]:
    """Yield all windows of one track, timed on the clock of its file; show it to `made`."""
    rate, heard = spec.sample_rate_hz, False
    blocks = waveform_blocks(container, stream, timeline, rate, damage=damage)
    if made is not None:
        blocks = made.audio(blocks, rate)
    for window in itertools.islice(windows(blocks, spec), LIMITS.segments):
        heard = True
        yield window
    if heard or not _has_float_samples(stream):
        return
    container.seek(0)
    blocks = waveform_blocks(container, stream, timeline, rate)
    loudest = max((loudness_dbfs(block, rate) for _, block in blocks), default=-math.inf)
    if loudest >= FLOAT_SILENCE_DBFS:
        container.seek(0)
        gain = np.float32(10 ** ((RAISED_DBFS - loudest) / 20))
        blocks = waveform_blocks(container, stream, timeline, rate)
        raised = ((position, gain * block) for position, block in blocks)
        yield from itertools.islice(windows(raised, spec), LIMITS.segments)


def _has_float_samples(stream: AudioStream) -> bool:
    """Tell whether the file itself holds floating-point samples, not only its decoder."""
    context = stream.codec_context
    exact = context.name.startswith("pcm_") or context.name == "wavpack"
    return exact and context.format.name.startswith(("flt", "dbl"))


def spread_windows(
    container: InputContainer,
    stream: AudioStream,
    timeline: Timeline,
    spec: SampleSpec,
    most: int,
    shots: Sequence[Segment] = (),
) -> list[AudioSample]:
    """Return at most `most` windows spread over the track; a long track is read by seeking.

    In a short video no window crosses from one of its `shots` into the next, so that the sound of
    each shot is a query by itself.
    """
    rate, duration_s = spec.sample_rate_hz, timeline.duration_s
    if duration_s is None or duration_s <= 2 * most * spec.window_s:
        if len(shots) > 1:
            whole = joined(waveform_blocks(container, stream, timeline, rate))
            within = list(_windows_within(whole, shots, spec))
            if within:
                return list(spread_evenly(within, most))
            container.seek(0)
        every = [sample for _, sample in track_windows(container, stream, timeline, spec)]
        return list(spread_evenly(every, most))
    chosen = []
    for index in range(most):
        begin_s = (duration_s - spec.window_s) * index / (most - 1)
        blocks = waveform_blocks(
            container, stream, timeline, rate, start_s=begin_s, most_s=spec.window_s
        )
        waveform = at_full_scale(joined(blocks, round(begin_s * rate)))
        if not is_silent(waveform, rate):
            chosen.append(AudioSample(waveform, rate))
    return chosen


def _windows_within(
    whole: Floats, shots: Sequence[Segment], spec: SampleSpec
) -> Iterator[AudioSample]:
    rate = spec.sample_rate_hz
    for shot in shots:
        part = whole[round((shot.start_s or 0.0) * rate) : round((shot.stop_s or 0.0) * rate)]
        if len(part) >= SHORTEST_SHOT_S * rate:
            yield from (sample for _, sample in windows(iter([(0, part)]), spec))


def joined(blocks: Iterator[Block], start: int = 0) -> Floats:
    """Join blocks to one waveform from a position on, float32 (n,); holes are silent."""
    parts = [np.zeros(0, dtype=np.float32)]
    for position, block in blocks:
        if position > start:
            parts.append(np.zeros(position - start, dtype=np.float32))
        parts.append(block)
        start = position + len(block)
    return np.concatenate(parts)


def spread_evenly(items: Sequence[_T], most: int) -> Sequence[_T]:
    """Return at most `most` items spread over the list, the first and the last among them."""
    if len(items) <= most:
        return items
    if most == 1:
        return [items[len(items) // 2]]
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]
