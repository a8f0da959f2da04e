"""A bundled-model folder of a tiny configuration with random weights."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from seehear.encoders.tiny.checkpoint import ModelConfig, TextConfig, TowerConfig
from seehear.encoders.tiny.towers import AudioTower, ImageTower
from seehear.finetune.tower import arrays_of
from training.text_stage import build_text_tower
from training.text_torch import TextTorch, choose_vocabulary

SMALL = ModelConfig(
    dim=16,
    image=TowerConfig(hidden=16, scale=0.25, blocks=4),
    audio=TowerConfig(hidden=16, scale=0.25, blocks=4),
    text=TextConfig(width=24, hidden=12, blocks=2, heads=3, inner=20, most_tokens=12),
    image_px=32,
)

VOCABULARY_OF_SMALL = choose_vocabulary(
    ["a brown dog runs over green grass while it rains"] * 5, ["window", "piano"], 150
)


def small_text(seed: int = 1) -> TextTorch:
    """The torch text tower of the small configuration, every array random."""
    torch.manual_seed(seed)
    tower = build_text_tower(SMALL.text, len(VOCABULARY_OF_SMALL), SMALL.dim)
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return tower.eval()


def small_arrays(seed: int = 1) -> dict[str, NDArray[np.float32]]:
    """All three towers' arrays, as a folder keeps them."""
    text = small_text(seed)
    image = ImageTower(SMALL.dim, 16, scale=0.25, blocks=4)
    audio = AudioTower(SMALL.dim, 16, scale=0.25, blocks=4)
    return arrays_of(text, "text") | arrays_of(image, "image") | arrays_of(audio, "audio")
