"""Write the results of benchmarks: JSON with machine, commit, date and seed.

Only --publish writes to benchmarks/results/; other runs write to benchmarks/scratch/, which git
ignores, and quick runs write nothing. In another folder no file is replaced without --force.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seehear.errors import UsageError
from seehear.files import write_output

RESULTS = Path(__file__).parent / "results"
SCRATCH = Path(__file__).parent / "scratch"
_written: set[Path] = set()
"""What this run has written: it may write a result anew as it grows."""


def machine() -> dict[str, Any]:
    """What a figure depends on: processor, cores this process may use, memory, versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores": cores,
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def commit() -> str:
    """The commit that is measured, with "+changes" where the tree differs from it."""
    try:
        name = _git("rev-parse", "--short", "HEAD")
        return name + ("+changes" if _git("status", "--porcelain", "--", "seehear") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where a result is written."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--publish", action="store_true", help="write into benchmarks/results (not with --quick)"
    )
    where.add_argument(
        "--results", type=Path, metavar="DIR", help="write here (default: benchmarks/scratch)"
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def keep(name: str, result: dict[str, Any], options: argparse.Namespace) -> Path | None:
    """Write a result where the options say, and print where; None where it is written nowhere.

    A result that must not be written there goes to benchmarks/scratch: no measurement is lost.
    """
    quick = getattr(options, "quick", False)
    folder: Path | None = options.results
    if folder is None and not quick:
        folder = RESULTS if options.publish else SCRATCH
    if folder is None:
        print("not written: --quick measures too little")
        return None
    try:
        path = save(name, result, folder, force=options.force)
    except UsageError as error:
        print(error)
        path = save(name, result, SCRATCH)
    print(f"written: {path}", flush=True)
    return path


def save(name: str, result: dict[str, Any], folder: Path, *, force: bool = False) -> Path:
    """Write a result with its circumstances as `name`.json into a folder. Raises UsageError."""
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "benchmark": name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "machine": machine(),
        **result,
    }
    force = force or folder in (RESULTS, SCRATCH) or path in _written
    write_output(path, [(json.dumps(document, indent=2) + "\n").encode()], force=force)
    _written.add(path)
    return path


def published(name: str) -> dict[str, Any] | None:
    """Return the published result of that name, or None."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
