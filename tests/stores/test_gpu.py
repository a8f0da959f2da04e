"""Test search on real GPUs, as test_cards.py does with GPUs simulated on the CPU."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from seehear.stores import FlatIndex
from seehear.stores.vectors import gpu_devices as cards_module
from seehear.stores.vectors import gpu_index
from seehear.stores.vectors.gpu_devices import GpuDevice, GpuPlan, faiss_has_graphs, gpu_devices
from seehear.stores.vectors.gpu_index import GpuIndex, placed
from tests.gpu import require_cards
from tests.stores.conftest import unit
from tests.stores.test_vectors_two_tier import NONE, clustered, matrix_of

pytestmark = pytest.mark.gpu
DIM, COUNT = 64, 50_000


@pytest.fixture
def cards() -> tuple[GpuDevice, ...]:
    """Every card that both the driver and FAISS can use."""
    counted = getattr(faiss, "get_num_gpus", None)
    there = gpu_devices("cuda") if counted is not None and counted() > 0 else ()
    require_cards(len(there))
    return there


@pytest.fixture(params=["flat", "ivfpq", "cagra"])
def plan(request: pytest.FixtureRequest, cards: tuple[GpuDevice, ...]) -> GpuPlan:
    if request.param == "cagra" and not faiss_has_graphs():
        pytest.skip("this FAISS was built without cuVS, which has CAGRA")
    return GpuPlan(request.param, (cards[0].number,), True, 32 if request.param == "ivfpq" else 0)


def agreement(index: GpuIndex, allowed_share: float | None = None) -> float:
    """Recall@10 against exact search, similarities compared too."""
    queries, right = clustered(5, 200, DIM), FlatIndex(index.matrix)
    allowed = None
    if allowed_share is not None:
        allowed = index.ids[: int(allowed_share * len(index))]
    near, ids = index.search(queries, 10, allowed)
    best, expected = right.search(queries, 10, allowed)
    same = ids == expected
    np.testing.assert_array_equal(near[same], best[same])
    return float(
        np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(ids, expected, strict=True)])
    )


@pytest.mark.parametrize("share", [None, 0.9, 0.5, 0.001])
def test_search_on_a_card_agrees_with_exact_search(
    plan: GpuPlan, share: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_index, "EXACT_BELOW", 1_000)
    index = GpuIndex.build(matrix_of(np.arange(COUNT), clustered(1, COUNT, DIM)), plan)
    assert agreement(index, share) >= (1.0 if plan.kind == "flat" else 0.98)


def test_a_scan_on_a_card_is_as_exact_as_its_slack(cards: tuple[GpuDevice, ...]) -> None:
    plan = GpuPlan("flat", (cards[0].number,), True)
    index = GpuIndex.build(matrix_of(np.arange(5_000), unit(1, 5_000, 384)), plan)
    queries = unit(2, 100, 384)
    (block,) = index.held._devices[plan.devices[0]]
    rough, places = block.index.search(queries, 1_000)
    exact = queries @ index.matrix.rows(slice(None)).T
    off = np.abs(np.take_along_axis(exact, places, axis=1) - rough).max(axis=1)
    assert (off < index._slack(queries)).all()


def test_changes_on_a_card(plan: GpuPlan) -> None:
    first = GpuIndex.build(matrix_of(np.arange(COUNT), clustered(1, COUNT, DIM)), plan)
    after = first.updated(first.ids[:500], np.arange(COUNT, COUNT + 700), clustered(2, 700, DIM))
    assert isinstance(after, GpuIndex)
    replaced = after.updated(NONE, np.arange(600, 900), clustered(3, 300, DIM))
    assert isinstance(replaced, GpuIndex)
    for index in (first, after, replaced):
        assert agreement(index) >= (1.0 if plan.kind == "flat" else 0.98)


@pytest.mark.parametrize("kind", ["flat", "ivfpq"])
@pytest.mark.parametrize("copies", [True, False])
def test_several_cards_agree_with_one(
    kind: str, copies: bool, cards: tuple[GpuDevice, ...]
) -> None:
    require_cards(len(cards), 2)
    numbers = tuple(card.number for card in cards)
    chosen = (
        GpuPlan("flat", numbers, copies)
        if kind == "flat"
        else GpuPlan("ivfpq", numbers, copies, 32)
    )
    index = GpuIndex.build(matrix_of(np.arange(COUNT), clustered(1, COUNT, DIM)), chosen)
    assert agreement(index) >= (1.0 if kind == "flat" else 0.98)


def test_a_large_index_goes_to_the_card_that_is_named(
    cards: tuple[GpuDevice, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(card.free_bytes > 0 for card in cards)
    monkeypatch.setattr(cards_module, "GPU_ABOVE_BYTES", 0)
    last = cards[-1].number
    index = placed(matrix_of(np.arange(COUNT), clustered(1, COUNT, DIM)), f"cuda:{last}")
    if index is None:
        pytest.skip(f"card {last} has less than {cards_module.RESERVED_BYTES} bytes free")
    assert index.held.plan == GpuPlan("flat", (last,), True)
    assert index.describe() == "exact, on a GPU"
