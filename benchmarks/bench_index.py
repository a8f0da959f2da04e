"""Measure how close indexing comes to its slower stage: decode alone, encode alone, and all.

    python -m benchmarks.bench_index                       2,000 photos of 12 megapixels, tiny
    python -m benchmarks.bench_index --kind sounds --kind clips
    python -m benchmarks.bench_index --quick               a few files of each, under a minute

Three figures per kind, in files per second, all on the same files in the same run:

    decode   the decode workers with nobody waiting: samples are taken and dropped
    encode   the model on the samples of those files, already in memory, in batches of the same
             size, with every core
    index    `index()` on an empty collection: scan, decode, encode, write, commit
    command  `python -m seehear index` as a process, with its start and the loading of the model

The bound is the slower of decode and encode. Where both need the same cores, as on a machine
without a GPU, not even a perfect pipeline reaches it: `shared bound` is 1 / (1/decode + 1/encode),
what is left when every core is always busy with one or the other.

Beside the clock stands the processor's time of each stage, its workers included, which other work
on the machine does not lengthen: `work` is what decode and encode took of that alone, as a share of
what `index()` took; the rest is the pipeline's own.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import folders, record
from seehear import media
from seehear.config import Settings
from seehear.encoders import Model, load_model
from seehear.indexers import index
from seehear.stores import Catalog
from seehear.types import Modality, Sample, modality_of

KINDS = ("photos", "sounds", "clips")
COUNTS = {"photos": 2000, "sounds": 500, "clips": 50}
QUICK = {"photos": 12, "sounds": 6, "clips": 2}
HELD_SAMPLES = 2048
"""Samples held in memory for the encode-only figure: more would measure the memory instead."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Files per second."""

    kind: str
    files: int
    decode: float
    encode: float
    index: float
    command: float | None
    decode_cpu_s: float = 0.0
    encode_cpu_s: float = 0.0
    index_cpu_s: float = 0.0

    @property
    def work(self) -> float:
        return (self.decode_cpu_s + self.encode_cpu_s) / self.index_cpu_s

    @property
    def bound(self) -> float:
        return min(self.decode, self.encode)

    @property
    def shared_bound(self) -> float:
        return 1 / (1 / self.decode + 1 / self.encode)

    def as_json(self) -> dict[str, Any]:
        figures = {
            "decode_per_s": self.decode,
            "encode_per_s": self.encode,
            "index_per_s": self.index,
            "command_per_s": self.command,
            "index_to_slower_stage": self.index / self.bound,
            "index_to_shared_bound": self.index / self.shared_bound,
            "decode_cpu_s": self.decode_cpu_s,
            "encode_cpu_s": self.encode_cpu_s,
            "index_cpu_s": self.index_cpu_s,
            "work_of_index_cpu": self.work,
        }
        rounded = {name: value and round(value, 3) for name, value in figures.items()}
        return {"kind": self.kind, "files": self.files, **rounded}


def make(kind: str, folder: Path, count: int, *, quick: bool) -> list[Path]:
    if kind == "photos":
        size_px = (1600, 1200) if quick else folders.PHOTO_SIZE_PX
        return folders.photographs(folder, count, size_px)
    if kind == "sounds":
        return folders.sounds(folder, count, 5.0 if quick else 30.0)
    return folders.clips(folder, count, 2.0 if quick else 20.0)


def measure(
    kind: str, paths: Sequence[Path], model: Model, settings: Settings, *, command: bool
) -> Rates:
    """Take the figures on one folder of files."""
    warm_up(paths, model, settings)
    marks = [_processor_s()]
    held, held_files, decode_s = decode_alone(paths, model, settings)
    marks.append(_processor_s())
    encode_s = encode_alone(held, model, settings) * len(paths) / held_files
    marks.append(_processor_s())
    index_s = index_all(paths[0].parent, model, settings, len(paths))
    marks.append(_processor_s())
    decode_cpu_s, encode_cpu_s, index_cpu_s = np.diff(marks).tolist()
    encode_cpu_s *= len(paths) / held_files
    command_s = run_command(paths[0].parent, settings) if command else None
    n = len(paths)
    return Rates(
        kind,
        n,
        n / decode_s,
        n / encode_s,
        n / index_s,
        n / command_s if command_s else None,
        decode_cpu_s,
        encode_cpu_s,
        index_cpu_s,
    )


