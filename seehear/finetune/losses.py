"""What the towers are pulled by. Vectors are unit rows; `scale` is the inverse temperature."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_MASKED = -1e4


def info_nce(
    items: Tensor,
    texts: Tensor,
    scale: Tensor,
    same: Tensor,
    *,
    extra: Tensor | None = None,
    extra_same: Tensor | None = None,
    past: Tensor | None = None,
    past_same: Tensor | None = None,
) -> Tensor:
    """Symmetric cross entropy of pairs (arXiv:1807.03748, as CLIP's, arXiv:2103.00020).

    `items` and `texts` (n, dim): row i of one belongs to row i of the other. `same` (n, n), bool:
    pairs that are alike in truth (one class, one picture); they count neither way. `extra`
    (m, dim): more texts that are wrong for the items; `past` (p, dim): more items that are wrong
    for the texts; the bool (n, m) and (n, p) beside them name exceptions.
    """
    logits = scale * items @ texts.T
    others = same & ~torch.eye(len(items), dtype=torch.bool, device=items.device)
    logits = logits.masked_fill(others, _MASKED)
    truth = torch.arange(len(items), device=items.device)
    by_item = _widened(logits, items, extra, extra_same, scale)
    by_text = _widened(logits.T, texts, past, past_same, scale)
    return 0.5 * (
        functional.cross_entropy(by_item, truth) + functional.cross_entropy(by_text, truth)
    )


def _widened(
    logits: Tensor, rows: Tensor, more: Tensor | None, hide: Tensor | None, scale: Tensor
) -> Tensor:
    if more is None or not len(more):
        return logits
    wide = scale * rows @ more.T
    if hide is not None:
        wide = wide.masked_fill(hide, _MASKED)
    return torch.cat([logits, wide], dim=1)


def sigmoid_pairs(
    items: Tensor, texts: Tensor, scale: Tensor, bias: Tensor, same: Tensor
) -> Tensor:
    """Each pair judged by itself (SigLIP, arXiv:2303.15343); arguments as `info_nce`."""
    n = len(items)
    logits = scale * items @ texts.T + bias
    eye = torch.eye(n, dtype=torch.bool, device=items.device)
    signs = torch.where(eye, 1.0, -1.0)
    terms = functional.logsigmoid(signs * logits).masked_fill(same & ~eye, 0.0)
    return -terms.sum() / n


def class_distillation(
    items: Tensor, classes: Tensor, scale: Tensor, probabilities: Tensor
) -> Tensor:
    """KL divergence of softmax(scale * item . class) from the teacher's probabilities (n, m).

    The zero-shot classifier that the sentences of the teacher's classes make shall say what the
    teacher says (arXiv:1503.02531).
    """
    log_q = functional.log_softmax(scale * items @ classes.T, dim=1)
    return functional.kl_div(log_q, probabilities, reduction="batchmean")


def relational_kd_loss(student: Tensor, teacher: Tensor, scale: float) -> Tensor:
    """KL divergence between in-batch similarity distributions: who is near whom, as the teacher
    sees it (relational distillation, arXiv:1904.05068)."""
    eye = torch.eye(len(student), dtype=torch.bool, device=student.device)
    q = (scale * student @ student.T).masked_fill(eye, _MASKED)
    p = (scale * teacher @ teacher.T).masked_fill(eye, _MASKED)
    return functional.kl_div(
        functional.log_softmax(q, dim=1), functional.softmax(p, dim=1), reduction="batchmean"
    )
