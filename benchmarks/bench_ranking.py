"""Measure the ranked list: calibrated scores against raw cosines, and composed queries.

    python -m benchmarks.bench_ranking --data DIR [--model NAME]

DIR is a folder of training data (images/*.tar, audio/*.tar); only splits that nothing was trained
on are used. Constants of seehear/search were chosen on one half of it (`--half dev`); figures are
those of the other. Five tables are printed, with bootstrap intervals over queries:

    one list       nDCG@10 over images, sounds, videos and sentences together; and, for queries
                   without an answer, how often a false hit passes the cut that keeps 90 % of
                   the true hits (among the first ten)
    weak           by route, how many of the true hits and of the false ones are marked weak
    calibration    other spreads, and other ways to see a hit beside the others
    hubs           ways to treat items that are near everything
    composition    several parts by their scores, against adding their vectors

`--quick` does the same in seconds with made-up media and the fake encoder, to see that it works.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import platformdirs

from benchmarks import ranking, record
from benchmarks.ranking import Ranker, Row
from benchmarks.ranking_asks import Ask, composed_asks, single_asks
from benchmarks.ranking_data import Item, Remembered, clips, held_out, load, made_up
from benchmarks.ranking_world import World, build
from seehear.encoders import load_model
from seehear.types import Modality

DRAWS = {"dev": (0, 1), "test": (2, 3)}
"""Seeds of which concepts a collection lacks: each makes a collection of its own."""
RESAMPLES, QUICK_RESAMPLES = 1_000, 50
"""Draws of the bootstrap."""

Ways = dict[str, Callable[[World], Ranker]]

ONE_LIST: Ways = {
    "raw cosine": lambda world: ranking.by_similarity(world, ranking.cosine),
    "calibrated": ranking.by_engine,
}
COMPOSITION: Ways = {
    "sum of vectors": lambda world: ranking.by_similarity(world, ranking.cosine),
    "joined scores": ranking.by_engine,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--model", default="tiny", metavar="NAME")
    parser.add_argument("--half", choices=sorted(DRAWS), default="test")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where encoded vectors are kept")
    record.add_options(parser)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    resamples = QUICK_RESAMPLES if options.quick else RESAMPLES
    if options.quick:
        model, items = Remembered(load_model("fake", "cpu")), made_up()
    elif options.data is None or not (options.data / "images").is_dir():
        print("--data DIR: a folder with images/*.tar and audio/*.tar is needed", file=sys.stderr)
        return 2
    else:
        cache = options.cache or Path(platformdirs.user_cache_dir("seehear")) / "ranking"
        model = Remembered(load_model(options.model, "auto"))
        items = load(options.data, model, cache)
    found = measure(items, model, options.half, resamples)
    print(f"{model.name} {model.revision}, half {options.half}: {found['collections']}")
    for title, table in found.pop("printed").items():
        print(f"\n## {title}\n\n{table}")
    name = "ranking-quick" if options.quick else "ranking"
    circumstances = {"model": model.name, "revision": model.revision, "half": options.half}
    record.keep(name, {**circumstances, **found}, options)
    return 0


def measure(items: Sequence[Item], model: Remembered, half: str, resamples: int) -> dict[str, Any]:
    """All tables over the collections of one half: plain values, and as printed."""
    mine = [item for item in items if item.half == half]
    rows: dict[str, list[Row]] = {}
    counts = []
    with tempfile.TemporaryDirectory() as folder:
        worlds, single, composed = [], [], []
        for seed in DRAWS[half]:
            out = held_out(seed)
            kept = [item for item in mine if not item.concepts & out]
            kept += clips(kept, model, seed)
            world = build(kept, model, Path(folder) / str(seed))
            worlds.append(world)
            single.append(single_asks(world, mine, out, seed))
            composed.append(composed_asks(world, seed))
            counts.append({str(m): sum(item.modality is m for item in kept) for m in Modality})
        rows["one list"] = compared(ONE_LIST, worlds, single, resamples)
        rows["calibration"] = compared(ranking.CALIBRATION, worlds, single, resamples)
        rows["hubs"] = compared(ranking.HUBS, worlds, single, resamples)
        rows["composition"] = compared(COMPOSITION, worlds, composed, resamples)
        weak = ranking.weak_by_route(worlds, single)
    printed = {title: ranking.table(found) for title, found in rows.items()}
    return {
        "collections": counts,
        "tables": {
            title: [row.as_json(found[0]) for row in found] for title, found in rows.items()
        },
        "weak": [asdict(row) for row in weak],
        "printed": printed | {"weak": ranking.weak_table(weak)},
    }


def compared(
    ways: Ways, worlds: Sequence[World], asks: Sequence[Sequence[Ask]], resamples: int
) -> list[Row]:
    """One row for each way to rank, over the queries of all collections."""
    return [
        ranking.measure(
            name,
            [(way(world), mine) for world, mine in zip(worlds, asks, strict=True)],
            resamples,
        )
        for name, way in ways.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
