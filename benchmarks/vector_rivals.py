"""Build and search the indexes that bench_vectors compares: ours, exact search, other libraries.

Each is built from a folder with vectors.npy, queries.npy and truth.npy (the right ids, by exact
search) into its own folder, and is opened from there by another process. The others are searched
just far enough for the requested recall, which is measured on some of the timed queries; ours sets
its depth on the collection's own vectors and never sees the queries.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from seehear.stores.vectors.ivf_pq_refine import IvfPqRefineIndex
from seehear.stores.vectors.pq_index import CompressedIndex
from seehear.stores.vectors.vector_file import CHUNK, RowSource, VectorFile, to_float16
from seehear.types import Ids, Vectors

FAISS = {
    "faiss-rabitq": "IVF{lists},RaBitQfs",
    "faiss-pq": "IVF{lists},PQ{parts}x4fs",
    "faiss-sq8": "IVF{lists},SQ8",
    "faiss-hnsw": "HNSW32,SQ8",
}
"""Kinds of compressed index in FAISS, each with an exact rerank of mapped float32 rows."""
RIVALS = ("hnswlib", "usearch", "lancedb", "sqlite-vec", *FAISS)
EXACT, OURS = "exact", "two-tiers"
K = 10
WIDTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Lists that are scanned, or candidates that are kept in a walk through a graph."""
DEPTHS = (10, 25, 50, 100, 200, 400, 800)
"""Proposals that are reranked."""
TRIED = 128
"""Queries by which an index is set."""
TRAINED = 100_000
Search = Callable[[Vectors], Ids]


