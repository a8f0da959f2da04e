"""Follow the whole recipe: corpus, teachers, text tower, image tower, audio tower, model folder.

    python -m training --data DIR --out DIR [--recipe recipe.toml] [--device cuda] [--open]

`--out` gets `model/` (a model folder), `runs/` (checkpoints, CSV and TensorBoard logs) and
`cache/` (teacher's vectors, decoded media). Stopped at any moment, the same command goes on.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seehear.encoders.tiny.checkpoint import check_save
from seehear.encoders.tiny.towers import EFFICIENTNET, AudioTower, ImageTower, convolutions
from seehear.errors import SeehearError, UsageError
from seehear.finetune.inputs import audio_embed, image_embed
from seehear.finetune.loop import RunContext
from seehear.finetune.tower import tower_groups
from seehear.types import Vectors
from training import captions, datasets
from training.datasets import SentenceVectors, make_dataset, make_eval_callback
from training.efficientnet import efficientnet_weights
from training.export import export, versions
from training.frozen import audio_views, image_views
from training.logs import stage_bars, tensorboard_scalars
from training.prepare import AudioData, ImageData, prepare_audio, prepare_images
from training.recipe import SHIPPED, Recipe, TowerPlan, read_recipe
from training.shards import ShardItem, read_sentences, shard_paths
from training.text_stage import Distilled, distil_text
from training.text_teacher import SentenceTeacher, cached_vectors, common_words
from training.text_torch import choose_vocabulary, embed_texts
from training.tflite import convolution_weights
from training.tower_stage import Student, is_bare, train_tower

# Every bare word and every third sentence of the corpus anchor the text tower while it learns with
# images.
_HELD = 3
_DATA_NOTE = "see README.md beside this file for the licences of the data"


@dataclass(frozen=True, slots=True)
class TextTeacher:
    """What the text tower learns from: sentences -> unit vectors (n, dim), and common words."""

    encode: Callable[[Sequence[str]], Vectors]
    words: Sequence[str]


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


@dataclass(frozen=True, slots=True)
class Read:
    """What the text stage leaves for the others."""

    corpus: Sequence[str]
    taught: SentenceVectors
    """The sentence teacher's vectors."""
    text: Distilled


def train_text(
    recipe: Recipe, data: Path, cache: Path, context: RunContext, teacher: TextTeacher | None = None
) -> Read:
    """Collect the corpus, embed it with the sentence teacher and distil the text tower from it."""
    device, progress = context.device, context.progress is not None
    encode = teacher.encode if teacher else SentenceTeacher(device=device).encode
    words = teacher.words if teacher else common_words()
    corpus = captions.corpus(
        data,
        words,
        phrases_count=recipe.corpus.phrases,
        mixtures_count=recipe.corpus.mixtures,
        seed=recipe.seed,
        sets=recipe.sets,
    )
    targets = cached_vectors(corpus, cache, device=device, progress=progress, encode=encode)
    if targets.shape[1] != recipe.model.dim:
        raise UsageError(
            f"the recipe's dim is {recipe.model.dim}, the sentence teacher's {targets.shape[1]}"
        )
    vocabulary = choose_vocabulary(corpus, words, recipe.corpus.vocabulary)
    text = distil_text(
        corpus,
        targets,
        vocabulary,
        recipe.model.text,
        recipe.text.schedule,
        context,
        warm_start=recipe.text.warm_start,
    )
    taught = SentenceVectors(corpus, targets, lambda some: torch.from_numpy(encode(some)))
    return Read(corpus, taught, text)


def vectors_now(text: Distilled, corpus: Sequence[str]) -> SentenceVectors:
    """Return the vectors that the text tower as it is now gives the sentences of the corpus."""

    def encode(sentences: Sequence[str]) -> torch.Tensor:
        return embed_texts(text.tower, text.tokenizer, sentences)

    return SentenceVectors(corpus, encode(corpus).half().numpy(), encode)


def train_image_tower(
    recipe: Recipe, data: Path, cache: Path, images: ImageData, read: Read, context: RunContext
) -> tuple[nn.Module, dict[str, float]]:
    """Train the image tower, and with it the text tower of `read` where the recipe says so.

    Returns the tower and the figures of the part of the training split that it did not see.
    """
    plan, sizes = recipe.image, recipe.model.image
    text = read.text
    # A text tower that learns with the pictures is held to its teacher's vectors; else the towers
    # meet the sentences where search will, at the vectors of the small text tower.
    vectors = read.taught if plan.text_rate else vectors_now(text, read.corpus)
    torch.manual_seed(recipe.seed)
    tower = ImageTower(recipe.model.dim, **asdict(sizes))
    classes = []
    if plan.classes:
        names = captions.imagenet_names(data / "teachers" / "imagenet_labels.txt")
        classes = [captions.fill(captions.CLASS_SENTENCES["images"], name) for name in names]
    dataset = make_dataset(
        images.items,
        _taken(recipe, images.items, "images"),
        captions.image_captions,
        plan,
        vectors,
        _bank(recipe, data, "picture", vectors),
        classes,
        images.probabilities,
        text.tokenizer if plan.text_rate else None,
        [s for n, s in enumerate(read.corpus) if n % _HELD == 0 or is_bare(s)]
        if plan.text_rate
        else (),
    )
    if plan.start:
        start_from(tower, data / "teachers" / plan.start)
    eval_callback = make_eval_callback(
        tower, images.items, dataset.dev, plan, "images",
        lambda some: embed_texts(text.tower, text.tokenizer, some),
        datasets.plain_images(images, context.device),
    )  # fmt: skip
    student = _student(tower, context.device, text.tower if plan.text_rate else None)
    words: list[dict[str, Any]] = []
    if plan.text_rate:
        reading = list(text.tower.parameters())
        words = [{"params": reading, "weight_decay": 0.0, "factor": plan.text_rate}]
    jitter = recipe.image_jitter
    if plan.head.steps:
        embed = image_views(tower, images, dataset.source.rows, plan, jitter, context, cache)
        head: list[dict[str, Any]] = [{"params": list(tower.projection.parameters())}, *words]
        train_tower(
            "image_head",
            student,
            head,
            dataset,
            embed,
            plan.active_losses,
            plan.head,
            context,
            eval_callback,
        )
    embed = image_embed(images.pixels, plan.image_px, jitter, context.device, plan.dropout)
    groups = tower_groups(tower, [tower.projection], plan.frozen_blocks, plan.backbone_rate)
    figures = train_tower(
        "image",
        student,
        [*groups, *words],
        dataset,
        embed,
        plan.active_losses,
        plan.schedule,
        context,
        eval_callback,
    )
    return tower, figures


