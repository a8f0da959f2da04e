"""Draw a sound as an image: its log-mel spectrogram, for contact sheets and thumbnails."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
MOST_S = 60.0
"""A minute is more than an image of a few hundred pixels can show."""

_FFT = 1024
_RANGE_DB = 70.0
_COLOURS = np.array(
    # From night blue over violet and orange to pale yellow: brightness always grows, so that the
    # image is readable in grey, too.
    [[8, 9, 30], [48, 18, 92], [120, 32, 122], [196, 62, 96], [243, 124, 60], [252, 200, 92],
     [252, 250, 214]],
    dtype=np.float64,
)  # fmt: skip


def draw(waveform: NDArray[np.float32], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Return uint8 (height_px, width_px, 3): time to the right, pitch (mel scale) upwards."""
    padded = np.pad(waveform, (_FFT // 2, _FFT // 2 + 1))
    starts = np.linspace(0, max(0, len(waveform) - 1), width_px).astype(np.int64)
    window = np.hanning(_FFT).astype(np.float32)
    frames = np.stack([padded[start : start + _FFT] for start in starts]) * window
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    bands = power @ _mel_bands(height_px).T
    level = 10 * np.log10(np.maximum(bands, 1e-10))
    top = max(float(level.max()), -40.0)  # silence stays dark: its noise is not amplified
    shade = np.clip((level - top) / _RANGE_DB + 1, 0, 1).T[::-1]
    position = shade * (len(_COLOURS) - 1)
    low = np.minimum(position.astype(int), len(_COLOURS) - 2)
    part = (position - low)[..., None]
    colours = (1 - part) * _COLOURS[low] + part * _COLOURS[low + 1]
    pixels: NDArray[np.uint8] = (colours + 0.5).astype(np.uint8)
    return pixels


def _mel_bands(count: int) -> NDArray[np.float64]:
    """Return triangular filters (count, bins), each of unit weight and with at least one bin."""
    most = 2595 * np.log10(1 + SAMPLE_RATE_HZ / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, most, count + 2) / 2595) - 1)
    bins = np.arange(_FFT // 2 + 1) * SAMPLE_RATE_HZ / _FFT
    # Low bands are narrower than a bin of the transform: widen them to the neighbouring bins.
    low = np.minimum(edges[:-2], edges[1:-1] - SAMPLE_RATE_HZ / _FFT)[:, None]
    high = np.maximum(edges[2:], edges[1:-1] + SAMPLE_RATE_HZ / _FFT)[:, None]
    centre = edges[1:-1, None]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    weights = np.maximum(0, np.minimum(rising, falling))
    bands: NDArray[np.float64] = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    return bands
