"""The loss of pairs. Vectors are unit rows; `scale` is the inverse temperature."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

MASKED = -1e4
"""The logit of a pair that must not count."""


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
    """Return the symmetric cross entropy of pairs (arXiv:1807.03748; CLIP, arXiv:2103.00020).

    `items` and `texts` (n, dim): row i of one belongs to row i of the other. `same` (n, n), bool:
    pairs that mean the same; they count neither as right nor as wrong. `extra` (m, dim): more
    texts that are wrong for the items. `past` (p, dim): more items that are wrong for the texts.
    `extra_same` (n, m) and `past_same` (n, p), bool, mark the exceptions.
    """
    logits = scale * items @ texts.T
    others = same & ~torch.eye(len(items), dtype=torch.bool, device=items.device)
    logits = logits.masked_fill(others, MASKED)
    truth = torch.arange(len(items), device=items.device)
    by_item = _with_more(logits, items, extra, extra_same, scale)
    by_text = _with_more(logits.T, texts, past, past_same, scale)
    return 0.5 * (
        functional.cross_entropy(by_item, truth) + functional.cross_entropy(by_text, truth)
    )


def _with_more(
    logits: Tensor, rows: Tensor, more: Tensor | None, hide: Tensor | None, scale: Tensor
) -> Tensor:
    if more is None or not len(more):
        return logits
    wide = scale * rows @ more.T
    if hide is not None:
        wide = wide.masked_fill(hide, MASKED)
    return torch.cat([logits, wide], dim=1)
