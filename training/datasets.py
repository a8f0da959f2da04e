"""Turn prepared images and sounds into what a tower stage needs: pairs, bank, classes, figures."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seehear.encoders.tiny.log_mel import spectrograms, waveform_16k
from seehear.encoders.tiny.tokenizer import Tokenizer
from seehear.encoders.tiny.towers import SAMPLE_RATE_HZ
from seehear.evaluation.similarity import first_relevant_ranks
from seehear.finetune.loop import EvalCallback
from seehear.finetune.pairs import PairSource, SentenceTable
from training.captions import CLASS_SENTENCES, fill, swapped
from training.concepts import CONCEPTS, described_by, trained_names, words_of
from training.prepare import AudioData, ImageData
from training.recipe import TowerPlan
from training.shards import ShardItem
from training.tower_stage import TowerDataset, is_bare

Describe = Callable[[ShardItem], list[str]]
EncodeTexts = Callable[[Sequence[str]], Tensor]
"""Sentences -> unit vectors (n, dim)."""
EmbedRows = Callable[[nn.Module, Sequence[int]], Tensor]
"""(tower, rows) -> unit vectors (n, dim) of items as they are at search time."""

_ROWS_AT_ONCE = 32
_DEV_IMAGES = 1000


class SentenceVectors:
    """Vectors by sentence: those of the corpus are known, others are computed once."""

    def __init__(
        self, sentences: Sequence[str], vectors: NDArray[Any], compute: EncodeTexts
    ) -> None:
        self._rows = {sentence: row for row, sentence in enumerate(sentences)}
        self._vectors = vectors
        self._compute = compute
        self._more: dict[str, Tensor] = {}

    def __call__(self, sentences: Sequence[str]) -> Tensor:
        """Return unit vectors (n, dim), float32 on the CPU."""
        missing = [s for s in dict.fromkeys(sentences) if s not in self]
        if missing:
            self._more |= dict(zip(missing, self._compute(missing), strict=True))
        result = torch.zeros(len(sentences), self._vectors.shape[1])
        for row, sentence in enumerate(sentences):
            known_row = self._rows.get(sentence)
            if known_row is None:
                result[row] = self._more[sentence]
            else:
                result[row] = torch.from_numpy(self._vectors[known_row].astype(np.float32))
        return functional.normalize(result, dim=1)

    def __contains__(self, sentence: str) -> bool:
        return sentence in self._rows or sentence in self._more


def make_dataset(
    items: Sequence[ShardItem],
    usable: NDArray[np.bool_],
    describe: Describe,
    plan: TowerPlan,
    encode: EncodeTexts,
    bank_sentences: Sequence[str],
    class_sentences: Sequence[str],
    probabilities: NDArray[np.float16],
    cut: Tokenizer | None = None,
    held: Sequence[str] = (),
) -> TowerDataset:
    """Collect what one tower is trained with, out of the training split of `items`.

    `usable` (n,): items that may be trained on at all. Class sentences and probabilities are in
    the same order; both may be empty. For a text tower that learns too, `cut` is its tokenizer
    and `held` what it shall go on reading as its teacher does.
    """
    rows, dev = split_rows(items, plan.dev_share)
    table = SentenceTable()
    numbers = [np.zeros(0, np.int64) for _ in items]
    for row in rows:
        captions = describe(items[row])
        numbers[row] = np.array([table.number(sentence) for sentence in captions], np.int64)
    has_captions = np.array([len(some) > 0 for some in numbers], np.bool_)
    rows = rows[usable[rows] & has_captions[rows]]
    weights = set_weights(items, rows, plan.shares, plan.machine_share)
    bank = np.array([table.number(s) for s in bank_sentences[: plan.bank]], np.int64)
    differ = _swapped(items, rows, plan.swapped, table) if cut else {}
    for sentence in held:
        table.number(sentence)
    table.vectors = encode(table.sentences)
    return TowerDataset(
        source=PairSource(numbers, rows, weights),
        table=table,
        bank=bank,
        class_vectors=encode(class_sentences) if class_sentences else torch.zeros(0, 1),
        class_probabilities=probabilities,
        dev=dev[usable[dev]],
        pieces=[cut(sentence) or [0] for sentence in table.sentences] if cut else (),
        swapped=differ,
        bare=np.flatnonzero([is_bare(sentence) for sentence in table.sentences]),
    )


def _swapped(
    items: Sequence[ShardItem], rows: NDArray[np.int64], count: int, table: SentenceTable
) -> dict[int, int]:
    """Map numbers of captions to those of copies with another colour or noun, of `count` captions.

    The nouns are the labels of one word.
    """
    rng = random.Random(count)
    nouns = sorted({(items[row].label or "").lower() for row in rows})
    nouns = [noun for noun in nouns if noun.isalpha()]
    captions = sorted({caption for row in rows for caption in items[row].captions})
    found: dict[int, int] = {}
    for caption in rng.sample(captions, len(captions)):
        if len(found) == count:
            break
        changed = swapped(caption, nouns, rng)
        if changed is not None and changed not in table.numbers:
            found[table.number(caption)] = table.number(changed)
    return found


def plain_images(images: ImageData, device: str) -> EmbedRows:
    """Return how images are embedded at search time, but for their size."""

    def embed(tower: nn.Module, rows: Sequence[int]) -> Tensor:
        pixels = torch.from_numpy(np.asarray(images.pixels[list(rows)])).permute(0, 3, 1, 2)
        result: Tensor = tower(pixels.to(device))
        return result

    return embed


def plain_audio(audio: AudioData, device: str) -> EmbedRows:
    """Return how sounds are embedded at search time."""

    def embed(tower: nn.Module, rows: Sequence[int]) -> Tensor:
        waveforms = [waveform_16k(audio.waveforms[row], SAMPLE_RATE_HZ) for row in rows]
        mels, counts = spectrograms(waveforms)
        result: Tensor = tower(mels.to(device), counts.to(device))
        return result

    return embed


def make_eval_callback(
    tower: nn.Module,
    items: Sequence[ShardItem],
    dev: NDArray[np.int64],
    plan: TowerPlan,
    kind: str,
    encode: EncodeTexts,
    embed: EmbedRows,
) -> EvalCallback:
    """Return a callback that measures the dev rows.

    It gives recall of items by their captions, accuracy on `plan.eval_set`, and success@10 of the
    words of concepts.txt that no training label has.

    `kind` is "images" or "audio". `encode` is asked each time: the text tower may be learning.
    """
    told = [int(row) for row in dev if items[row].captions][:_DEV_IMAGES]
    captions = [caption for row in told for caption in items[row].captions[:5]]
    owners = np.array([k for k, row in enumerate(told) for _ in items[row].captions[:5]])
    right = owners[:, None] == np.arange(len(told))
    named = [int(row) for row in dev if items[row].dataset == plan.eval_set and items[row].label]
    labels = sorted({item.label for item in items if item.dataset == plan.eval_set and item.label})
    truth = torch.tensor([labels.index(items[row].label or "") for row in named])
    sentences = [fill(CLASS_SENTENCES[kind], label) for label in labels]
    shown = [int(row) for row in dev if words_of(items[row])]
    words, shows = described_by(
        CONCEPTS.read_text(encoding="utf-8").split(),
        [items[row] for row in shown],
        trained_names(item for item in items if item.split == "train"),
    )

    def vectors(rows: Sequence[int]) -> Tensor:
        starts = range(0, len(rows), _ROWS_AT_ONCE)
        parts = [embed(tower, rows[s : s + _ROWS_AT_ONCE]).float().cpu() for s in starts]
        return torch.cat(parts)

    def eval_callback(_step: int) -> dict[str, float]:
        figures: dict[str, float] = {}
        with torch.inference_mode():
            if told:
                ranks = first_relevant_ranks((encode(captions) @ vectors(told).T).numpy(), right)
                figures |= {f"dev_recall@{k}": float((ranks <= k).mean()) for k in (1, 10)}
            if named:
                guess = (vectors(named) @ encode(sentences).T).argmax(dim=1)
                figures["dev_accuracy"] = float((guess == truth).float().mean())
            if words:
                ranks = first_relevant_ranks((encode(words) @ vectors(shown).T).numpy(), shows)
                figures["dev_words@10"] = float((ranks <= 10).mean())
        return figures

    return eval_callback


def set_weights(
    items: Sequence[ShardItem],
    rows: NDArray[np.int64],
    shares: dict[str, float],
    machine_share: float = 1.0,
) -> NDArray[np.float64]:
    """Weight rows so that a data set is drawn `shares` times as often as its size says.

    An item whose captions a machine wrote is drawn `machine_share` times as often as that.
    """
    raw = np.array(
        [
            shares.get(items[row].dataset, 1.0) * (machine_share if items[row].by_machine else 1.0)
            for row in rows
        ]
    )
    weights: NDArray[np.float64] = raw / raw.sum()
    return weights


def split_rows(
    items: Sequence[ShardItem], dev_share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split the "train" split into rows to train on and rows to choose settings by.

    The held-out splits are in neither. A key's hash decides, so that a set may grow.
    """
    train = np.flatnonzero([item.split == "train" for item in items])
    keys = [item.dataset + item.key for item in items if item.split == "train"]
    dev = np.array([is_dev(key, dev_share) for key in keys], np.bool_)
    return train[~dev], train[dev]


def is_dev(key: str, dev_share: float) -> bool:
    """Say whether an item of the training split is kept apart, to choose settings by."""
    return zlib.crc32(key.encode()) % 10_000 < dev_share * 10_000
