"""The losses that only the recipe uses, on unit rows; `scale` is the inverse temperature."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from seehear.finetune.losses import MASKED


def sigmoid_pairs(
    items: Tensor, texts: Tensor, scale: Tensor, bias: Tensor, same: Tensor
) -> Tensor:
    """Judge each pair by itself (SigLIP, arXiv:2303.15343); arguments as `info_nce`."""
    n = len(items)
    logits = scale * items @ texts.T + bias
    eye = torch.eye(n, dtype=torch.bool, device=items.device)
    signs = torch.where(eye, 1.0, -1.0)
    terms = functional.logsigmoid(signs * logits).masked_fill(same & ~eye, 0.0)
    return -terms.sum() / n


def class_distillation(
    items: Tensor, classes: Tensor, scale: Tensor, probabilities: Tensor
) -> Tensor:
    """Return the KL divergence of softmax(scale * item . class) from the teacher's (n, m).

    The zero-shot classifier that the sentences of the teacher's classes make shall say what the
    teacher says (arXiv:1503.02531).
    """
    log_q = functional.log_softmax(scale * items @ classes.T, dim=1)
    return functional.kl_div(log_q, probabilities, reduction="batchmean")


def relational_kd_loss(student: Tensor, teacher: Tensor, scale: float) -> Tensor:
    """Return the KL divergence between the similarity distributions of student and teacher in a
    batch (relational distillation, arXiv:1904.05068)."""
    eye = torch.eye(len(student), dtype=torch.bool, device=student.device)
    q = (scale * student @ student.T).masked_fill(eye, MASKED)
    p = (scale * teacher @ teacher.T).masked_fill(eye, MASKED)
    return functional.kl_div(
        functional.log_softmax(q, dim=1), functional.softmax(p, dim=1), reduction="batchmean"
    )
