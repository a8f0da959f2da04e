"""Store vectors on GPUs: FAISS indexes in blocks, which give candidates."""

from __future__ import annotations

import contextlib
import functools
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from seehear.stores.vectors.gpu_devices import GpuIndexKind, GpuPlan
from seehear.stores.vectors.vector_file import CHUNK, VectorFile
from seehear.types import Ids, Vectors

MOST = 2048
"""Limit of FAISS on a GPU for selected neighbours and for scanned inverted lists."""
BLOCK_BYTES = 1 << 30
"""Size of a block of float16 vectors: FAISS copies a whole block when it grows."""
GRAPH_ROWS = 1 << 21
"""Vectors in one graph: they are in this process's memory while the graph is built."""
LISTS_PER_ROOT = 4.0
"""Inverted lists per square root of the count: a GPU compares a query with many centres at once, so
that more and shorter lists pay than on a CPU."""
TRAINED_PER_LIST = 64
TRAINED_LEAST = 16_384
SEED = 7

LOCK = threading.Lock()
"""Held while anything runs or is freed on a GPU: FAISS uses one workspace for one thread at a
time."""
_GIVEN_UP: deque[object] = deque()
"""Indexes that are no longer needed and still have to be freed."""


class IndexFactory(Protocol):
    """Makes FAISS indexes of inner products, each on one GPU."""

    def flat(self, device: int, dim: int) -> Any:
        """Make an empty index of float16 vectors that scans all."""
        ...

    def lists(self, device: int, plan: GpuPlan, count: int, sample: Vectors) -> Any:
        """Make an empty index of `count` inverted lists with product codes, trained on a sample."""
        ...

    def like(self, device: int, trained: Any) -> Any:
        """Make the same kind of index for another GPU, with the same training."""
        ...

    def graph(self, device: int, rows: Vectors) -> Any:
        """Build the graph of some vectors; no vectors can be added to it."""
        ...

    def parameters(self, kind: GpuIndexKind, probes: int, depth: int) -> Any:
        """Return search parameters: lists to scan, or vectors that a walk keeps."""
        ...


class FaissGpuFactory:
    """Make FAISS indexes on GPUs; all indexes on a GPU share one workspace."""

    def flat(self, device: int, dim: int) -> Any:
        import faiss

        settings: Any = faiss.GpuIndexFlatConfig()
        settings.device, settings.useFloat16 = device, True
        return faiss.GpuIndexFlat(_workspace(device), dim, faiss.METRIC_INNER_PRODUCT, settings)

    def lists(self, device: int, plan: GpuPlan, count: int, sample: Vectors) -> Any:
        import faiss

        index: Any = faiss.GpuIndexIVFPQ(
            _workspace(device),
            sample.shape[1],
            count,
            plan.code_bytes,
            8,
            faiss.METRIC_INNER_PRODUCT,
            self._list_settings(device),
        )
        index.cp.seed = SEED
        index.train(sample)
        return index

    def like(self, device: int, trained: Any) -> Any:
        import faiss

        plain: Any = faiss.index_gpu_to_cpu(trained)
        return faiss.GpuIndexIVFPQ(_workspace(device), plain, self._list_settings(device))

    def graph(self, device: int, rows: Vectors) -> Any:
        import faiss

        library: Any = faiss
        settings = library.GpuIndexCagraConfig()
        settings.device = device
        index = library.GpuIndexCagra(
            _workspace(device), rows.shape[1], faiss.METRIC_INNER_PRODUCT, settings
        )
        index.train(rows)
        return index

    def parameters(self, kind: GpuIndexKind, probes: int, depth: int) -> Any:
        import faiss

        library: Any = faiss
        if kind == "ivfpq":
            return library.SearchParametersIVF(nprobe=probes)
        if kind == "cagra":
            parameters = library.SearchParametersCagra()
            parameters.itopk_size = max(probes, depth)
            return parameters
        return None

    def _list_settings(self, device: int) -> Any:
        import faiss

        settings: Any = faiss.GpuIndexIVFPQConfig()
        # Tables in float32 do not fit a multiprocessor's memory for codes above 48 bytes.
        settings.device, settings.useFloat16LookupTables, settings.use_cuvs = device, True, False
        return settings


@dataclass(slots=True)
class GpuShard:
    """One FAISS index on one GPU, and the ids of its rows in order."""

    index: Any
    kind: GpuIndexKind
    ids: Ids = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class GpuCandidates:
    """Ids of vectors that may be near.

    ids: int64 (q, m), -1 for missing ones; an id may occur twice, or be removed already. ranks:
    int64 (m,), the rank of each column in the order of its block. floors: float32 (q,), for flat
    blocks the greatest similarity that FAISS found and did not return, -inf where it returned all.
    """

    ids: Ids
    ranks: Ids
    floors: NDArray[np.float32]


