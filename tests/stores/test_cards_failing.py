"""Search stays right when GPUs fail, are full, or are released while other threads search."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from seehear.stores import Catalog, FlatIndex, Generation, VectorCache
from seehear.stores.vectors import gpu_devices as cards_module
from seehear.stores.vectors import gpu_index, gpu_shards, ivf_pq_refine
from seehear.stores.vectors.gpu_devices import GpuDevice, GpuPlan
from seehear.stores.vectors.gpu_index import GpuIndex
from seehear.stores.vectors.gpu_shards import FaissGpuFactory, GpuCandidates, GpuShards
from seehear.types import Ids, Modality, Vectors
from tests.stores.conftest import SPACE, put
from tests.stores.on_processor import OnProcessor
from tests.stores.test_cards import GIB, ONE, TWO, build, same
from tests.stores.test_gpu_driver import Driver
from tests.stores.test_vectors_two_tier import NONE, clustered, matrix_of

LISTS = GpuPlan("ivfpq", ONE, True, 8)


class Watched:
    """A flat index that tells whether others were kept from the cards while it was freed."""

    freed: list[bool]

    def __init__(self, index: Any) -> None:
        self._index = index

    def add(self, rows: Vectors) -> None:
        self._index.add(rows)

    def search(self, queries: Vectors, k: int, *, params: Any) -> tuple[Vectors, Ids]:
        found: tuple[Vectors, Ids] = self._index.search(queries, k, params=params)
        return found

    def __del__(self) -> None:
        self.freed.append(gpu_shards.LOCK.locked())


class Watching(OnProcessor):
    """Makes indexes that are watched; the one with number `fails` is half made when it fails."""

    def __init__(self, fails: int = -1) -> None:
        super().__init__()
        self.freed: list[bool] = []
        self._fails = fails

    def flat(self, card: int, dim: int) -> Any:
        index = Watched(super().flat(card, dim))
        index.freed = self.freed
        if len(self.made) == self._fails:
            raise RuntimeError("StandardGpuResources: alloc fail")
        return index


def test_nothing_is_freed_on_a_card_while_another_thread_uses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FAISS keeps account of a card's memory for one thread at a time."""
    maker = Watching()
    index = build(clustered(1, 60), GpuPlan("flat", TWO, True), maker)
    searching, done = threading.Event(), threading.Event()
    plain = index.held._asked

    def slow(*arguments: Any) -> GpuCandidates:
        searching.set()
        assert done.wait(30)
        return plain(*arguments)

    other = build(clustered(1, 60), GpuPlan("flat", ONE, True), maker)
    monkeypatch.setattr(index.held, "_asked", slow)
    asking = threading.Thread(target=index.search, args=(clustered(2, 2), 3))
    asking.start()
    assert searching.wait(30)
    before = len(maker.freed)
    del other
    gc.collect()
    assert len(maker.freed) == before  # the search is on
    done.set()
    asking.join()
    assert maker.freed[before:] == [True]
    index.held.release()
    assert maker.freed == [True] * 3


def test_what_was_half_made_is_freed_alone_too() -> None:
    maker = Watching(fails=3)
    with pytest.raises(RuntimeError, match="alloc fail"):
        GpuShards.build(
            matrix_of(np.arange(60), clustered(1, 60)), GpuPlan("flat", (0, 1, 2), True), maker
        )
    gc.collect()
    assert maker.freed == [True] * 3


def test_a_card_that_fails_waits_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    index = build(clustered(1, 60), GpuPlan("flat", TWO, True))
    working: list[int] = []
    begun = threading.Event()

    def asked(card: int, *arguments: Any) -> GpuCandidates:
        if card == TWO[0]:
            assert begun.wait(30)
            raise RuntimeError("StandardGpuResources: alloc fail")
        working.append(card)
        begun.set()
        time.sleep(0.2)
        working.remove(card)
        raise RuntimeError("late")

    monkeypatch.setattr(index.held, "_asked", asked)
    with pytest.raises(RuntimeError, match="alloc fail"):
        index.held.candidates(clustered(2, 2), 5, 0)
    assert not working
    assert not gpu_shards.LOCK.locked()


@pytest.mark.parametrize("number", [60, 2**32 - 1])
def test_a_walk_that_ends_early_finds_fewer(number: int) -> None:
    """CAGRA fills a row up with a number that no vector has."""
    index = build(clustered(1, 60), GpuPlan("cagra", ONE, True))
    (block,) = index.held._devices[3]
    whole = block.index

    class Short:
        def search(self, *arguments: Any, params: Any) -> tuple[Vectors, Ids]:
            near, places = whole.search(*arguments, params=params)
            places[:, 2:] = number
            return near, places

    block.index = Short()
    ids = index.held.candidates(clustered(2, 2), 5, 0).ids
    assert (ids[:, :2] >= 0).all()
    assert (ids[:, 2:] == -1).all()


def test_no_memory_for_a_measurement_keeps_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    index = build(clustered(1, 300), LISTS)

    def failing(*arguments: object) -> None:
        raise RuntimeError("StandardGpuResources: alloc fail")

    monkeypatch.setattr(index.held, "candidates", failing)
    after = index.updated(NONE, np.arange(9000, 9100), clustered(2, 100))
    assert isinstance(after, GpuIndex)
    assert after.tuning == index.tuning
    same(after.search(clustered(3, 4), 9), FlatIndex(after.matrix).search(clustered(3, 4), 9))


