"""Choose which sentence goes with which image or sound in a step, and which sentences are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(slots=True)
class SentenceTable:
    """Sentences by number, with the vectors that the text tower gives them, float32 (n, dim)."""

    sentences: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    vectors: Tensor = field(default_factory=lambda: torch.zeros(0, 0))

    def number(self, sentence: str) -> int:
        """Return the number of a sentence; a new sentence gets the next one."""
        if sentence not in self.numbers:
            self.numbers[sentence] = len(self.sentences)
            self.sentences.append(sentence)
        return self.numbers[sentence]


@dataclass(frozen=True, slots=True)
class PairSource:
    """Items of one modality: which rows to train on, how often, and the sentences of each."""

    sentences: Sequence[NDArray[np.int64]]
    """Per row: numbers of its sentences."""
    rows: NDArray[np.int64]
    """Rows to train on."""
    weights: NDArray[np.float64]
    """How often each of `rows` is drawn; sums to one."""

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw the distinct rows of one batch by their weights; at most `count`."""
        count = min(count, int((self.weights > 0).sum()))
        return np.sort(rng.choice(self.rows, count, replace=False, p=self.weights))

    def sentence_of(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw one sentence for each row: another one in every epoch."""
        return np.array([rng.choice(self.sentences[row]) for row in rows])


def false_negative_mask(texts: Tensor, others: Tensor, threshold: float) -> Tensor:
    """Mark sentences that say nearly the same, so that neither counts as wrong: bool (n, m).

    `texts` (n, dim) and `others` (m, dim) are unit rows, `threshold` is a cosine.
    """
    result: Tensor = texts @ others.T > threshold
    return result


class NegativeQueue:
    """Vectors of the last items, as more wrong answers for sentences (arXiv:1912.06798).

    On two cores batches are small. The towers change slowly, so vectors of a few steps ago are
    still useful.
    """

    def __init__(self, size: int, dim: int) -> None:
        self._vectors = torch.zeros(0, dim)
        self._texts = torch.zeros(0, dim)
        self._size = size

    def push(self, items: Tensor, texts: Tensor) -> None:
        """Remember the items of a step and the sentences they went with."""
        self._vectors = torch.cat([items.detach().cpu(), self._vectors])[: self._size]
        self._texts = torch.cat([texts.detach().cpu(), self._texts])[: self._size]

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps of the queue."""
        return {"vectors": self._vectors, "texts": self._texts}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        if state:
            self._vectors, self._texts = state["vectors"].cpu(), state["texts"].cpu()

    def negatives(self, texts: Tensor, threshold: float) -> dict[str, Tensor]:
        """Return the arguments `past` and `past_same` of `info_nce` for a batch of sentences."""
        known = self._texts.to(texts.device)
        return {
            "past": self._vectors.to(texts.device),
            "past_same": false_negative_mask(texts, known, threshold),
        }
