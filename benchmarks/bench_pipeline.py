"""Check that indexing costs the same time per file, and memory, for 1,000 files as for 100,000.

    python -m benchmarks.bench_pipeline [--sizes 1000 10000 100000] [--plot FILE]
    python -m benchmarks.bench_pipeline --quick        60 and 300 files

Folders of small notes, each of its own content, are indexed into an empty collection with the fake
encoder, so that scan, difference, decode, write and bookkeeping are what is left. Each size runs in
a process of its own, which reports its seconds, its processor's seconds with those of its decode
workers, and the most memory that it and one worker had. The second figure per size is a second run
over the same folder, in which nothing has changed. The plot needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.plot import plot
from seehear.files import check_output

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
QUICK = (60, 300)
PER_FOLDER = 500
LOOK_S = 0.5
"""Between two looks at the workers, which grow in the first second and hardly after it."""


def notes(folder: Path, count: int) -> None:
    """Small text files in folders of 500."""
    words = ["red", "green", "blue", "dog", "cat", "bird", "sea", "rain", "drum", "bell"]
    for number in range(count):
        place = folder / f"{number // PER_FOLDER:04d}"
        if number % PER_FOLDER == 0:
            place.mkdir(parents=True, exist_ok=True)
        said = " ".join(words[(number // 10**digit) % 10] for digit in range(6))
        (place / f"note-{number:06d}.txt").write_text(f"Note {number}: {said}.\n")


def index_once(media: Path, collection: Path) -> dict[str, Any]:
    """Index a folder into a new collection, twice: what it took in this process."""
    from seehear.config import Settings
    from seehear.encoders import load_model
    from seehear.indexers import index
    from seehear.stores import Catalog

    model, catalog = load_model("fake"), Catalog.open(collection)
    started_bytes = _peak_bytes()
    before, started = _processor_s(), time.perf_counter()
    with Workers() as workers:
        first = index(catalog, model, [media], Settings(model="fake"))
    first_s, first_cpu_s = time.perf_counter() - started, _processor_s() - before
    first_bytes = _peak_bytes()
    _forget_peak()
    before, started = _processor_s(), time.perf_counter()
    second = index(catalog, model, [media], Settings(model="fake"))
    again_s, again_cpu_s = time.perf_counter() - started, _processor_s() - before
    catalog.close()
    if first.failed or second.added:
        raise RuntimeError(f"indexing went wrong: {first}, then {second}")
    return {
        "files": first.added,
        "ms_per_file": 1e3 * first_s / first.added,
        "cpu_ms_per_file": 1e3 * first_cpu_s / first.added,
        "unchanged_ms_per_file": 1e3 * again_s / first.added,
        "unchanged_cpu_ms_per_file": 1e3 * again_cpu_s / first.added,
        "peak_mib": first_bytes / 2**20,
        "peak_over_start_mib": (first_bytes - started_bytes) / 2**20,
        "unchanged_peak_mib": _peak_bytes() / 2**20,
        "worker_peak_mib": workers.peak_bytes / 2**20,
    }


class Workers(threading.Thread):
    """Looks at this process's children while it is entered: the most memory that one of them had.

    What the system says of children that have ended does not serve: it counts what the parent had
    when it made them. Linux alone tells of those that run; elsewhere the figure is 0.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self.peak_bytes = 0

    def __enter__(self) -> Workers:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.wait(LOOK_S):
            for listed in Path("/proc/self/task").glob("*/children"):
                with suppress(OSError):  # a thread that has ended
                    for child in listed.read_text().split():
                        self.peak_bytes = max(self.peak_bytes, _high_water_bytes(child) or 0)


def _processor_s() -> float:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _peak_bytes() -> int:
    """The most memory that this process had since it began, or since `_forget_peak`."""
    peak = _high_water_bytes("self")
    if peak is None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak *= 1 if sys.platform == "darwin" else 1024
    return peak


def _forget_peak() -> None:
    with suppress(OSError):  # where it cannot be done, the peak is that of both runs
        Path("/proc/self/clear_refs").write_text("5")


def _high_water_bytes(process: str) -> int | None:
    """Resident memory of a process at its most; None where the system does not say."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None


def measure(size: int) -> dict[str, Any]:
    """Make a folder, and index it in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="seehear-bench-") as scratch:
        media = Path(scratch) / "media"
        notes(media, size)
        command = [sys.executable, "-m", "benchmarks.bench_pipeline", "--one", scratch]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {name: round(value, 4) for name, value in figures.items()}


PANELS = (
    ("ms per file", {"ms_per_file": "wall clock", "cpu_ms_per_file": "processor"}),
    (
        "peak memory, MiB",
        {
            "peak_mib": "the run",
            "unchanged_peak_mib": "again, unchanged",
            "worker_peak_mib": "a decode worker",
        },
    ),
)
"""What `--plot` draws over the number of files."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_pipeline", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--plot", type=Path, help="an .svg or .png file")
    record.add_options(parser)
    parser.add_argument("--quick", action="store_true", help="few files; keeps nothing")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.one is not None:
        print(json.dumps(index_once(chosen.one / "media", chosen.one / "collection")))
        return 0

    if chosen.plot is not None:
        check_output(chosen.plot, force=chosen.force)
    rows = []
    for size in chosen.sizes or (QUICK if chosen.quick else SIZES):
        rows.append(measure(size))
        row = rows[-1]
        print(
            f"{row['files']:>8,} files  {row['ms_per_file']:7.2f} ms a file "
            f"({row['cpu_ms_per_file']:.2f} of processor), {row['unchanged_ms_per_file']:.3f} "
            f"unchanged, peak {row['peak_mib']:.1f} MiB ({row['unchanged_peak_mib']:.1f} "
            f"unchanged; a worker {row['worker_peak_mib']:.1f})",
            flush=True,
        )
    if chosen.plot is not None:
        plot(rows, "files", PANELS, chosen.plot, force=chosen.force)
    record.keep("pipeline", {"model": "fake", "seed": 0, "sizes": rows}, chosen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
