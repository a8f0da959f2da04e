"""Small images and sounds with one word each, and a small model without training."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seehear.encoders.tiny.checkpoint import ModelConfig, TextConfig, TowerConfig
from seehear.encoders.tiny.towers import AudioTower, ImageTower
from training.export import export
from training.text_stage import build_text_tower
from training.text_torch import choose_vocabulary

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 40),
    "blue": (40, 60, 220),
    "yellow": (230, 220, 40),
}
PITCHES = {"low hum": 150.0, "middle tone": 700.0, "high whistle": 3000.0}
DIM = 16


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def png(colour: tuple[int, int, int], seed: int, px: int = 40) -> bytes:
    """A noisy picture of one colour."""
    noise = np.random.default_rng(seed).integers(-25, 26, (px, px, 3))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def wav(hertz: float, seed: int, duration_s: float = 1.2) -> bytes:
    """A noisy tone at 16 kHz."""
    times = np.arange(int(16_000 * duration_s)) / 16_000
    noise = np.random.default_rng(seed).standard_normal(len(times)) * 0.02
    values = 0.4 * np.sin(2 * np.pi * hertz * times) + noise
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as handle:
        handle.setparams((1, 2, 16_000, 0, "NONE", ""))
        handle.writeframes((values * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


SMALL = ModelConfig(
    dim=DIM,
    image=TowerConfig(hidden=16, scale=0.25, blocks=3),
    audio=TowerConfig(hidden=16, scale=0.25, blocks=3),
    text=TextConfig(width=8, hidden=8, blocks=1, heads=2, inner=16),
    image_px=32,
)


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of the tiny configuration with random weights."""
    torch.manual_seed(1)
    vocabulary = choose_vocabulary(["a wall painted red green blue yellow"] * 5, (), 120)
    text = build_text_tower(SMALL.text, len(vocabulary), DIM)
    with torch.no_grad():  # else all sentences lie close together
        text.embedding.mul_(4)
        text.direct.bias.zero_()
        text.outer.bias.zero_()
    towers = {
        "text": text,
        "image": ImageTower(DIM, 16, scale=0.25, blocks=3),
        "audio": AudioTower(DIM, 16, scale=0.25, blocks=3),
    }
    folder = tmp_path_factory.mktemp("untrained")
    export(folder, "untrained", SMALL, towers, vocabulary, {"note": "random"})
    return folder
