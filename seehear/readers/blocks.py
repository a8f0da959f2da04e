"""Cut a long sound into blocks that a reader can hold, at its quietest moments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from seehear.errors import UsageError
from seehear.types import AudioSample, Floats

SAMPLE_RATE_HZ = 16_000
"""The rate at which speech is read."""
MOST_BLOCK_S = 600.0
"""The longest block: a reader's memory stays below 1 GB."""
LOOKED_AT_S = 30.0
"""A block ends at the quietest moment of this last stretch."""
_QUIET_S = 0.1


def audio_blocks(
    pieces: Iterable[tuple[float, Floats]], most_s: float = MOST_BLOCK_S
) -> Iterator[tuple[float, AudioSample]]:
    """Join pieces of a sound, mono float32 (n,) at 16 kHz, and cut them into blocks.

    Each piece comes with its start in seconds. A piece that does not follow the one before it
    begins a new block, so that holes stay where they are; what overlaps is dropped.
    """
    held = np.zeros(0, dtype=np.float32)
    first = 0
    most = round(most_s * SAMPLE_RATE_HZ)
    for start_s, given in pieces:
        start = round(start_s * SAMPLE_RATE_HZ)
        due = first + len(held)
        if len(held) == 0:
            first = start
        elif start > due + 1:
            yield _block(first, held)
            held, first = held[:0], start
        new = given[max(0, due - start) :] if len(held) else given
        held = np.concatenate([held, new])
        while len(held) >= most:
            cut = _quietest(held[:most])
            yield _block(first, held[:cut])
            held, first = held[cut:], first + cut
    if len(held):
        yield _block(first, held)


def _block(first: int, waveform: Floats) -> tuple[float, AudioSample]:
    return first / SAMPLE_RATE_HZ, AudioSample(waveform, SAMPLE_RATE_HZ)


def _quietest(waveform: Floats) -> int:
    """Return the middle of the quietest tenth of a second near the end, as a position."""
    size = round(_QUIET_S * SAMPLE_RATE_HZ)
    count = min(len(waveform) // 2, round(LOOKED_AT_S * SAMPLE_RATE_HZ)) // size
    if count < 1:
        return len(waveform)
    last = waveform[len(waveform) - count * size :].reshape(count, size)
    energies = np.einsum("ij,ij->i", last, last)
    quietest = count - 1 - int(np.argmin(energies[::-1]))  # the last of several
    return len(waveform) - (count - quietest) * size + size // 2


def check_block(block: AudioSample) -> Floats:
    """Return the waveform of a block. Raises UsageError for one that no reader takes."""
    if block.sample_rate_hz != SAMPLE_RATE_HZ:
        raise UsageError(f"speech is read at {SAMPLE_RATE_HZ} Hz, not {block.sample_rate_hz} Hz")
    if block.duration_s > MOST_BLOCK_S + 1.0:
        raise UsageError(f"a block of {block.duration_s:.0f} s is longer than {MOST_BLOCK_S:.0f} s")
    return block.waveform
