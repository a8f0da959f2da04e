"""Measure how long `seehear search` takes as a new process, and what it loads.

    python -m benchmarks.bench_start                    10,000 assets, 15 rounds
    python -m benchmarks.bench_start --quick            600 assets, 3 rounds, under a minute

The collection is made by benchmarks/stocked.py, with the bundled model. Processes are started one
after the other, a round of each kind at a time, and the middle one of the rounds counts:

    python -c pass            the interpreter alone: what no Python program can go below
    python -c "import numpy"  and with the one library that a search cannot do without
    seehear --help            the command line
    seehear search            a sentence of its own in every round; to the last byte of the answer

All of them find their modules compiled, as after an installation, and the files of the machine in
memory. Seconds are those of the clock, from the start of the process to its end; processor seconds
stand beside them, because another program's work moves the former more than the latter.
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
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.stocked import queries, stock

ASSETS, ROUNDS = 10_000, 15
QUICK_ASSETS, QUICK_ROUNDS = 600, 3
SLOWEST = 12
"""Packages of which the breakdown tells."""
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| +([\w.]+)")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_start", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--assets", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--collection", type=Path, help="one that stocked.py made, to use again")
    parser.add_argument("--quick", action="store_true")
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    assets = chosen.assets or (QUICK_ASSETS if chosen.quick else ASSETS)
    rounds = chosen.rounds or (QUICK_ROUNDS if chosen.quick else ROUNDS)
    with tempfile.TemporaryDirectory(prefix="seehear-bench-") as scratch:
        collection = chosen.collection or Path(scratch) / "collection"
        if not collection.exists():
            stock(collection, assets)
        result = measure(collection, rounds, _environment(Path(scratch)))
    result = {"model": "tiny", "assets": assets, "seed": 0, **result}
    _report(result)
    record.keep("start", result, chosen)
    return 0


def measure(collection: Path, rounds: int, environment: Mapping[str, str]) -> dict[str, Any]:
    """Seconds of each kind of process, and what the imports of a search take."""
    python = [sys.executable, "-c"]
    program = [sys.executable, "-m", "seehear"]
    commands = {
        "python -c pass": [*python, "pass"],
        'python -c "import numpy"': [*python, "import numpy"],
        "seehear --help": [*program, "--help"],
        "seehear search": [*program, "search", "--json", "--collection", str(collection)],
    }
    said = list(queries(rounds + 1))
    for name, command in commands.items():  # compiles modules, and reads files into memory
        _timed(_asking(name, command, said[0]), environment)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            asked = _asking(name, command, said[number + 1])
            seconds[name].append(_timed(asked, environment))
    base = statistics.median(clock for clock, _ in seconds["python -c pass"])
    rows = []
    for name, taken in seconds.items():
        clock_s = statistics.median(clock for clock, _ in taken)
        rows.append(
            {
                "process": name,
                "seconds": round(clock_s, 4),
                "fastest_s": round(min(clock for clock, _ in taken), 4),
                "processor_s": round(statistics.median(cpu for _, cpu in taken), 4),
                "times_python": round(clock_s / base, 1),
            }
        )
    search = _asking("seehear search", commands["seehear search"], said[0])
    return {"rounds": rounds, "processes": rows, "imports": _imports(search, environment)}


def _asking(name: str, command: list[str], sentence: str) -> list[str]:
    return [*command, sentence] if name == "seehear search" else command


def _timed(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds by the clock and of the processor. Raises SystemExit for a command that fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False, env=dict(environment))
    clock_s = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.decode()}")
    return clock_s, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _imports(command: Sequence[str], environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """What a search imports, by package: milliseconds of its modules' own code, slowest first."""
    timed = [command[0], "-X", "importtime", *command[1:]]
    done = subprocess.run(timed, capture_output=True, check=True, text=True, env=dict(environment))
    own: dict[str, list[int]] = {}
    for microseconds, module in _IMPORT.findall(done.stderr):
        own.setdefault(module.partition(".")[0], []).append(int(microseconds))
    slowest = sorted(own.items(), key=lambda pair: -sum(pair[1]))
    rows: list[dict[str, Any]] = [
        {"package": name, "ms": round(sum(times) / 1000, 1), "modules": len(times)}
        for name, times in slowest
    ]
    rest = rows[SLOWEST:]
    return [
        *rows[:SLOWEST],
        {
            "package": "(all others)",
            "ms": round(sum(row["ms"] for row in rest), 1),
            "modules": sum(row["modules"] for row in rest),
        },
    ]


def _environment(scratch: Path) -> dict[str, str]:
    """That of this process, with folders of its own and compiled modules kept."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    root = str(Path(__file__).resolve().parents[1])
    return {
        **kept,
        "PYTHONPATH": root,
        "SEEHEAR_CACHE": str(scratch / "cache"),
        "XDG_STATE_HOME": str(scratch / "state"),
    }


def _report(result: dict[str, Any]) -> None:
    print(f"{result['assets']:,} assets, {result['rounds']} rounds")
    for row in result["processes"]:
        print(
            f"  {row['process']:28} {row['seconds']:7.3f} s  (fastest {row['fastest_s']:.3f},"
            f" processor {row['processor_s']:.3f})  {row['times_python']:6.1f} x python"
        )
    print("imports of a search, by package:")
    for row in result["imports"]:
        print(f"  {row['package']:28} {row['ms']:7.1f} ms  {row['modules']:4} modules")


if __name__ == "__main__":
    sys.exit(main())
