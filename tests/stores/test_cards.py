"""The plan for GPUs depends on size and free memory, and search on them is exact search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seehear.stores import Catalog, FlatIndex, Generation, VectorCache
from seehear.stores.vectors import gpu_devices as cards_module
from seehear.stores.vectors import gpu_index, gpu_shards
from seehear.stores.vectors.gpu_devices import GpuDevice, GpuPlan, code_bytes, plan
from seehear.stores.vectors.gpu_index import GpuIndex, placed
from seehear.stores.vectors.gpu_shards import GpuCandidates
from seehear.types import Ids, Modality, Vectors
from tests.stores.conftest import SPACE, put, unit
from tests.stores.on_processor import OnProcessor
from tests.stores.test_gpu_driver import Driver
from tests.stores.test_vectors_two_tier import NONE, clustered, fill, matrix_of

GIB = 1 << 30
ROOT_FILE = Path("/media/photos/0.jpg")
MILLION = 1_000_000
ONE, TWO = (3,), (0, 5)
PLANS = [
    GpuPlan("flat", ONE, True),
    GpuPlan("flat", TWO, True),
    GpuPlan("flat", TWO, False),
    GpuPlan("ivfpq", ONE, True, 8),
    GpuPlan("ivfpq", TWO, True, 8),
    GpuPlan("ivfpq", TWO, False, 8),
    GpuPlan("cagra", ONE, True),
    GpuPlan("cagra", TWO, False),
]
FLAT = [one for one in PLANS if one.kind == "flat"]
NAMES = [f"{one.kind}, {len(one.devices)}{' copies' * one.copies}" for one in PLANS]


def of(*gib: float) -> list[GpuDevice]:
    return [GpuDevice(number, int(free * GIB)) for number, free in enumerate(gib)]


@pytest.mark.parametrize(
    ("count", "dim", "cards", "graphs", "expected"),
    [
        (MILLION, 512, of(), False, None),
        (MILLION, 512, of(2.9), False, None),
        (MILLION, 512, of(8), False, GpuPlan("flat", (0,), True)),
        # Two cards hold a copy each; a third that is nearly full holds nothing.
        (MILLION, 512, of(8, 3.1, 16), False, GpuPlan("flat", (0, 2), True)),
        # 12 GiB with room to grow: no card alone, two together.
        (10 * MILLION, 512, of(12, 12), False, GpuPlan("flat", (0, 1), False)),
        # Shares are equal, so that a small card would make them small for all.
        (10 * MILLION, 512, of(12, 3.5, 12), False, GpuPlan("flat", (0, 2), False)),
        (10 * MILLION, 512, of(9, 9, 9), False, GpuPlan("flat", (0, 1, 2), False)),
        (20 * MILLION, 512, of(6), False, GpuPlan("ivfpq", (0,), True, 64)),
        # Inverted lists take up to twice what they hold.
        (25 * MILLION, 512, of(6), False, None),
        (40 * MILLION, 512, of(6, 6), False, GpuPlan("ivfpq", (0, 1), False, 64)),
        (900 * MILLION, 512, of(8), False, None),
        # No product code that a card can search has the length of a prime.
        (20 * MILLION, 509, of(6), False, None),
        # Where CAGRA is there, it is taken for what takes long to scan, if it has room.
        (MILLION, 512, of(80), True, GpuPlan("flat", (0,), True)),
        (10 * MILLION, 512, of(80), True, GpuPlan("cagra", (0,), True)),
        (10 * MILLION, 512, of(40, 40), True, GpuPlan("cagra", (0, 1), False)),
        (10 * MILLION, 512, of(24), True, GpuPlan("flat", (0,), True)),
    ],
)
def test_what_cards_hold_follows_size_and_memory(
    count: int, dim: int, cards: list[GpuDevice], graphs: bool, expected: GpuPlan | None
) -> None:
    assert plan(count, dim, cards, graphs=graphs) == expected


@pytest.mark.parametrize(("dim", "size"), [(384, 96), (512, 64), (640, 64), (768, 96), (7, 0)])
def test_product_codes_are_of_a_size_that_cards_search(dim: int, size: int) -> None:
    assert code_bytes(dim) == size


def test_a_larger_collection_never_asks_for_more_exactness() -> None:
    kinds = []
    for count in np.geomspace(1e4, 1e10, 60):
        chosen = plan(int(count), 384, of(40, 20, 6))
        kinds.append(-1 if chosen is None else ["ivfpq", "flat"].index(chosen.kind))
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {1, 0, -1}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks hold 50 vectors of 16 numbers, and no filter is so narrow that a card is not asked."""
    monkeypatch.setattr(gpu_shards, "BLOCK_BYTES", 50 * 2 * 16)
    monkeypatch.setattr(gpu_shards, "CHUNK", 32)
    monkeypatch.setattr(gpu_shards, "GRAPH_ROWS", 150)
    monkeypatch.setattr(gpu_index, "EXACT_BELOW", 0)


