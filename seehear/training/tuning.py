"""Fine-tuning the bundled model, or one like it, on a user's own pairs."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seehear.encoders import normalised
from seehear.encoders.builtin import BuiltinEncoder
from seehear.encoders.builtin.encoder import TINY, build_tower
from seehear.encoders.builtin.folder import ModelFolder, open_folder, save_folder
from seehear.encoders.devices import choose_device
from seehear.errors import UsageError
from seehear.libraries import naming_faults
from seehear.training.augment import ImageJitter, SoundJitter
from seehear.training.export import arrays_of, versions
from seehear.training.lessons import make_lesson, picture_embed, sound_embed
from seehear.training.loop import Schedule, Workplace
from seehear.training.own_pairs import OwnPairs, SkippedPair, read_pairs
from seehear.training.prepare import Pictures, Sounds
from seehear.training.recipe import TowerPlan
from seehear.training.run import tower_groups
from seehear.training.tower_stage import Pulls, Student, train_tower
from seehear.types import AudioSample, ImageSample, Modality, Sample, Vectors

_LEAST_FILES = 4
_FROZEN_PART = 4  # a quarter of the backbone: edges and textures need no fine-tuning
_BACKBONE_RATE = 0.1
_SHOWN = 10
_KS = (1, 5, 10)

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What fine-tuning did. Figures are recall@k by kind, on files that were not trained on."""

    folder: Path
    revision: str
    pairs: int
    trained: dict[str, int]
    """Files trained on, by kind ("image", "audio")."""
    held_out: dict[str, int]
    before: dict[str, Figures]
    after: dict[str, Figures]
    skipped: tuple[SkippedPair, ...]
    duration_s: float

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            **asdict(self),
            "folder": str(self.folder),
            "skipped": [asdict(pair) for pair in self.skipped],
        }

    def lines(self) -> list[str]:
        """The report for people."""
        said = [f"skipped {pair}" for pair in self.skipped[:_SHOWN]]
        if len(self.skipped) > _SHOWN:
            said.append(f"skipped {len(self.skipped) - _SHOWN:,} more pairs")
        for kind, figures in self.after.items():
            said.append(
                f"{kind}: trained on {self.trained[kind]:,} files, "
                f"measured on {self.held_out[kind]:,} others"
            )
            said.extend(
                f"  {name}: {self.before[kind][name]:.2f} before, {value:.2f} after"
                for name, value in figures.items()
            )
        said.append(f"saved to {self.folder} in {self.duration_s:.0f} s; use it with --model")
        return said


@naming_faults()
def fine_tune(
    pairs: Path,
    *,
    out: Path,
    init: str = "tiny",
    epochs: int = 5,
    strict: bool = False,
    device: str = "auto",
    batch_size: int = 64,
    learning_rate: float = 5e-4,
    val_share: float = 0.1,
    seed: int = 0,
    progress: bool = True,
) -> TrainReport:
    """Fine-tune the picture and sound towers of `init` on a pairs file; the result is in `out`.

    `init` is "tiny" or a model folder. The text tower stays as it is: it keeps the words that the
    pairs do not hold, and pictures and sounds move towards their sentences. Stopped half-way, the
    same call goes on. Raises UsageError for pairs that cannot be used (with `strict`, for the
    first one), ModelError for an `init` that is no such model, EnvironmentFaultError where a
    library cannot be loaded.
    """
    begin = time.monotonic()
    pairs, out = Path(pairs), Path(out)
    source = TINY if init == "tiny" else Path(init).expanduser()
    if out.resolve() == source.resolve() or out.is_file():
        raise UsageError(f"{out} is taken; choose another folder for the new model")
    if epochs < 1 or batch_size < 2 or not 0 < val_share <= 0.5:
        raise UsageError("epochs must be 1 or more, batch_size 2 or more, val_share in (0, 0.5]")
    folder = open_folder(source)
    device = str(choose_device(device))
    own = read_pairs(pairs, folder.config.image_px, val_share, strict=strict)
    kinds: dict[str, Pictures | Sounds] = {"image": own.pictures, "audio": own.sounds}
    taught = {kind: some for kind, some in kinds.items() if len(some.items) >= _LEAST_FILES}
    if not taught:
        first = f"; first of them: {own.skipped[0]}" if own.skipped else ""
        raise UsageError(
            f"{pairs} has fewer than {_LEAST_FILES} readable pictures or sounds "
            f"({len(own.skipped)} pairs skipped{first})"
        )
    before = _figures(BuiltinEncoder(folder, device=device), taught)
    schedule = Schedule(0, batch_size, learning_rate, average=0.98)
    work = out / "training" / _digest(pairs, folder, [epochs, *asdict(schedule).values(), seed])
    place = Workplace(work, device, seed, progress, tensorboard=False)
    arrays = dict(folder.arrays)
    for kind, some in taught.items():
        tower = _tuned(kind, some, folder, schedule, epochs, place)
        arrays |= arrays_of(tower, kind)
    provenance = {
        "fine_tuned_from": {"name": folder.name, "revision": folder.revision},
        "pairs": own.pairs,
        "settings": {
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "seed": seed,
        },
        "versions": versions(),
        "before": dict(folder.provenance),
    }
    name = out.resolve().name or folder.name
    revision = save_folder(out, name, folder.config, arrays, folder.vocabulary, provenance)
    after = _figures(BuiltinEncoder(open_folder(out), device=device), taught)
    return TrainReport(
        folder=out,
        revision=revision,
        pairs=own.pairs,
        trained={kind: _count(some, "train") for kind, some in taught.items()},
        held_out={kind: _count(some, "val") for kind, some in taught.items()},
        before=before,
        after=after,
        skipped=own.skipped + _left_out(own, taught),
        duration_s=time.monotonic() - begin,
    )


