"""Find candidates among compressed vectors: two bits for each number, in inverted lists.

FAISS's IVF with product codes of four bits for two numbers, scanned 32 vectors at a time in
registers. Of the kinds measured at equal recall (benchmarks/bench_vectors.py) it takes the least
time. Codes of half the size are scanned in half the time, but with 1,000,000 vectors 300 must then
be reranked for a recall@10 of 0.99, here 60, and reranking a row costs as much as scanning about
600 codes. RaBitQ's codes need few reranked rows, too, but each costs more to scan.
Vectors are added and removed without new training.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from seehear.stores.vectors import files
from seehear.stores.vectors.tuning import MARGIN, RECALL_AIM, Ranks, Tuning, depth_of, tune
from seehear.stores.vectors.vector_file import CHUNK, VectorFile, to_float16, to_unit_float32
from seehear.types import Ids, Vectors

MAGIC = "seehear-proposer"
LAYOUT = 2
SEED = 7
LISTS_PER_ROOT = 1.0
"""Inverted lists per square root of the count: with more, choosing the lists costs as much as the
scan."""
TRAINED_PER_LIST = 64
TRAINED_LEAST = 16_384
FEWEST = 16
"""Vectors that FAISS needs to train a code of four bits; fewer are repeated."""
TRAINING_ROUNDS = 8
DEEPEST = 2400
"""Most candidates looked at for 100 neighbours."""
CODES_PER_ROW = 600
"""Codes scanned in the time of reranking one candidate."""


class CompressedIndex:
    """Gives ids of vectors that are probably near. Never changes; `updated` returns another one."""

    def __init__(self, index: Any, tuning: Tuning, trained: int) -> None:
        self._index = index
        self.tuning = tuning
        self.trained = trained
        """Number of vectors at training."""

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def lists(self) -> int:
        return int(self._index.nlist)

    @classmethod
    @files.faiss_errors()
    def build(cls, matrix: VectorFile) -> CompressedIndex:
        """Train on a sample of the vectors, the same each time, and add them all; not tuned."""
        import faiss

        lists = max(1, int(LISTS_PER_ROOT * len(matrix) ** 0.5))
        group = next(size for size in (2, 1) if matrix.dim % size == 0)
        index: Any = faiss.index_factory(
            matrix.dim, f"IVF{lists},PQ{matrix.dim // group}x4fs", faiss.METRIC_INNER_PRODUCT
        )
        index.cp.seed = SEED
        index.cp.niter = TRAINING_ROUNDS
        index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1
        rng = np.random.default_rng(SEED)
        count = min(len(matrix), max(TRAINED_LEAST, TRAINED_PER_LIST * lists))
        rows = matrix.rows(np.sort(rng.choice(len(matrix), count, replace=False)))
        index.train(np.resize(rows, (max(count, FEWEST), matrix.dim)))
        for start in range(0, len(matrix), CHUNK):
            chunk = slice(start, start + CHUNK)
            index.add_with_ids(matrix.rows(chunk), matrix.ids[chunk])
        return cls(index, Tuning(lists, len(matrix), len(matrix), 1.0, len(matrix)), len(matrix))

    @files.faiss_errors()
    def updated(self, removed: Ids, ids: Ids, vectors: Vectors) -> CompressedIndex:
        """Return an index without some ids and with others."""
        import faiss

        index: Any = faiss.clone_index(self._index)
        gone = np.union1d(removed, ids)
        if len(gone):
            index.remove_ids(faiss.IDSelectorBatch(gone))
        for start in range(0, len(ids), CHUNK):
            chunk = slice(start, start + CHUNK)
            index.add_with_ids(
                to_unit_float32(to_float16(vectors[chunk])), np.ascontiguousarray(ids[chunk])
            )
        return CompressedIndex(index, self.tuning, self.trained)

    @files.faiss_errors()
    def candidates(
        self, queries: Vectors, depth: int, probes: int, allowed: Ids | None = None
    ) -> Ids:
        """Return ids int64 (q, depth) of probably near vectors; short rows end in -1."""
        import faiss

        selector = None
        if allowed is not None:
            bits = np.zeros(int(allowed[-1]) + 1, dtype=bool)
            bits[allowed] = True
            packed = np.packbits(bits, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(packed), faiss.swig_ptr(packed))
        options: Any = faiss.IVFSearchParameters
        near: Ids
        _, near = self._index.search(
            queries, depth, params=options(nprobe=min(probes, self.lists), sel=selector)
        )
        return near

    def tuned(self, queries: Vectors, truth: Ids) -> CompressedIndex:
        """Return the same index, set to the fewest lists and candidates that find the neighbours.

        queries: float32 (q, dim); truth: int64 (q, n), their nearest ids by exact search.
        """
        depth = min(DEEPEST, len(self))

        def proposed(some: Vectors, probes: int) -> tuple[Ids, Ids]:
            return self.candidates(some, depth, probes), np.arange(depth)

        tuning = tune(queries, truth, proposed, self._tuned)
        return CompressedIndex(self._index, tuning, self.trained)

    def _tuned(self, ranks_at: Ranks) -> Tuning:
        best, least, probes = Tuning(self.lists, DEEPEST, DEEPEST, 0.0, len(self)), float("inf"), 4
        while True:
            probes = min(self.lists, probes)
            ranks = ranks_at(probes)
            depth_10 = depth_of(ranks[:, :10], RECALL_AIM + MARGIN)
            depth_100 = depth_of(ranks, RECALL_AIM)
            cost = probes * len(self) / self.lists + CODES_PER_ROW * depth_10
            last = probes == self.lists
            if last and least == float("inf"):  # the aim cannot be reached
                depth_10, depth_100, cost = min(depth_10, DEEPEST), min(depth_100, DEEPEST), 0.0
            if cost < least and max(depth_10, depth_100) <= DEEPEST:
                deepest = max(depth_100, depth_10)
                best, least = Tuning(probes, depth_10, deepest, 0.0, len(self)), cost
            if last or cost > 2 * least:
                return best
            probes = int(np.ceil(probes * 1.2))

    @files.faiss_errors()
    def save(self, path: Path, identity: str, change: int) -> bool:
        """Write a cache file; return whether it was written."""
        import faiss

        packed = faiss.serialize_index(self._index)
        header = _expected(identity, change) | {
            "digest": files.digest(packed),
            "trained": self.trained,
            "tuning": asdict(self.tuning),
        }
        return files.write_cache(path, [files.header_line(header), packed])

    @classmethod
    def load(cls, path: Path, identity: str, change: int) -> CompressedIndex | None:
        """Read a cache file of the same change; None for a missing, other or damaged file."""
        import faiss

        try:
            content = np.fromfile(path, dtype=np.uint8)
            line, packed = content[: files.HEADER_BYTES], content[files.HEADER_BYTES :]
            header = files.read_header(line.tobytes(), _expected(identity, change))
            if header.get("digest") != files.digest(packed):
                return None
            tuning = Tuning(**header["tuning"])
            return cls(faiss.deserialize_index(packed), tuning, int(header["trained"]))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # the last by FAISS, too
            return None


def _expected(identity: str, change: int) -> dict[str, Any]:
    return {"magic": MAGIC, "layout": LAYOUT, "identity": identity, "change": change}
