"""Compare indexing here with indexing by Ray on the same machine: what its overhead is.

    python -m benchmarks.bench_ray [--sizes 250 1000 2000] [--rounds 2]
    python -m benchmarks.bench_ray --quick        60 files, once

Small pictures of noise, each of its own content, are indexed with `tiny` into an empty collection:
without Ray, and with `--on local` and 1 or 2 encoders. Each run is a process of its own. Its wall
clock includes the start of everything; its processor's seconds are those of the process and of all
that it started, Ray's own processes included. Ways take turns in each round, and the best counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import record

SIZES = (250, 1_000, 2_000)
QUICK = (60,)
WAYS = {
    "local": [],
    "ray, 1 encoder": ["--on", "local", "--encoders", "1"],
    "ray, 2 encoders": ["--on", "local", "--encoders", "2"],
}
PIXELS = 128
LOOK_S = 0.1
"""Between two looks at the processes."""


def pictures(folder: Path, count: int) -> None:
    """JPEGs of noise, 128 pixels wide and high."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        noise = generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((PIXELS, PIXELS)).save(folder / f"{number:05d}.jpg")


def index_once(media: Path, scratch: Path, options: Sequence[str]) -> dict[str, float]:
    """Index a folder into a new collection in a process of its own."""
    environment = os.environ | {"SEEHEAR_COLLECTION": str(scratch / "collection")}
    command = [sys.executable, "-m", "seehear", "index", str(media), "--json", *options]
    started = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        family = Family(process.pid)
        while process.poll() is None:
            family.look()
            time.sleep(LOOK_S)
        wall_s = time.perf_counter() - started
        assert process.stdout is not None
        report = json.loads(process.stdout.read())
    if process.returncode or report["failed"]:
        raise RuntimeError(f"indexing went wrong: {report}")
    return {"wall_s": wall_s, "cpu_s": family.seconds(), "stage_s": report["seconds"]}


class Family:
    """A process and all that descend from it: the processor's seconds that they had when last seen.

    Linux alone tells.
    """

    def __init__(self, pid: int) -> None:
        self._pids = {pid}
        self._ticks: dict[tuple[int, str], int] = {}

    def look(self) -> None:
        rows = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            rows.append((int(stat.parent.name), fields))
        grown = True
        while grown:
            found = {pid for pid, fields in rows if int(fields[1]) in self._pids}
            grown = not found <= self._pids
            self._pids |= found
        for pid, fields in rows:
            if pid in self._pids:
                self._ticks[pid, fields[19]] = int(fields[11]) + int(fields[12])

    def seconds(self) -> float:
        return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")


def measure(size: int, rounds: int) -> dict[str, Any]:
    """Index a folder in every way, in turns: the best of each, and its ratio to a local run."""
    best: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="seehear-bench-") as scratch:
        pictures(Path(scratch) / "media", size)
        for turn in range(rounds):
            for way, options in WAYS.items():
                folder = Path(scratch) / f"{turn} {way}"
                took = index_once(Path(scratch) / "media", folder, options)
                kept = best.setdefault(way, took)
                best[way] = {name: min(took[name], kept[name]) for name in took}
    for took in best.values():
        took |= {
            "wall_ratio": took["wall_s"] / best["local"]["wall_s"],
            "cpu_ratio": took["cpu_s"] / best["local"]["cpu_s"],
        }
    ways = {
        way: {name: round(value, 2) for name, value in took.items()} for way, took in best.items()
    }
    return {"files": size, "ways": ways}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_ray", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=2)
    record.add_options(parser)
    parser.add_argument("--quick", action="store_true", help="few files, once; keeps nothing")
    chosen = parser.parse_args(arguments)
    rows = []
    for size in chosen.sizes or (QUICK if chosen.quick else SIZES):
        row = measure(size, 1 if chosen.quick else chosen.rounds)
        rows.append(row)
        for way, took in row["ways"].items():
            print(
                f"{size:>6,} files  {way:<16} {took['wall_s']:7.1f} s ({took['wall_ratio']:.2f}), "
                f"{took['cpu_s']:7.1f} s of processor ({took['cpu_ratio']:.2f})",
                flush=True,
            )
    record.keep("ray", {"model": "tiny", "seed": 0, "sizes": rows}, chosen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
