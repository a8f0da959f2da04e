"""Distil the sentence teacher into the small text tower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seehear.encoders.tiny.checkpoint import TextConfig
from seehear.encoders.tiny.tokenizer import Tokenizer
from seehear.finetune.loop import RunContext, Schedule, run_stage
from training.losses import relational_kd_loss
from training.text_torch import TextTorch, padded

_RELATIONAL_SCALE = 20.0
_DEV_SENTENCES = 2000


@dataclass(frozen=True, slots=True)
class Distilled:
    """The text tower after distillation, with its cosine to the teacher on unseen sentences."""

    tower: TextTorch
    tokenizer: Tokenizer
    vocabulary: tuple[str, ...]
    cosine: float


def build_text_tower(config: TextConfig, vocabulary: int, dim: int) -> TextTorch:
    """An untrained text tower of the configured sizes."""
    return TextTorch(
        vocabulary,
        dim,
        width=config.width,
        hidden=config.hidden,
        blocks=config.blocks,
        heads=config.heads,
        inner=config.inner,
    )


def warm_text_tower(
    config: TextConfig,
    vocabulary: Sequence[str],
    sentences: Sequence[str],
    targets: NDArray[Any],
) -> TextTorch:
    """A text tower that starts as a sum of word vectors.

    A word that stands among `sentences` by itself has a target of its own (n, dim). Its piece
    begins as that target in the leading directions of all such targets, and the projection begins
    as the way back, so that the first step already adds up what the words mean.
    """
    dim = targets.shape[1]
    tower = build_text_tower(config, len(vocabulary), dim)
    row_of = {sentence: row for row, sentence in enumerate(sentences)}
    known = [(piece, row_of[word]) for piece, word in enumerate(vocabulary) if word in row_of]
    if len(known) < config.width:
        return tower
    words = np.asarray(targets[[row for _, row in known]], np.float32)
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    mean = words.mean(axis=0)
    _, _, directions = np.linalg.svd(words - mean, full_matrices=False)
    leading = np.ascontiguousarray(directions[: config.width])
    with torch.no_grad():
        tower.embedding.normal_(0, 0.02)
        # Four times larger: layer norms see a spread near one instead of that of unit vectors.
        tower.embedding[[piece for piece, _ in known]] = torch.from_numpy(
            (words - mean) @ leading.T * np.float32(4)
        )
        back = torch.from_numpy(leading.T.copy()) / (2 * config.heads)
        tower.direct.weight.copy_(back.repeat(1, config.heads))
        tower.direct.bias.copy_(torch.from_numpy(mean) * 0.5)
        tower.outer.weight.mul_(0.1)
        tower.outer.bias.zero_()
    return tower


def distil_text(
    sentences: Sequence[str],
    targets: NDArray[Any],
    vocabulary: Sequence[str],
    config: TextConfig,
    schedule: Schedule,
    context: RunContext,
    *,
    warm_start: bool = False,
) -> Distilled:
    """Train a text tower to give `targets` (n, dim) for `sentences`; the last ones are held out.

    `warm_start` begins with the targets of the vocabulary's words, as `warm_text_tower` says.
    """
    torch.manual_seed(context.seed)
    tokenizer = Tokenizer(vocabulary, config.most_tokens)
    if warm_start:
        tower = warm_text_tower(config, vocabulary, sentences, targets)
    else:
        tower = build_text_tower(config, len(vocabulary), targets.shape[1])
    tower = tower.to(context.device)
    ids = [tokenizer(sentence) or [0] for sentence in sentences]
    held = min(_DEV_SENTENCES, len(ids) // 10)
    pool = len(ids) - held
    lengths = np.array([len(row) for row in ids[:pool]])

    def vectors(rows: Sequence[int]) -> Tensor:
        picked = torch.from_numpy(targets[list(rows)].astype(np.float32)).to(context.device)
        return torch.nn.functional.normalize(picked, dim=1)

    def forward(rows: Sequence[int]) -> Tensor:
        result: Tensor = tower(padded([ids[row] for row in rows]).to(context.device))
        return result

    def step(_number: int, rng: np.random.Generator) -> dict[str, Tensor]:
        rows = like_lengths(lengths, schedule.batch_size, rng)
        wanted = vectors(rows)
        given = torch.cat([forward(part) for part in _parts(rows)])
        cosine = (given * wanted).sum(1).mean()
        near = relational_kd_loss(given, wanted, _RELATIONAL_SCALE)
        return {"loss": 4.0 * (1.0 - cosine) + near, "cosine": cosine, "relational": near}

    def eval_callback(_number: int) -> dict[str, float]:
        rows = range(pool, len(ids))
        with torch.inference_mode():
            given = forward(rows)
        return {"dev_cosine": float((given * vectors(rows)).sum(1).mean())}

    # An embedding row that a batch does not touch must not decay.
    groups: list[dict[str, Any]] = [
        {"params": [tower.embedding], "weight_decay": 0.0, "factor": 2.0},
        {"params": [p for n, p in tower.named_parameters() if n != "embedding"]},
    ]
    figures = run_stage("text", tower, groups, schedule, context, step, eval_callback)
    return Distilled(tower, tokenizer, tuple(vocabulary), figures.get("dev_cosine", 0.0))


def like_lengths(lengths: NDArray[Any], count: int, rng: np.random.Generator) -> list[int]:
    """`count` random rows in order of their lengths."""
    drawn = rng.integers(0, len(lengths), count)
    return [int(row) for row in drawn[np.argsort(lengths[drawn], kind="stable")]]


def _parts(rows: Sequence[int], count: int = 4) -> list[Sequence[int]]:
    """Rows in order of length, cut so that each part needs little padding."""
    size = -(-len(rows) // count)
    return [rows[start : start + size] for start in range(0, len(rows), size)]