def _processor_s() -> float:
    """Processor seconds of this process and of the workers that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def warm_up(paths: Sequence[Path], model: Model, settings: Settings) -> None:
    """Load what is loaded on first use, and read the files into the system's cache."""
    samples, _, _ = decode_alone(paths[:2], model, settings)
    encode_alone(samples, model, settings)
    for path in paths:
        with path.open("rb") as file:
            while file.read(1 << 22):
                pass


def decode_alone(
    paths: Sequence[Path], model: Model, settings: Settings
) -> tuple[list[Sample], int, float]:
    """Decode every file; returns some samples, from how many files, and the seconds."""
    held: list[Sample] = []
    files = 0
    started = time.perf_counter()
    for file in media.decode_all(paths, model.spec, settings):
        room = len(held) < HELD_SAMPLES
        files += room
        for _, sample in file:
            if room:
                held.append(sample)
    return held, files, time.perf_counter() - started


def encode_alone(samples: Sequence[Sample], model: Model, settings: Settings) -> float:
    """Seconds to encode samples in batches of one modality."""
    by_modality = {m: [s for s in samples if modality_of(s) is m] for m in Modality}
    started = time.perf_counter()
    for modality, group in by_modality.items():
        for start in range(0, len(group), settings.batch_size):
            if model.spaces_of(modality):
                model.encode(modality, group[start : start + settings.batch_size])
    return time.perf_counter() - started


def index_all(folder: Path, model: Model, settings: Settings, files: int) -> float:
    """Seconds to index a folder into an empty collection."""
    with _scratch() as place:
        catalog = Catalog.open(place)
        started = time.perf_counter()
        report = index(catalog, model, [folder], settings)
        seconds = time.perf_counter() - started
        catalog.close()
    if (report.added, report.failed) != (files, 0):
        raise RuntimeError(f"expected {files} files to be added: {report}")
    return seconds


def run_command(folder: Path, settings: Settings) -> float:
    with _scratch() as place:
        command = [sys.executable, "-m", "seehear", "index", str(folder), "--json"]
        options = ["--collection", str(place), "--model", settings.model]
        started = time.perf_counter()
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started


class _scratch:  # noqa: N801 - reads as a statement
    def __enter__(self) -> Path:
        self._folder = Path(tempfile.mkdtemp(prefix="seehear-bench-"))
        return self._folder

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def report(rates: Rates, show: Callable[[str], None] = print) -> None:
    show(f"{rates.files} {rates.kind}, files per second")
    show(f"  decode alone   {rates.decode:9.1f}")
    show(f"  encode alone   {rates.encode:9.1f}")
    show(f"  index          {rates.index:9.1f}")
    if rates.command:
        show(f"  seehear index  {rates.command:9.1f}   with process start and model loading")
    show(f"  index / slower stage     {rates.index / rates.bound:.2f}")
    show(f"  index / shared bound     {rates.index / rates.shared_bound:.2f}")
    show(f"  work / index, processor  {rates.work:.2f}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_index", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--kind", action="append", choices=KINDS, help="default: photos")
    parser.add_argument("--count", type=int, help="files of each kind")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--media", type=Path, help="keep the made files here, and use them again")
    record.add_options(parser)
    parser.add_argument("--name", default="index", help="of the result")
    parser.add_argument("--quick", action="store_true", help="all kinds, few files; keeps nothing")
    parser.add_argument("--no-command", action="store_true", help="leave out the process figure")
    chosen = parser.parse_args(arguments)

    kinds = chosen.kind or (list(KINDS) if chosen.quick else ["photos"])
    defaults = Settings()
    settings = Settings(
        model=chosen.model,
        batch_size=chosen.batch_size or defaults.batch_size,
        decode_workers=chosen.workers,
    )
    model = load_model(chosen.model)
    results = []
    with _scratch() as scratch:
        for kind in kinds:
            count = chosen.count or (QUICK if chosen.quick else COUNTS)[kind]
            folder = (chosen.media or scratch) / f"{kind}-{count}"
            paths = sorted(folder.iterdir()) if folder.is_dir() else []
            if len(paths) != count:
                paths = make(kind, folder, count, quick=chosen.quick)
            rates = measure(kind, paths, model, settings, command=not chosen.no_command)
            report(rates)
            results.append(rates.as_json())
            document = {
                "model": f"{model.name} {model.revision}",
                "batch_size": settings.batch_size,
                "decode_workers": settings.decode_workers or "one per core",
                "seed": 0,
                "kinds": results,
            }
            record.keep(chosen.name, document, chosen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
