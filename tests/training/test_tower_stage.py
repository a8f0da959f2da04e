"""Wrong and right answers of a step: several captions of an item, captions with a word changed."""

from __future__ import annotations

import csv
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from seehear.finetune.loop import RunContext, Schedule
from seehear.finetune.pairs import PairSource, SentenceTable
from training.captions import swapped
from training.tower_stage import LossWeights, Student, TowerDataset, train_tower

DIM, PLAIN = 8, LossWeights(classes=0.0, bank_negatives=0, queue_size=0, same_cosine=0.99)


class Rows(nn.Module):
    """A tower that knows each item, or each sentence by its one piece, by heart."""

    def __init__(self, count: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.vectors = nn.Parameter(torch.randn(count, DIM))

    def forward(self, numbers: Tensor) -> Tensor:
        return functional.normalize(self.vectors[numbers.reshape(-1)], dim=1)


def embed(tower: nn.Module, rows: Any, _rng: object) -> Tensor:
    vectors: Tensor = tower(torch.from_numpy(np.asarray(rows)))
    return vectors


def dataset(sentences: int) -> TowerDataset:
    """Item r has sentence r; sentences beyond the two items belong to none."""
    table = SentenceTable()
    for number in range(sentences):
        table.number(f"sentence {number}")
    table.vectors = Rows(sentences, 1)(torch.arange(sentences)).detach()
    return TowerDataset(
        source=PairSource([np.array([0]), np.array([1])], np.array([0, 1]), np.array([0.5, 0.5])),
        table=table,
        bank=np.zeros(0, np.int64),
        class_vectors=torch.zeros(0, 1),
        class_probabilities=np.zeros((2, 0), np.float16),
        dev=np.zeros(0, np.int64),
        pieces=[[number] for number in range(sentences)],
    )


def trained(student: Student, data: TowerDataset, weights: LossWeights, folder: Path) -> None:
    schedule = Schedule(40, 2, 0.05, weight_decay=0.0, average=0.0)
    groups: list[dict[str, object]] = [{"params": list(student.tower.parameters())}]
    if student.text is not None:
        groups.append({"params": list(student.text.parameters())})
    train_tower("stage", student, groups, data, embed, weights, schedule, RunContext(folder))


def first_loss(folder: Path) -> float:
    with (folder / "stage.csv").open(encoding="utf-8") as handle:
        return next(float(value) for step, name, value in csv.reader(handle) if name == "pairs")


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_the_other_items_captions_are_all_wrong_and_its_own_are_not(
    draws: int, tmp_path: Path
) -> None:
    data, student = dataset(2), Student(Rows(2, 0))
    scale = float(student.pair_temperature().detach())
    items = embed(student.tower, [0, 1], None).detach()
    logits = scale * items @ data.table.vectors.T
    trained(student, data, replace(PLAIN, captions=draws), tmp_path)

    def surprise(own: Tensor, other: Tensor, times: int) -> Tensor:
        return torch.log(1 + times * torch.exp(other - own))

    expected = sum(
        0.25 * float(surprise(logits[r, r], logits[r, 1 - r], draws))
        + 0.25 * float(surprise(logits[r, r], logits[1 - r, r], 1))
        for r in (0, 1)
    )
    assert first_loss(tmp_path) == pytest.approx(expected, rel=1e-4)


def test_a_caption_with_a_word_changed_moves_away_from_its_own_item_alone(tmp_path: Path) -> None:
    found = {}
    for name, pairs in {"without": {}, "with": {0: 2}}.items():
        text = Rows(3, 1)
        text.vectors.data[2] = text.vectors.data[0] + 0.1  # nearly the same
        student = Student(Rows(2, 0), text)
        trained(student, replace(dataset(3), swapped=pairs), PLAIN, tmp_path / name)
        items = embed(student.tower, [0, 1], None)
        own, changed = (items[0] @ text(torch.tensor([0, 2])).T).detach()
        found[name] = float(own - changed)
    assert found["with"] > found["without"] + 0.1


@pytest.mark.parametrize(
    ("sentence", "allowed"),
    [
        ("A dog on a beach", {f"A {noun} on a beach" for noun in ("cat", "horse")}),
        ("Three people", {None}),
    ],
)
def test_a_noun_is_swapped_for_another(sentence: str, allowed: set[str | None]) -> None:
    made = {swapped(sentence, ("cat", "dog", "horse"), random.Random(n)) for n in range(50)}
    assert made == allowed


def test_a_colour_is_swapped_before_a_noun() -> None:
    made = {swapped("a red dog", ("cat", "dog"), random.Random(n)) for n in range(200)}
    assert all(one and one.startswith("a ") and one.endswith(" dog") for one in made)
    assert "a red dog" not in made
    assert len(made) == 10