def train_audio_tower(
    recipe: Recipe,
    data: Path,
    cache: Path,
    audio_data: AudioData,
    vectors: SentenceVectors,
    context: RunContext,
) -> tuple[nn.Module, dict[str, float]]:
    """Train the audio tower against sentence vectors; return it and the figures, as for images."""
    plan, sizes = recipe.audio, recipe.model.audio
    torch.manual_seed(recipe.seed)
    tower = AudioTower(recipe.model.dim, sizes.hidden, scale=sizes.scale, blocks=sizes.blocks)
    classes = []
    if plan.classes:
        names = captions.audioset_names(data / "teachers" / "yamnet_classes.csv")
        classes = [name.lower() for name in names]
    dataset = make_dataset(
        audio_data.items,
        audio_data.long_enough() & _taken(recipe, audio_data.items, "sounds"),
        captions.audio_captions,
        plan,
        vectors,
        _bank(recipe, data, "sound", vectors),
        classes,
        audio_data.probabilities,
    )
    eval_callback = make_eval_callback(
        tower, audio_data.items, dataset.dev, plan, "audio", vectors,
        datasets.plain_audio(audio_data, context.device),
    )  # fmt: skip
    if plan.start:
        start_from(tower, data / "teachers" / plan.start)
    student = _student(tower, context.device)
    jitter = recipe.audio_jitter
    if plan.views:
        # What is kept apart has views, too, so that another share of it needs no others.
        rows = np.concatenate([dataset.source.rows, dataset.dev])
        embed = audio_views(tower, audio_data, np.sort(rows), plan, jitter, context, cache)
    else:
        embed = audio_embed(audio_data.waveforms, plan.clip_s, jitter, context.device)
    head = [tower.projection, tower.attention]
    groups = tower_groups(tower, head, plan.frozen_blocks, plan.backbone_rate)
    figures = train_tower(
        "audio",
        student,
        groups,
        dataset,
        embed,
        plan.active_losses,
        plan.schedule,
        context,
        eval_callback,
    )
    return tower, figures


def _bank(recipe: Recipe, data: Path, kind: str, vectors: SentenceVectors) -> list[str]:
    """List the sentences without a file that serve as wrong answers."""
    return [] if recipe.sets else [s for s in read_sentences(data, kind) if s in vectors]


def _taken(recipe: Recipe, items: Sequence[ShardItem], kind: str) -> NDArray[np.bool_]:
    """Mark the items of the sets that a recipe learns from; UsageError where there are none."""
    taken = np.array([not recipe.sets or item.is_of(recipe.sets) for item in items], np.bool_)
    if recipe.sets and not taken.any():
        raise UsageError(f"the data folder has no {kind} of {', '.join(recipe.sets)}")
    return taken


def _shortened(recipe: Recipe, plan: TowerPlan, items: Sequence[ShardItem], kind: str) -> TowerPlan:
    """Give a plan the share of its steps that its sets have of the training split.

    So a recipe of few sets sees each item as often as one of all.
    """
    if not recipe.sets:
        return plan
    train = np.array([item.split == "train" for item in items], np.bool_)
    share = float(_taken(recipe, items, kind)[train].mean())
    head, schedule = (
        replace(some, steps=math.ceil(some.steps * share)) for some in (plan.head, plan.schedule)
    )
    return replace(plan, head=head, schedule=schedule)


def _student(tower: nn.Module, device: str, text: nn.Module | None = None) -> Student:
    student = Student(tower, text).to(device)
    result: Student = student.to(memory_format=torch.channels_last)
    return result


def start_from(tower: ImageTower | AudioTower, start: Path) -> None:
    """Give a tower's backbone the weights of a teacher's file, or of an installed package.

    Raises UsageError where the backbone is of other sizes than these weights.
    """
    packaged = start.name == EFFICIENTNET
    pairs = efficientnet_weights() if packaged else convolution_weights(start)
    for layer, (weight, bias) in zip(convolutions(tower.backbone), pairs, strict=False):
        if tuple(layer.weight.shape) != weight.shape or layer.bias is None:
            raise UsageError(f"the tower is of other sizes than {start.name}; leave out `start`")
        layer.weight.data = torch.from_numpy(weight)
        layer.bias.data = torch.from_numpy(bias)


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


def teacher_file(data: Path, plan: TowerPlan) -> Path | None:
    """Return the file that gives class probabilities, None where the plan names none."""
    return data / "teachers" / plan.classes if plan.classes else None


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
