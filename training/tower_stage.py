"""Train an image or audio tower against sentences and classes.

The sentences' vectors are fixed, or the text tower learns together with the other one: then it is
held to the sentence teacher's vectors, so that it keeps words that no image shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seehear.finetune.inputs import Embed
from seehear.finetune.loop import EvalCallback, RunContext, Schedule, run_stage
from seehear.finetune.losses import info_nce
from seehear.finetune.pairs import NegativeQueue, PairSource, SentenceTable, false_negative_mask
from seehear.finetune.tower import ScaledTower
from training.losses import class_distillation, sigmoid_pairs
from training.text_torch import padded

_ANCHORS = 256
"""Sentences of any kind that hold the text tower in each step, beside those of the batch."""


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How strongly each loss weights."""

    pairs: float = 1.0
    classes: float = 1.0
    """Distillation from the class probabilities of the teacher."""
    sigmoid: bool = False
    """Judge each pair by itself instead of InfoNCE."""
    bank_negatives: int = 2048
    """Sentences from the bank that are wrong for every item of a step."""
    queue_size: int = 1024
    same_cosine: float = 0.85
    """Sentences nearer than this (cosine) do not count as wrong for each other's items."""
    anchor: float = 3.0
    """Where the text tower learns too: how much its distance from the sentence teacher counts."""
    bare_anchors: float = 0.5
    """Part of the sentences that hold the text tower which are one word or two: they are few among
    all, and drift first."""


class Student(ScaledTower):
    """A tower with its temperatures and, where it learns too, the text tower."""

    def __init__(self, tower: nn.Module, text: nn.Module | None = None) -> None:
        super().__init__(tower)
        self.text = text
        self.pair_bias = nn.Parameter(torch.tensor(-6.0))
        self.class_scale = nn.Parameter(torch.tensor(3.2))

    def class_temperature(self) -> Tensor:
        """Return the inverse temperature of class sentences, at most 100."""
        return self.class_scale.clamp(max=4.6).exp()


@dataclass(frozen=True, slots=True)
class TowerDataset:
    """What a tower is trained with."""

    source: PairSource
    table: SentenceTable
    bank: NDArray[np.int64]
    """Numbers of sentences that serve as wrong answers."""
    class_vectors: Tensor
    """Vectors of the teacher's class sentences, (m, dim)."""
    class_probabilities: NDArray[np.float16]
    """Per row: the teacher's probabilities, (rows, m)."""
    dev: NDArray[np.int64]
    """Rows of the training split that are left out: settings are chosen by them."""
    pieces: Sequence[Sequence[int]] = ()
    """Per sentence of the table: the numbers of its pieces. Only a text tower that learns reads
    them; the table's vectors are then the sentence teacher's."""
    bare: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Numbers of the sentences of one word or two, as people type them."""


def train_tower(
    stage: str,
    student: Student,
    groups: list[dict[str, object]],
    dataset: TowerDataset,
    embed: Embed,
    weights: LossWeights,
    schedule: Schedule,
    context: RunContext,
    eval_callback: EvalCallback | None = None,
) -> dict[str, float]:
    """Train a tower on pairs and class probabilities; return the last figures."""
    device = torch.device(context.device)
    vectors = functional.normalize(dataset.table.vectors.float(), dim=1).to(device)
    classes = functional.normalize(dataset.class_vectors.float(), dim=1).to(device)
    queue = NegativeQueue(weights.queue_size, vectors.shape[1])

    def step(_number: int, rng: np.random.Generator) -> dict[str, Tensor]:
        rows = dataset.source.draw(schedule.batch_size, rng)
        numbers = dataset.source.sentence_of(rows, rng)
        # The vectors that stand still; a text tower that learns gives its own beside them.
        fixed = vectors[torch.from_numpy(numbers).to(device)]
        texts = fixed if student.text is None else _read(student.text, dataset, numbers, device)
        items = embed(student.tower, rows, rng).float()
        scale = student.pair_temperature()
        if weights.sigmoid:
            same = false_negative_mask(fixed, fixed, weights.same_cosine)
            losses = {"pairs": sigmoid_pairs(items, texts, scale, student.pair_bias, same)}
        else:
            wrong = _wrong_answers(student, fixed, vectors, dataset, weights, queue, rng)
            losses = {
                "pairs": info_nce(
                    items,
                    texts,
                    scale,
                    false_negative_mask(fixed, fixed, weights.same_cosine),
                    **wrong,
                ),
                "scale": scale,
            }
        loss = weights.pairs * losses["pairs"]
        if weights.classes:
            wanted = torch.from_numpy(dataset.class_probabilities[rows].astype(np.float32))
            wanted = functional.normalize(wanted.to(device), p=1, dim=1)
            taught = class_distillation(items, classes, student.class_temperature(), wanted)
            loss = loss + weights.classes * taught
            losses["classes"] = taught
        if student.text is not None:
            others = rng.integers(0, len(dataset.pieces), _ANCHORS)
            bare = int(weights.bare_anchors * _ANCHORS) if len(dataset.bare) else 0
            others[:bare] = rng.choice(dataset.bare, bare) if bare else ()
            general = _read(student.text, dataset, others, device)
            wanted = vectors[torch.from_numpy(others).to(device)]
            apart = 2.0 - (texts * fixed).sum(1).mean() - (general * wanted).sum(1).mean()
            loss = loss + weights.anchor * apart
            losses["apart"] = apart
        queue.push(items, fixed)
        return {"loss": loss, **losses}

    scales = [student.pair_scale, student.pair_bias, student.class_scale]
    every = [*groups, {"params": scales, "weight_decay": 0.0, "factor": 1.0}]
    return run_stage(stage, student, every, schedule, context, step, eval_callback, queue)


def is_bare(sentence: str) -> bool:
    """Tell whether a sentence is one word or two."""
    return sentence.count(" ") < 2


def _read(
    text: nn.Module, dataset: TowerDataset, numbers: NDArray[np.int64], device: torch.device
) -> Tensor:
    """Encode sentences of the table with the text tower as it is now: (n, dim)."""
    result: Tensor = text(padded([dataset.pieces[number] for number in numbers]).to(device))
    return result.float()


def _wrong_answers(
    student: Student,
    fixed: Tensor,
    vectors: Tensor,
    dataset: TowerDataset,
    weights: LossWeights,
    queue: NegativeQueue,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    """Return more sentences and items that are wrong for a batch, as `info_nce` takes them."""
    wrong: dict[str, Tensor] = {}
    if weights.bank_negatives and len(dataset.bank):
        drawn = rng.choice(dataset.bank, weights.bank_negatives)
        known = vectors[torch.from_numpy(drawn).to(fixed.device)]
        wrong["extra"] = known
        wrong["extra_same"] = false_negative_mask(fixed, known, weights.same_cosine)
        if student.text is not None:
            with torch.no_grad():
                wrong["extra"] = _read(student.text, dataset, drawn, fixed.device)
    # Beside a text tower that learns, items of earlier steps would teach it to tell old from new.
    if student.text is None:
        wrong |= queue.negatives(fixed, weights.same_cosine)
    return wrong
