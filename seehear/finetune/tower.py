"""Train an image or audio tower on pairs, with the text tower unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seehear.encoders.tiny.towers import AudioTower, ImageTower
from seehear.finetune.inputs import Embed
from seehear.finetune.loop import RunContext, Schedule, run_stage
from seehear.finetune.losses import info_nce
from seehear.finetune.pairs import NegativeQueue, PairSource, SentenceTable, false_negative_mask


class ScaledTower(nn.Module):
    """A tower with the learned temperature of its pairs."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower
        self.pair_scale = nn.Parameter(torch.tensor(3.0))

    def pair_temperature(self) -> Tensor:
        """Return the inverse temperature of pairs, at most 100."""
        return self.pair_scale.clamp(max=4.6).exp()


@dataclass(frozen=True, slots=True)
class Negatives:
    """How many wrong answers a step uses besides those in its own batch."""

    sentences: int
    """Sentences of other files, drawn anew in each step."""
    items: int
    """Files of the previous steps."""
    same_cosine: float = 0.95
    """Sentences nearer than this (cosine) do not count as wrong for each other's files."""


def tune_tower(
    stage: str,
    student: ScaledTower,
    groups: Sequence[dict[str, Any]],
    source: PairSource,
    table: SentenceTable,
    embed: Embed,
    negatives: Negatives,
    schedule: Schedule,
    context: RunContext,
) -> None:
    """Train the tower of `student` on the pairs of `source`; `groups` as `run_stage` takes them."""
    device = torch.device(context.device)
    vectors = functional.normalize(table.vectors.float(), dim=1).to(device)
    queue = NegativeQueue(negatives.items, vectors.shape[1])
    limit = negatives.same_cosine

    def step(_number: int, rng: np.random.Generator) -> dict[str, Tensor]:
        rows = source.draw(schedule.batch_size, rng)
        texts = vectors[torch.from_numpy(source.sentence_of(rows, rng)).to(device)]
        items = embed(student.tower, rows, rng).float()
        extra = vectors[torch.from_numpy(rng.choice(len(vectors), negatives.sentences)).to(device)]
        scale = student.pair_temperature()
        loss = info_nce(
            items,
            texts,
            scale,
            false_negative_mask(texts, texts, limit),
            extra=extra,
            extra_same=false_negative_mask(texts, extra, limit),
            **queue.negatives(texts, limit),
        )
        queue.push(items, texts)
        return {"loss": loss, "scale": scale}

    every = [*groups, {"params": [student.pair_scale], "weight_decay": 0.0, "factor": 1.0}]
    run_stage(stage, student, every, schedule, context, step, step_state=queue)


def tower_groups(
    tower: ImageTower | AudioTower, head: Sequence[nn.Module], frozen: int, rate: float
) -> list[dict[str, Any]]:
    """Return AdamW's groups: the backbone, slower by `rate`, then the head.

    The first `frozen` blocks of the backbone, and the stem before them, keep their weights.
    """
    if frozen:
        tower.backbone.layers[: tower.backbone.depth(frozen)].requires_grad_(False)
    moving = [p for p in tower.backbone.parameters() if p.requires_grad]
    rest = [p for module in head for p in module.parameters()]
    return [{"params": moving, "factor": rate}, {"params": rest, "factor": 1.0}]


def arrays_of(module: nn.Module, prefix: str) -> dict[str, NDArray[np.float32]]:
    """Return a module's weights as float32 arrays, each name behind `prefix` and a dot."""
    state = module.state_dict()
    return {f"{prefix}.{name}": value.float().cpu().numpy() for name, value in state.items()}
