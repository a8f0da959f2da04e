"""Training a picture or sound tower against sentences and classes.

The sentences' vectors stand still, or the text tower learns beside the other one: then it is held
to the sentence teacher's vectors, so that it keeps the words that no picture shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seehear.finetune.loop import EvalCallback, RunContext, Schedule, run_stage
from seehear.finetune.losses import class_distillation, info_nce, sigmoid_pairs
from seehear.finetune.pairs import NegativeQueue, PairSource, SentenceTable, false_negative_mask
from training.text_torch import padded

Embed = Callable[[nn.Module, NDArray[np.int64], np.random.Generator], Tensor]
"""(tower, rows, generator) -> unit vectors (n, dim) of freshly augmented items."""

_ANCHORS = 256
"""Sentences of any kind that hold the text tower in each step, beside those of the batch."""


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How strongly each loss loss_weights."""

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
    """Where the text tower learns too: how strongly it is held to the sentence teacher."""


class Student(nn.Module):
    """A tower with its temperatures and, where it learns too, the text tower."""

    def __init__(self, tower: nn.Module, text: nn.Module | None = None) -> None:
        super().__init__()
        self.tower = tower
        self.text = text
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
class TowerDataset:
    """What a tower is taught with."""

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


def train_tower(
    stage: str,
    student: Student,
    groups: list[dict[str, object]],
    dataset: TowerDataset,
    embed: Embed,
    loss_weights: LossWeights,
    schedule: Schedule,
    context: RunContext,
    watch: EvalCallback | None = None,
) -> dict[str, float]:
    """Train a tower on pairs and class probabilities; gives the last figures of `watch`."""
    device = torch.device(context.device)
    vectors = functional.normalize(dataset.table.vectors.float(), dim=1).to(device)
    classes = functional.normalize(dataset.class_vectors.float(), dim=1).to(device)
    recent = NegativeQueue(loss_weights.queue_size, vectors.shape[1])

    def step(_number: int, rng: np.random.Generator) -> dict[str, Tensor]:
        rows = dataset.source.draw(schedule.batch_size, rng)
        numbers = dataset.source.sentence_of(rows, rng)
        said = vectors[torch.from_numpy(numbers).to(device)]
        texts = said if student.text is None else _read(student.text, dataset, numbers, device)
        items = embed(student.tower, rows, rng).float()
        scale = student.pair_temperature()
        if loss_weights.sigmoid:
            same = false_negative_mask(said, loss_weights.same_cosine)
            losses = {"pairs": sigmoid_pairs(items, texts, scale, student.pair_bias, same)}
        else:
            wrong = _wrong_answers(student, said, vectors, dataset, loss_weights, recent, rng)
            losses = {
                "pairs": info_nce(
                    items,
                    texts,
                    scale,
                    false_negative_mask(said, loss_weights.same_cosine),
                    **wrong,
                ),
                "scale": scale,
            }
        loss = loss_weights.pairs * losses["pairs"]
        if loss_weights.classes:
            wanted = torch.from_numpy(dataset.class_probabilities[rows].astype(np.float32))
            wanted = functional.normalize(wanted.to(device), p=1, dim=1)
            taught = class_distillation(items, classes, student.class_temperature(), wanted)
            loss = loss + loss_weights.classes * taught
            losses["classes"] = taught
        if student.text is not None:
            others = rng.integers(0, len(dataset.pieces), _ANCHORS)
            general = _read(student.text, dataset, others, device)
            wanted = vectors[torch.from_numpy(others).to(device)]
            apart = 2.0 - (texts * said).sum(1).mean() - (general * wanted).sum(1).mean()
            loss = loss + loss_weights.anchor * apart
            losses["apart"] = apart
        recent.push(items, said)
        return {"loss": loss, **losses}

    scales = [student.pair_scale, student.pair_bias, student.class_scale]
    every = [*groups, {"params": scales, "weight_decay": 0.0, "factor": 1.0}]
    return run_stage(stage, student, every, schedule, context, step, watch, recent)


def _read(
    text: nn.Module, dataset: TowerDataset, numbers: NDArray[np.int64], device: torch.device
) -> Tensor:
    """What the text tower makes of sentences of the table now, (n, dim)."""
    result: Tensor = text(padded([dataset.pieces[number] for number in numbers]).to(device))
    return result.float()


def _wrong_answers(
    student: Student,
    said: Tensor,
    vectors: Tensor,
    dataset: TowerDataset,
    loss_weights: LossWeights,
    recent: NegativeQueue,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    """More sentences and more items that are wrong for a batch, as `info_nce` takes them."""
    wrong: dict[str, Tensor] = {}
    if loss_weights.bank_negatives and len(dataset.bank):
        drawn = rng.choice(dataset.bank, loss_weights.bank_negatives)
        known = vectors[torch.from_numpy(drawn).to(said.device)]
        wrong["extra"] = known
        wrong["extra_same"] = said @ known.T > loss_weights.same_cosine
        if student.text is not None:
            with torch.no_grad():
                wrong["extra"] = _read(student.text, dataset, drawn, said.device)
    # Beside a text tower that learns, items of earlier steps would teach it to tell old from new.
    if student.text is None:
        past, past_said = recent.get(said.device)
        wrong |= {"past": past, "past_same": said @ past_said.T > loss_weights.same_cosine}
    return wrong
