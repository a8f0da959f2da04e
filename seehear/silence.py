"""What counts as silence, for media that are cut and for samples that are encoded."""

from __future__ import annotations

import math

import numpy as np

from seehear.types import Floats

LOUDNESS_S = 0.05
"""Silence is judged by the loudest stretch of this length, so that one click among nothing counts
and a single odd sample does not."""
SILENCE_DBFS = -60.0
"""A window whose loudest 50 ms stay below this level (root mean square, relative to full scale)
is silent and is not encoded: its embedding would be near that of every other silence, a hit for
everything. Quiet rooms recorded by phones lie near -55 dBFS, digital silence and dither below
-80 dBFS."""
FLOAT_SILENCE_DBFS = -120.0
"""The same for a whole recording of floating-point samples, which have no fixed full scale: above
it, one that is silent as it is gets turned up."""


def is_silent(waveform: Floats, sample_rate_hz: int) -> bool:
    """Return whether even the loudest moment of a mono waveform, float32 (n,), is silence."""
    return loudness_dbfs(waveform, sample_rate_hz) < SILENCE_DBFS


def loudness_dbfs(waveform: Floats, sample_rate_hz: int) -> float:
    """Return the level of the loudest moment of a mono waveform, float32 (n,); -inf for zeros."""
    if len(waveform) == 0:
        return -math.inf
    size = max(1, min(len(waveform), round(LOUDNESS_S * sample_rate_hz)))
    whole = waveform[: len(waveform) // size * size].reshape(-1, size)
    power = float(np.einsum("ij,ij->i", whole, whole).max()) / size
    return 10 * math.log10(power) if power > 0 else -math.inf
