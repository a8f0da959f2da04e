"""How much `search_many` gains: processor time a query, asked together and one by one.

    python -m benchmarks.bench_many [--count 20000] [--publish]

The collection has random vectors in the space of `tiny`; the queries are sentences. Both ways give
the same hits, which is checked.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import seehear
from benchmarks import record

THINGS = [
    "a red car",
    "two dogs",
    "an old harbour",
    "church bells",
    "a birthday cake",
    "heavy rain",
]
PLACES = ["at night", "in the snow", "by the sea", "in a garden", "on a mountain", "in a crowd"]
QUERIES = [
    f"{thing} {place} in {year}" for thing in THINGS for place in PLACES for year in (1990, 2020)
]
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    record.add_options(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.count)
    result = {"seed": 0, "count": options.count, "queries": len(QUERIES), **found}
    print(result)
    record.keep("many", result, options)


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Return milliseconds of the processor for each query, both ways, and their ratio."""
    with seehear.open(folder / "collection", model="tiny", device="cpu") as library:
        (space,) = library.model().spaces_of(seehear.Modality.IMAGE)
        rows = np.random.default_rng(0).normal(size=(count, space.dim)).astype(np.float32)
        np.save(folder / "rows.npy", rows)
        library.import_vectors(folder / "rows.npy", space=space.name, modality="image")
        library.warm_up()
        ways: dict[str, Callable[[], list[list[seehear.Hit]]]] = {
            "one_by_one": lambda: [library.search(text) for text in QUERIES],
            "together": lambda: library.search_many(QUERIES),
        }
        answers = [[[hit.id for hit in hits] for hits in way()] for way in ways.values()]
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                started = time.process_time()
                way()
                spent[name].append(1000 * (time.process_time() - started) / len(QUERIES))
    found = {f"{name}_ms": round(statistics.median(times), 2) for name, times in spent.items()}
    gain = found["one_by_one_ms"] / found["together_ms"]
    return found | {"gain": round(gain, 2), "same_hits": answers[0] == answers[1]}


if __name__ == "__main__":
    main()