@dataclass(frozen=True, slots=True)
class Task:
    """What is searched, where an index is kept, and with what it may be searched."""

    folder: Path
    own: Path
    aim: float
    threads: int

    def vectors(self) -> Vectors:
        """Mapped: float32 (n, dim)."""
        found: Vectors = np.load(self.folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        return found

    def queries(self) -> Vectors:
        found: Vectors = np.load(self.folder / "queries.npy", allow_pickle=False)
        return found

    def truth(self) -> Ids:
        found: Ids = np.load(self.folder / "truth.npy", allow_pickle=False)
        return found

    def chunks(self) -> Iterable[tuple[Ids, Vectors]]:
        vectors = self.vectors()
        for start in range(0, len(vectors), CHUNK):
            rows = np.ascontiguousarray(vectors[start : start + CHUNK])
            yield np.arange(start, start + len(rows)), rows


Opened = tuple[Search, str]
"""How to search, and how it is set."""


def build(name: str, task: Task) -> None:
    """Build one by name, into its folder. Raises ImportError where it cannot be loaded."""
    if name in FAISS:
        _build_faiss(FAISS[name], task)
    else:
        _WAYS[name][0](task)


def opened(name: str, task: Task) -> Opened:
    """Open what was built."""
    return _open_faiss(task) if name in FAISS else _WAYS[name][1](task)


def recall(found: Ids, truth: Ids) -> float:
    """ANN recall: the share of the right ids that were found."""
    pairs = zip(found, truth, strict=True)
    return float(np.mean([np.isin(right, ids).mean() for ids, right in pairs]))


@dataclass(frozen=True, slots=True)
class Trial:
    """Queries by which an index is set, float32 (q, dim), their right ids, the recall wanted."""

    queries: Vectors
    truth: Ids
    aim: float

    @classmethod
    def of(cls, task: Task) -> Trial:
        return cls(task.queries()[:TRIED], task.truth()[:TRIED], task.aim)

    def reached(self, search: Search) -> bool:
        return recall(search(self.queries), self.truth) >= self.aim


def _widened(trial: Trial, search: Search, widen: Callable[[int], None], most: int) -> int:
    """The least width that reaches the aim, or the last."""
    for width in WIDTHS:
        widen(min(width, most))
        if width >= most or trial.reached(search):
            break
    return min(width, most)


def set_least(
    search: Search,
    widen: Callable[[int], None],
    most: int,
    deepen: Callable[[int], None],
    depths: Sequence[int],
    trial: Trial,
) -> int:
    """Set width and depth to those that reach the aim in the least time of the processor, or to the
    last where none does; the width."""
    set_to, least = (most, depths[-1]), float("inf")
    for depth in depths:
        deepen(depth)
        width = _widened(trial, search, widen, most)
        started = time.process_time()
        reached = trial.reached(search)
        taken = time.process_time() - started
        if reached and taken < least:
            set_to, least = (width, depth), taken
        if reached and taken > 2 * least:
            break
    widen(set_to[0])
    deepen(set_to[1])
    return set_to[0]


def _build_exact(_: Task) -> None:
    pass


def _open_exact(task: Task) -> Opened:
    import faiss

    vectors = task.vectors()
    index: Any = faiss.IndexFlatIP(vectors.shape[1])
    for _, rows in task.chunks():
        index.add(rows)
    del vectors
    return (lambda queries: index.search(queries, K)[1]), "FAISS IndexFlatIP"


def _build_ours(task: Task) -> None:
    vectors = task.vectors()
    kept = np.empty(vectors.shape, dtype="<f2")
    for ids, rows in task.chunks():
        kept[ids] = to_float16(rows)
    matrix = VectorFile(np.arange(len(vectors)), kept)
    built = IvfPqRefineIndex.build(matrix)
    matrix.save(task.own / "m", "bench", 1)
    built.proposer.save(task.own / "p", "bench", 1)


def ours(task: Task, source: RowSource | None = None) -> IvfPqRefineIndex | None:
    """The index as a collection has it: written, closed and opened again; None for a damaged one.

    `source` gives the vectors of damaged rows, by default those that were indexed.
    """
    vectors = task.vectors()
    rows = source or (lambda ids: vectors[ids])
    loaded = VectorFile.load(task.own / "m", "bench", vectors.shape[1], rows)
    proposer = CompressedIndex.load(task.own / "p", "bench", 1)
    return IvfPqRefineIndex(loaded[0], proposer) if loaded and proposer else None


def _open_ours(task: Task) -> Opened:
    index = ours(task)
    assert index is not None
    tuning = index.proposer.tuning
    note = (
        f"{tuning.probes} of {index.proposer.lists} lists, {tuning.depth_10} reranked, "
        f"own recall {tuning.recall:.4f}"
    )
    return (lambda queries: index.search(queries, K)[1]), note


def _build_faiss(kind: str, task: Task) -> None:
    import faiss

    index, factory = filled_faiss(kind, task)
    faiss.write_index(index, str(task.own / "index"))
    (task.own / "kind").write_text(factory)


def filled_faiss(kind: str, task: Task) -> tuple[Any, str]:
    import faiss

    vectors = task.vectors()
    count, dim = vectors.shape
    factory = kind.format(lists=int(count**0.5), parts=dim // 4, pairs=dim // 2)
    index: Any = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(np.ascontiguousarray(vectors[:: max(1, count // TRAINED)]))
    for _, rows in task.chunks():
        index.add(rows)
    return index, factory


def _open_faiss(task: Task) -> Opened:
    import faiss

    factory = (task.own / "kind").read_text()
    index: Any = faiss.read_index(str(task.own / "index"))
    vectors, depth = task.vectors(), 0

    def search(asked: Vectors) -> Ids:
        found = np.full((len(asked), K), -1, dtype=np.int64)
        proposals = index.search(asked, depth)[1]
        for row, (query, near) in enumerate(zip(asked, proposals, strict=True)):
            ids = np.sort(near[near >= 0])
            best = np.argsort(-(vectors[ids] @ query))[:K]
            found[row, : len(best)] = ids[best]
        return found

    def widen(width: int) -> None:
        if factory.startswith("HNSW"):
            index.hnsw.efSearch = width
        else:
            index.nprobe = width

    def deepen(to: int) -> None:
        nonlocal depth
        depth = min(to, len(vectors))

    most = len(vectors) if factory.startswith("HNSW") else index.nlist
    depths = [d for d in DEPTHS if d <= len(vectors)]
    width = set_least(search, widen, most, deepen, depths, Trial.of(task))
    return search, f"{factory}, width {width}, {depth} reranked"


def _build_hnswlib(task: Task) -> None:
    hnswlib = import_module("hnswlib")

    count, dim = task.vectors().shape
    index: Any = hnswlib.Index("ip", dim)
    index.init_index(count, random_seed=0)
    for ids, rows in task.chunks():
        index.add_items(rows, ids, num_threads=task.threads)
    index.save_index(str(task.own / "index"))


def _open_hnswlib(task: Task) -> Opened:
    index: Any = import_module("hnswlib").Index("ip", task.vectors().shape[1])
    index.load_index(str(task.own / "index"))

    def search(asked: Vectors) -> Ids:
        found = index.knn_query(asked, K, num_threads=task.threads)[0]
        return np.asarray(found, dtype=np.int64)

    width = _widened(Trial.of(task), search, lambda width: index.set_ef(max(K, width)), 1 << 20)
    return search, f"M 16, efConstruction 200 (its defaults), ef {width}"


def _build_usearch(task: Task) -> None:
    index: Any = import_module("usearch.index").Index(
        ndim=task.vectors().shape[1], metric="ip", dtype="f16"
    )
    for ids, rows in task.chunks():
        index.add(ids, rows, threads=task.threads)
    index.save(str(task.own / "index"))


def _open_usearch(task: Task) -> Opened:
    index: Any = import_module("usearch.index").Index.restore(str(task.own / "index"))

    def search(asked: Vectors) -> Ids:
        found = index.search(asked, K, threads=task.threads).keys
        return np.asarray(found, dtype=np.int64).reshape(len(asked), -1)

    def widen(width: int) -> None:
        index.expansion_search = width

    width = _widened(Trial.of(task), search, widen, 1 << 20)
    return search, f"half precision, connectivity 16 (its default), expansion {width}"


def _build_lancedb(task: Task) -> None:
    lancedb, pa = import_module("lancedb"), import_module("pyarrow")

    count, dim = task.vectors().shape
    table: Any = None
    for ids, rows in task.chunks():
        listed = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), dim)
        part = pa.table({"id": pa.array(ids), "vector": listed})
        if table is None:
            table = lancedb.connect(task.own / "lance").create_table("rows", part)
        else:
            table.add(part)
    table.optimize()  # one file of rows, as its documents advise
    parts = max(1, int(count**0.5))
    kind = import_module("lancedb.index").IvfPq
    settings = kind(distance_type="dot", num_partitions=parts, num_sub_vectors=dim // 8)
    table.create_index("vector", config=settings)
    (task.own / "parts").write_text(json.dumps(parts))


def _open_lancedb(task: Task) -> Opened:
    table: Any = import_module("lancedb").connect(task.own / "lance").open_table("rows")
    parts = json.loads((task.own / "parts").read_text())
    probes = refined = 0

    def search(asked: Vectors) -> Ids:
        wanted = table.search(asked).distance_type("dot").nprobes(probes).refine_factor(refined)
        got = wanted.limit(K).select(["id", "_distance"]).to_arrow()
        rows = np.zeros(len(got), np.int64) if len(asked) == 1 else got["query_index"].to_numpy()
        found = np.full((len(asked), K), -1, dtype=np.int64)
        found[rows, np.arange(len(rows)) - np.searchsorted(rows, rows)] = got["id"].to_numpy()
        return found

    def widen(width: int) -> None:
        nonlocal probes
        probes = width

    def deepen(depth: int) -> None:
        nonlocal refined
        refined = depth // K

    depths = [d for d in DEPTHS if d >= 10 * K]
    width = set_least(search, widen, parts, deepen, depths, Trial.of(task))
    return search, f"IVF_PQ, {width} of {parts} partitions, {K * refined} refined"


def _build_sqlite_vec(task: Task) -> None:
    connection = _sqlite(task)
    dim = task.vectors().shape[1]
    connection.execute(f"create virtual table rows using vec0(vector float[{dim}])")
    with connection:
        for ids, rows in task.chunks():
            connection.executemany(
                "insert into rows(rowid, vector) values (?, ?)",
                ((int(number), row.tobytes()) for number, row in zip(ids, rows, strict=True)),
            )


def _open_sqlite_vec(task: Task) -> Opened:
    connection = _sqlite(task)

    def search(asked: Vectors) -> Ids:
        nearest = "select rowid from rows where vector match ? and k = ? order by distance"
        return np.array(
            [[row[0] for row in connection.execute(nearest, (q.tobytes(), K))] for q in asked],
            dtype=np.int64,
        )

    return search, "exact; reads from disk"


def _sqlite(task: Task) -> Any:
    """A database with the extension, through apsw: many a Python's sqlite3 loads none."""
    connection: Any = import_module("apsw").Connection(str(task.own / "rows.sqlite"))
    connection.enable_load_extension(True)
    connection.load_extension(import_module("sqlite_vec").loadable_path())
    return connection


_WAYS: dict[str, tuple[Callable[[Task], None], Callable[[Task], Opened]]] = {
    EXACT: (_build_exact, _open_exact),
    OURS: (_build_ours, _open_ours),
    "hnswlib": (_build_hnswlib, _open_hnswlib),
    "usearch": (_build_usearch, _open_usearch),
    "lancedb": (_build_lancedb, _open_lancedb),
    "sqlite-vec": (_build_sqlite_vec, _open_sqlite_vec),
}