def test_queries_that_measure_the_recall_do_not_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    index = build(clustered(1, 3000, 32), LISTS)
    known = index.tuning
    assert known is not None
    assert 0.97 <= known.recall <= 1
    queries, truth = ivf_pq_refine.tuning_queries(index.matrix)
    truth[1::3] = -7  # what is never proposed
    monkeypatch.setattr(gpu_index, "tuning_queries", lambda matrix: (queries, truth))
    unknown = index.tuned().tuning
    assert unknown is not None
    assert (unknown.probes, unknown.depth_10, unknown.depth_100, unknown.recall) == (
        known.probes, known.depth_10, known.depth_100, 0.0,
    )  # fmt: skip


def test_a_filter_looks_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_index, "EXACT_BELOW", 0)
    index = build(clustered(1, 3000, 32), LISTS)
    assert index.tuning is not None
    asked: list[int] = []
    propose = index.held.candidates

    def noting(queries: Vectors, depth: int, probes: int) -> GpuCandidates:
        asked.append(probes)
        return propose(queries, depth, probes)

    monkeypatch.setattr(index.held, "candidates", noting)
    for share in (1, 2, 4, 8):
        index.search(clustered(2, 2, 32), 10, index.ids[::share])
    probes, widest = index.tuning.probes, index.held.most_probes
    assert probes < widest < 8 * probes
    assert asked == [probes, 2 * probes, 4 * probes, widest]


def test_graphs_are_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A last one of few vectors would have fewer than the links of each."""
    monkeypatch.setattr(gpu_shards, "GRAPH_ROWS", 150)
    for plan, sizes in (
        (GpuPlan("cagra", ONE, True), [[134, 134, 133]]),
        (GpuPlan("cagra", TWO, False), [[101, 101], [101, 98]]),
    ):
        index = build(clustered(1, 401), plan)
        blocks = index.held._devices.values()
        assert [[len(block.ids) for block in on_card] for on_card in blocks] == sizes


def test_cards_that_are_too_old_for_faiss_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """FAISS ends the process on a card that it has no code for."""
    for capability, found in ((6, ()), (7, (GpuDevice(0, GIB),)), (12, (GpuDevice(0, GIB),))):
        driver = Driver([GIB], capability)
        monkeypatch.setattr(cards_module, "_driver", lambda driver=driver: driver)
        assert cards_module.gpu_devices("auto") == found


def test_cards_without_room_beside_an_outgrown_index_take_the_new_one_in_its_place(
    catalog: Catalog, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = OnProcessor(room=100)
    monkeypatch.setattr(cards_module, "GPU_ABOVE_BYTES", 0)
    monkeypatch.setattr(cards_module, "_driver", lambda: Driver([8 * GIB]))
    monkeypatch.setattr(cards_module, "faiss_has_gpu", lambda: True)
    monkeypatch.setattr(gpu_index, "FaissGpuFactory", lambda: maker)
    for number in range(60):
        put(catalog, generation, f"/media/photos/{number}.jpg")
    cache = VectorCache(catalog.folder, catalog, generation, "cuda")
    before = cache.index(SPACE, Modality.IMAGE)
    assert isinstance(before, GpuIndex)
    queries = clustered(2, 4, before.dim)
    answer = before.search(queries, 9)
    for number in range(10):
        catalog.locations.remove(Path(f"/media/photos/{number}.jpg"))
    assert cache.refresh()
    maker.room = 30  # 50 are left, and 50 of 60 are still held
    give_up = GpuShards.release

    def freeing(self: GpuShards) -> None:
        maker.room += self.rows
        give_up(self)

    monkeypatch.setattr(GpuShards, "release", freeing)
    for number in range(10, 20):
        catalog.locations.remove(Path(f"/media/photos/{number}.jpg"))
    assert cache.refresh()
    after = cache.index(SPACE, Modality.IMAGE)
    assert isinstance(after, GpuIndex)
    assert after.held is not before.held
    assert (len(after), after.held.rows) == (40, 40)
    same(before.search(queries, 9), answer)  # by the processor


@pytest.mark.skipif(not hasattr(faiss, "StandardGpuResources"), reason="FAISS without GPUs")
def test_the_calls_of_faiss_fit_its_signatures() -> None:
    """On a card that there is not, FAISS gets as far as asking for it."""
    number, maker = 999, FaissGpuFactory()
    sample = clustered(1, 300, 64)
    plain: Any = faiss.index_factory(64, "IVF4,PQ16x8", faiss.METRIC_INNER_PRODUCT)
    gpu_shards._workspace(number)
    calls: list[Callable[[], object]] = [
        lambda: maker.flat(number, 64),
        lambda: maker.lists(number, GpuPlan("ivfpq", (number,), True, 16), 4, sample),
        lambda: maker.like(number, plain),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="Invalid GPU device 999"):
            call()
    assert maker.parameters("ivfpq", 7, 30).nprobe == 7
    assert maker.parameters("flat", 0, 30) is None
    settings = maker._list_settings(1)
    assert (settings.device, settings.useFloat16LookupTables, settings.use_cuvs) == (1, True, False)
