"""Which sentence goes with which picture or sound in a step, and what may not count as wrong."""

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
        """The number of a sentence, given out when it is first seen."""
        if sentence not in self.numbers:
            self.numbers[sentence] = len(self.sentences)
            self.sentences.append(sentence)
        return self.numbers[sentence]


@dataclass(frozen=True, slots=True)
class PairSource:
    """Items of one modality: which rows to train on, how often, and what is said about each."""

    sentences: Sequence[NDArray[np.int64]]
    """Per row: numbers of its sentences."""
    captioned: NDArray[np.bool_]
    """Per row: whether the first sentences are free captions rather than a filled-in label."""
    rows: NDArray[np.int64]
    """Rows to train on."""
    weights: NDArray[np.float64]
    """How often each of `rows` is drawn; sums to one."""

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Distinct rows of one batch, as their weights say."""
        count = min(count, int((self.weights > 0).sum()))
        return np.sort(rng.choice(self.rows, count, replace=False, p=self.weights))

    def sentence_of(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """One sentence for each row: another one in every epoch."""
        return np.array([rng.choice(self.sentences[row]) for row in rows])


def set_weights(
    datasets: Sequence[str], rows: NDArray[np.int64], shares: dict[str, float]
) -> NDArray[np.float64]:
    """Weights of rows so that a data set is drawn `shares` times as often as its size says."""
    raw = np.array([shares.get(datasets[row], 1.0) for row in rows], np.float64)
    weights: NDArray[np.float64] = raw / raw.sum()
    return weights


def false_negative_mask(texts: Tensor, threshold: float) -> Tensor:
    """bool (n, n): pairs whose sentences say nearly the same, so that neither is wrong."""
    result: Tensor = texts @ texts.T > threshold
    return result


class NegativeQueue:
    """Vectors of the last items, as more wrong answers for sentences (arXiv:1912.06798).

    On two cores batches are small; the towers move slowly, so that vectors of a few steps ago
    still serve.
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
        """What a checkpoint keeps of it."""
        return {"vectors": self._vectors, "texts": self._texts}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` gave."""
        if state:
            self._vectors, self._texts = state["vectors"].cpu(), state["texts"].cpu()

    def get(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Item vectors and their sentences' vectors, each (m, dim)."""
        return self._vectors.to(device), self._texts.to(device)


def split_rows(
    keys: Sequence[str], splits: Sequence[str], dev_share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on and rows to choose by, both out of the "train" split.

    The held-out splits are in neither. A key's hash decides, so that a set may grow.
    """
    import zlib

    train = np.array([row for row, split in enumerate(splits) if split == "train"], np.int64)
    draw = np.array([zlib.crc32(keys[row].encode()) % 10_000 for row in train])
    dev = draw < dev_share * 10_000
    return train[~dev], train[dev]
