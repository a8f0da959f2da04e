"""Run the frozen blocks of a backbone once, over a few augmented views of each item.

What they give is kept on disk: a step then draws a view of each of its items and runs only the
blocks that learn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seehear.encoders.tiny.log_mel import spectrograms
from seehear.encoders.tiny.towers import MEL_BANDS, SAMPLE_RATE_HZ, AudioTower, ImageTower
from seehear.finetune.augment import AudioJitter, ImageJitter, jitter_images
from seehear.finetune.inputs import Embed, audio_batch
from seehear.finetune.loop import RunContext, stage_rng
from training.prepare import AudioData, ImageData
from training.recipe import TowerPlan

_ROWS_AT_ONCE = 32
_AS_IT_IS = ImageJitter(whole=1.0, colour=0.0, grey=0.0)

RunFrozen = Callable[[NDArray[np.int64], int, np.random.Generator], tuple[Tensor, ...]]
"""(rows, number of the view, generator) -> tensors whose first axis is the rows'."""


def frozen_views(
    folder: Path, rows: NDArray[np.int64], views: int, run: RunFrozen, context: RunContext
) -> tuple[NDArray[Any], ...]:
    """Keep what `run` gives for every row and view in a folder: arrays (rows, views, ...), mapped.

    Floats are kept as float16. Stopped half-way, it starts again.
    """
    if not folder.is_dir():
        partial = folder.with_suffix(".partial")
        partial.mkdir(parents=True, exist_ok=True)
        kept: list[np.memmap[Any, Any]] = []
        rng = stage_rng(context.seed, "frozen", 0)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            for view in range(views):
                with torch.inference_mode():
                    found = run(some, view, rng)
                given = [(t.half() if t.is_floating_point() else t).cpu() for t in found]
                if not kept:
                    kept = [
                        np.lib.format.open_memmap(
                            partial / f"{number}.npy", "w+", t.numpy().dtype,
                            (len(rows), views, *t.shape[1:]),
                        )
                        for number, t in enumerate(given)
                    ]  # fmt: skip
                for array, values in zip(kept, given, strict=True):
                    array[start : start + len(some), view] = values.numpy()
            if context.progress:
                context.progress("frozen blocks", start + len(some), len(rows))
        for array in kept:
            array.flush()
        partial.rename(folder)
    count = len(list(folder.glob("*.npy")))
    return tuple(np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(count))


def image_views(
    tower: ImageTower,
    images: ImageData,
    rows: NDArray[np.int64],
    plan: TowerPlan,
    jitter: ImageJitter,
    context: RunContext,
    cache: Path,
) -> Embed:
    """Return how a step of the projection alone embeds `rows`.

    The first view of an image is the whole of it, as it is; the others are augmented.
    """

    def run(some: NDArray[np.int64], view: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
        pixels = torch.from_numpy(np.asarray(images.pixels[some])).permute(0, 3, 1, 2)
        varied = jitter if view else _AS_IT_IS
        return (
            tower.features(jitter_images(pixels.to(context.device), plan.image_px, varied, rng)),
        )

    views = max(plan.views, 1)
    folder = _folder(cache, "image", images.name, rows, plan, asdict(jitter), context.seed)
    (kept,) = frozen_views(folder, rows, views, run, context)
    place = _places(rows)

    def embed(student: nn.Module, drawn: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        assert isinstance(student, ImageTower)
        pooled = kept[place[drawn], rng.integers(views, size=len(drawn))].astype(np.float32)
        tensor = torch.from_numpy(pooled).to(context.device)
        return student.project(functional.dropout(tensor, plan.dropout))

    return embed


def audio_views(
    tower: AudioTower,
    audio: AudioData,
    rows: NDArray[np.int64],
    plan: TowerPlan,
    jitter: AudioJitter,
    context: RunContext,
    cache: Path,
) -> Embed:
    """Return how a step embeds the sounds `rows` from what the frozen blocks give."""
    length = int(plan.clip_s * SAMPLE_RATE_HZ)
    frames = spectrograms([torch.zeros(length)])[0].shape[1]
    cut = tower.backbone.depth(plan.frozen_blocks) if plan.frozen_blocks else 0
    frozen = tower.backbone.layers[:cut]
    with torch.inference_mode():
        steps = frozen(torch.zeros(1, 1, frames, MEL_BANDS, device=context.device)).shape[2]
    # Sounds of one length pass together: short ones cost little then.
    rows = rows[np.argsort(np.diff(audio.waveforms.offsets)[rows], kind="stable")]

    def run(some: NDArray[np.int64], view: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
        mels, counts = audio_batch(audio.waveforms, some, length, jitter, rng)
        found = frozen(mels[:, None].to(context.device))
        return functional.pad(found, (0, 0, 0, steps - found.shape[2])), counts

    folder = _folder(cache, "audio", audio.name, rows, plan, asdict(jitter), context.seed)
    maps, counts = frozen_views(folder, rows, plan.views, run, context)
    place = _places(rows)

    def embed(student: nn.Module, drawn: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        assert isinstance(student, AudioTower)
        at, view = place[drawn], rng.integers(plan.views, size=len(drawn))
        seen = torch.from_numpy(maps[at, view].astype(np.float32)).to(context.device)
        seen = seen.contiguous(memory_format=torch.channels_last)
        seen = functional.dropout2d(seen, plan.dropout)
        steps = student.backbone.layers[cut:](seen).mean(dim=3).transpose(1, 2)
        lengths = torch.from_numpy(counts[at, view]).to(context.device)
        return student.project(student.pool(steps, lengths))

    return embed


def _places(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each row stands among `rows`: (largest row + 1,)."""
    place = np.zeros(int(rows.max(initial=0)) + 1, np.int64)
    place[rows] = np.arange(len(rows))
    return place


def _folder(
    cache: Path,
    kind: str,
    prepared: str,
    rows: NDArray[np.int64],
    plan: TowerPlan,
    jitter: dict[str, Any],
    seed: int,
) -> Path:
    sizes = [plan.start, plan.frozen_blocks, plan.views, plan.image_px, plan.clip_s]
    identity = json.dumps([prepared, rows.tolist(), sizes, jitter, seed])
    return cache / f"{kind}-views-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
