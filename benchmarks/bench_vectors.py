"""How fast is search in a large collection? Two tiers against exact search, and other libraries.

    python -m benchmarks.bench_vectors --data DIR                  1,000,000 vectors of 512 numbers
    python -m benchmarks.bench_vectors --data DIR --count 200000 --with hnswlib --with usearch
    python -m benchmarks.bench_vectors --quick                     a few thousand, under a minute

Vectors are real embeddings, mixed and perturbed (benchmarks/vector_data.py); queries are made of
sentences that the collection does not hold. Every way answers the same queries in the same run, in
turns, one query at a time and all at once; the figure is the median over the turns. Beside the wall
clock stands the processor's time, which other work on the machine does not lengthen.

The exact figure is FAISS's IndexFlatIP over the float32 matrix. `hnswlib`, `usearch`, `lancedb` and
`sqlite-vec` are searched as far as they need to reach the same recall, or as far as they go.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import record, vector_data, vector_rivals
from seehear.stores.vectors.matrix import Matrix, halves
from seehear.stores.vectors.proposer import Proposer
from seehear.stores.vectors.two_tier import TwoTierIndex
from seehear.types import Ids, Vectors

K = 10
AIM = 0.99
Search = Callable[[Vectors], Ids]


@dataclass(slots=True)
class Way:
    """One way to search, with what it took."""

    name: str
    search: Search
    memory_share: float
    recall: float = 0.0
    single_ms: float = 0.0
    single_cpu_ms: float = 0.0
    batch_ms: float = 0.0
    batch_cpu_ms: float = 0.0
    note: str = ""

    def as_json(self, exact: Way) -> dict[str, Any]:
        figures = {
            "recall_at_10": self.recall,
            "single_ms": self.single_ms,
            "single_cpu_ms": self.single_cpu_ms,
            "batch_ms_per_query": self.batch_ms,
            "batch_cpu_ms_per_query": self.batch_cpu_ms,
            "single_faster": exact.single_ms / self.single_ms,
            "single_faster_cpu": exact.single_cpu_ms / self.single_cpu_ms,
            "batch_faster": exact.batch_ms / self.batch_ms,
            "batch_faster_cpu": exact.batch_cpu_ms / self.batch_cpu_ms,
            "memory_of_float32": self.memory_share,
        }
        rounded = {name: round(value, 4) for name, value in figures.items()}
        return {"name": self.name, **rounded, "note": self.note}


def measure(ways: Sequence[Way], queries: Vectors, truth: Ids, rounds: int, singles: int) -> None:
    """Time all ways in turns, so that what else happens on the machine meets them alike."""
    taken: dict[str, list[list[float]]] = {way.name: [] for way in ways}
    for way in ways:
        found = way.search(queries)
        pairs = zip(found, truth, strict=True)
        way.recall = float(np.mean([np.isin(right, ids).mean() for ids, right in pairs]))
    for turn in range(rounds):
        some = queries[np.arange(turn * singles, (turn + 1) * singles) % len(queries)]
        for way in ways:
            single = _timed(way.search, [query[None] for query in some])
            batch = _timed(way.search, [queries])
            taken[way.name].append([*(1e3 * single / len(some)), *(1e3 * batch / len(queries))])
    for way in ways:
        columns = np.median(np.array(taken[way.name]), axis=0)
        way.single_ms, way.single_cpu_ms, way.batch_ms, way.batch_cpu_ms = map(float, columns)


def _timed(search: Search, calls: Sequence[Vectors]) -> NDArray[np.float64]:
    """Wall-clock and processor seconds of some calls."""
    started = np.array([time.perf_counter(), time.process_time()])
    for queries in calls:
        search(queries)
    taken: NDArray[np.float64] = np.array([time.perf_counter(), time.process_time()]) - started
    return taken


def two_tiers(vectors: Vectors, folder: Path) -> Way:
    """The index as a collection has it: written, closed, and opened again, so that it is mapped."""
    ids = np.arange(len(vectors))
    matrix = Matrix(ids, halves(vectors))
    built = TwoTierIndex.build(matrix)
    matrix.save(folder / "m", "bench", 1)
    built.proposer.save(folder / "p", "bench", 1)
    del matrix, built
    np.save(folder / "queries.npy", vectors[:512])
    command = [sys.executable, "-m", "benchmarks.bench_vectors", "--resident", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    loaded = Matrix.load(folder / "m", "bench", vectors.shape[1], lambda ids: vectors[ids])
    proposer = Proposer.load(folder / "p", "bench", 1)
    assert loaded is not None
    assert proposer is not None
    index = TwoTierIndex(loaded[0], proposer)
    tuning = proposer.tuning
    return Way(
        "two tiers",
        lambda queries: index.search(queries, K)[1],
        int(done.stdout) / vectors.nbytes,
        note=f"{tuning.probes} of {proposer.lists} lists, {tuning.depth_10} reranked, "
        f"own recall {tuning.recall:.4f}",
    )


def resident(folder: Path) -> int:
    """Bytes that opening and searching the two tiers adds to a process, mapped pages included."""
    import faiss  # noqa: F401 - its own size is none of the index's

    queries: Vectors = np.load(folder / "queries.npy", allow_pickle=False)
    np.sort(queries @ queries.T)
    before = resident_bytes()
    loaded = Matrix.load(folder / "m", "bench", queries.shape[1], lambda _: queries[:0])
    proposer = Proposer.load(folder / "p", "bench", 1)
    assert loaded is not None
    assert proposer is not None
    index, most = TwoTierIndex(loaded[0], proposer), 0
    for start in range(0, len(queries), 16):
        index.search(queries[start : start + 16], K)
        most = max(most, resident_bytes() - before)
    return most


def exact_search(vectors: Vectors) -> Way:
    import faiss

    index: Any = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return Way("exact (FAISS IndexFlatIP)", lambda queries: index.search(queries, K)[1], 1.0)


def resident_bytes() -> int:
    """Memory of this process, mapped files included; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def table(ways: Sequence[Way]) -> str:
    lines = ["way                          recall@10   single       batch    memory"]
    for way in ways:
        one, many = ways[0].single_ms / way.single_ms, ways[0].batch_ms / way.batch_ms
        lines.append(
            f"{way.name:28} {way.recall:9.4f} {way.single_ms:8.2f} ms ({one:5.1f}x) "
            f"{way.batch_ms:8.2f} ms ({many:5.1f}x) {way.memory_share:6.3f}  {way.note}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_vectors", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", type=Path, help="folder of training data, for its captions")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--base", type=int, default=60_000, help="sentences that are embedded")
    parser.add_argument("--embedded", type=Path, help="keep the embeddings here, and use them")
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--with", dest="rivals", action="append", choices=vector_rivals.NAMES)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--results", type=Path, help="folder for the JSON; default: the project's")
    parser.add_argument("--resident", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.resident is not None:
        print(resident(chosen.resident))
        return 0
    if chosen.quick:
        chosen.count, chosen.base, chosen.queries, chosen.rounds = 4_000, 1_000, 32, 2

    if chosen.embedded and chosen.embedded.exists():
        base: Vectors = np.load(chosen.embedded, allow_pickle=False)
    else:
        base = vector_data.base(chosen.base, chosen.data)
        if chosen.embedded:
            np.save(chosen.embedded, base)
    vectors, queries = vector_data.collection_and_queries(base, chosen.count, chosen.queries)
    vectors = vector_data.unit(halves(vectors).astype(np.float32))
    with tempfile.TemporaryDirectory() as scratch:
        ways = [exact_search(vectors), two_tiers(vectors, Path(scratch))]
        truth = ways[0].search(queries)
        for name in chosen.rivals or []:
            try:
                search, share, note = vector_rivals.build(
                    name, vectors, queries, truth, AIM, Path(scratch)
                )
            except ImportError as problem:
                print(f"{name} is left out: {problem}")
                continue
            ways.append(Way(name, search, share, note=note))
        measure(ways, queries, truth, chosen.rounds, singles=8 if chosen.quick else 16)
    print(table(ways))
    if chosen.quick and chosen.results is None:
        return 0
    document = {
        "count": chosen.count,
        "dim": vectors.shape[1],
        "queries_at_once": chosen.queries,
        "base": len(base),
        "data": "captions" if chosen.data else "sentences made of words",
        "seed": 0,
        "ways": [way.as_json(ways[0]) for way in ways],
    }
    print(f"written: {record.save('vectors', document, chosen.results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
