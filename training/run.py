"""Follow the whole recipe: corpus, teachers, text tower, image tower, audio tower, model folder.

    python -m training --data DIR --out DIR [--recipe recipe.toml] [--device cuda] [--open]

`--out` gets `model/` (a model folder), `runs/` (checkpoints, CSV and TensorBoard logs) and
`cache/` (teacher's vectors, decoded media). Stopped at any moment, the same command goes on.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from seehear.encoders.tiny.checkpoint import check_save
from seehear.errors import SeehearError, UsageError
from seehear.finetune.loop import RunContext
from training.export import export, versions
from training.logs import stage_bars, tensorboard_scalars
from training.prepare import AudioData, ImageData, prepare_audio, prepare_images
from training.recipe import SHIPPED, Recipe, TowerPlan, read_recipe
from training.shards import ShardItem, shard_paths
from training.stages import (
    TextTeacher,
    taken_items,
    teacher_file,
    train_audio_tower,
    train_image_tower,
    train_text,
    vectors_now,
)
from training.text_stage import Distilled

_DATA_NOTE = "see README.md beside this file for the licences of the data"


def run_recipe(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    device: str = "cpu",
    progress: bool = True,
    tensorboard: bool = True,
    teacher: TextTeacher | None = None,
    force: bool = False,
) -> Path:
    """Follow a recipe from shards to a model folder; return the folder, `out/model`.

    `teacher` takes the place of all-MiniLM-L6-v2, `force` replaces a model in the folder. Raises
    UsageError for a data folder without images or sounds and for a model in the folder without
    `force`, ModelUnavailableError for missing teachers.
    """
    _check_data(data)
    check_save(out / "model", force=force)
    runs = out / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    with (
        stage_bars(shown=progress) as bars,
        tensorboard_scalars(runs / "tensorboard", written=tensorboard) as scalars,
    ):
        context = RunContext(runs, device, recipe.seed, bars, scalars)
        return _follow(recipe, data, out, context, teacher, force=force)


def _follow(
    recipe: Recipe,
    data: Path,
    out: Path,
    context: RunContext,
    teacher: TextTeacher | None,
    *,
    force: bool,
) -> Path:
    cache, progress = out / "cache", context.progress is not None
    read = train_text(recipe, data, cache, context, teacher)
    image_teacher = teacher_file(data, recipe.image)
    images = prepare_images(data, cache, recipe.image.cache_px, image_teacher, progress=progress)
    recipe = replace(recipe, image=_shortened(recipe, recipe.image, images.items, "images"))
    image, image_figures = train_image_tower(recipe, data, cache, images, read, context)
    text, corpus = read.text, read.corpus
    vectors = vectors_now(text, corpus)
    audio_data = prepare_audio(data, cache, teacher_file(data, recipe.audio), progress=progress)
    recipe = replace(recipe, audio=_shortened(recipe, recipe.audio, audio_data.items, "sounds"))
    audio, audio_figures = train_audio_tower(recipe, data, cache, audio_data, vectors, context)
    figures = {"text": {"dev_cosine": text.cosine}, "image": image_figures, "audio": audio_figures}
    provenance = _provenance(recipe, data, len(corpus), images, audio_data, figures, context.device)
    return _exported(recipe, out, text, image, audio, provenance, force=force)


def _shortened(recipe: Recipe, plan: TowerPlan, items: Sequence[ShardItem], kind: str) -> TowerPlan:
    """Give a plan the share of its steps that its sets have of the training split.

    So a recipe of few sets sees each item as often as one of all.
    """
    if not recipe.sets:
        return plan
    train = np.array([item.split == "train" for item in items], np.bool_)
    share = float(taken_items(recipe, items, kind)[train].mean())
    head, schedule = (
        replace(some, steps=math.ceil(some.steps * share)) for some in (plan.head, plan.schedule)
    )
    return replace(plan, head=head, schedule=schedule)


def _exported(
    recipe: Recipe,
    out: Path,
    text: Distilled,
    image: nn.Module,
    audio: nn.Module,
    provenance: dict[str, Any],
    *,
    force: bool,
) -> Path:
    folder = out / "model"
    towers = {"text": text.tower, "image": image, "audio": audio}
    export(folder, recipe.name, recipe.model, towers, text.vocabulary, provenance, force=force)
    return folder


def _provenance(
    recipe: Recipe,
    data: Path,
    sentences: int,
    images: ImageData,
    audio_data: AudioData,
    figures: dict[str, dict[str, float]],
    device: str,
) -> dict[str, Any]:
    return {
        "recipe": asdict(recipe),
        "data": {
            "shards": [p.name for kind in ("images", "audio") for p in shard_paths(data, kind)],
            "sentences": sentences,
            "pictures": _trained(recipe, images.items),
            "sounds": _trained(recipe, audio_data.items),
            "note": _DATA_NOTE,
        },
        "steps": {
            "text": recipe.text.schedule.steps,
            "image": recipe.image.schedule.steps,
            "audio": recipe.audio.schedule.steps,
        },
        "figures": figures,
        "device": device.partition(":")[0],
        "versions": versions(),
    }


def _trained(recipe: Recipe, items: Sequence[ShardItem]) -> int:
    return sum(i.split == "train" and (not recipe.sets or i.is_of(recipe.sets)) for i in items)


def _check_data(data: Path) -> None:
    for kind in ("images", "audio"):
        if not shard_paths(data, kind):
            raise UsageError(f"{data / kind} has no shards (*.tar)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training", description="Train a model folder from shards."
    )
    parser.add_argument("--recipe", type=Path, default=SHIPPED, metavar="FILE")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--device", default="cpu", metavar="NAME", help='"cpu" or "cuda"')
    parser.add_argument(
        "--open", action="store_true", help="only from sets whose licences allow commercial use"
    )
    parser.add_argument("--force", action="store_true", help="replace the model in DIR")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    try:
        recipe = read_recipe(options.recipe)
        if options.open:
            recipe = replace(recipe, name=f"{recipe.name}-open", sets=recipe.open)
        folder = run_recipe(
            recipe,
            options.data,
            options.out,
            device=options.device,
            progress=not options.quiet,
            force=options.force,
        )
    except SeehearError as error:
        sys.stderr.write(f"training: {error}\n")
        return 1
    sys.stdout.write(f"{folder}\n")
    return 0
