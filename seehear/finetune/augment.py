"""Augment whole batches: images as tensors, sounds as waveforms and spectrograms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class ImageJitter:
    """How far images are varied; zeros leave them as they are, resized."""

    smallest_area: float = 0.45
    """Smallest part of the image that a crop keeps."""
    aspect: float = 0.3
    """Largest change of the aspect ratio (natural logarithm): Flickr8k's images were resized to
    squares, and the encoder resizes all others to squares, whatever their ratio."""
    colour: float = 0.3
    grey: float = 0.08
    """Share of the images that lose their colours."""
    whole: float = 0.2
    """Share of the images that stay uncropped, as they are at search time."""


def jitter_images(
    pixels: Tensor, size: int, jitter: ImageJitter, rng: np.random.Generator
) -> Tensor:
    """Crop, flip, stretch and recolour uint8 (n, 3, h, w): float (n, 3, size, size) in [0, 255]."""
    n = len(pixels)
    area = rng.uniform(jitter.smallest_area, 1.0, n)
    stretch = rng.uniform(-jitter.aspect, jitter.aspect, n) / 2
    keep = rng.random(n) < jitter.whole
    area[keep], stretch[keep] = 1.0, 0.0
    width = np.minimum(np.sqrt(area) * np.exp(stretch), 1.0)
    height = np.minimum(np.sqrt(area) * np.exp(-stretch), 1.0)
    x = rng.uniform(-1, 1, n) * (1 - width)
    y = rng.uniform(-1, 1, n) * (1 - height)
    flip = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    theta = np.zeros((n, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 0, 2] = width * flip, x
    theta[:, 1, 1], theta[:, 1, 2] = height, y
    device = pixels.device
    grid = functional.affine_grid(
        torch.from_numpy(theta).to(device), [n, 3, size, size], align_corners=False
    )
    result = functional.grid_sample(
        pixels.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return _colours(result, jitter, rng)


def _colours(images: Tensor, jitter: ImageJitter, rng: np.random.Generator) -> Tensor:
    n = len(images)

    def factors(strength: float) -> Tensor:
        drawn = rng.uniform(1 - strength, 1 + strength, (n, 1, 1, 1)).astype(np.float32)
        return torch.from_numpy(drawn).to(images.device)

    saturation = factors(jitter.colour)
    saturation[torch.from_numpy(rng.random(n) < jitter.grey).to(images.device)] = 0.0
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * saturation
    level = images.mean(dim=(1, 2, 3), keepdim=True)
    images = level + (images - level) * factors(jitter.colour)
    return (images * factors(jitter.colour)).clamp(0, 255)


@dataclass(frozen=True, slots=True)
class AudioJitter:
    """How far sounds are varied."""

    gain_db: float = 12.0
    """Largest attenuation below the level that the encoder brings every sound to."""
    noise: float = 0.3
    """Share of the sounds that get faint noise."""
    mix: float = 0.0
    """Share of the sounds that get another one faintly behind them."""
    bands: int = 10
    """Widest stripe of mel bands that is blanked (SpecAugment, arXiv:1904.08779)."""
    frames: int = 30
    """Longest stripe of frames that is blanked."""


def crop_audio(
    waveform: NDArray[np.float32], samples: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Cut a random part of at most `samples`; shift a shorter sound inside silence."""
    spare = len(waveform) - samples
    if spare > 0:
        start = int(rng.integers(0, spare + 1))
        return waveform[start : start + samples]
    before = int(rng.integers(0, max(1, min(-spare, samples // 4)) + 1)) if spare else 0
    return np.pad(waveform, (before, 0)) if rng.random() < 0.5 else waveform


def jitter_audio(
    waveform: NDArray[np.float32],
    other: NDArray[np.float32],
    jitter: AudioJitter,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Change gain, add faint noise or another sound: float32 (n,), its peak at most one half."""
    peak = float(np.abs(waveform).max()) if len(waveform) else 0.0
    if peak <= 0:
        return waveform
    result = waveform * (0.5 / peak)
    if rng.random() < jitter.mix and len(other):
        behind = np.resize(other, len(result))
        loudest = float(np.abs(behind).max())
        if loudest > 0:
            result = result + behind * (0.5 / loudest) * 10 ** (-rng.uniform(12, 24) / 20)
    if rng.random() < jitter.noise:
        level = 10 ** (-rng.uniform(40, 65) / 20)
        result = result + level * rng.standard_normal(len(result), dtype=np.float32)
    result = result * 10 ** (-rng.uniform(0, jitter.gain_db) / 20)
    return result.astype(np.float32)


def blank_stripes(mels: Tensor, jitter: AudioJitter, rng: np.random.Generator) -> Tensor:
    """Set one stripe each way of log-mel (n, frames, bands) to the mean (SpecAugment)."""
    result = mels.clone()
    level = mels.mean(dim=(1, 2))
    for row in range(len(result)):
        width = int(rng.integers(0, jitter.bands + 1))
        start = int(rng.integers(0, max(1, result.shape[2] - width)))
        result[row, :, start : start + width] = level[row]
        length = int(rng.integers(0, jitter.frames + 1))
        begin = int(rng.integers(0, max(1, result.shape[1] - length)))
        result[row, begin : begin + length] = level[row]
    return result