def same(found: tuple[Vectors, Ids], right: tuple[Vectors, Ids]) -> None:
    np.testing.assert_array_equal(found[1], right[1])
    np.testing.assert_array_equal(found[0], right[0])


def build(rows: Vectors, plan: GpuPlan, maker: OnProcessor | None = None) -> GpuIndex:
    ids = np.cumsum(np.random.default_rng(3).integers(1, 9, len(rows))).astype(np.int64)
    return GpuIndex.build(matrix_of(ids, rows), plan, maker or OnProcessor())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("plan", PLANS, ids=NAMES)
def test_what_cards_propose_is_decided_as_in_exact_search(plan: GpuPlan) -> None:
    index = build(clustered(1, 400), plan)
    right = FlatIndex(index.matrix)
    for share in (None, 0.0, 0.01, 0.3, 1.0):
        allowed = None if share is None else index.ids[::2][: int(share * 400)]
        for queries, k in ((clustered(2, 7), 10), (clustered(3, 1), 1), (clustered(4, 2), 500)):
            same(index.search(queries, k, allowed), right.search(queries, k, allowed))
    same(index.search(clustered(2, 0), 3), right.search(clustered(2, 0), 3))
    np.testing.assert_array_equal(index.vectors(index.ids[5:9]), right.vectors(index.ids[5:9]))
    with pytest.raises(KeyError):
        index.vectors(np.array([-1]))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("plan", FLAT, ids=NAMES[: len(FLAT)])
