"""Damage valid media files in every way, thousands of times, and decode them all.

    python -m benchmarks.fuzz_media --files 20000
    python -m benchmarks.fuzz_media --quick            300 files, as in the tests

One small valid file of every format is made, and copies of it are damaged: bits flipped, ranges
overwritten, cut off, left out, repeated or filled with zeros, beginnings and ends exchanged between
formats, and numbers replaced that state sizes, dimensions, rates and durations. All of them go
through the worker pool that indexing uses. What must hold:

    run        every file comes out, in order, as samples or as a MediaError of one line
    time       none takes longer than the limit for a file
    memory     no worker grows beyond its limit
    samples    what is decoded is well-formed: finite waveforms, times in order
    clean      no worker is left behind

A worker that dies costs its file alone; such files are counted, and kept with --keep FOLDER. The
same seed gives the same files.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import record
from seehear import media
from seehear.config import Settings
from seehear.errors import MediaError, UsageError
from seehear.files import write_output
from seehear.media.workers.process import TIME_PER_SECOND
from seehear.types import AudioSample, SampleSpec
from tests.media import make

QUICK_FILES = 300
DEFAULT_FILES = 20_000
TIMEOUT_S = 20.0
"""Per sample; seeds decode in milliseconds, so that only a hang comes near it."""
MEMORY_BYTES = 2 << 30
SLACK_S = 5.0
"""Over the limit for a file: noticing, ending and replacing a worker on a busy machine."""

Dice = random.Random
Mutation = Callable[[bytearray, Dice, Sequence[bytes]], bytearray]

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_STATED = (320, 240, 128, 96, 48_000, 16_000, 2_000, 2_048, 25, 12_800, 96_000)
"""Dimensions, rates, durations and time bases that the seeds are made with: where such a number
stands in a header, it is likely to be one of those."""


def flip(data: bytearray, dice: Dice, _others: Sequence[bytes]) -> bytearray:
    """Up to 64 bits flipped, half of the time within the first kilobyte."""
    reach = len(data) if dice.random() < 0.5 else min(len(data), 1024)
    for _ in range(dice.choice((1, 2, 4, 16, 64))):
        data[dice.randrange(reach)] ^= 1 << dice.randrange(8)
    return data


def overwrite(data: bytearray, dice: Dice, _others: Sequence[bytes]) -> bytearray:
    """A range of noise, zeros or ones."""
    start = dice.randrange(len(data))
    count = min(len(data) - start, dice.choice((4, 32, 256, 4096)))
    filling = dice.choice((None, 0x00, 0xFF))
    data[start : start + count] = (
        dice.randbytes(count) if filling is None else bytes([filling]) * count
    )
    return data


def truncate(data: bytearray, dice: Dice, _others: Sequence[bytes]) -> bytearray:
    """Cut anywhere; sometimes filled with zeros to its old length, as a broken copy is."""
    length = len(data)
    cut = data[: dice.randrange(length)]
    if dice.random() < 0.25:
        cut += bytes(length - len(cut))
    return cut


def leave_out(data: bytearray, dice: Dice, _others: Sequence[bytes]) -> bytearray:
    """A range removed from the middle."""
    start = dice.randrange(len(data))
    del data[start : start + dice.choice((1, 7, 64, 1024))]
    return data


def repeat(data: bytearray, dice: Dice, _others: Sequence[bytes]) -> bytearray:
    """A range many times over: chunks, frames, table entries."""
    start = dice.randrange(len(data))
    part = bytes(data[start : start + dice.choice((4, 16, 128, 1024))])
    data[start:start] = part * dice.choice((1, 8, 64))
    return data


def swap_head(data: bytearray, dice: Dice, others: Sequence[bytes]) -> bytearray:
    """The beginning of a file of another format."""
    count = dice.choice((4, 12, 32, 128, 512))
    data[:count] = dice.choice(others)[:count]
    return data


def splice(data: bytearray, dice: Dice, others: Sequence[bytes]) -> bytearray:
    """The end of another file."""
    other = dice.choice(others)
    return data[: dice.randrange(len(data))] + other[dice.randrange(len(other)) :]


def lie(data: bytearray, dice: Dice, _others: Sequence[bytes]) -> bytearray:
    """A number that states a dimension, a rate or a duration replaced by an extreme one."""
    layouts = ("<H", ">H", "<I", ">I", "<Q", ">Q", "<f", ">d")
    places = []
    for layout in layouts[:4]:
        for value in _STATED:
            if layout[1] == "H" and value > 0xFFFF:
                continue
            at = data.find(struct.pack(layout, value), 0, 65_536)
            if at >= 0:
                places.append((at, layout))
    if not places or dice.random() < 0.3:
        layout = dice.choice(layouts)
        at = dice.randrange(max(1, min(len(data), 2048) - 8))
    else:
        at, layout = dice.choice(places)
    size = struct.calcsize(layout)
    if layout[1] in "fd":
        new = struct.pack(layout, dice.choice((0.0, -1.0, 1e30, float("inf"), float("nan"))))
    else:
        new = struct.pack(layout, dice.choice(_EXTREMES) & ((1 << 8 * size) - 1))
    data[at : at + size] = new
    return data


def mend(data: bytearray) -> bytearray:
    """Sums of PNG chunks made right again, so that a lie reaches further than the check."""
    import zlib

    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return data
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return data


MUTATIONS: tuple[Mutation, ...] = (
    flip, overwrite, truncate, leave_out, repeat, swap_head, splice, lie,
)  # fmt: skip


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


def _follow(file: media.DecodedFile, item: Damaged, tally: Tally, keep: Path | None) -> None:
    try:
        for segment, sample in file:
            if isinstance(sample, AudioSample) and not np.isfinite(sample.waveform).all():
                tally.fault(item, "a waveform that is not finite")
            start, stop = segment.start_s, segment.stop_s
            if start is not None and stop is not None and not 0 <= start < stop:
                tally.fault(item, f"times {start} to {stop}")
    except MediaError as error:
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
                write_output(keep / item.name, [file.path.read_bytes()])
    else:
        outcome = "decoded"
        tally.decoded += 1
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
    parser.add_argument("--keep", type=Path, help="folder for files that ended a worker")
    record.add_options(parser)
    options = parser.parse_args(arguments)
    count = QUICK_FILES if options.quick else options.files
    started = time.monotonic()
    tally = run(count, seed=options.seed, workers=options.workers, keep=options.keep)
    result = summary(tally, time.monotonic() - started)
    if result["peak_worker_mib"] > result["limit_mib"]:
        tally.faults.append("a worker grew beyond its limit")
    for name in ("files", "decoded", "refused", "workers_died", "hung", "longest_s", "seconds"):
        print(f"{name:16}{result[name]}")
    print(f"{'memory':16}{result['peak_worker_mib']} of {result['limit_mib']} MiB")
    for words in tally.faults:
        print(f"fault           {words}")
    record.keep("fuzz_media", {"seed": options.seed, **result}, options)
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
