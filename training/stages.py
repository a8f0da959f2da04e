"""Train the towers one after the other: text, then images with it, then sounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seehear.encoders.tiny.towers import EFFICIENTNET, AudioTower, ImageTower, convolutions
from seehear.errors import UsageError
from seehear.finetune.inputs import audio_embed, image_embed
from seehear.finetune.loop import RunContext
from seehear.finetune.tower import tower_groups
from seehear.types import Vectors
from training import captions, datasets
from training.datasets import SentenceVectors, make_dataset, make_eval_callback
from training.efficientnet import efficientnet_weights
from training.frozen import audio_views, image_views
from training.prepare import AudioData, ImageData
from training.recipe import Recipe, TowerPlan
from training.shards import ShardItem, read_sentences
from training.text_stage import Distilled, distil_text
from training.text_teacher import SentenceTeacher, cached_vectors, common_words
from training.text_torch import choose_vocabulary, embed_texts
from training.tflite import convolution_weights
from training.tower_stage import Student, is_bare, train_tower

# Every bare word and every third sentence of the corpus anchor the text tower while it learns with
# images.
_HELD = 3


@dataclass(frozen=True, slots=True)
class TextTeacher:
    """What the text tower learns from: sentences -> unit vectors (n, dim), and common words."""

    encode: Callable[[Sequence[str]], Vectors]
    words: Sequence[str]


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
        taken_items(recipe, images.items, "images"),
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
    train = partial(
        train_tower,
        student=student,
        dataset=dataset,
        weights=plan.active_losses,
        context=context,
        eval_callback=eval_callback,
    )
    if plan.head.steps:
        embed = image_views(tower, images, dataset.source.rows, plan, jitter, context, cache)
        head: list[dict[str, Any]] = [{"params": list(tower.projection.parameters())}, *words]
        train("image_head", groups=head, embed=embed, schedule=plan.head)
    embed = image_embed(images.pixels, plan.image_px, jitter, context.device, plan.dropout)
    groups = tower_groups(tower, [tower.projection], plan.frozen_blocks, plan.backbone_rate)
    figures = train("image", groups=[*groups, *words], embed=embed, schedule=plan.schedule)
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
        audio_data.long_enough() & taken_items(recipe, audio_data.items, "sounds"),
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


def taken_items(recipe: Recipe, items: Sequence[ShardItem], kind: str) -> NDArray[np.bool_]:
    """Mark the items of the sets that a recipe learns from; UsageError where there are none."""
    taken = np.array([not recipe.sets or item.is_of(recipe.sets) for item in items], np.bool_)
    if recipe.sets and not taken.any():
        raise UsageError(f"the data folder has no {kind} of {', '.join(recipe.sets)}")
    return taken


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


def teacher_file(data: Path, plan: TowerPlan) -> Path | None:
    """Return the file that gives class probabilities, None where the plan names none."""
    return data / "teachers" / plan.classes if plan.classes else None