def test_a_scan_that_cannot_decide_looks_deeper(
    plan: GpuPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the vectors are one and the same, which rounding cannot tell from their like."""
    monkeypatch.setattr(gpu_index, "SPARE", 2)
    monkeypatch.setattr(gpu_shards, "BLOCK_BYTES", 1 << 20)
    rows = clustered(1, 400)
    rows[100:300] = rows[100] + 1e-4 * clustered(6, 200)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = build(rows, plan)
    depths: list[int] = []
    propose = index.held.candidates

    def noting(queries: Vectors, depth: int, probes: int) -> GpuCandidates:
        depths.append(depth)
        return propose(queries, depth, probes)

    monkeypatch.setattr(index.held, "candidates", noting)
    queries = np.concatenate([rows[100:103], clustered(7, 3)])
    same(index.search(queries, 5), FlatIndex(index.matrix).search(queries, 5))
    assert len(depths) > 1
    monkeypatch.setattr(gpu_index, "MOST", 9)  # no deeper: the processor decides
    depths.clear()
    same(index.search(queries, 5), FlatIndex(index.matrix).search(queries, 5))
    assert depths == [7, 9]


@pytest.mark.parametrize("dim", [8, 64, 384])
def test_no_similarity_on_a_card_is_further_off_than_the_slack(dim: int) -> None:
    rows, queries = unit(1, 500, dim), np.concatenate([unit(2, 20, dim), 3 * unit(3, 20, dim)])
    index = build(rows, GpuPlan("flat", ONE, True))
    slack = index._slack(queries)
    assert float(slack[:20].max()) < 1e-3  # as tight as float16 is
    (block,) = index.held._devices[3]
    rough, places = block.index.search(queries, 500, params=None)
    exact = queries @ index.matrix.rows(slice(None)).T
    off = np.abs(np.take_along_axis(exact, places, axis=1) - rough).max(axis=1)
    assert (off < slack).all()
    assert (off > slack / 1000).any()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("plan", PLANS, ids=NAMES)
def test_changes_are_seen_by_the_new_index_and_not_by_the_old(plan: GpuPlan) -> None:
    first = build(clustered(1, 300), plan)
    steps: list[tuple[Ids, Ids]] = [
        (first.ids[10:40], NONE),
        (NONE, np.arange(5000, 5090)),
        (first.ids[:3], first.ids[50:70]),  # the last are replaced
        (NONE, np.array([2, 9000, 7])),
    ]
    indexes: list[GpuIndex] = [first]
    for number, (removed, new) in enumerate(steps):
        after = indexes[-1].updated(removed, new, clustered(10 + number, len(new)))
        assert isinstance(after, GpuIndex)
        indexes.append(after)
    for index in indexes:
        same(
            index.search(clustered(2, 6), 9),
            FlatIndex(index.matrix).search(clustered(2, 6), 9),
        )
    with pytest.raises(ValueError, match="once"):
        first.updated(NONE, np.array([1, 1]), clustered(1, 2))


@pytest.mark.usefixtures("small")
def test_what_has_changed_much_is_laid_out_anew() -> None:
    flat = build(clustered(1, 300), GpuPlan("flat", ONE, True))
    fewer = flat.updated(flat.ids[:60], NONE, clustered(1, 0))
    fewest = flat.updated(flat.ids[:120], NONE, clustered(1, 0))
    assert isinstance(fewer, GpuIndex)
    assert isinstance(fewest, GpuIndex)
    assert (flat.needs_rebuild, fewer.needs_rebuild, fewest.needs_rebuild) == (False, False, True)
    lists = build(clustered(1, 300), GpuPlan("ivfpq", ONE, True, 8))
    assert not lists.needs_rebuild
    twice = lists.updated(NONE, np.arange(9000, 9400), clustered(2, 400))
    assert isinstance(twice, GpuIndex)
    assert twice.needs_rebuild


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("copies", [True, False])
def test_cards_hold_equal_shares_or_whole_copies(copies: bool) -> None:
    maker = OnProcessor()
    index = build(clustered(1, 400), GpuPlan("flat", TWO, copies), maker)
    sizes = [sum(len(b.ids) for b in blocks) for blocks in index.held._devices.values()]
    assert sizes == [400, 400] if copies else abs(sizes[0] - sizes[1]) <= 32
    assert sum(sizes) == (800 if copies else 400)
    assert {card for card, _ in maker.made} == set(TWO)
    assert "2 GPUs" in index.describe()


@pytest.mark.usefixtures("small")
def test_a_full_card_hands_over_to_the_processor() -> None:
    with pytest.raises(RuntimeError, match="alloc fail"):
        build(clustered(1, 400), GpuPlan("flat", ONE, True), OnProcessor(room=20))
    index = build(clustered(1, 60), GpuPlan("flat", ONE, True), OnProcessor(room=100))
    ids = np.arange(9000, 9060)
    after = index.updated(NONE, ids, clustered(2, 60))
    assert isinstance(after, FlatIndex)
    assert len(after) == 120
    # What FAISS holds after a failure is not known: nothing there is asked any more, or kept.
    with pytest.raises(RuntimeError, match="released"):
        index.held.candidates(clustered(2, 1), 5, 0)
    same(index.search(clustered(2, 4), 9), FlatIndex(index.matrix).search(clustered(2, 4), 9))
    again = index.updated(NONE, ids[:1], clustered(3, 1))
    assert isinstance(again, FlatIndex)


@pytest.mark.usefixtures("small")
def test_a_search_that_fails_on_the_card_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    index = build(clustered(1, 400), GpuPlan("flat", ONE, True))

    def failing(*arguments: object) -> None:
        raise RuntimeError("StandardGpuResources: alloc fail")

    monkeypatch.setattr(index.held, "candidates", failing)
    same(index.search(clustered(2, 4), 9), FlatIndex(index.matrix).search(clustered(2, 4), 9))


def test_product_codes_reach_the_aim_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_shards, "CHUNK", 100)
    monkeypatch.setattr(gpu_index, "MOST", 600)
    index = build(clustered(1, 3000, 32), GpuPlan("ivfpq", TWO, False, 8))
    assert index.tuning is not None
    assert index.tuning.recall >= 0.99
    assert f"{index.tuning.recall:.3f}" in index.describe()
    assert index.tuning.probes < index.held.most_probes
    queries = clustered(5, 100, 32)
    right, found = FlatIndex(index.matrix).search(queries, 10)[1], index.search(queries, 10)[1]
    agreed = np.mean([len(np.intersect1d(*pair)) for pair in zip(right, found, strict=True)])
    assert agreed > 9.7


def test_training_is_the_same_each_time() -> None:
    one, other = (build(clustered(1, 500), GpuPlan("ivfpq", ONE, True, 8)) for _ in range(2))
    assert one.tuning == other.tuning
    same(one.search(clustered(2, 9), 5), other.search(clustered(2, 9), 5))


@pytest.fixture
def with_cards(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A machine with a card of that much free memory, played by the processor."""
    machine: dict[str, Any] = {"free": 8 * GIB, "faiss": True, "room": 10**9}
    monkeypatch.setattr(cards_module, "GPU_ABOVE_BYTES", 0)
    monkeypatch.setattr(cards_module, "_driver", lambda: Driver([machine["free"]]))
    monkeypatch.setattr(cards_module, "faiss_has_gpu", lambda: machine["faiss"])
    monkeypatch.setattr(gpu_index, "FaissGpuFactory", lambda: OnProcessor(machine["room"]))
    return machine


def test_a_cache_lays_its_indexes_on_the_cards_that_a_device_names(
    catalog: Catalog, generation: Generation, with_cards: dict[str, Any]
) -> None:
    fill(catalog, generation)
    plain = VectorCache(catalog.folder, catalog, generation)
    queries = unit(1, 4)
    answers = plain.index(SPACE, Modality.IMAGE).search(queries, 9)
    assert plain.describe() == "exact: 60 vectors"
    for _ in range(2):  # the second opens the file
        cache = VectorCache(catalog.folder, catalog, generation, "auto")
        same(cache.index(SPACE, Modality.IMAGE).search(queries, 9), answers)
        assert cache.describe() == "exact, on a GPU: 60 vectors"
    put(catalog, generation, "/media/photos/new.jpg")
    catalog.locations.remove(ROOT_FILE)
    assert cache.refresh()
    plain.refresh()
    after = cache.index(SPACE, Modality.IMAGE)
    assert isinstance(after, GpuIndex)
    same(after.search(queries, 9), plain.index(SPACE, Modality.IMAGE).search(queries, 9))
    with_cards["free"] = 1 * GIB
    full = VectorCache(catalog.folder, catalog, generation, "cuda")
    assert full.describe() == "exact: 60 vectors"


def test_an_outgrown_index_is_laid_out_anew(
    catalog: Catalog, generation: Generation, with_cards: dict[str, Any]
) -> None:
    fill(catalog, generation)
    cache = VectorCache(catalog.folder, catalog, generation, "cuda")
    before = cache.index(SPACE, Modality.IMAGE)
    assert isinstance(before, GpuIndex)
    for number in range(30):
        catalog.locations.remove(ROOT_FILE.with_name(f"{number}.jpg"))
    assert cache.refresh()
    after = cache.index(SPACE, Modality.IMAGE)
    assert isinstance(after, GpuIndex)
    assert (before.held.rows, after.held.rows) == (60, 30)
    with_cards["faiss"] = False  # from here on, as if the card were gone
    for number in range(30, 50):
        catalog.locations.remove(ROOT_FILE.with_name(f"{number}.jpg"))
    assert cache.refresh()
    assert isinstance(cache.index(SPACE, Modality.IMAGE), FlatIndex)


@pytest.mark.parametrize("missing", ["card", "faiss", "room", "size", "memory"])
def test_without_what_it_takes_the_processor_searches(
    missing: str, with_cards: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = matrix_of(np.arange(60), clustered(1, 60))
    assert placed(matrix, "cuda") is not None
    if missing == "card":
        monkeypatch.setattr(cards_module, "_driver", lambda: None)
    elif missing == "faiss":
        with_cards["faiss"] = False
    elif missing == "room":
        with_cards["free"] = 2 * GIB
    elif missing == "size":
        monkeypatch.setattr(cards_module, "GPU_ABOVE_BYTES", 4 * 60 * 16)
    else:
        with_cards["room"] = 10  # another process took it between the asking and the laying
    assert placed(matrix, "cuda") is None
    assert placed(matrix, "cpu") is None
