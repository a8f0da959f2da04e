"""Simulate GPUs on the CPU: real FAISS indexes with the limits of those on a GPU."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from seehear.stores.vectors.gpu_devices import GpuIndexKind, GpuPlan
from seehear.stores.vectors.gpu_shards import MOST
from seehear.types import Ids, Vectors


class HalfFlat:
    """Scans float16 vectors with queries rounded to float16, as GpuIndexFlat does."""

    def __init__(self, dim: int) -> None:
        self._index: Any = faiss.IndexScalarQuantizer(
            dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )

    def add(self, rows: Vectors) -> None:
        self._index.add(rows)

    def search(self, queries: Vectors, k: int, *, params: Any) -> tuple[Vectors, Ids]:
        assert params is None
        assert 0 < k <= MOST
        near, places = self._index.search(queries.astype(np.float16).astype(np.float32), k)
        return near, places


class OnProcessor:
    """A Maker. `room` is how many vectors the cards take before they fail as full ones do."""

    def __init__(self, room: int = 10**9) -> None:
        self.room = room
        self.made: list[tuple[int, str]] = []

    def flat(self, card: int, dim: int) -> Any:
        self.made.append((card, "flat"))
        return _Full(HalfFlat(dim), self)

    def lists(self, card: int, plan: GpuPlan, count: int, sample: Vectors) -> Any:
        self.made.append((card, "ivfpq"))
        # Four bits instead of eight train in a moment; "np": without what cards do not have.
        index: Any = faiss.index_factory(
            sample.shape[1], f"IVF{count},PQ{plan.code_bytes}x4np", faiss.METRIC_INNER_PRODUCT
        )
        index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1
        index.train(np.resize(sample, (max(len(sample), 256), sample.shape[1])))
        return index

    def like(self, card: int, trained: Any) -> Any:
        self.made.append((card, "ivfpq"))
        return faiss.clone_index(trained)

    def graph(self, card: int, rows: Vectors) -> Any:
        self.made.append((card, "cagra"))
        index: Any = faiss.IndexHNSWFlat(rows.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
        index.add(rows)
        return index

    def parameters(self, kind: GpuIndexKind, probes: int, depth: int) -> Any:
        library: Any = faiss
        if kind == "ivfpq":
            assert 0 < probes <= MOST
            return library.SearchParametersIVF(nprobe=probes)
        if kind == "cagra":
            return library.SearchParametersHNSW(efSearch=max(probes, depth))
        return None


class _Full:
    """An index that says, as FAISS does, that memory is at an end."""

    def __init__(self, index: HalfFlat, maker: OnProcessor) -> None:
        self._index, self._maker = index, maker

    def add(self, rows: Vectors) -> None:
        self._maker.room -= len(rows)
        if self._maker.room < 0:
            raise RuntimeError("StandardGpuResources: alloc fail")
        self._index.add(rows)

    def search(self, queries: Vectors, k: int, *, params: Any) -> tuple[Vectors, Ids]:
        return self._index.search(queries, k, params=params)
