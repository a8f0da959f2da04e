"""Define the text tower in torch, for training, and choose its vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from seehear.encoders.tiny.tokenizer import CONTINUED, UNKNOWN, Tokenizer, words_of

_TAPS = 5
_MOST_ENDING = 7


def choose_vocabulary(
    sentences: Iterable[str], common: Sequence[str], size: int, *, least_count: int = 4
) -> list[str]:
    """Choose the pieces, in order of their numbers: unknown, signs, words, then endings and stems.

    Whole words are those that `sentences` use often and, after them, those that English uses most
    (`common`, best first); the rest of the room goes to the pieces that most often begin or end
    the words that are not whole pieces.
    """
    counts = Counter(word for sentence in sentences for word in words_of(sentence))
    signs = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = dict.fromkeys([UNKNOWN, *signs, *(CONTINUED + sign for sign in signs)])
    frequent = [word for word, count in counts.most_common() if count >= least_count]
    whole = list(dict.fromkeys([*frequent, *(word for word in common if word.isascii())]))
    room_for_parts = size // 6
    pieces |= dict.fromkeys(whole[: max(size - room_for_parts - len(pieces), 0)])
    parts: Counter[str] = Counter()
    # In an order that every process has: a run that goes on must give the pieces the same numbers.
    for word in sorted({*counts, *common} - pieces.keys()):
        for length in range(2, min(_MOST_ENDING, len(word) - 1) + 1):
            parts[CONTINUED + word[-length:]] += length
            parts[word[:-length]] += 1
    for part, _ in parts.most_common():
        if len(pieces) >= size:
            break
        pieces[part] = None
    return list(pieces)[:size]


class _Block(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.into = nn.Linear(width, 2 * hidden)
        self.taps = nn.Parameter(torch.zeros(hidden, _TAPS))
        self.taps.data[:, _TAPS // 2] = 1.0
        self.out = nn.Linear(hidden, width)
        nn.init.zeros_(self.out.bias)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        value, gate = self.into(self.norm(x)).chunk(2, dim=-1)
        value = (value * mask).transpose(1, 2)
        value = functional.conv1d(
            value, self.taps[:, None], padding=_TAPS // 2, groups=self.taps.shape[0]
        ).transpose(1, 2)
        result: Tensor = x + self.out(value * torch.sigmoid(gate))
        return result


class TextTorch(nn.Module):
    """Turn piece numbers (n, length), padded with -1, into unit vectors (n, dim)."""

    def __init__(
        self,
        vocabulary: int,
        dim: int,
        *,
        width: int = 256,
        hidden: int = 128,
        blocks: int = 2,
        heads: int = 4,
        inner: int = 512,
    ) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(vocabulary, width) * 0.3)
        self.blocks = nn.ModuleList(_Block(width, hidden) for _ in range(blocks))
        self.attention = nn.Linear(width, heads)
        self.direct = nn.Linear(heads * width, dim)
        self.inner = nn.Linear(heads * width, inner)
        self.outer = nn.Linear(inner, dim)

    def forward(self, ids: Tensor) -> Tensor:
        real = ids >= 0
        x = functional.embedding(ids.clamp(min=0), self.embedding)
        mask = real[..., None].to(x.dtype)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.attention(x).masked_fill(~real[..., None], -1e4)
        weights = torch.softmax(logits, dim=1)
        pooled = torch.einsum("nlh,nlw->nhw", weights, x).flatten(1)
        inner = functional.gelu(self.inner(pooled), approximate="tanh")
        return functional.normalize(self.direct(pooled) + self.outer(inner), dim=-1)


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Join the piece numbers of several texts: int64 (n, longest), padded with -1."""
    longest = max(1, *(len(row) for row in rows)) if rows else 1
    result = torch.full((len(rows), longest), -1, dtype=torch.long)
    for at, row in enumerate(rows):
        result[at, : len(row)] = torch.tensor(list(row), dtype=torch.long)
    return result


def embed_texts(
    tower: nn.Module, tokenizer: Tokenizer, texts: Sequence[str], batch_size: int = 512
) -> Tensor:
    """Encode texts without gradients: float32 (n, dim) on the CPU."""
    ids = [tokenizer(text) or [0] for text in texts]
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    device = next(tower.parameters()).device
    parts = []
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            some = [ids[row] for row in order[start : start + batch_size]]
            parts.append(tower(padded(some).to(device)).float().cpu())
    joined = torch.cat(parts)
    result = torch.empty_like(joined)
    result[torch.tensor(order)] = joined
    return result