class GpuShards:
    """Vectors stored on GPUs as planned. Vectors are only added, so that searches of an older state
    find theirs, too: callers drop ids that they do not know.

    After `release`, or after a failed `add`, it stores nothing and gives no candidates. Its memory
    is freed when nothing refers to it.
    """

    def __init__(self, plan: GpuPlan, dim: int, maker: IndexFactory) -> None:
        self.plan = plan
        self.dim = dim
        self.rows = 0
        """Number of vectors added, including removed ones."""
        self.trained = 0
        """Number of vectors when the GPUs were filled."""
        self.longest = 0.0
        """Greatest norm of a stored row."""
        self.off = 0.0
        """Greatest difference of a row's norm from 1."""
        self.most_probes = MOST
        """The most lists that a search can scan."""
        self._maker = maker
        self._devices: dict[int, list[GpuShard]] = {device: [] for device in plan.devices}
        self._threads = None
        if len(plan.devices) > 1:
            from concurrent.futures import ThreadPoolExecutor

            self._threads = ThreadPoolExecutor(len(plan.devices))
        weakref.finalize(self, _give_up, self._devices)

    @classmethod
    def build(cls, matrix: VectorFile, plan: GpuPlan, maker: IndexFactory) -> GpuShards:
        """Store every vector of a file on the GPUs. Raises RuntimeError where they do not fit."""
        held = cls(plan, matrix.dim, maker)
        if plan.kind == "ivfpq":
            held._train(matrix)
        step = held._graph_rows(len(matrix)) if plan.kind == "cagra" else CHUNK
        for start in range(0, len(matrix), step):
            which = slice(start, start + step)
            rows = matrix.numbers(which).astype(np.float32)
            held.add(matrix.ids[which], rows, graph=plan.kind == "cagra")
        held.trained = len(matrix)
        return held

    def add(self, ids: Ids, rows: Vectors, *, graph: bool = False) -> None:
        """Add vectors, float32 (n, dim), of norm 1 up to float16 rounding; `graph`: as a graph.

        Raises RuntimeError where they do not fit. FAISS may then have stored some of them without
        counting them, so that results could not be assigned to ids: everything is released.
        """
        norms = np.sqrt(np.einsum("nd,nd->n", rows, rows))
        try:
            with _alone():
                self._add(ids, rows, norms, graph)
        except RuntimeError:
            self.release()
            raise

    def release(self) -> None:
        """Free the GPUs' memory. The CPU answers searches then."""
        with _alone():
            self._devices.clear()

    def _add(self, ids: Ids, rows: Vectors, norms: NDArray[np.float32], graph: bool) -> None:
        if not self._devices:
            raise RuntimeError("the GPU memory was released")
        self.longest = max(self.longest, float(norms.max(initial=0)))
        self.off = max(self.off, float(np.abs(norms - 1)[norms > 0].max(initial=0)))
        devices = self._devices.items()
        for device, blocks in devices if self.plan.copies else [min(devices, key=_rows_of)]:
            if graph:
                made = self._maker.graph(device, np.ascontiguousarray(rows))
                blocks.append(GpuShard(made, "cagra", ids))
            else:
                self._append(device, blocks, ids, rows)
        self.rows += len(ids)

    def candidates(self, queries: Vectors, depth: int, probes: int) -> GpuCandidates:
        """Return the `depth` nearest of each block. Raises RuntimeError where a GPU fails or stores
        nothing any more."""
        with _alone():
            return self._proposed(queries, depth, probes)

    def _proposed(self, queries: Vectors, depth: int, probes: int) -> GpuCandidates:
        if not self._devices:
            raise RuntimeError("the GPU memory was released")
        devices = [
            device for device, blocks in self._devices.items() if any(len(b.ids) for b in blocks)
        ]
        shares = [queries] * len(devices)
        if self.plan.copies:
            devices = devices[: max(1, len(queries))]
            shares = np.array_split(queries, max(1, len(devices)))[: len(devices)]
        found = self._all_asked(devices, shares, depth, probes)
        if self.plan.copies and found:
            return GpuCandidates(
                np.vstack([part.ids for part in found]),
                found[0].ranks,
                np.concatenate([part.floors for part in found]),
            )
        nothing = np.full(len(queries), -np.inf, dtype=np.float32)
        return GpuCandidates(
            np.hstack([np.empty((len(queries), 0), np.int64), *(part.ids for part in found)]),
            np.concatenate([np.empty(0, np.int64), *(part.ranks for part in found)]),
            np.max([nothing, *(part.floors for part in found)], axis=0),
        )

    def _all_asked(
        self, devices: list[int], shares: list[Vectors], depth: int, probes: int
    ) -> list[GpuCandidates]:
        """Return each GPU's candidates for its queries. If one GPU fails, wait for all first."""
        pairs = zip(devices, shares, strict=True)
        if self._threads is None:
            return [self._asked(device, some, depth, probes) for device, some in pairs]
        from concurrent.futures import wait

        asking = [self._threads.submit(self._asked, *pair, depth, probes) for pair in pairs]
        wait(asking)
        return [one.result() for one in asking]

    def _asked(self, device: int, queries: Vectors, depth: int, probes: int) -> GpuCandidates:
        """Return the candidates of one GPU's blocks."""
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        ids, ranks = [], []
        floors = np.full(len(queries), -np.inf, dtype=np.float32)
        for block in self._devices[device]:
            wide = min(depth, len(block.ids))
            if not wide:
                continue
            parameters = self._maker.parameters(block.kind, probes, wide)
            near, positions = block.index.search(queries, wide, params=parameters)
            # A walk that ends early is filled up with a number beyond the last position.
            known = (positions >= 0) & (positions < len(block.ids))
            ids.append(np.where(known, block.ids[np.where(known, positions, 0)], -1))
            ranks.append(np.arange(wide))
            if block.kind == "flat" and wide < len(block.ids):
                floors = np.maximum(floors, near[:, -1])
        return GpuCandidates(np.hstack(ids), np.concatenate(ranks), floors)

    def _append(self, device: int, blocks: list[GpuShard], ids: Ids, rows: Vectors) -> None:
        full = max(1, BLOCK_BYTES // (2 * self.dim))
        start = 0
        while start < len(ids):
            if self.plan.kind == "ivfpq":
                block, some = blocks[0], len(ids)
            else:
                last = blocks[-1] if blocks and blocks[-1].kind == "flat" else None
                if last is None or len(last.ids) >= full:
                    last = GpuShard(self._maker.flat(device, self.dim), "flat")
                    blocks.append(last)
                block, some = last, full - len(last.ids)
            which = slice(start, start + some)
            block.index.add(np.ascontiguousarray(rows[which], dtype=np.float32))
            block.ids = np.concatenate([block.ids, ids[which]])
            start += some

    def _graph_rows(self, count: int) -> int:
        """Return the vectors per graph: graphs of equal size, and equally many on each GPU."""
        graphs = -(-count // GRAPH_ROWS)
        if not self.plan.copies:
            graphs = -(-graphs // len(self.plan.devices)) * len(self.plan.devices)
        return max(1, -(-count // max(1, graphs)))

    def _train(self, matrix: VectorFile) -> None:
        """Train the inverted lists, on a sample of the vectors that is the same each time."""
        lists = max(1, int(LISTS_PER_ROOT * len(matrix) ** 0.5))
        count = min(len(matrix), max(TRAINED_LEAST, TRAINED_PER_LIST * lists))
        chosen = np.random.default_rng(SEED).choice(len(matrix), count, replace=False)
        sample = matrix.rows(np.sort(chosen))
        first, *others = self.plan.devices
        with _alone():
            self._devices[first].append(
                GpuShard(self._maker.lists(first, self.plan, lists, sample), "ivfpq")
            )
            trained = self._devices[first][0]
            for device in others:
                self._devices[device].append(
                    GpuShard(self._maker.like(device, trained.index), "ivfpq")
                )
        self.most_probes = min(MOST, lists)


@functools.cache
def _workspace(device: int) -> Any:
    """Return FAISS's memory and streams on a GPU: 1.5 GiB, once for all indexes there."""
    import faiss

    return faiss.StandardGpuResources()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let only this thread use the GPUs."""
    try:
        with LOCK:
            try:
                yield
            except RuntimeError as error:
                # Free half-made indexes here, not when the error object is deleted.
                traceback.clear_frames(error.__traceback__)
                raise
    finally:
        _free()


def _give_up(devices: dict[int, list[GpuShard]]) -> None:
    """Free indexes on GPUs: now, or when the thread that uses the GPUs is done.

    Does not wait, since Python may call it anywhere.
    """
    _GIVEN_UP.append(list(devices.values()))
    devices.clear()
    _free()


def _free() -> None:
    while _GIVEN_UP and LOCK.acquire(blocking=False):
        try:
            _GIVEN_UP.clear()
        finally:
            LOCK.release()


def _rows_of(device: tuple[int, list[GpuShard]]) -> int:
    return sum(len(block.ids) for block in device[1])
