"""Compare what holds the vectors: local indexes, pgvector in the catalog's PostgreSQL, and Milvus.

    createdb --encoding UTF8 --template template0 bench
    python -m benchmarks.bench_engines --database postgresql:///bench --assets 57000 \
        --milvus milvus://127.0.0.1:19530

Makes the collection of `benchmarks.stocked` once in SQLite and once in the database, which must be
empty: 1.75 segments per asset. With `--collections DIR` both are kept there, and taken by the next
run. Each engine then answers the same queries in a process of its own, by meaning alone: without a
filter, and with filters by size that let through a tenth, a hundredth and a thousandth of the
files, and then 32 clients ask at once in threads of that process. Milliseconds are medians at the
caller; `same` is the share of lists of ten that equal those of SQLite and local indexes, `overlap`
the share of their files.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import record
from benchmarks.memory import resident
from benchmarks.stocked import queries, stock

if TYPE_CHECKING:
    from seehear.collection import Collection

SHARES = (1.0, 0.1, 0.01, 0.001)
K = 10
CLIENTS = 32


def measure(folder: Path, database: str | None, vectors: str, assets: int, asked: int) -> Any:
    """Return the figures of one engine, and its answers by share."""
    from seehear.collection import Collection
    from seehear.config import Settings

    settings = Settings(device="cpu", database=database, vectors=vectors)
    start = time.perf_counter()
    with Collection(folder, settings) as collection:
        engine = collection._opened.engine()
        assert engine is not None
        engine.missing_calibration()  # as an index run does at its end: builds what is missing
        build_s = time.perf_counter() - start
        for words in queries(20, seed=2):
            collection.search(words, k=K)
        name = vectors.partition("://")[0]  # and no password
        row: dict[str, Any] = {"vectors": name, "database": "sqlite" if not database else "pg"}
        row |= {"index": collection.status().index, "build s": round(build_s, 1)}
        answers: dict[float, list[list[str]]] = {}
        for share in SHARES:
            where = "" if share == 1.0 else f"size < {1000 + round(share * assets)}"
            times, answers[share] = [], []
            for words in queries(asked, seed=1):
                begun = time.perf_counter()
                hits = collection.search(words, k=K, mode="semantic", where=where)
                times.append(time.perf_counter() - begun)
                answers[share].append([hit.path.name for hit in hits])
            row[f"{share:g}: ms"] = round(1e3 * median(times), 1)
        row |= ask_at_once(collection, asked * 4)
        memory = resident()
        row["memory MiB"] = memory and round(memory.own / 2**20)
        return row, answers


def ask_at_once(collection: Collection, asked: int) -> dict[str, float]:
    """Return what many clients get, who all ask at the same time."""

    def ask(words: str) -> float:
        begun = time.perf_counter()
        collection.search(words, k=K, mode="semantic")
        return time.perf_counter() - begun

    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        times = list(clients.map(ask, queries(asked, seed=3)))
    every_s = time.perf_counter() - begun
    return {
        f"{CLIENTS} clients: answers/s": round(asked / every_s, 1),
        f"{CLIENTS} clients: ms": round(1e3 * median(times)),
    }


def compare(chosen: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Make the collections, and return a row of figures for each engine."""
    for name, url in (("sqlite", None), ("pg", chosen.database)):
        if not (folder / name / "c").is_dir():
            stock(folder / name / "c", chosen.assets, url=url)
    engines = [(None, "sqlite", "local"), (chosen.database, "pg", "local"),
               (chosen.database, "pg", "pgvector")]  # fmt: skip
    if chosen.milvus:
        engines.append((chosen.database, "pg", chosen.milvus))
    rows: list[dict[str, Any]] = []
    first: dict[float, list[list[str]]] = {}
    for url, name, vectors in engines:
        with get_context("spawn").Pool(1) as own:
            row, answers = own.apply(
                measure, (folder / name / "c", url, vectors, chosen.assets, chosen.queries)
            )
        first = first or answers
        for share in SHARES:
            pairs = list(zip(answers[share], first[share], strict=True))
            same = sum(one == other for one, other in pairs) / len(pairs)
            common = [len({*one} & {*other}) / max(1, len(other)) for one, other in pairs]
            row[f"{share:g}: same"] = round(same, 3)
            row[f"{share:g}: overlap"] = round(sum(common) / len(common), 4)
        rows.append(row)
        print(row, flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--database", required=True, help="URL of an empty database")
    parser.add_argument("--milvus", help="URL of a Milvus server")
    parser.add_argument("--assets", type=int, default=57_000)
    parser.add_argument(
        "--collections", type=Path, metavar="DIR", help="keep them here, and take those that are"
    )
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--name", default="engines", help="of the result")
    parser.add_argument("--quick", action="store_true", help="2,000 files and 5 queries")
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.assets, chosen.queries = 2_000, 5
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as scratch:
        rows = compare(chosen, chosen.collections or Path(scratch))
    record.keep(
        chosen.name, {"assets": chosen.assets, "queries": chosen.queries, "rows": rows}, chosen
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
