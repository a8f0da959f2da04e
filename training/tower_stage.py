"""Train an image or audio tower against sentences and classes.

The sentences' vectors are fixed, or the text tower learns together with the other one: then it is
held to the sentence teacher's vectors, so that it keeps words that no image shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    captions: int = 1
    """Sentences drawn for each item of a step. Each is right for its item; for it, the item's
    others count neither as right nor as wrong (compare arXiv:2004.11362)."""
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
    swapped: Mapping[int, int] = field(default_factory=dict)
    """Number of a sentence -> that of one that differs in a word, and is wrong for its items."""
    bare: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Numbers of the sentences of one word or two, as people type them."""

    def swapped_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the sentences that differ in a word from some of these."""
        return np.array([self.swapped[n] for n in numbers if n in self.swapped], np.int64)


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
        drawn = [dataset.source.sentence_of(rows, rng) for _ in range(weights.captions)]
        numbers = np.concatenate(drawn)
        # The vectors that stand still; a text tower that learns gives its own beside them.
        fixed = vectors[torch.from_numpy(numbers).to(device)]
        texts = fixed if student.text is None else _read(student.text, dataset, numbers, device)
        items = embed(student.tower, rows, rng).float()
        wrong = _wrong_answers(student, numbers, len(rows), vectors, dataset, weights, queue, rng)
        losses = {"pairs": _pairs_loss(student, items, texts, fixed, weights, wrong)}
        if not weights.sigmoid:
            losses["scale"] = student.pair_temperature()
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
            others = np.concatenate([others, dataset.swapped_of(numbers)])
            general = _read(student.text, dataset, others, device)
            wanted = vectors[torch.from_numpy(others).to(device)]
            apart = 2.0 - (texts * fixed).sum(1).mean() - (general * wanted).sum(1).mean()
            loss = loss + weights.anchor * apart
            losses["apart"] = apart
        queue.push(items, fixed[: len(items)])
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


def _pairs_loss(
    student: Student,
    items: Tensor,
    texts: Tensor,
    fixed: Tensor,
    weights: LossWeights,
    wrong: Mapping[str, Tensor],
) -> Tensor:
    """Return the mean loss of the pairs over the draws of sentences.

    `texts` and `fixed` (draws * n, dim): row r belongs to item r % n. `wrong` is for all of them.
    """
    n, draws = len(items), weights.captions
    scale = student.pair_temperature()
    own = torch.eye(n, dtype=torch.bool, device=items.device).repeat(draws, draws)
    same = false_negative_mask(fixed, fixed, weights.same_cosine) | own
    total = items.new_zeros(())
    for start in range(0, len(texts), n):
        mine = slice(start, start + n)
        alike = same[mine, mine]
        if weights.sigmoid:
            total = total + sigmoid_pairs(items, texts[mine], scale, student.pair_bias, alike)
            continue
        here = dict(wrong)
        for name in ("extra_same", "past_same"):
            if name in here:
                here[name] = here[name][mine]
        if draws > 1:
            others = torch.ones(len(texts), dtype=torch.bool, device=items.device)
            others[mine] = False
            here["extra"] = torch.cat([here["extra"], texts[others]])
            here["extra_same"] = torch.cat([here["extra_same"], same[mine, others]], dim=1)
        total = total + info_nce(items, texts[mine], scale, alike, **here)
    return total / draws


def _wrong_answers(
    student: Student,
    numbers: NDArray[np.int64],
    items: int,
    vectors: Tensor,
    dataset: TowerDataset,
    weights: LossWeights,
    queue: NegativeQueue,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    """Return more sentences and items that are wrong for a batch, as `info_nce` takes them.

    `numbers` are the sentences of the batch, number r that of item r % `items`.
    """
    if weights.sigmoid:
        return {}
    device = vectors.device
    fixed = vectors[torch.from_numpy(numbers).to(device)]
    extra, hidden = [fixed[:0]], [fixed.new_zeros((len(fixed), 0), dtype=torch.bool)]
    if weights.bank_negatives and len(dataset.bank):
        drawn = rng.choice(dataset.bank, weights.bank_negatives)
        known = vectors[torch.from_numpy(drawn).to(device)]
        hidden.append(false_negative_mask(fixed, known, weights.same_cosine))
        if student.text is not None:
            with torch.no_grad():
                known = _read(student.text, dataset, drawn, device)
        extra.append(known)
    if student.text is not None and len(other := dataset.swapped_of(numbers)):
        extra.append(_read(student.text, dataset, other, device))
        owners = [row % items for row, number in enumerate(numbers) if number in dataset.swapped]
        of_item = torch.arange(len(fixed), device=device)[:, None] % items
        hidden.append(of_item != torch.tensor(owners, device=device))
    wrong = {"extra": torch.cat(extra), "extra_same": torch.cat(hidden, dim=1)}
    # Beside a text tower that learns, items of earlier steps would teach it to tell old from new.
    if student.text is None:
        wrong |= queue.negatives(fixed, weights.same_cosine)
    return wrong
