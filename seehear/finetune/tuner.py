"""Fine-tune the bundled model, or one like it, on a user's own pairs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seehear.encoders import normalised
from seehear.encoders.devices import choose_device
from seehear.encoders.tiny import TinyEncoder
from seehear.encoders.tiny.checkpoint import (
    MANIFEST,
    Checkpoint,
    check_save,
    open_folder,
    save_folder,
)
from seehear.encoders.tiny.encoder import TINY, build_tower
from seehear.errors import ModelUnavailableError, StoreError, UsageError
from seehear.evaluation.similarity import first_relevant_ranks
from seehear.finetune.augment import AudioJitter, ImageJitter
from seehear.finetune.inputs import audio_embed, image_embed
from seehear.finetune.loop import ProgressCallback, RunContext, Schedule
from seehear.finetune.pairs import PairSource, SentenceTable
from seehear.finetune.pairs_file import AudioPairs, ImagePairs, PairsFile, SkippedPair, read_pairs
from seehear.finetune.report import CUTOFFS, Figures, TrainReport
from seehear.finetune.tower import (
    Negatives,
    ScaledTower,
    arrays_of,
    tower_groups,
    tune_tower,
)
from seehear.libraries import naming_faults
from seehear.search.calibration.query_bank import phrases
from seehear.types import AudioSample, ImageSample, Modality, Sample, Vectors

_MIN_FILES = 4
_FROZEN_PART = 4  # a quarter of the backbone: edges and textures need no fine-tuning
_BACKBONE_RATE = 0.1
_NEAREST = 10  # phrases that tell what a model sees in a file
_CHECKPOINTS = "training"
_CHECKPOINT_FORMAT = 2

Pairs = ImagePairs | AudioPairs


@naming_faults()
def fine_tune(
    pairs: Path,
    *,
    out: Path,
    init: str = "tiny",
    epochs: int = 5,
    strict: bool = False,
    device: str = "auto",
    force: bool = False,
    share: float = 0.5,
    batch_size: int = 64,
    learning_rate: float = 5e-4,
    val_share: float = 0.1,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> TrainReport:
    """Fine-tune the image and audio towers of `init` on a pairs file; the result is in `out`.

    `init` is "tiny" or a model folder. The text tower does not change: it keeps the words that the
    pairs lack, and images and sounds move towards their sentences. `share` is how much of the new
    weights the result takes, above 0 and at most 1; the rest stays those of `init`, so that the
    model keeps what it knew (WiSE-FT, arXiv:2109.01903). If the call is stopped, the same call
    continues where it was; a call with another `share` does not train again. `force` replaces a
    model that is in `out`. `progress` gets (stage, steps done, steps in all).

    Raises UsageError for pairs that cannot be used (with `strict`, for the first such pair) and
    for an `out` that holds other files, or a model without `force`; StoreError for an `out` that
    cannot be written to; ModelError for an `init` that cannot be fine-tuned.
    """
    begin = time.monotonic()
    pairs, out = Path(pairs), Path(out)
    source = TINY if init == "tiny" else Path(init).expanduser()
    _check_out(out, source, force=force)
    if epochs < 1 or batch_size < 2 or not 0 < val_share <= 0.5:
        raise UsageError(
            "epochs must be 1 or more, batch_size 2 or more, val_share above 0 and at most 0.5"
        )
    if not 0 < share <= 1:
        raise UsageError(
            f"share is {share:g}; it must be above 0 and at most 1, the trained weights alone"
        )
    folder = _open_init(source, init)
    device = str(choose_device(device))
    read = partial(progress, "reading files") if progress else None
    found = read_pairs(pairs, folder.config.image_px, val_share, strict=strict, progress=read)
    kinds: dict[str, Pairs] = {"image": found.images, "audio": found.audio}
    used = {kind: some for kind, some in kinds.items() if len(some.files) >= _MIN_FILES}
    if not used:
        first = f"; the first one is {found.skipped[0]}" if found.skipped else ""
        raise UsageError(
            f"{pairs} needs at least {_MIN_FILES} images or {_MIN_FILES} sounds that can be read "
            f"({len(found.skipped)} pairs skipped{first})"
        )
    old = TinyEncoder(folder, device=device)
    vectors = _encode_held_out(old, used)
    schedule = Schedule(0, batch_size, learning_rate, average=0.98)
    settings = [_CHECKPOINT_FORMAT, epochs, val_share, *asdict(schedule).values(), seed]
    work = out / _CHECKPOINTS / _digest(pairs, folder, settings)
    context = RunContext(work, device, seed, progress)
    arrays = dict(folder.arrays)
    with _writing_to(out):
        for kind, some in used.items():
            tower = _tune(kind, some, folder, schedule, epochs, context)
            new = arrays_of(tower, kind)
            arrays |= {n: (1 - share) * arrays[n] + share * new[n] for n in new}
    provenance = {
        "fine_tuned_from": {"name": folder.name, "revision": folder.revision},
        "pairs": found.pairs,
        "settings": {
            "epochs": epochs,
            "share": share,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "seed": seed,
        },
        "versions": {n: importlib.metadata.version(n) for n in ("seehear", "torch", "numpy")},
        "before": dict(folder.provenance),
    }
    name = out.resolve().name or folder.name
    with _writing_to(out):
        revision = save_folder(
            out, name, folder.config, arrays, folder.vocabulary, provenance, force=force
        )
    new_vectors = _encode_held_out(TinyEncoder(open_folder(out), device=device), used)
    return TrainReport(
        folder=out,
        init=init,
        revision=revision,
        pairs=found.pairs,
        trained={kind: _count(some, held_out=False) for kind, some in used.items()},
        held_out={kind: _count(some, held_out=True) for kind, some in used.items()},
        before=_measure(old, used, vectors),
        after=_measure(old, used, new_vectors),
        kept={kind: _kept(old, vectors[kind], new_vectors[kind]) for kind in used},
        skipped=found.skipped + _unused(found, used),
        duration_s=time.monotonic() - begin,
    )


def _check_out(out: Path, source: Path, *, force: bool) -> None:
    """Raise UsageError for an `out` that would overwrite something else."""
    if out.resolve() == source.resolve():
        raise UsageError(f"{out} is the model to start from; choose another folder for the new one")
    check_save(out, force=force)
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if any(not name.startswith(".") for name in names) and not names & {MANIFEST, _CHECKPOINTS}:
        raise UsageError(f"{out} holds other files; choose an empty or a new folder for the model")


@contextmanager
def _writing_to(out: Path) -> Iterator[None]:
    """Raise StoreError for a folder that cannot be written to, or a full disk."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise StoreError(
            f"the new model cannot be written to {out}: {reason or error}; "
            "check the folder and the free space, or choose another folder"
        ) from error


