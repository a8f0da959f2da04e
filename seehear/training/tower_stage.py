"""Training a picture or sound tower against sentences, classes and, for heads, cached features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seehear.training.loop import Schedule, Watch, Workplace, run_stage
from seehear.training.losses import class_distillation, info_nce, sigmoid_pairs
from seehear.training.pairs import PairSource, RecentItems, SentenceTable, alike

Embed = Callable[[nn.Module, NDArray[np.int64], np.random.Generator], Tensor]
"""(tower, rows, generator) -> unit vectors (n, dim) of freshly augmented items."""


@dataclass(frozen=True, slots=True)
class Pulls:
    """How strongly each loss pulls."""

    pairs: float = 1.0
    classes: float = 1.0
    """Distillation from the class probabilities of the teacher."""
    sigmoid: bool = False
    """Judge each pair by itself instead of InfoNCE."""
    extra_texts: int = 2048
    """Sentences from the bank that are wrong for every item of a step."""
    recent_items: int = 1024
    alike: float = 0.85
    """Sentences nearer than this (cosine) do not count as wrong for each other's items."""


class Student(nn.Module):
    """A tower with its temperatures."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower
        self.pair_scale = nn.Parameter(torch.tensor(3.0))
        self.pair_bias = nn.Parameter(torch.tensor(-6.0))
        self.class_scale = nn.Parameter(torch.tensor(3.2))

    def pair_temperature(self) -> Tensor:
        """Inverse temperature of pairs, at most 100."""
        return self.pair_scale.clamp(max=4.6).exp()

    def class_temperature(self) -> Tensor:
        """Inverse temperature of class sentences, at most 100."""
        return self.class_scale.clamp(max=4.6).exp()


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a tower is taught with."""

    source: PairSource
    table: SentenceTable
    bank: NDArray[np.int64]
    """Numbers of sentences that serve as wrong answers."""
    class_vectors: Tensor
    """Vectors of the teacher's class sentences, (m, dim)."""
    class_probabilities: NDArray[np.float16]
    """Per row: the teacher's probabilities, (rows, m)."""


def train_tower(
    stage: str,
    student: Student,
    groups: list[dict[str, object]],
    lesson: Lesson,
    embed: Embed,
    pulls: Pulls,
    schedule: Schedule,
    place: Workplace,
    watch: Watch | None = None,
) -> dict[str, float]:
    """Train a tower on pairs and class probabilities; gives the last figures of `watch`."""
    device = torch.device(place.device)
    vectors = functional.normalize(lesson.table.vectors.float(), dim=1).to(device)
    classes = functional.normalize(lesson.class_vectors.float(), dim=1).to(device)
    recent = RecentItems(pulls.recent_items, vectors.shape[1])

    def step(_number: int, rng: np.random.Generator) -> dict[str, Tensor]:
        rows = lesson.source.draw(schedule.batch_size, rng)
        numbers = torch.from_numpy(lesson.source.sentence_of(rows, rng)).to(device)
        texts = vectors[numbers]
        items = embed(student.tower, rows, rng).float()
        losses = _pair_loss(student, items, texts, vectors, lesson, pulls, recent, rng)
        loss = pulls.pairs * losses["pairs"]
        if pulls.classes:
            wanted = torch.from_numpy(lesson.class_probabilities[rows].astype(np.float32))
            wanted = functional.normalize(wanted.to(device), p=1, dim=1)
            taught = class_distillation(items, classes, student.class_temperature(), wanted)
            loss = loss + pulls.classes * taught
            losses["classes"] = taught
        recent.push(items, texts)
        return {"loss": loss, **losses}

    scales = [student.pair_scale, student.pair_bias, student.class_scale]
    every = [*groups, {"params": scales, "weight_decay": 0.0, "factor": 1.0}]
    return run_stage(stage, student, every, schedule, place, step, watch, recent)


def _pair_loss(
    student: Student,
    items: Tensor,
    texts: Tensor,
    vectors: Tensor,
    lesson: Lesson,
    pulls: Pulls,
    recent: RecentItems,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    scale = student.pair_temperature()
    same = alike(texts, pulls.alike)
    if pulls.sigmoid:
        return {"pairs": sigmoid_pairs(items, texts, scale, student.pair_bias, same)}
    extra = None
    hidden = None
    if pulls.extra_texts and len(lesson.bank):
        drawn = torch.from_numpy(rng.choice(lesson.bank, pulls.extra_texts)).to(items.device)
        extra = vectors[drawn]
        hidden = texts @ extra.T > pulls.alike
    past, past_texts = recent.get(items.device)
    past_hidden = texts @ past_texts.T > pulls.alike
    loss = info_nce(
        items, texts, scale, same,
        extra=extra, extra_same=hidden, past=past, past_same=past_hidden,
    )  # fmt: skip
    return {"pairs": loss, "scale": scale}
