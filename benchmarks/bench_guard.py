"""Compare today's speed with the stored one of the same kind of machine, in about three minutes.

    make bench-quick                                    compare
    python -m benchmarks.bench_guard --publish          store today's speed instead
    python -m benchmarks.bench_guard --only warm        some of the tasks alone

Each task is a process of its own, and its processor time counts, that of its children included.
Another program's work changes that too: caches and clocks are shared. So each task is divided by a
yardstick that runs right before it, fixed work in Python and numpy, and the middle one of the
rounds counts. A task that takes more than `SLOWER` of its stored figure is named, and the exit
status is then 1.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import folders, record
from benchmarks.stocked import queries, stock

ROUNDS = 5
SLOWER = 1.15
ASSETS = 10_000
WARM_QUERIES = 100
QUICK_ASSETS, QUICK_QUERIES, QUICK_ROUNDS = 300, 5, 1
KINDS = ("photos", "sounds", "clips", "notes")
TASKS = ("help", "cold", "warm", *(f"index-{kind}" for kind in KINDS))
PHOTOS, SOUNDS, CLIPS, NOTES = 40, 10, 3, 400
YARDSTICK = """
import numpy as np
rng = np.random.default_rng(0)
rows = rng.standard_normal((600, 512)).astype(np.float32)
for _ in range(12):
    order = np.argsort(rows @ rows.T, axis=1)
words = {}
for number in range(250_000):
    word = f"w{number % 5000}"
    words[word] = words.get(word, 0) + len(word)
"""
WARM = """
import sys, time
import seehear
from benchmarks.stocked import queries
library, count = seehear.open(sys.argv[1]), int(sys.argv[2])
library.warm_up()
asked = list(queries(count + 10))
for sentence in asked[:10]:
    library.search(sentence)
started = time.process_time()
for sentence in asked[10:]:
    library.search(sentence)
print(time.process_time() - started)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_guard", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", action="append", choices=TASKS)
    parser.add_argument("--quick", action="store_true")
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    rounds = chosen.rounds or (QUICK_ROUNDS if chosen.quick else ROUNDS)
    with tempfile.TemporaryDirectory(prefix="seehear-bench-") as scratch:
        tasks = Tasks(Path(scratch), quick=chosen.quick)
        measured = measure(tasks, chosen.only or TASKS, rounds)
    if chosen.publish or chosen.results or chosen.quick:
        record.keep(name_of_machine(), {"rounds": rounds, "tasks": measured}, chosen)
        return 0
    return compare(measured, record.published(name_of_machine()))


class Tasks:
    """What is measured, by name: each returns its processor seconds."""

    def __init__(self, scratch: Path, *, quick: bool) -> None:
        self.scratch = scratch
        self.queries = QUICK_QUERIES if quick else WARM_QUERIES
        few = 10 if quick else 1
        self.collection = scratch / "collection"
        stock(self.collection, QUICK_ASSETS if quick else ASSETS)
        folders.photographs(scratch / "photos", PHOTOS // few)
        folders.sounds(scratch / "sounds", SOUNDS // few)
        folders.clips(scratch / "clips", max(1, CLIPS // few), 2.0 if quick else 10.0)
        notes(scratch / "notes", NOTES // few)
        self.said = queries(1000, seed=2)
        self.runs = 0
        root = str(Path(__file__).resolve().parents[1])
        self.environment = {
            **os.environ,
            "PYTHONPATH": root,
            "SEEHEAR_CACHE": str(scratch / "cache"),
            "XDG_STATE_HOME": str(scratch / "state"),
            "SEEHEAR_DEVICE": "cpu",
        }
        program = [sys.executable, "-m", "seehear"]
        at = ["--collection", str(self.collection)]
        self.all: dict[str, Callable[[], float]] = {
            "help": lambda: self._timed([*program, "--help"]),
            "cold": lambda: self._timed([*program, "search", "--json", *at, next(self.said)]),
            "warm": self._warm,
            **{f"index-{kind}": partial(self._index, kind) for kind in KINDS},
        }

    def yardstick(self) -> float:
        return self._timed([sys.executable, "-c", YARDSTICK])

    def _warm(self) -> float:
        arguments = [str(self.collection), str(self.queries)]
        return float(self._run([sys.executable, "-c", WARM, *arguments]))

    def _index(self, kind: str) -> float:
        self.runs += 1
        fresh = str(self.scratch / f"new-{self.runs}")
        program = [sys.executable, "-m", "seehear", "index", "--collection", fresh]
        return self._timed([*program, str(self.scratch / kind)])

    def _timed(self, command: Sequence[str]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._run(command)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    def _run(self, command: Sequence[str]) -> str:
        done = subprocess.run(
            command, capture_output=True, check=False, text=True, env=self.environment
        )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)[:200]} failed: {done.stderr}")
        return done.stdout


def notes(folder: Path, count: int) -> None:
    """Write notes of one passage, each of its own content."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, sentence in enumerate(queries(count, seed=3)):
        (folder / f"note-{number:04}.txt").write_text(f"Note {number}: {sentence}.\n")


def measure(tasks: Tasks, wanted: Sequence[str], rounds: int) -> dict[str, dict[str, float]]:
    """Return, for each task, its processor seconds and how many yardsticks that is."""
    for name in wanted:  # modules are compiled, files and caches are in memory
        tasks.all[name]()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in wanted}
    for number in range(rounds):
        for name in wanted:
            print(f"\rround {number + 1} of {rounds}: {name:16}", end="", file=sys.stderr)
            yardstick_s = tasks.yardstick()
            seconds = tasks.all[name]()
            taken[name].append((seconds, seconds / yardstick_s))
    print(file=sys.stderr)
    return {
        name: {
            "processor_s": round(statistics.median(seconds for seconds, _ in rows), 3),
            "yardsticks": round(statistics.median(ratio for _, ratio in rows), 3),
        }
        for name, rows in taken.items()
    }


def name_of_machine() -> str:
    """Return the name of the result of this kind of machine: processor and cores."""
    machine = record.machine()
    words = re.sub(r"\W+", "-", f"{machine['processor']} {machine['cores']} cores")
    return f"guard-{words.strip('-').lower()}"


def compare(measured: Mapping[str, Mapping[str, float]], before: Mapping[str, Any] | None) -> int:
    """Print each task beside its stored figure; return 1 if any is slower, else 0."""
    if before is None:
        print("no stored result of this kind of machine; store one with --publish")
    else:
        print(f"compared with {before['commit']} of {before['date']}:")
    slower = []
    for name, one in measured.items():
        line = f"  {name:14} {one['processor_s']:8.3f} s of the processor"
        known = before["tasks"].get(name) if before else None
        if known:
            ratio = one["yardsticks"] / known["yardsticks"]
            line += f"  {ratio:5.2f} of before"
            if ratio > SLOWER:
                slower.append(f"{name} ({ratio:.2f})")
        print(line)
    if slower:
        print(f"slower by more than {SLOWER - 1:.0%}: {', '.join(slower)}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