def _open_init(source: Path, init: str) -> Checkpoint:
    """Open the model to start from. Raises ModelUnavailableError for a folder without one."""
    if not (source / MANIFEST).is_file():
        raise ModelUnavailableError(
            f"{init} cannot be fine-tuned: start from tiny or from a folder that "
            f"`seehear train` has written (no model folder at {source})"
        )
    return open_folder(source)


def _tune(
    kind: str,
    some: Pairs,
    folder: Checkpoint,
    schedule: Schedule,
    epochs: int,
    context: RunContext,
) -> torch.nn.Module:
    """Return the tower of one kind, trained on the files that are not held out."""
    torch.manual_seed(context.seed)
    tower: Any = build_tower(folder, kind, context.device)
    head = [tower.projection] if kind == "image" else [tower.projection, tower.attention]
    sizes = folder.config.image if kind == "image" else folder.config.audio
    student = ScaledTower(tower).to(context.device)
    table = SentenceTable()
    numbers = [np.zeros(0, np.int64) for _ in some.files]
    rows = np.array([row for row, file in enumerate(some.files) if not file.held_out], np.int64)
    for row in rows:
        numbers[row] = np.array([table.number(text) for text in some.files[row].captions], np.int64)
    encoder = TinyEncoder(folder, device="cpu")
    table.vectors = torch.from_numpy(encoder.encode(Modality.TEXT, list(table.sentences)))
    source = PairSource(numbers, rows, np.full(len(rows), 1 / len(rows)))
    if isinstance(some, ImagePairs):
        jitter = ImageJitter(smallest_area=0.6, aspect=0.2, colour=0.15, grey=0.02, whole=0.3)
        embed = image_embed(some.pixels, folder.config.image_px, jitter, context.device)
    else:
        embed = audio_embed(some.waveforms, folder.config.window_s, AudioJitter(), context.device)
    groups = tower_groups(tower, head, sizes.blocks // _FROZEN_PART, _BACKBONE_RATE)
    size = min(schedule.batch_size, len(rows))
    steps = epochs * -(-len(rows) // size)
    plan = Schedule(steps, size, schedule.learning_rate, average=schedule.average)
    negatives = Negatives(min(1024, 4 * len(table.sentences)), min(512, len(rows)))
    tune_tower(kind, student, groups, source, table, embed, negatives, plan, context)
    return student.tower


def _encode_held_out(encoder: TinyEncoder, used: Mapping[str, Pairs]) -> dict[str, Vectors]:
    """Return the vectors of the held-out files by kind, each (n, dim)."""
    return {
        kind: _encode(encoder, some, [row for row, file in enumerate(some.files) if file.held_out])
        for kind, some in used.items()
    }


def _measure(
    encoder: TinyEncoder, used: Mapping[str, Pairs], vectors: Mapping[str, Vectors]
) -> dict[str, Figures]:
    """Return success@k both ways, by kind, for such vectors of the held-out files.

    The sentences are encoded by `encoder`: training leaves the text tower as it is.
    """
    found: dict[str, Figures] = {}
    for kind, some in used.items():
        files = [file for file in some.files if file.held_out]
        texts = [text for file in files for text in file.captions]
        # A file is also a right answer to the same sentence about another file.
        relevant = np.array([[text in file.captions for file in files] for text in texts])
        similarities = encoder.encode(Modality.TEXT, texts) @ vectors[kind].T
        figures = {}
        for way, matrix, right in (
            (f"text->{kind}", similarities, relevant),
            (f"{kind}->text", similarities.T, relevant.T),
        ):
            ranks = first_relevant_ranks(matrix, right)
            for k in CUTOFFS:
                if k < matrix.shape[1] or k == 1:
                    figures[f"{way} success@{k}"] = float((ranks <= k).mean())
        found[kind] = figures
    return found


def _kept(encoder: TinyEncoder, old: Vectors, new: Vectors) -> float:
    """Return the share of the everyday phrases nearest to each file that stay the nearest."""
    every = encoder.encode(Modality.TEXT, phrases())
    was, now = (
        np.argsort(-(vectors @ every.T), axis=1, kind="stable")[:, :_NEAREST]
        for vectors in (old, new)
    )
    return float((was[:, :, None] == now[:, None, :]).any(axis=2).mean())


def _encode(encoder: TinyEncoder, some: Pairs, rows: Sequence[int]) -> Vectors:
    """Return the vectors of some files as a search compares them, (n, dim)."""
    if isinstance(some, ImagePairs):
        images: list[Sample] = [ImageSample(np.asarray(some.pixels[row])) for row in rows]
        return encoder.encode(Modality.IMAGE, images)
    spec = encoder.spec
    length = int(spec.window_s * spec.sample_rate_hz)
    means = []
    for row in rows:
        wave = some.waveforms[row]
        windows: list[Sample] = [
            AudioSample(wave[start : start + length], spec.sample_rate_hz)
            for start in range(0, max(len(wave), 1), length)
        ]
        means.append(encoder.encode(Modality.AUDIO, windows).sum(axis=0))
    return normalised(np.stack(means))


def _count(some: Pairs, *, held_out: bool) -> int:
    return sum(file.held_out == held_out for file in some.files)


def _unused(found: PairsFile, used: Mapping[str, Pairs]) -> tuple[SkippedPair, ...]:
    """Return the files of a kind that has too few of them."""
    kinds: dict[str, tuple[str, Pairs]] = {
        "image": ("images", found.images),
        "audio": ("sounds", found.audio),
    }
    return tuple(
        SkippedPair(0, file.path, f"there are fewer than {_MIN_FILES} {plural}")
        for kind, (plural, some) in kinds.items()
        if kind not in used
        for file in some.files
    )


def _digest(pairs: Path, folder: Checkpoint, settings: Sequence[Any]) -> str:
    identity = json.dumps([folder.revision, settings]).encode() + pairs.read_bytes()
    return hashlib.sha256(identity).hexdigest()[:12]
