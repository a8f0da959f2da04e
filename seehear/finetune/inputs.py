"""Turn decoded images and sounds into what a tower takes in one step of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seehear.encoders.tiny.encoder import resize_batch
from seehear.encoders.tiny.log_mel import spectrograms
from seehear.encoders.tiny.towers import SAMPLE_RATE_HZ, ImageTower
from seehear.finetune.augment import (
    AudioJitter,
    ImageJitter,
    blank_stripes,
    crop_audio,
    jitter_audio,
    jitter_images,
)

Embed = Callable[[nn.Module, NDArray[np.int64], np.random.Generator], Tensor]
"""(tower, rows, generator) -> unit vectors (n, dim) of freshly augmented items."""

FULL_SCALE = 32767.0
# Images that pass the tower together: feature maps of more than these do not stay in a processor's
# cache, and a step of 432 takes nearly twice the time.
_AT_ONCE = 48


@dataclass(frozen=True, slots=True)
class Waveforms:
    """Sounds at 16 kHz, one after the other."""

    samples: NDArray[np.int16]
    """All sounds joined; full scale is 32767."""
    offsets: NDArray[np.int64]
    """(n + 1,): sound i is samples[offsets[i]:offsets[i + 1]]."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.float32]:
        """Return one sound: float32 (m,) in [-1, 1]."""
        values = self.samples[self.offsets[row] : self.offsets[row + 1]]
        result: NDArray[np.float32] = values.astype(np.float32) / np.float32(FULL_SCALE)
        return result


def to_int16(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
    """Convert a waveform in [-1, 1] to the samples that `Waveforms` holds."""
    result: NDArray[np.int16] = (np.clip(waveform, -1, 1) * FULL_SCALE).astype(np.int16)
    return result


def resize_square(pixels: NDArray[np.uint8], px: int) -> NDArray[np.uint8]:
    """Resize pixels (h, w, 3) to (px, px, 3) as the encoder does, without a crop."""
    result: NDArray[np.uint8] = resize_batch(pixels, px)[0].permute(1, 2, 0).contiguous().numpy()
    return result


def image_embed(
    pixels: NDArray[np.uint8], px: int, jitter: ImageJitter, device: str, dropout: float = 0.0
) -> Embed:
    """Return how a step embeds augmented images. `pixels` is (n, h, w, 3); they train at `px`."""

    def embed(tower: nn.Module, rows: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        assert isinstance(tower, ImageTower)
        parts = []
        at_once = _AT_ONCE if device == "cpu" else len(rows)
        for start in range(0, len(rows), at_once):
            some = np.asarray(pixels[rows[start : start + at_once]])
            tensor = torch.from_numpy(some).permute(0, 3, 1, 2).to(device)
            parts.append(tower.features(jitter_images(tensor, px, jitter, rng)))
        return tower.project(functional.dropout(torch.cat(parts), dropout))

    return embed


def audio_embed(waveforms: Waveforms, clip_s: float, jitter: AudioJitter, device: str) -> Embed:
    """Return how a step embeds augmented sounds, `clip_s` seconds of each."""
    length = int(clip_s * SAMPLE_RATE_HZ)

    def embed(tower: nn.Module, rows: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        mels, counts = audio_batch(waveforms, rows, length, jitter, rng)
        result: Tensor = tower(mels.to(device), counts.to(device))
        return result

    return embed


def audio_batch(
    waveforms: Waveforms,
    rows: NDArray[np.int64],
    length: int,
    jitter: AudioJitter,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Augment sounds, at most `length` samples of each: log-mel (n, frames, 64) and frames (n,)."""
    varied = []
    for row in rows:
        whole = waveforms[int(row)]
        part = crop_audio(whole, length, rng)
        # Near silence teaches nothing: take the start, where things usually happen.
        if np.abs(part).max(initial=0) < 0.02 * np.abs(whole).max(initial=1e-9):
            part = whole[:length]
        other = waveforms[int(rng.integers(len(waveforms)))][:length]
        changed = jitter_audio(part, other, jitter, rng)
        varied.append(torch.from_numpy(np.ascontiguousarray(changed, dtype=np.float32)))
    mels, counts = spectrograms(varied)
    return blank_stripes(mels, jitter, rng), counts
