"""A small data folder in the form of the real one: colours to see, pitches to hear."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seehear.encoders.builtin.folder import ModelConfig, TextConfig, TowerConfig
from seehear.encoders.builtin.towers import AudioTower, ImageTower
from seehear.finetune.augment import ImageJitter
from seehear.finetune.loop import Schedule
from seehear.types import Vectors
from training.export import export
from training.recipe import CorpusPlan, Recipe, TextPlan, TowerPlan
from training.run import TextTeacher
from training.text_stage import build_text_tower
from training.text_torch import choose_vocabulary
from training.tower_stage import LossWeights

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


def write_shard(path: Path, samples: Sequence[tuple[dict[str, object], str, bytes]]) -> None:
    """A tar of (note, suffix, media)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number, (note, suffix, content) in enumerate(samples):
            described = json.dumps({"captions": [], "label": None, "split": "train"} | note)
            for name, body in ((suffix, content), ("json", described.encode())):
                member = tarfile.TarInfo(f"{number:05d}.{name}")
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled and captioned pictures and sounds, and sentences; one sample of each is broken."""
    folder = tmp_path_factory.mktemp("data")
    labelled: list[tuple[dict[str, object], str, bytes]] = []
    told: list[tuple[dict[str, object], str, bytes]] = []
    heard: list[tuple[dict[str, object], str, bytes]] = []
    for seed in range(10):
        split = "val" if seed >= 8 else "train"
        for name, colour in COLOURS.items():
            note: dict[str, object] = {"label": f"{name} wall", "split": split}
            labelled.append((note, "png", png(colour, seed)))
            captions = [f"a wall painted {name}", f"something {name} on a wall"]
            told.append(({"captions": captions, "split": split}, "png", png(colour, seed + 50)))
        for name, hertz in PITCHES.items():
            heard.append(({"label": name, "split": split}, "wav", wav(hertz, seed)))
    labelled.append(({"label": "nothing"}, "png", b"no picture"))
    heard.append(({"label": "nothing"}, "wav", b"no sound"))
    write_shard(folder / "images" / "walls-00.tar", labelled)
    write_shard(folder / "images" / "told-00.tar", told)
    write_shard(folder / "audio" / "tones-00.tar", heard)
    (folder / "text").mkdir()
    for kind, words in (("picture", COLOURS), ("sound", PITCHES)):
        lines = [f"there is a {word} here number {n}" for word in words for n in range(12)]
        with gzip.open(folder / "text" / f"{kind}_captions.txt.gz", "wt") as handle:
            handle.write("\n".join(lines))
    return folder


def bag_of_words(sentences: Sequence[str]) -> Vectors:
    """A teacher for tests: the mean of a fixed random vector per word, float32 (n, DIM)."""
    rows = []
    for sentence in sentences:
        total = np.zeros(DIM)
        for word in sentence.lower().split():
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
            total += np.random.default_rng(seed).standard_normal(DIM)
        rows.append(total / max(float(np.linalg.norm(total)), 1e-9))
    return np.array(rows, np.float32).reshape(len(sentences), DIM)


TEACHER = TextTeacher(
    bag_of_words, ("red", "green", "blue", "yellow", "wall", "low", "hum", "high", "whistle")
)

SMALL = ModelConfig(
    dim=DIM,
    image=TowerConfig(hidden=16, scale=0.25, blocks=3),
    audio=TowerConfig(hidden=16, scale=0.25, blocks=3),
    text=TextConfig(width=8, hidden=8, blocks=1, heads=2, inner=16),
    image_px=32,
)


def small_recipe(steps: int = 4) -> Recipe:
    """The full recipe on a tiny configuration, without teacher files."""
    loss_weights = LossWeights(classes=0.0, bank_negatives=16, queue_size=16, same_cosine=0.98)
    tower = TowerPlan(
        Schedule(steps, 8, 3e-3), loss_weights, dev_share=0.2, eval_set="walls",
        image_px=32, cache_px=32, clip_s=1.0,
    )  # fmt: skip
    heard = TowerPlan(
        Schedule(steps, 8, 3e-3), loss_weights, dev_share=0.2, eval_set="tones", clip_s=1.0
    )
    return Recipe(
        name="small",
        text=TextPlan(Schedule(steps, 16, 3e-3)),
        image=tower,
        audio=heard,
        seed=3,
        model=SMALL,
        corpus=CorpusPlan(vocabulary=200, phrases=20, mixtures=20),
        image_jitter=ImageJitter(colour=0.05, grey=0.0),
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
