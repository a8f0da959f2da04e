"""Make a small data folder in the form of the real one: images of colours, sounds of pitches."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from seehear.finetune.augment import ImageJitter
from seehear.finetune.loop import Schedule
from seehear.types import Vectors
from tests.finetune.conftest import COLOURS, DIM, PITCHES, SMALL, one_thread, png, untrained, wav
from training.recipe import CorpusPlan, Recipe, TextPlan, TowerPlan
from training.stages import TextTeacher
from training.tower_stage import LossWeights


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


__all__ = ["one_thread", "untrained"]  # fixtures
