"""Find the size from which two tiers are faster than exact search: TWO_TIER_ABOVE_BYTES.

    python -m benchmarks.bench_crossover --data DIR
    python -m benchmarks.bench_crossover --quick          two small sizes

Both kinds of index, as a collection has them, answer the same queries one at a time and in turns;
sizes are those of the float32 matrix, 512 numbers a vector. Figures are medians, in the
processor's milliseconds and by the clock. Exact search is numpy's up to ROUNDED_ABOVE_BYTES; above,
int8 vectors in FAISS give candidates.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import record, vector_data
from benchmarks.bench_vectors import embedded
from benchmarks.vector_rivals import K, recall
from seehear.stores.vectors.base import VectorIndex
from seehear.stores.vectors.flat import ROUNDED_ABOVE_BYTES, FlatIndex
from seehear.stores.vectors.ivf_pq_refine import IvfPqRefineIndex
from seehear.stores.vectors.pq_index import CompressedIndex
from seehear.stores.vectors.vector_file import VectorFile, to_float16
from seehear.types import Vectors

SIZES_MIB = (4, 8, 16, 32, 64, 128, 256)
QUICK_MIB = (2, 4)
QUERIES = 64


def both(vectors: Vectors, folder: Path) -> tuple[FlatIndex, IvfPqRefineIndex]:
    """Exact search, and two tiers as they are opened from their files."""
    matrix = VectorFile(np.arange(len(vectors)), to_float16(vectors))
    built = IvfPqRefineIndex.build(matrix)
    matrix.save(folder / "m", "bench", 1)
    built.proposer.save(folder / "p", "bench", 1)
    loaded = VectorFile.load(folder / "m", "bench", vectors.shape[1], lambda ids: vectors[ids])
    proposer = CompressedIndex.load(folder / "p", "bench", 1)
    assert loaded is not None
    assert proposer is not None
    return FlatIndex(matrix), IvfPqRefineIndex(loaded[0], proposer)


def measure(size_mib: int, base: Vectors, rounds: int, folder: Path) -> dict[str, Any]:
    """Let both answer in turns."""
    count = (size_mib << 20) // (4 * base.shape[1])
    vectors, queries = vector_data.collection_and_queries(base, count, QUERIES)
    flat, tiers = both(vectors, folder)
    agreed = recall(tiers.search(queries, K)[1], flat.search(queries, K)[1])
    exact_ms, tiers_ms = [], []
    for _ in range(rounds):
        exact_ms.append(_one_by_one(flat, queries))
        tiers_ms.append(_one_by_one(tiers, queries))
    (exact_wall, exact_cpu), (wall, cpu) = (np.median(x, axis=0) for x in (exact_ms, tiers_ms))
    figures = {
        "exact_ms": exact_wall,
        "exact_cpu_ms": exact_cpu,
        "two_tiers_ms": wall,
        "two_tiers_cpu_ms": cpu,
        "recall_at_10": agreed,
    }
    rounded = {name: round(float(value), 4) for name, value in figures.items()}
    by = "numpy" if size_mib << 20 <= ROUNDED_ABOVE_BYTES else "FAISS"
    return {"mib": size_mib, "vectors": count, "exact_by": by, **rounded}


def _one_by_one(index: VectorIndex, queries: Vectors) -> tuple[float, float]:
    """Milliseconds a query, by the clock and of the processor."""
    started, started_cpu = time.perf_counter(), time.process_time()
    for query in queries:
        index.search(query[None], K)
    per_query = 1e3 / len(queries)
    return (
        per_query * (time.perf_counter() - started),
        per_query * (time.process_time() - started_cpu),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_crossover", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", type=Path, help="folder of training data, for its captions")
    parser.add_argument("--base", type=int, default=60_000, help="sentences that are embedded")
    parser.add_argument("--embedded", type=Path, help="keep the embeddings here, and use them")
    parser.add_argument("--mib", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    record.add_options(parser)
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    chosen = parser.parse_args(arguments)
    base = embedded(chosen.embedded, 400 if chosen.quick else chosen.base, chosen.data)
    rows = []
    for size_mib in chosen.mib or (QUICK_MIB if chosen.quick else SIZES_MIB):
        with tempfile.TemporaryDirectory(prefix="seehear-bench-") as scratch:
            row = measure(size_mib, base, chosen.rounds, Path(scratch))
        rows.append(row)
        print(
            f"{size_mib:>5} MiB  {row['vectors']:>8,} vectors  exact {row['exact_cpu_ms']:7.2f} ms "
            f"({row['exact_by']})  two tiers {row['two_tiers_cpu_ms']:7.2f} ms of processor, "
            f"recall@10 {row['recall_at_10']:.4f}",
            flush=True,
        )
    document = {
        "dim": base.shape[1],
        "base": len(base),
        "data": "captions" if chosen.data else "sentences made of words",
        "seed": 0,
        "sizes": rows,
    }
    record.keep("crossover", document, chosen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
