"""Decode every image and sound of the shards once, with what the teachers say about it.

The arrays lie in a cache folder named after the shards and the settings; they are written beside
their place and moved into it, so that a run that was stopped starts this step over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from seehear import media
from seehear.encoders.tiny.log_mel import silence
from seehear.encoders.tiny.towers import FRAME_HOP, SAMPLE_RATE_HZ, LogMel
from seehear.errors import MediaError
from seehear.finetune.inputs import Waveforms, resize_square, to_int16
from training.shards import ShardItem, read_items, shard_paths
from training.tflite import IMAGE_PX, PATCH_FRAMES, QuantisedTeacher

_LEAST_SAMPLES = 15_600  # one patch of the audio teacher
_LONGEST_S = 60.0
_PATCH_HOP = PATCH_FRAMES // 2


@dataclass(frozen=True, slots=True)
class ImageData:
    """The images of a data folder."""

    name: str
    """Of the folder that keeps them: it changes with the shards and the settings."""
    items: Sequence[ShardItem]
    pixels: NDArray[np.uint8]
    """(n, px, px, 3), mapped from disk."""
    probabilities: NDArray[np.float16]
    """The teacher's, (n, classes); (n, 0) without a teacher."""


@dataclass(frozen=True, slots=True)
class AudioData:
    """The sounds of a data folder at 16 kHz."""

    name: str
    """Of the folder that keeps them, as for images."""
    items: Sequence[ShardItem]
    waveforms: Waveforms
    """Mapped from disk."""
    probabilities: NDArray[np.float16]
    """The teacher's, mean over the sound, (n, classes); (n, 0) without a teacher."""

    def long_enough(self, least: int = 1600) -> NDArray[np.bool_]:
        """Mark the sounds that have at least `least` samples: bool (n,)."""
        result: NDArray[np.bool_] = np.diff(self.waveforms.offsets) >= least
        return result


def prepare_images(
    data: Path, cache: Path, px: int, teacher: Path | None, *, progress: bool = True
) -> ImageData:
    """Decode the images of `data` to squares of `px` pixels, resized as the encoder does.

    An image that cannot be decoded is left out. Raises UsageError for broken shards and
    ModelUnavailableError for a missing teacher.
    """
    folder = cache / f"images-{_digest(data, 'images', px, teacher)}"
    if not (folder / "items.json").is_file():
        judge = QuantisedTeacher(teacher) if teacher else None
        with _Writer(folder, "pixels.bin") as writer:
            for item, content in _with_bar(data, "images", progress):
                try:
                    sample = media.load_image(content, 0)
                except MediaError:
                    continue
                writer.add(item, resize_square(sample.pixels, px))
                if judge:
                    writer.probabilities.append(judge(resize_square(sample.pixels, IMAGE_PX))[1:])
    items = _items(folder)
    pixels = np.memmap(folder / "pixels.bin", np.uint8, "r", shape=(len(items), px, px, 3))
    return ImageData(folder.name, items, pixels, np.load(folder / "probabilities.npy"))


def prepare_audio(
    data: Path, cache: Path, teacher: Path | None, *, progress: bool = True
) -> AudioData:
    """Decode the sounds of `data` (at most a minute of each); errors as `prepare_images`."""
    folder = cache / f"audio-{_digest(data, 'audio', SAMPLE_RATE_HZ, teacher)}"
    if not (folder / "items.json").is_file():
        judge = QuantisedTeacher(teacher) if teacher else None
        log_mel = LogMel()
        lengths = [0]
        with _Writer(folder, "samples.bin") as writer:
            for item, content in _with_bar(data, "audio", progress):
                try:
                    sample = media.load_audio(content, SAMPLE_RATE_HZ, max_s=_LONGEST_S)
                except MediaError:
                    continue
                writer.add(item, to_int16(sample.waveform))
                lengths.append(len(sample.waveform))
                if judge:
                    patches = _patches(sample.waveform, log_mel)
                    writer.probabilities.append(np.mean([judge(one) for one in patches], axis=0))
            np.save(writer.partial / "offsets.npy", np.cumsum(np.array(lengths, np.int64)))
    samples = np.memmap(folder / "samples.bin", np.int16, "r")
    return AudioData(
        folder.name,
        _items(folder),
        Waveforms(samples, np.load(folder / "offsets.npy")),
        np.load(folder / "probabilities.npy"),
    )


def _patches(waveform: NDArray[np.float32], log_mel: LogMel) -> list[NDArray[np.float32]]:
    """Cut overlapping log-mel patches (96, 64), as the audio teacher takes them."""
    short = max(_LEAST_SAMPLES - len(waveform), 0)
    tensor = torch.from_numpy(np.pad(waveform, (0, short)))[None]
    mels = log_mel(tensor)[0].numpy()
    missing = max(PATCH_FRAMES - len(mels), 0)
    mels = np.pad(mels, ((0, missing), (0, 0)), constant_values=silence())
    starts = range(0, len(mels) - PATCH_FRAMES + 1, _PATCH_HOP)
    return [mels[start : start + PATCH_FRAMES] for start in starts]


def _digest(data: Path, kind: str, size: int, teacher: Path | None) -> str:
    shards = [(path.name, path.stat().st_size) for path in shard_paths(data, kind)]
    identity = json.dumps([shards, size, teacher.name if teacher else None, FRAME_HOP])
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def _with_bar(data: Path, kind: str, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(read_items(data, kind), desc=f"decode {kind}", disable=not progress)


def _items(folder: Path) -> list[ShardItem]:
    entries = json.loads((folder / "items.json").read_text(encoding="utf-8"))
    return [_item(entry) for entry in entries]


def _item(entry: dict[str, Any]) -> ShardItem:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return ShardItem(**values)


class _Writer:
    """Collects one kind of media into a folder that appears whole or not at all."""

    def __init__(self, folder: Path, name: str) -> None:
        self.partial = folder.with_suffix(".partial")
        self.probabilities: list[NDArray[np.float32]] = []
        self._folder = folder
        self._name = name
        self._items: list[dict[str, Any]] = []
        self._handle: BinaryIO | None = None

    def add(self, item: ShardItem, array: NDArray[Any]) -> None:
        """Append one sample's values."""
        assert self._handle is not None
        self._handle.write(array.tobytes())
        self._items.append(asdict(item))

    def __enter__(self) -> _Writer:
        self.partial.mkdir(parents=True, exist_ok=True)
        self._handle = (self.partial / self._name).open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._handle is not None
        self._handle.close()
        if kind is not None:
            return
        rows = np.array(self.probabilities, np.float16).reshape(len(self._items), -1)
        if not self.probabilities:
            rows = np.zeros((len(self._items), 0), np.float16)
        np.save(self.partial / "probabilities.npy", rows)
        text = json.dumps(self._items)
        (self.partial / "items.json").write_text(text, encoding="utf-8")
        self.partial.rename(self._folder)
