"""What counts as silence, for media that are cut and for samples that are encoded."""

from __future__ import annotations

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


def is_silent(waveform: Floats, sample_rate_hz: int) -> bool:
    """Return whether even the loudest moment of a mono waveform, float32 (n,), is silence."""
    if len(waveform) == 0:
        return True
    size = max(1, min(len(waveform), round(LOUDNESS_S * sample_rate_hz)))
    whole = waveform[: len(waveform) // size * size].reshape(-1, size)
    power = float(np.einsum("ij,ij->i", whole, whole).max()) / size
    return power < 10 ** (SILENCE_DBFS / 10)
