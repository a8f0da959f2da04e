"""Decode and encode the held-out parts of a data folder, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seehear import media
from seehear.encoders import normalised
from seehear.encoders.tiny import TinyEncoder
from seehear.errors import MediaError
from seehear.types import AudioSample, ImageSample, Modality, Vectors
from training.concepts import trained_names
from training.datasets import is_dev
from training.shards import ShardItem, read_items

_AT_ONCE = 64
_LONGEST_S = 60.0


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out items of one kind with their vectors, and the classes of each data set."""

    items: Sequence[ShardItem]
    vectors: Vectors
    """(n, dim); a sound's is the mean of its windows'."""
    classes: dict[str, list[str]]
    """Labels by data set, of all its splits: what zero-shot evaluation chooses from."""
    trained: str = ""
    """Every label, synonym and keyword of the training split, in lower case, by line."""

    def rows(self, dataset: str, split: str | None = None) -> NDArray[np.int64]:
        """Return the rows of one set, or of one split of it."""
        found = [
            row
            for row, item in enumerate(self.items)
            if item.dataset == dataset and split in {None, item.split}
        ]
        return np.array(found, np.int64)

    def datasets(self) -> list[str]:
        """List the sets that have held-out items, by name."""
        return sorted({item.dataset for item in self.items})


def encode_held_out(
    data: Path, kind: str, encoder: TinyEncoder, progress: bool, tuning_share: float = 0.0
) -> HeldOut:
    """Encode what is not in the training split of `data/kind` ("images" or "audio").

    With `tuning_share`, that share of the training split instead: what training kept apart, to
    choose settings by. Items that cannot be decoded are left out.
    """
    from tqdm import tqdm

    classes: dict[str, set[str]] = {}
    trained: list[ShardItem] = []
    items: list[ShardItem] = []
    parts: list[Vectors] = []
    waiting: list[tuple[ImageSample | AudioSample, ...]] = []
    modality = Modality.IMAGE if kind == "images" else Modality.AUDIO

    def flush() -> None:
        if waiting:
            parts.append(_means(encoder, modality, waiting))
            waiting.clear()

    for item, content in tqdm(read_items(data, kind), desc=f"encode {kind}", disable=not progress):
        if item.label:
            classes.setdefault(item.dataset, set()).add(item.label)
        if item.split == "train":
            trained.append(item)
        kept_apart = item.split == "train" and is_dev(item.dataset + item.key, tuning_share)
        if not (kept_apart if tuning_share else item.split != "train"):
            continue
        try:
            samples = tuple(_samples(content, kind, encoder))
        except MediaError:
            continue
        items.append(replace(item, split="val") if tuning_share else item)
        waiting.append(samples)
        if len(waiting) == _AT_ONCE:
            flush()
    flush()
    vectors = np.concatenate(parts) if parts else np.zeros((0, encoder.space.dim), np.float32)
    named = {name: sorted(some) for name, some in classes.items()}
    return HeldOut(items, vectors, named, trained_names(trained))


def _samples(
    content: bytes, kind: str, encoder: TinyEncoder
) -> Iterator[ImageSample | AudioSample]:
    spec = encoder.spec
    if kind == "images":
        yield media.load_image(content, spec.image_px)
        return
    sound = media.load_audio(content, spec.sample_rate_hz, max_s=_LONGEST_S)
    length, hop = (int(s * spec.sample_rate_hz) for s in (spec.window_s, spec.hop_s))
    for start in range(0, max(len(sound.waveform) - length, 0) + hop, hop):
        window = sound.waveform[start : start + length]
        if start == 0 or len(window) > hop:
            yield AudioSample(window, spec.sample_rate_hz)


def _means(
    encoder: TinyEncoder,
    modality: Modality,
    groups: Sequence[Sequence[ImageSample | AudioSample]],
) -> Vectors:
    vectors = encoder.encode(modality, [sample for group in groups for sample in group])
    stops = np.cumsum([len(group) for group in groups])
    return normalised(np.stack([part.sum(axis=0) for part in np.split(vectors, stops[:-1])]))
