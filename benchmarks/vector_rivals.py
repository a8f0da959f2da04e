"""Other libraries for nearest neighbours, searched just far enough for the recall asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from seehear.types import Ids, Vectors

FAISS = {
    "faiss-rabitq": "IVF{lists},RaBitQfs",
    "faiss-pq": "IVF{lists},PQ{parts}x4fs",
    "faiss-sq8": "IVF{lists},SQ8",
    "faiss-hnsw": "HNSW32,SQ8",
}
"""Kinds of compressed index in FAISS, each with the same exact rerank."""
NAMES = ("hnswlib", "usearch", "lancedb", "sqlite-vec", *FAISS)
DEPTH = 200
"""Proposals of FAISS's kinds that are reranked."""
K = 10
WIDTHS = (16, 32, 64, 128, 256, 512)
Search = Callable[[Vectors], Ids]
Built = tuple[Search, float, str]
"""How to search, memory as a share of the float32 matrix, and a note."""


def build(
    name: str, vectors: Vectors, queries: Vectors, truth: Ids, aim: float, folder: Path
) -> Built:
    """Build one by name. Raises ImportError where it cannot be loaded."""
    if name in FAISS:
        return _faiss(FAISS[name], vectors, queries, truth, aim)
    make = {
        "hnswlib": _hnswlib,
        "usearch": _usearch,
        "lancedb": _lancedb,
        "sqlite-vec": _sqlite_vec,
    }[name]
    return make(vectors, queries, truth, aim, folder)


def _reached(search: Search, queries: Vectors, truth: Ids, aim: float) -> bool:
    pairs = zip(search(queries), truth, strict=True)
    return float(np.mean([np.isin(right, ids).mean() for ids, right in pairs])) >= aim


def _faiss(kind: str, vectors: Vectors, queries: Vectors, truth: Ids, aim: float) -> Built:
    import faiss

    count, dim = vectors.shape
    factory = kind.format(lists=int(count**0.5), parts=dim // 4)
    index: Any = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:: max(1, count // 100_000)])
    index.add(vectors)

    def search(asked: Vectors) -> Ids:
        found = np.full((len(asked), K), -1, dtype=np.int64)
        proposals = index.search(asked, min(DEPTH, count))[1]
        for row, (query, near) in enumerate(zip(asked, proposals, strict=True)):
            ids = np.sort(near[near >= 0])
            best = np.argsort(-(vectors[ids] @ query))[:K]
            found[row, : len(best)] = ids[best]
        return found

    for width in WIDTHS:
        if kind.startswith("HNSW"):
            index.hnsw.efSearch = width
        else:
            index.nprobe = width
        if _reached(search, queries, truth, aim):
            break
    share = len(faiss.serialize_index(index)) / vectors.nbytes
    return search, share, f"{factory}, {width} probed, {DEPTH} reranked; exact rows not counted"


def _hnswlib(vectors: Vectors, queries: Vectors, truth: Ids, aim: float, _: Path) -> Built:
    hnswlib = import_module("hnswlib")

    index: Any = hnswlib.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=24, ef_construction=200, random_seed=0)
    index.add_items(vectors)

    def search(asked: Vectors) -> Ids:
        return np.asarray(index.knn_query(asked, K)[0], dtype=np.int64)

    for width in WIDTHS:
        index.set_ef(width)
        if _reached(search, queries, truth, aim):
            break
    links = 4 * (2 * 24 + 2) / (4 * vectors.shape[1])
    return search, 1 + links, f"M 24, efConstruction 200, ef {width}"


def _usearch(vectors: Vectors, queries: Vectors, truth: Ids, aim: float, _: Path) -> Built:
    index: Any = import_module("usearch.index").Index(
        ndim=vectors.shape[1], metric="ip", dtype="f16", connectivity=24
    )
    index.add(np.arange(len(vectors)), vectors)

    def search(asked: Vectors) -> Ids:
        found = index.search(asked, K).keys
        return np.asarray(found, dtype=np.int64).reshape(len(asked), -1)

    for width in WIDTHS:
        index.expansion_search = width
        if _reached(search, queries, truth, aim):
            break
    return search, index.memory_usage / vectors.nbytes, f"half precision, expansion {width}"


def _lancedb(vectors: Vectors, queries: Vectors, truth: Ids, aim: float, folder: Path) -> Built:
    lancedb, pa = import_module("lancedb"), import_module("pyarrow")

    flat = pa.array(vectors.reshape(-1))
    rows = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    ids = pa.array(np.arange(len(vectors)))
    table: Any = lancedb.connect(folder / "lance").create_table(
        "rows", pa.table({"id": ids, "vector": rows})
    )
    parts = max(1, int(len(vectors) ** 0.5))
    table.create_index(
        metric="dot",
        num_partitions=parts,
        num_sub_vectors=vectors.shape[1] // 8,
        vector_column_name="vector",
    )
    far = {"probes": 8}

    def search(asked: Vectors) -> Ids:
        found = np.full((len(asked), K), -1, dtype=np.int64)
        for row, query in enumerate(asked):
            wanted = table.search(query).distance_type("dot").nprobes(far["probes"])
            got = wanted.refine_factor(20).limit(K).select(["id"]).to_arrow()["id"].to_numpy()
            found[row, : len(got)] = got
        return found

    while not _reached(search, queries[:64], truth[:64], aim) and far["probes"] < parts:
        far["probes"] = min(parts, far["probes"] * 2)
    return search, 0.0, f"IVF_PQ, {far['probes']} of {parts} partitions; memory not measured"


def _sqlite_vec(vectors: Vectors, _q: Vectors, _t: Ids, _a: float, folder: Path) -> Built:
    import sqlite3

    sqlite_vec = import_module("sqlite_vec")

    connection = sqlite3.connect(folder / "rows.sqlite")
    if not hasattr(connection, "enable_load_extension"):
        raise ImportError("this Python's sqlite3 loads no extensions")
    connection.enable_load_extension(True)
    sqlite_vec.load(connection)
    connection.enable_load_extension(False)
    connection.execute(f"create virtual table rows using vec0(vector float[{vectors.shape[1]}])")
    with connection:
        connection.executemany(
            "insert into rows(rowid, vector) values (?, ?)",
            ((number, row.tobytes()) for number, row in enumerate(vectors)),
        )

    def search(asked: Vectors) -> Ids:
        nearest = "select rowid from rows where vector match ? and k = ? order by distance"
        return np.array(
            [[row[0] for row in connection.execute(nearest, (q.tobytes(), K))] for q in asked],
            dtype=np.int64,
        )

    return search, 0.0, "exact; reads from disk"
