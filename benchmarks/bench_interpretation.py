"""Measure how well filters are found in the words of queries.

    python -m benchmarks.bench_interpretation            the table, and each query read wrongly

Of the queries in interpretation_queries.txt, written by hand: how many filters are taken that
should be (recall), how many of those taken should be (precision), the same for what is offered, and
how often the words that are left are the right ones. Dates are counted from 29 November 2026, and
the values are those of a small collection described below; every filter counts as met by some file.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import record
from seehear.search.interpretation import CollectionValues, FoundFilter, interpret

QUERIES = Path(__file__).with_name("interpretation_queries.txt")
TODAY = date(2026, 11, 29)
VALUES = {
    "camera": [
        "Apple iPhone 12",
        "Google Pixel 7",
        "Canon EOS R5",
        "NIKON Z 6",
        "FUJIFILM X100V",
        "SONY ILCE-7M4",
        "GoPro HERO9 Black",
    ],
    "person": ["Anna Berg", "Tom Miller", "Mia"],
    "folder": ["/photos/Vienna", "/photos/Wedding", "/photos/Holidays", "/videos/GoPro"],
    "city": ["Rome", "Vienna", "Lisbon"],
    "country": ["Italy", "Austria", "Portugal", "Japan"],
}
CITIES = {
    name.casefold(): (1.0, 2.0)
    for name in ("Paris", "London", "New York", "Rio de Janeiro", "Berlin", "Kyoto", "Nice", "Bath")
}


@dataclass(frozen=True)
class Expected:
    query: str
    rest: str
    taken: frozenset[str]
    offered: frozenset[str]


def expected() -> list[Expected]:
    found = []
    for line in QUERIES.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        query, _, told = line.partition(" =>")
        rest, taken, offered = (part.strip() for part in told.split("|"))
        found.append(Expected(query, rest, _listed(taken), _listed(offered)))
    return found


def _listed(text: str) -> frozenset[str]:
    return frozenset(one.strip() for one in text.split(";") if one.strip())


def short(found: FoundFilter) -> str:
    """Return a filter as the list of queries writes it."""
    where = found.where
    if where.startswith("taken"):
        start = re.search(r">= (\S+)", where)
        stop = re.search(r"< (\S+)", where)
        return f"d:{start[1] if start else ''}..{stop[1] if stop else ''}"
    if where.startswith("type"):
        return f"k:{where.split()[-1]}"
    if where.startswith("camera in"):
        return "c:phone"
    for field, letter in (("camera", "c"), ("people", "p")):
        if where.startswith(field):
            return f"{letter}:{where.split('= ')[1].strip(chr(34))}"
    if where.startswith("folder"):
        return f"f:{where.split('*')[1]}"
    return (
        f"l:{re.sub(r'^(taken )?(in|near|around|at|from) ', '', found.words, flags=re.I).title()}"
    )


def measure() -> tuple[dict[str, Any], list[str]]:
    values = CollectionValues(
        lambda facet: VALUES.get(facet, []),
        lambda _: True,
        lambda name: CITIES.get(name.casefold()),
    )
    wrong: list[str] = []
    hits = {"taken": 0, "offered": 0}
    said = {"taken": 0, "offered": 0}
    wanted = {"taken": 0, "offered": 0}
    whole = 0
    cases = expected()
    for case in cases:
        read = interpret(case.query, TODAY, values)
        got = {"taken": {*map(short, read.taken)}, "offered": {*map(short, read.offered)}}
        for kind, named in (("taken", case.taken), ("offered", case.offered)):
            right = {f"l:{one[2:].title()}" if one.startswith("l:") else one for one in named}
            hits[kind] += len(got[kind] & right)
            said[kind] += len(got[kind])
            wanted[kind] += len(right)
            if got[kind] != right:
                wrong.append(f"{case.query!r}: {kind} {sorted(got[kind])}, not {sorted(right)}")
        whole += read.rest == case.rest
        if read.rest != case.rest:
            wrong.append(f"{case.query!r}: left {read.rest!r}, not {case.rest!r}")
    result: dict[str, Any] = {"queries": len(cases), "left right": round(whole / len(cases), 3)}
    for kind, right_ones in hits.items():
        result[kind] = {
            "filters": wanted[kind],
            "precision": round(right_ones / max(1, said[kind]), 3),
            "recall": round(right_ones / max(1, wanted[kind]), 3),
        }
    return result, wrong


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_interpretation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    result, wrong = measure()
    print("| filters | number | precision | recall |\n| --- | --- | --- | --- |")
    for kind in ("taken", "offered"):
        row = result[kind]
        print(f"| {kind} | {row['filters']} | {row['precision']:.3f} | {row['recall']:.3f} |")
    print(
        f"\nOf {result['queries']} queries, the words left are right for {result['left right']}.\n"
    )
    print(*wrong, sep="\n")
    record.keep("interpretation", result, chosen)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
