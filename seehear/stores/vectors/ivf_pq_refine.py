"""Search large collections: compressed vectors give candidates, exact ones decide."""

from __future__ import annotations

import numpy as np

from seehear.stores import sorted_ids
from seehear.stores.vectors import exact
from seehear.stores.vectors.base import WARMUP_QUERIES, MatrixBacked
from seehear.stores.vectors.pq_index import CompressedIndex
from seehear.stores.vectors.tuning import sums_of_three
from seehear.stores.vectors.vector_file import CHUNK, VectorFile
from seehear.types import Ids, Vectors

ASKED = 600
"""Queries used for tuning, including those that only measure."""
WIDE = 100
"""Neighbours searched for each of these queries."""
EXACT_BELOW = 20_000
"""Allowed vectors up to which a filtered search is exact: it takes as long as a search without
filter, and misses nothing."""
MEASURED_EVERY = 0.05
"""Change of size after which recall is measured and the depth is set again."""
HELD_BYTES = 64 << 20
"""Size of the float16 rows up to which they are kept in memory while many queries come; larger
ones are read from their file, row by row."""
RETRAINED_AT = 2.0
"""Growth since training after which the compressed index is trained again."""


class IvfPqRefineIndex(MatrixBacked):
    """Nearest neighbours with a measured recall. Similarities and their order are exact.

    The index never changes: `updated` returns another index.
    """

    def __init__(self, matrix: VectorFile, proposer: CompressedIndex) -> None:
        super().__init__(matrix)
        self.proposer = proposer
        self._asked = 0

    @classmethod
    def build(cls, matrix: VectorFile) -> IvfPqRefineIndex:
        """Compress the vectors, and measure how deep to look."""
        return cls(matrix, CompressedIndex.build(matrix)).tuned()

    def describe(self) -> str:
        recall = self.proposer.tuning.recall
        return f"two tiers, recall@10 {recall:.3f} of exact search"

    def updated(self, removed: Ids, ids: Ids, vectors: Vectors) -> IvfPqRefineIndex:
        matrix = self.matrix.updated(removed, ids, vectors)
        if len(matrix) > RETRAINED_AT * self.proposer.trained:
            return IvfPqRefineIndex.build(matrix)
        index = IvfPqRefineIndex(matrix, self.proposer.updated(removed, ids, vectors))
        moved = abs(len(matrix) / self.proposer.tuning.measured_on - 1)
        return index.tuned() if moved > MEASURED_EVERY else index

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        self._count()
        tuning = self.proposer.tuning
        depth, probes = tuning.depth(k), tuning.probes
        count = len(self)
        if allowed is not None:
            allowed = sorted_ids.distinct(allowed)
            positions = sorted_ids.positions_in(self.ids, allowed)
            allowed, positions = allowed[positions >= 0], positions[positions >= 0]
            count = len(positions)
            if count <= max(EXACT_BELOW, depth):
                return exact.pad(exact_topk(self.matrix, queries, k, positions), k)
            # With fewer allowed vectors, scan more lists to find them.
            probes = int(np.ceil(probes * len(self) / count))
        if depth >= count:
            return exact.pad(exact_topk(self.matrix, queries, k), k)
        near = self.proposer.candidates(queries, depth, probes, allowed)
        while probes < self.proposer.lists and bool((near[:, min(k, count) - 1] < 0).any()):
            probes *= 2
            near = self.proposer.candidates(queries, depth, probes, allowed)
        return exact.pad([self._ranked(q, ids, k) for q, ids in zip(queries, near, strict=True)], k)

    def tuned(self) -> IvfPqRefineIndex:
        """Return the same index, looking just far enough to reach the recall aim on its vectors."""
        queries, truth = tuning_queries(self.matrix)
        if not len(queries):
            return self
        return IvfPqRefineIndex(self.matrix, self.proposer.tuned(queries, truth))

    def _count(self) -> None:
        """Count a search; prepare for more after some."""
        self._asked += 1
        if self._asked > WARMUP_QUERIES:
            self.warm_up()

    def warm_up(self) -> None:
        """Keep vectors of moderate size in memory."""
        if self.matrix.in_file and 2 * len(self) * self.dim <= HELD_BYTES:
            self.matrix = self.matrix.in_memory()

    def _ranked(self, query: Vectors, ids: Ids, k: int) -> exact.TopK:
        ids = np.sort(ids[ids >= 0])  # in the order of the file
        return exact.rerank(query, self.matrix.rows(sorted_ids.positions_in(self.ids, ids)), ids, k)


def tuning_queries(matrix: VectorFile) -> tuple[Vectors, Ids]:
    """Make queries as `sums_of_three` does, with the ids of their true neighbours.

    Returns float32 (q, dim) and int64 (q, n), best first; q is 0 for fewer than six vectors.
    """
    rng = np.random.default_rng(len(matrix))
    count = min(len(matrix) // 3, ASKED)
    if count < 2:
        return np.empty((0, matrix.dim), np.float32), np.empty((0, 0), np.int64)
    queries = sums_of_three(matrix.rows(rng.choice(len(matrix), 3 * count, replace=False)))
    found = exact_topk(matrix, queries, min(WIDE, len(matrix)))
    return queries, np.stack([ids for _, ids in found])


def exact_topk(
    matrix: VectorFile, queries: Vectors, k: int, positions: Ids | None = None
) -> list[exact.TopK]:
    """Return the k best for each query, of all vectors or of some positions, block by block."""
    count = len(matrix) if positions is None else len(positions)
    best = [exact.NOTHING] * len(queries)
    for start in range(0, count, CHUNK):
        block = slice(start, start + CHUNK)
        which: Ids | slice = block if positions is None else positions[block]
        found = exact.topk(queries, matrix.rows(which), matrix.ids[which], k)
        best = [exact.merge_topk(*pair, k) for pair in zip(best, found, strict=True)]
    return best
