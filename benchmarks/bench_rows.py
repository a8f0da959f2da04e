"""Measure what a process that searches holds in memory, when a database holds the vectors.

    createdb --encoding UTF8 --template template0 rows
    python -m benchmarks.bench_rows --database postgresql:///rows --segments 1000000 10000000

Makes a small collection in the database, which must be empty, with the model `fake` (vectors of 32
numbers: the rows count here, not their width), and multiplies its rows inside the database to each
size in turn. At each size a new process opens the collection with `SEEHEAR_VECTORS=pgvector` and
asks 20 queries: by meaning, by words, with filters by size that let through a tenth and a
thousandth, and by kind. `own` is memory of its own, `files` that of mapped files, which the system
takes back when it needs it. Times are clock times of single queries, without a graph.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import record
from benchmarks.memory import give_back, resident
from benchmarks.stocked import queries, stock

ASSETS = 10_000
ASKED = 20

COPIES = (
    """INSERT INTO assets SELECT id + :step * k, md5(content_hash || k) || md5(k || content_hash),
    modality, format, size_bytes, width_px, height_px, duration_s, taken_at, details
    FROM assets, generate_series(CAST(:first AS bigint), :last) k WHERE id <= :step""",
    """INSERT INTO locations (id, asset_id, root_id, path, name, shown, folders, size_bytes,
    modified_ns, inode, sidecar_of, change) SELECT id + :step * k, asset_id + :step * k, root_id,
    path || convert_to('.' || k, 'UTF8'), name || '.' || k, shown || '.' || k, folders, size_bytes,
    modified_ns, inode, sidecar_of, change
    FROM locations, generate_series(CAST(:first AS bigint), :last) k WHERE id <= :step""",
    """INSERT INTO encodings SELECT generation_id, asset_id + :step * k, damaged
    FROM encodings, generate_series(CAST(:first AS bigint), :last) k WHERE asset_id <= :step""",
    """INSERT INTO segments (id, generation_id, asset_id, ordinal, modality, start_s, stop_s, text,
    crc, page, origin) SELECT id + :step * k, generation_id, asset_id + :step * k, ordinal,
    modality, start_s, stop_s, text, crc, page, origin
    FROM segments, generate_series(CAST(:first AS bigint), :last) k WHERE id <= :step""",
    """INSERT INTO vectors SELECT segment_id + :step * k, space_id, modality, change, data, crc
    FROM vectors, generate_series(CAST(:first AS bigint), :last) k WHERE segment_id <= :step""",
)
"""What copies all rows of the first collection, each id moved by a multiple of `step`."""
STEP = 100_000


def multiply(database: str, times: int, already: int) -> None:
    """Bring the database from `already` to so many times its first rows."""
    from sqlalchemy import create_engine, make_url, text

    engine = create_engine(make_url(database).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for copy in COPIES:
            connection.execute(text(copy), {"step": STEP, "first": already, "last": times - 1})
        for (table,) in connection.execute(
            text("SELECT relname FROM pg_class WHERE relname LIKE 'halfvecs\\_%' AND relkind = 'r'")
        ).all():
            connection.execute(text(f"DROP TABLE {table}"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def measure(folder: Path, database: str) -> dict[str, Any]:
    """Return what a process holds that opens the collection and searches."""
    from seehear.collection import Collection
    from seehear.config import Settings

    settings = Settings(model="fake", device="cpu", database=database, vectors="pgvector")
    wishes: dict[str, dict[str, Any]] = {
        "meaning": {"mode": "semantic"},
        "words": {"mode": "words"},
        "a tenth": {"where": f"size < {1000 + ASSETS // 10}"},
        "a thousandth": {"where": f"size < {1000 + ASSETS // 1000}"},
        "images": {"modalities": "image"},
    }
    begun = time.perf_counter()
    with Collection(folder, settings) as collection:
        row: dict[str, Any] = {"segments": collection.status().segments}
        for name, wish in wishes.items():
            times = []
            for words in queries(ASKED, seed=1):
                asked = time.perf_counter()
                assert collection.search(words, k=10, **wish)
                times.append(time.perf_counter() - asked)
            row[f"{name}: ms"] = round(1e3 * median(times))
        give_back()
        if (memory := resident()) is not None:
            row |= {"own MiB": memory.own >> 20, "files MiB": memory.files >> 20}
    return row | {"all s": round(time.perf_counter() - begun)}


def fill(folder: Path, database: str) -> None:
    """Let the database make its table of vectors, in a process that is not measured."""
    from seehear.collection import Collection
    from seehear.config import Settings

    settings = Settings(model="fake", device="cpu", database=database, vectors="pgvector")
    with Collection(folder, settings) as collection:
        collection.search("red")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--database", required=True, help="URL of an empty database")
    parser.add_argument("--segments", type=int, nargs="+", default=[1_000_000, 10_000_000])
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "c"
        stock(folder, ASSETS, model="fake", url=chosen.database)
        already, each = 1, round(1.75 * ASSETS)
        for wanted in sorted(chosen.segments):
            times = max(already, round(wanted / each))
            multiply(chosen.database, times, already)
            already = times
            for work in (fill, measure):
                with get_context("spawn").Pool(1) as own:
                    row = own.apply(work, (folder, chosen.database))
            rows.append(row)
            print(row, flush=True)
    record.keep("rows", {"assets copied": ASSETS, "rows": rows}, chosen)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
