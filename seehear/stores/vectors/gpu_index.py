"""Search on GPUs: vectors on GPUs give candidates, exact vectors decide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seehear.stores import sorted_ids
from seehear.stores.vectors import exact, gpu_devices
from seehear.stores.vectors.base import MatrixBacked
from seehear.stores.vectors.flat import FlatIndex
from seehear.stores.vectors.gpu_shards import MOST, FaissGpuFactory, GpuShards, IndexFactory
from seehear.stores.vectors.ivf_pq_refine import (
    EXACT_BELOW,
    MEASURED_EVERY,
    RETRAINED_AT,
    exact_topk,
    tuning_queries,
)
from seehear.stores.vectors.tuning import MARGIN, RECALL_AIM, Ranks, Tuning, depth_of, tune
from seehear.stores.vectors.vector_file import CHUNK, VectorFile
from seehear.types import Ids, Vectors

SPARE = 48
"""Candidates beyond k in a full scan: most queries are then decided at once."""
DEPTH_GROWTH_ON_GPU = 8
"""Factor by which a scan looks deeper if it could not decide."""
DROPPED = 1.3
"""Candidates requested, as a multiple of those needed, where some will be dropped."""
MOST_GONE = 0.3
"""Share of the stored vectors that may be removed before the GPUs are filled anew."""
FEWEST_PROBES = 8


def placed(matrix: VectorFile, device: str) -> GpuIndex | None:
    """Store the vectors on the GPUs that the user's device setting names, or return None.

    None for few vectors, without a GPU or a FAISS for it, and where no GPU has enough memory: then
    the CPU searches.
    """
    if 4 * len(matrix) * matrix.dim <= gpu_devices.GPU_ABOVE_BYTES:
        return None
    there = gpu_devices.gpu_devices(device)
    if not there or not gpu_devices.faiss_has_gpu():
        return None
    plan = gpu_devices.plan(len(matrix), matrix.dim, there, graphs=gpu_devices.faiss_has_graphs())
    if plan is None:
        return None
    try:
        return GpuIndex.build(matrix, plan)
    except RuntimeError:  # another process took the memory meanwhile
        return None


class GpuIndex(MatrixBacked):
    """Nearest neighbours with candidates from GPUs. Similarities and their order are exact.

    A scan of all float16 vectors is exact search: its candidates are accepted only if no vector
    outside them can be as near; otherwise it looks deeper, and at last the CPU decides. Graphs
    and product codes have a measured recall, as two tiers on a CPU have.
    """

    def __init__(self, matrix: VectorFile, held: GpuShards, tuning: Tuning | None = None) -> None:
        super().__init__(matrix)
        self.held = held
        self.tuning = tuning
        """How far a search looks; None for a full scan."""

    @classmethod
    def build(
        cls, matrix: VectorFile, plan: gpu_devices.GpuPlan, maker: IndexFactory | None = None
    ) -> GpuIndex:
        """Store the vectors on GPUs. Raises RuntimeError where they do not fit."""
        index = cls(matrix, GpuShards.build(matrix, plan, maker or FaissGpuFactory()))
        return index if plan.kind == "flat" else index.tuned()

    def describe(self) -> str:
        plan = self.held.plan
        where = f"{len(plan.devices)} GPUs" if len(plan.devices) > 1 else "a GPU"
        if self.tuning is None:
            return f"exact, on {where}"
        kind = {"cagra": "graph", "ivfpq": "product codes"}.get(plan.kind, plan.kind)
        return f"{kind} on {where}, recall@10 {self.tuning.recall:.3f} of exact search"

    @property
    def needs_rebuild(self) -> bool:
        """Tell whether to fill the GPUs anew: many vectors were removed or added."""
        gone = self.held.rows - len(self)
        if gone > MOST_GONE * self.held.rows:
            return True
        return self.tuning is not None and len(self) > RETRAINED_AT * self.held.trained

    def updated(self, removed: Ids, ids: Ids, vectors: Vectors) -> GpuIndex | FlatIndex:
        """Return an index without some ids and with others; on the CPU if a GPU is full.

        In that case the GPU memory is released, and the CPU answers for older indexes, too.
        """
        matrix = self.matrix.updated(removed, ids, vectors)
        new = np.sort(np.asarray(ids, dtype=np.int64))
        try:
            for start in range(0, len(new), CHUNK):
                some = new[start : start + CHUNK]
                numbers = matrix.numbers(sorted_ids.positions_in(matrix.ids, some))
                self.held.add(some, numbers.astype(np.float32))
        except RuntimeError:
            return FlatIndex(matrix)
        index = GpuIndex(matrix, self.held, self.tuning)
        if self.tuning is None:
            return index
        moved = abs(len(matrix) / self.tuning.measured_on - 1)
        if moved <= MEASURED_EVERY:
            return index
        try:
            return index.tuned()
        except RuntimeError:  # not enough memory for the search now: try at the next change
            return index

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        count, positions = len(self), None
        if allowed is not None:
            allowed = sorted_ids.distinct(allowed)
            positions = sorted_ids.positions_in(self.ids, allowed)
            allowed, positions = allowed[positions >= 0], positions[positions >= 0]
            count = len(positions)
        found: dict[int, exact.TopK] = {}
        left = np.arange(len(queries))
        if allowed is None or count > EXACT_BELOW:
            probes = self._probes(count)
            for depth in self._depths(k, count):
                found |= self._decided(queries, left, depth, probes, k, allowed)
                left = np.array([at for at in left if int(at) not in found], dtype=np.int64)
                if not len(left):
                    break
        rest = exact_topk(self.matrix, queries[left], k, positions) if len(left) else []
        found |= dict(zip(left.tolist(), rest, strict=True))
        return exact.pad([found[at] for at in range(len(queries))], k)

    def tuned(self) -> GpuIndex:
        """Return the same index, looking just far enough to reach the recall aim on its vectors."""
        queries, truth = tuning_queries(self.matrix)
        if len(queries):
            tuning = tune(queries, truth, self._proposed, self._tuned)
        else:
            tuning = Tuning(self.held.most_probes, MOST, MOST, 1.0, max(1, len(self)))
        return GpuIndex(self.matrix, self.held, tuning)

    def _proposed(self, queries: Vectors, probes: int) -> tuple[Ids, Ids]:
        proposed = self.held.candidates(queries, MOST, probes)
        return proposed.ids, proposed.ranks

    def _tuned(self, ranks_at: Ranks) -> Tuning:
        """Find the fewest lists, or the shortest walk, that find the true neighbours."""
        widest = self.held.most_probes
        probes = min(FEWEST_PROBES, widest)
        while True:
            ranks = ranks_at(probes)
            depth_10 = depth_of(ranks[:, :10], RECALL_AIM + MARGIN)
            depth_100 = max(depth_10, depth_of(ranks, RECALL_AIM))
            # Half of the largest depth is left for candidates that a filter or a change drops.
            if depth_100 <= MOST // 2 or probes == widest:
                depth_10, depth_100 = min(depth_10, MOST // 2), min(depth_100, MOST // 2)
                return Tuning(probes, depth_10, depth_100, 0.0, len(self))
            probes = min(2 * probes, widest)

    def _probes(self, count: int) -> int:
        """Return how many lists to scan if `count` vectors are allowed: more for fewer vectors."""
        if self.tuning is None:
            return 0
        wider = int(np.ceil(self.tuning.probes * len(self) / max(1, count)))
        return min(wider, self.held.most_probes)

    def _needed(self, k: int) -> int:
        return k + SPARE if self.tuning is None else self.tuning.depth(k)

    def _depths(self, k: int, count: int) -> list[int]:
        """Return the depths to try one after the other if `count` vectors are allowed."""
        share = count / max(1, self.held.rows)
        first = self._needed(k)
        if share < 1:
            first = int(np.ceil(DROPPED * first / max(share, 1e-9)))
        depths = [first] if first <= MOST else []
        while depths and depths[-1] < min(MOST, self.held.rows):
            depths.append(min(DEPTH_GROWTH_ON_GPU * depths[-1], MOST))
        return depths

    def _decided(
        self, queries: Vectors, which: Ids, depth: int, probes: int, k: int, allowed: Ids | None
    ) -> dict[int, exact.TopK]:
        """Return the k best, by query, of those queries that candidates of this depth decide."""
        asking = queries[which]
        try:
            proposed = self.held.candidates(asking, depth, probes)
        except RuntimeError:  # not enough memory for the search: the CPU answers
            return {}
        found: dict[int, exact.TopK] = {}
        floors = proposed.floors + self._slack(asking)
        total = len(self) if allowed is None else len(allowed)
        for at, near, floor in zip(which.tolist(), proposed.ids, floors, strict=True):
            ids = np.unique(near[near >= 0])
            if allowed is not None:
                ids = np.intersect1d(ids, allowed, assume_unique=True)
            positions = sorted_ids.positions_in(self.ids, ids)
            ids, positions = ids[positions >= 0], positions[positions >= 0]
            if self.tuning is not None and len(ids) < min(self._needed(k), total):
                continue
            best = exact.rerank(queries[at], self.matrix.rows(positions), ids, k)
            if self.tuning is None and not _sure(best, min(k, total), float(floor)):
                continue
            found[at] = best
        return found

    def _slack(self, queries: Vectors) -> NDArray[np.float32]:
        """Return the largest error of a similarity on the GPU, float32 (q,).

        The GPU multiplies the query, rounded to float16, by rows whose norms rounding has changed:
        |<q, x/|x|> - <h, x>| <= |q - h| |x| + |q| | |x| - 1 |, by Cauchy and Schwarz.
        """
        halves = queries.astype(np.float16).astype(np.float32)
        moved = np.linalg.norm(queries - halves, axis=1) * self.held.longest
        lengths = np.linalg.norm(queries, axis=1) * self.held.off
        return np.asarray(moved + lengths + exact.ROUNDING, dtype=np.float32)


def _sure(best: exact.TopK, k: int, floor: float) -> bool:
    """Tell whether no vector outside, of similarity `floor` at most, can be among the k best."""
    similarities = best[0]
    return floor == -np.inf or (len(similarities) >= k > 0 and float(similarities[k - 1]) > floor)
