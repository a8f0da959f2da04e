"""Turn waveforms into the audio tower's input, the same way for training and for search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seehear.encoders.tiny.towers import (
    FRAME_HOP,
    FRAME_LENGTH,
    LOG_FLOOR,
    SAMPLE_RATE_HZ,
    LogMel,
)

_LEAST_SAMPLES = 96 * FRAME_HOP + FRAME_LENGTH  # one patch of the teacher, 0.985 s
_FFT_SAMPLES = 512
_TARGET_PEAK = 0.5


@lru_cache(maxsize=1)
def _log_mel() -> LogMel:
    return LogMel()


def load_spectrograms() -> None:
    """Load the library for spectrograms ahead of the first sound."""
    _log_mel()


def silence() -> float:
    """Return the value of every band of a frame without sound."""
    return math.log(LOG_FLOOR)


def waveform_16k(waveform: NDArray[np.float32], sample_rate_hz: int) -> Tensor:
    """Convert float32 (n,) at any rate to float32 (m,) at 16 kHz with a peak of one half.

    The spectrogram's floor is absolute: without this gain, a quiet recording would vanish in it.
    """
    tensor = torch.from_numpy(np.array(waveform, np.float32))
    if sample_rate_hz != SAMPLE_RATE_HZ:
        from torchaudio.functional import resample

        tensor = resample(tensor, sample_rate_hz, SAMPLE_RATE_HZ)
    tensor = torch.nan_to_num(tensor)
    peak = float(tensor.abs().max()) if len(tensor) else 0.0
    return tensor * (_TARGET_PEAK / peak) if peak > 0 else tensor


def spectrograms(waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Turn waveforms at 16 kHz into log-mel spectrograms (n, frames, 64), padded with silence.

    Also returns the true numbers of frames (n,).
    """
    lengths = [len(waveform) for waveform in waveforms]
    longest = max(_LEAST_SAMPLES, *lengths) + _FFT_SAMPLES - FRAME_LENGTH
    batch = torch.zeros(len(waveforms), longest)
    for location, waveform in enumerate(waveforms):
        batch[location, : len(waveform)] = waveform
    mels: Tensor = _log_mel()(batch)
    counts = torch.tensor([max(1, length // FRAME_HOP) for length in lengths])
    return mels, counts
