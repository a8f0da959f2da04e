"""Search of large collections: compressed vectors propose, exact ones decide."""

from __future__ import annotations

import numpy as np

from seehear.stores import sorted_ids
from seehear.stores.vectors import exact
from seehear.stores.vectors.base import READY_AFTER, OfMatrix
from seehear.stores.vectors.matrix import CHUNK, Matrix
from seehear.stores.vectors.proposer import Proposer
from seehear.types import Ids, Vectors

ASKED = 600
"""Queries that tuning asks, those that only measure included."""
WIDE = 100
"""Neighbours of each that are looked for."""
EXACT_BELOW = 20_000
"""Allowed vectors up to which a filtered search is exact: it takes as long as a search without
filter, and is right."""
MEASURED_EVERY = 0.05
"""Change of size at which the recall is measured anew, and the depth set by it."""
HELD_BYTES = 64 << 20
"""Size of the half-precision rows up to which they are held in memory while many queries come;
larger ones are read from their file, row by row."""
RETRAINED_AT = 2.0
"""Growth since training at which the compressed index is trained anew."""


class TwoTierIndex(OfMatrix):
    """Nearest neighbours with a measured recall. Similarities and their order are exact.

    Nothing in it changes: `changed` gives another index and leaves this one as it was.
    """

    def __init__(self, matrix: Matrix, proposer: Proposer) -> None:
        super().__init__(matrix)
        self.proposer = proposer
        self._asked = 0

    @classmethod
    def build(cls, matrix: Matrix) -> TwoTierIndex:
        """Compress the vectors, and measure how deep to look."""
        return cls(matrix, Proposer.build(matrix)).tuned()

    def describe(self) -> str:
        recall = self.proposer.tuning.recall
        return f"two tiers, recall@10 {recall:.3f} of exact search"

    def changed(self, removed: Ids, ids: Ids, vectors: Vectors) -> TwoTierIndex:
        matrix = self.matrix.changed(removed, ids, vectors)
        if len(matrix) > RETRAINED_AT * self.proposer.trained:
            return TwoTierIndex.build(matrix)
        index = TwoTierIndex(matrix, self.proposer.changed(removed, ids, vectors))
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
            places = sorted_ids.places(self.ids, allowed)
            allowed, places = allowed[places >= 0], places[places >= 0]
            count = len(places)
            if count <= max(EXACT_BELOW, depth):
                return exact.padded(exactly(self.matrix, queries, k, places), k)
            # What is allowed lies in more lists, the fewer there are of it.
            probes = int(np.ceil(probes * len(self) / count))
        if depth >= count:
            return exact.padded(exactly(self.matrix, queries, k), k)
        near = self.proposer.propose(queries, depth, probes, allowed)
        while probes < self.proposer.lists and bool((near[:, min(k, count) - 1] < 0).any()):
            probes *= 2
            near = self.proposer.propose(queries, depth, probes, allowed)
        return exact.padded(
            [self._ranked(q, ids, k) for q, ids in zip(queries, near, strict=True)], k
        )

    def tuned(self) -> TwoTierIndex:
        """The same index, looking just as far as the aim asks for on its own vectors."""
        queries, truth = asked(self.matrix)
        if not len(queries):
            return self
        return TwoTierIndex(self.matrix, self.proposer.tuned(queries, truth))

    def _count(self) -> None:
        """One search more; after some a matrix of moderate size is kept in memory."""
        self._asked += 1
        small = 2 * len(self) * self.dim <= HELD_BYTES
        if self._asked > READY_AFTER and small and self.matrix.in_file:
            self.matrix = self.matrix.held()

    def _ranked(self, query: Vectors, ids: Ids, k: int) -> exact.Found:
        ids = np.sort(ids[ids >= 0])  # as they lie in the file
        return exact.rank(query, self.matrix.rows(sorted_ids.places(self.ids, ids)), ids, k)


def asked(matrix: Matrix) -> tuple[Vectors, Ids]:
    """Queries that stand for what people ask, and the ids of their true neighbours.

    Each is the sum of three vectors of the collection. One vector alone, or one that is moved a
    little, finds its own kind: pictures of one moment, passages of one page. These lie so much
    nearer than the rest that any look finds them, and a depth that is set by them is too small for
    a query from outside. Sums have no such kind, and ask for a little more than such queries do
    (measured with 1,000,000 vectors; docs/performance.md).

    Returns float32 (q, dim) and int64 (q, n), best first; q is 0 for fewer than six vectors.
    """
    rng = np.random.default_rng(len(matrix))
    count = min(len(matrix) // 3, ASKED)
    if count < 2:
        return np.empty((0, matrix.dim), np.float32), np.empty((0, 0), np.int64)
    chosen = rng.choice(len(matrix), 3 * count, replace=False)
    queries = matrix.rows(chosen).reshape(3, count, matrix.dim).sum(axis=0)
    norms = np.linalg.norm(queries, axis=1, keepdims=True)
    np.divide(queries, norms, out=queries, where=norms > 0)
    found = exactly(matrix, queries, min(WIDE, len(matrix)))
    return queries, np.stack([ids for _, ids in found])


def exactly(
    matrix: Matrix, queries: Vectors, k: int, places: Ids | None = None
) -> list[exact.Found]:
    """The k best of all vectors, or of those in some places, block by block."""
    count = len(matrix) if places is None else len(places)
    best: list[exact.Found] = [(np.empty(0, np.float32), np.empty(0, np.int64))] * len(queries)
    for start in range(0, count, CHUNK):
        block = slice(start, start + CHUNK)
        which: Ids | slice = block if places is None else places[block]
        found = exact.nearest(queries, matrix.rows(which), matrix.ids[which], k)
        best = [exact.merged(*pair, k) for pair in zip(best, found, strict=True)]
    return best