def _tuned(
    kind: str,
    some: Pictures | Sounds,
    folder: ModelFolder,
    schedule: Schedule,
    epochs: int,
    place: Workplace,
) -> torch.nn.Module:
    torch.manual_seed(place.seed)
    tower: Any = build_tower(folder, kind, place.device)
    head = [tower.projection] if kind == "image" else [tower.projection, tower.attention]
    sizes = folder.config.image if kind == "image" else folder.config.audio
    student = Student(tower).to(place.device)
    train = _count(some, "train")
    size = min(schedule.batch_size, train)
    steps = epochs * -(-train // size)
    encoder = BuiltinEncoder(folder, device="cpu")
    said = list(dict.fromkeys(c for i in some.items if i.split == "train" for c in i.captions))
    lesson = make_lesson(
        some.items,
        np.ones(len(some.items), np.bool_) if kind == "image" else _audible(some),
        lambda item: list(item.captions),
        TowerPlan(schedule, dev_share=0.0, bank=len(said)),
        lambda texts: torch.from_numpy(encoder.encode(Modality.TEXT, list(texts))),
        said,
        (),
        np.zeros((len(some.items), 0), np.float16),
    ).lesson
    if isinstance(some, Pictures):
        jitter = ImageJitter(smallest_area=0.6, aspect=0.2, colour=0.15, grey=0.02, whole=0.3)
        embed = picture_embed(some, folder.config.image_px, jitter, place.device)
    else:
        embed = sound_embed(some, folder.config.window_s, SoundJitter(), place.device)
    groups = tower_groups(tower, head, sizes.blocks // _FROZEN_PART, _BACKBONE_RATE)
    plan = Schedule(steps, size, schedule.learning_rate, average=schedule.average)
    extra = min(1024, 4 * len(said))
    pulls = Pulls(classes=0.0, extra_texts=extra, recent_items=min(512, train), alike=0.95)
    train_tower(kind, student, groups, lesson, embed, pulls, plan, place)
    return student.tower


def _audible(some: Pictures | Sounds) -> np.ndarray[Any, np.dtype[np.bool_]]:
    assert isinstance(some, Sounds)
    loud = [np.abs(some.waveform(row)).max(initial=0) > 1e-4 for row in range(len(some.items))]
    return some.long_enough() & np.array(loud, np.bool_)


def _figures(
    encoder: BuiltinEncoder, taught: dict[str, Pictures | Sounds]
) -> dict[str, dict[str, float]]:
    """recall@k both ways, by kind, on the files of the split "val"."""
    found = {}
    for kind, some in taught.items():
        rows = [row for row, item in enumerate(some.items) if item.split == "val"]
        said = [(k, text) for k, row in enumerate(rows) for text in some.items[row].captions]
        texts = encoder.encode(Modality.TEXT, [text for _, text in said])
        vectors = _vectors(encoder, some, rows)
        # A file answers every sentence that is also said about it.
        right = np.array([[text in some.items[row].captions for row in rows] for _, text in said])
        likeness = texts @ vectors.T
        found[kind] = {
            f"{way} success@{k}": _success(matrix, truth, k)
            for way, matrix, truth in (
                (f"text->{kind}", likeness, right),
                (f"{kind}->text", likeness.T, right.T),
            )
            for k in _KS
            if k < matrix.shape[1] or k == 1
        }
    return found


def _success(likeness: Vectors, right: np.ndarray[Any, np.dtype[np.bool_]], k: int) -> float:
    first = np.argsort(-likeness, axis=1, kind="stable")[:, :k]
    return float(np.take_along_axis(right, first, axis=1).any(axis=1).mean())


def _vectors(encoder: BuiltinEncoder, some: Pictures | Sounds, rows: Sequence[int]) -> Vectors:
    if isinstance(some, Pictures):
        seen: list[Sample] = [ImageSample(np.asarray(some.pixels[row])) for row in rows]
        return encoder.encode(Modality.IMAGE, seen)
    spec = encoder.spec
    length = int(spec.window_s * spec.sample_rate_hz)
    means = []
    for row in rows:
        wave = some.waveform(row)
        windows: list[Sample] = [
            AudioSample(wave[start : start + length], spec.sample_rate_hz)
            for start in range(0, max(len(wave), 1), length)
        ]
        means.append(encoder.encode(Modality.AUDIO, windows).sum(axis=0))
    return normalised(np.stack(means))


def _count(some: Pictures | Sounds, split: str) -> int:
    return sum(item.split == split for item in some.items)


def _left_out(own: OwnPairs, taught: dict[str, Pictures | Sounds]) -> tuple[SkippedPair, ...]:
    kinds: dict[str, Pictures | Sounds] = {"image": own.pictures, "audio": own.sounds}
    reason = f"fewer than {_LEAST_FILES} files of its kind"
    return tuple(
        SkippedPair(0, item.key, reason)
        for kind, some in kinds.items()
        if kind not in taught
        for item in some.items
    )


def _digest(pairs: Path, folder: ModelFolder, settings: Sequence[Any]) -> str:
    identity = json.dumps([folder.revision, settings]).encode() + pairs.read_bytes()
    return hashlib.sha256(identity).hexdigest()[:12]
