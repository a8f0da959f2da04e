"""Print where a warm query spends its time, as a text table of the most expensive functions.

    python -m benchmarks.bench_flame --assets 20000 --queries 100

Makes a collection (`stocked.py`) unless `--collection` names one, asks its queries in one thread,
and reports the processor time of a query, first without a profiler and then by function. The
profiler makes calls of Python look more expensive than they are; the shares of work in C are lower
bounds.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import tempfile
import time
from pathlib import Path

import seehear
from benchmarks.stocked import queries, stock
from seehear.stores.vectors.base import WARMUP_QUERIES
from seehear.types import Mode

TOP = 20


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        place = options.collection or Path(folder) / "collection"
        if options.collection is None:
            stock(place, options.assets)
        with seehear.open(place) as library:
            print(table(library, options.queries, Mode(options.mode)))


def table(library: seehear.Collection, count: int, mode: Mode) -> str:
    """Return the table for a collection: total time of a query, and the functions with most."""
    asked = list(queries(count))
    library.warm_up()
    for text in asked[: WARMUP_QUERIES + 4]:
        library.search(text, mode=mode)
    times = []
    for text in asked:
        started = time.process_time()
        library.search(text, mode=mode)
        times.append(1e3 * (time.process_time() - started))
    profile = cProfile.Profile(time.process_time)
    profile.enable()
    for text in asked:
        library.search(text, mode=mode)
    profile.disable()
    stats = pstats.Stats(profile).get_stats_profile().func_profiles
    whole = sum(one.tottime for one in stats.values())
    first = sorted(stats.items(), key=lambda one: -one[1].tottime)[:TOP]
    lines = [
        f"median {statistics.median(times):.1f} ms of processor time a query, least "
        f"{min(times):.1f} ms ({count} queries, mode {mode})",
        "",
        "| share by itself | with what it calls | calls a query | function |",
        "|---:|---:|---:|---|",
    ]
    for name, one in first:
        calls = int(str(one.ncalls).split("/", maxsplit=1)[0]) / count
        where = Path(one.file_name).name if one.line_number else "C"
        lines.append(
            f"| {100 * one.tottime / whole:.1f} % | {100 * one.cumtime / whole:.1f} % "
            f"| {calls:.1f} | `{name}` ({where}) |"
        )
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--assets", type=int, default=20_000)
    parser.add_argument("--collection", type=Path, help="a collection that `stocked.py` made")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--mode", choices=("auto", "semantic", "words"), default="auto")
    return parser.parse_args()


if __name__ == "__main__":
    main()
