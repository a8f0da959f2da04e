"""Measure a warm query and the memory of a process as a collection grows from a thousand segments.

    python -m benchmarks.bench_growth [--sizes 571 5714 57143 571429] [--plot FILE]
    python -m benchmarks.bench_growth --kept DIR        keeps the collections there, to use again
    python -m benchmarks.bench_growth --quick           two small ones

Each collection is made by benchmarks/stocked.py (1.75 segments an asset) and asked in a process of
its own, in one thread: texts by words and meaning, texts by meaning alone, and an image. A size's
figures are medians of processor time. Memory is the process's own and that of mapped files, which
the system can take back. The plot needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import seehear
from benchmarks import record
from benchmarks.memory import resident
from benchmarks.plot import plot
from benchmarks.stocked import queries, stock

SIZES = (571, 5_714, 57_143, 571_429)
QUICK_SIZES = (60, 120)
QUERIES = 60
WARM = 20
"""Queries that are not counted: from the 17th on, an index keeps more in memory."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def measure(folder: Path) -> dict[str, Any]:
    """Return the figures of one collection; it is opened here."""
    before = resident()
    started, clock = time.process_time(), time.perf_counter()
    with seehear.open(folder) as library:
        library.warm_up()
        opened_s, opened_clock_s = time.process_time() - started, time.perf_counter() - clock
        asked = list(queries(QUERIES))
        seen = np.random.default_rng(0).integers(0, 256, (160, 160, 3)).astype(np.uint8)
        row = {
            "assets": len(library),
            "segments": library.status().segments,
            "opened_s": round(opened_s, 3),
            "opened_clock_s": round(opened_clock_s, 3),
            "words_and_meaning_ms": _median_ms(asked, library.search),
            "meaning_ms": _median_ms(asked, lambda text: library.search(text, mode="semantic")),
            "image_ms": _median_ms(asked, lambda _: library.search(image=seen)),
        }
        after = resident()
        if before is not None and after is not None:
            row["own_mib"] = round((after.own - before.own) / 2**20, 1)
            row["files_mib"] = round((after.files - before.files) / 2**20, 1)
    return row


def _median_ms(asked: Sequence[str], ask: Callable[[str], object]) -> float:
    times = []
    for text in (*asked[:WARM], *asked):
        started = time.process_time()
        ask(text)
        times.append(time.process_time() - started)
    return round(1000 * statistics.median(times[WARM:]), 2)


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """The sizes as a table for docs/performance.md."""
    lines = [
        "| assets | segments | words and meaning | meaning alone | an image | opening "
        "| memory: own | mapped files |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['assets']:,} | {row['segments']:,} | {row['words_and_meaning_ms']} ms "
        f"| {row['meaning_ms']} ms | {row['image_ms']} ms | {row['opened_s']} s "
        f"| {row.get('own_mib', '')} MiB | {row.get('files_mib', '')} MiB |"
        for row in rows
    ]
    return "\n".join(lines)


PANELS = (
    (
        "ms of processor a query",
        {
            "words_and_meaning_ms": "words and meaning",
            "meaning_ms": "meaning alone",
            "image_ms": "an image",
        },
    ),
    ("memory, MiB", {"own_mib": "own", "files_mib": "mapped files"}),
)
"""What `--plot` draws over the number of segments."""


def _in_process(folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench_growth", "--one", str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ONE_THREAD},
    )
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_growth", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--sizes", type=int, nargs="+", help="assets of each collection")
    parser.add_argument("--kept", type=Path, metavar="DIR", help="where collections are kept")
    parser.add_argument("--plot", type=Path, help="an .svg or .png file")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true")
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    if chosen.one is not None:
        print(json.dumps(measure(chosen.one)))
        return 0
    rows = []
    with tempfile.TemporaryDirectory(prefix="seehear-bench-") as scratch:
        for size in chosen.sizes or (QUICK_SIZES if chosen.quick else SIZES):
            folder = (chosen.kept or Path(scratch)) / str(size)
            if not folder.exists():
                stock(folder, size)
            rows.append(_in_process(folder))
            print(json.dumps(rows[-1]), file=sys.stderr)
    print(as_table(rows))
    record.keep("growth", {"seed": 0, "queries": QUERIES, "sizes": rows}, chosen)
    if chosen.plot is not None:
        plot(rows, "segments", PANELS, chosen.plot, force=chosen.force)
    return 0


if __name__ == "__main__":
    sys.exit(main())
