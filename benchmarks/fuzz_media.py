"""Damage valid media files in every way, thousands of times, and decode them all.

    python -m benchmarks.fuzz_media --files 20000
    python -m benchmarks.fuzz_media --files 20000 --service
    python -m benchmarks.fuzz_media --quick            300 files, as in the tests

One small valid file of every format is made, and copies of it are damaged (fuzz_mutations.py): bits
flipped, ranges overwritten, cut off, left out, repeated or filled with zeros, beginnings and ends
exchanged between formats, and numbers replaced that state sizes, dimensions, rates and durations;
and by structure: boxes and chunks of wrong sizes, within themselves, doubled or exchanged,
directories that lead back to themselves, offsets and counts of tables, time stamps that jump. All
of them go through the worker pool that indexing uses; with --service each goes to the pool that the
service uses, as a query, for a picture, and a sound for its waveform. What must hold:

    run        every file comes out as samples or as a MediaError of one line; indexing: in order
    time       none takes longer than the limit for a file
    memory     no worker grows beyond its limit
    samples    what is decoded is well-formed: finite waveforms, times in order
    clean      no worker is left behind

A worker that dies costs its file alone; such files are counted, and kept with --keep FOLDER. The
same seed gives the same files.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import record
from benchmarks.fuzz_mutations import MUTATIONS, Dice, mend
from seehear import media
from seehear.config import Settings
from seehear.errors import MediaError, UsageError
from seehear.files import write_output
from seehear.media.workers.pool import DecodePool
from seehear.media.workers.process import TIME_PER_SECOND
from seehear.types import AudioSample, ImageSample, Modality, Sample, SampleSpec
from tests.media import make

QUICK_FILES = 300
DEFAULT_FILES = 20_000
TIMEOUT_S = 20.0
"""Per sample; seeds decode in milliseconds, so that only a hang comes near it."""
MEMORY_BYTES = 2 << 30
SLACK_S = 5.0
"""Over the limit for a file: noticing, ending and replacing a worker on a busy machine."""


@dataclass
class Tally:
    """What became of the files."""

    files: int = 0
    decoded: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    died: Counter[str] = field(default_factory=Counter)
    hung: int = 0
    by_mutation: dict[str, Counter[str]] = field(default_factory=dict)
    by_format: dict[str, Counter[str]] = field(default_factory=dict)
    longest_s: float = 0.0
    longest_file: str = ""
    faults: list[str] = field(default_factory=list)

    def count(self, item: Damaged, outcome: str) -> None:
        for table, name in ((self.by_mutation, item.mutation), (self.by_format, item.format)):
            table.setdefault(name, Counter())[outcome] += 1

    def fault(self, item: Damaged, words: str) -> None:
        self.faults.append(f"{item.name}: {words}")


@dataclass(frozen=True)
class Damaged:
    """One damaged file, and how it came about."""

    path: Path
    format: str
    mutation: str

    @property
    def name(self) -> str:
        return self.path.name


def damaged_files(
    seeds: dict[str, bytes], folder: Path, count: int, seed: int
) -> Iterator[Damaged]:
    """Write `count` damaged files, each when it is asked for."""
    names, others = list(seeds), list(seeds.values())
    for index in range(count):
        dice = Dice(f"{seed}-{index}")
        name = names[index % len(names)]
        mutation = MUTATIONS[index // len(names) % len(MUTATIONS)]
        data = mutation(bytearray(seeds[name]), dice, others)
        if dice.random() < 0.5:
            data = mend(data)
        # One file in ten has no suffix that helps, or one that misleads.
        suffix = dice.choice(names) if dice.random() < 0.1 else name
        path = folder / f"{index:06}-{mutation.__name__}.{suffix}"
        path.write_bytes(bytes(data))
        yield Damaged(path, name, mutation.__name__)


def run(count: int, *, seed: int, workers: int | None, keep: Path | None = None) -> Tally:
    """Decode `count` damaged files and tally them."""
    settings = Settings(
        decode_workers=workers, decode_timeout_s=TIMEOUT_S, decode_memory_bytes=MEMORY_BYTES
    )
    spec = SampleSpec()
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="seehear-fuzz-") as name:
        folder = Path(name)
        made = make.make_every_format(folder / "seeds")
        seeds = {key: path.read_bytes() for key, path in made.items()}
        tasks = damaged_files(seeds, folder, count, seed)
        since = time.monotonic()
        for file in media.decode_all(tasks, spec, settings):
            item = file.task
            assert isinstance(item, Damaged)
            _follow(file, item, tally, keep)
            took, since = time.monotonic() - since, time.monotonic()
            if took > tally.longest_s:
                tally.longest_s, tally.longest_file = took, item.name
            allowed = TIMEOUT_S * (2 if file.info else 1) + SLACK_S
            allowed += TIME_PER_SECOND * (file.info.duration_s or 0.0 if file.info else 0.0)
            if took > allowed:
                tally.fault(item, f"took {took:.1f} s, beyond its limit")
            file.path.unlink(missing_ok=True)
            tally.files += 1
    if tally.files != count:
        tally.faults.append(f"{count} files went in and {tally.files} came out")
    left = [t.name for t in threading.enumerate() if t.name.startswith("seehear-decode")]
    if left:
        tally.faults.append(f"threads are left behind: {left}")
    return tally


def run_service(count: int, *, seed: int, workers: int | None, keep: Path | None = None) -> Tally:
    """Ask the pool of the service about `count` damaged files and tally them."""
    workers, tally = workers or 2, Tally()
    with (
        tempfile.TemporaryDirectory(prefix="seehear-fuzz-") as name,
        closing(DecodePool(workers, MEMORY_BYTES, TIMEOUT_S)) as pool,
        ThreadPoolExecutor(workers) as threads,
    ):
        folder = Path(name)
        made = make.make_every_format(folder / "seeds")
        tasks = damaged_files({k: p.read_bytes() for k, p in made.items()}, folder, count, seed)
        while items := list(itertools.islice(tasks, 32 * workers)):
            for item, took in zip(
                items,
                threads.map(lambda one: _serve(pool, one, tally, keep), items),
                strict=True,
            ):
                if took > tally.longest_s:
                    tally.longest_s, tally.longest_file = took, item.name
                if took > 3 * TIMEOUT_S + SLACK_S:
                    tally.fault(item, f"took {took:.1f} s, beyond its limit")
                item.path.unlink(missing_ok=True)
                tally.files += 1
    return tally


def _serve(pool: DecodePool, item: Damaged, tally: Tally, keep: Path | None) -> float:
    """Ask for all that the service makes of a file; return the seconds that it took."""
    started = time.monotonic()
    try:
        modality, samples = pool.query(item.path, SampleSpec())
        for sample in samples:
            _check_sample(sample, item, tally)
        if modality is not Modality.TEXT:
            pool.image(item.path, 320, start_s=1.0, audio=modality is Modality.AUDIO)
        if modality is Modality.AUDIO:
            pool.waveform(item.path, 400, 3_600.0)
    except MediaError as error:
        _count_error(error, item, tally, keep)
    else:
        tally.decoded += 1
        tally.count(item, "decoded")
    return time.monotonic() - started


def _check_sample(sample: Sample, item: Damaged, tally: Tally) -> None:
    if isinstance(sample, AudioSample) and not np.isfinite(sample.waveform).all():
        tally.fault(item, "a waveform that is not finite")
    if isinstance(sample, ImageSample) and not sample.pixels.size:
        tally.fault(item, "an image without pixels")


def _follow(file: media.DecodedFile, item: Damaged, tally: Tally, keep: Path | None) -> None:
    try:
        for segment, sample in file:
            _check_sample(sample, item, tally)
            start, stop = segment.start_s, segment.stop_s
            if start is not None and stop is not None and not 0 <= start < stop:
                tally.fault(item, f"times {start} to {stop}")
    except MediaError as error:
        _count_error(error, item, tally, keep)
    else:
        partial = file.info is not None and "partial" in file.info.details
        tally.decoded += 1
        tally.count(item, "partial" if partial else "decoded")


def _count_error(error: MediaError, item: Damaged, tally: Tally, keep: Path | None) -> None:
    reason = str(error)
    if not reason or "\n" in reason:
        tally.fault(item, f"a reason that is no line: {reason!r}")
    if "decoder died" in reason:
        tally.died[reason] += 1
        outcome = "died"
    elif "no result within" in reason:
        tally.hung += 1
        outcome = "hung"
    else:
        outcome = type(error).__name__
        tally.refused[outcome] += 1
    if keep is not None and outcome in {"died", "hung"}:
        keep.mkdir(parents=True, exist_ok=True)
        with suppress(UsageError):  # kept by an earlier run
            write_output(keep / item.name, [item.path.read_bytes()])
    tally.count(item, outcome)


def peak_worker_bytes() -> int:
    """The most memory that any ended worker held; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def summary(tally: Tally, seconds: float) -> dict[str, Any]:
    """The figures as JSON."""
    return {
        "files": tally.files,
        "decoded": tally.decoded,
        "refused": dict(tally.refused),
        "workers_died": dict(tally.died),
        "hung": tally.hung,
        "longest_s": round(tally.longest_s, 2),
        "longest_file": tally.longest_file,
        "limit_s": TIMEOUT_S,
        "peak_worker_mib": round(peak_worker_bytes() / 2**20),
        "limit_mib": MEMORY_BYTES >> 20,
        "seconds": round(seconds, 1),
        "files_per_s": round(tally.files / seconds, 1) if seconds else None,
        "by_mutation": {name: dict(found) for name, found in tally.by_mutation.items()},
        "by_format": {name: dict(found) for name, found in tally.by_format.items()},
        "faults": tally.faults,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and keep the figures; 1 where anything did not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--files", type=int, default=DEFAULT_FILES)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_FILES} files, nothing kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--service", action="store_true", help="the pool of the service")
    parser.add_argument("--keep", type=Path, help="folder for files that ended a worker")
    record.add_options(parser)
    options = parser.parse_args(arguments)
    count = QUICK_FILES if options.quick else options.files
    started = time.monotonic()
    through = run_service if options.service else run
    tally = through(count, seed=options.seed, workers=options.workers, keep=options.keep)
    result = summary(tally, time.monotonic() - started)
    if result["peak_worker_mib"] > result["limit_mib"]:
        tally.faults.append("a worker grew beyond its limit")
    for name in ("files", "decoded", "refused", "workers_died", "hung", "longest_s", "seconds"):
        print(f"{name:16}{result[name]}")
    print(f"{'memory':16}{result['peak_worker_mib']} of {result['limit_mib']} MiB")
    for words in tally.faults:
        print(f"fault           {words}")
    name = "fuzz_media_service" if options.service else "fuzz_media"
    record.keep(name, {"seed": options.seed, **result}, options)
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
