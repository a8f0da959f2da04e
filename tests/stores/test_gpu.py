"""Search on real cards: what test_cards.py shows with cards that the processor plays."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from seehear.stores import FlatIndex
from seehear.stores.vectors import cards as cards_module
from seehear.stores.vectors import on_cards
from seehear.stores.vectors.cards import Card, Plan, cards_of, faiss_has_graphs
from seehear.stores.vectors.on_cards import CardIndex, placed
from tests.gpu import require_cards
from tests.stores.conftest import unit
from tests.stores.test_vectors_two_tier import NONE, clustered, matrix_of

pytestmark = pytest.mark.gpu
DIM, COUNT = 64, 50_000


@pytest.fixture
def cards() -> tuple[Card, ...]:
    """Every card that both the driver and FAISS can use."""
    counted = getattr(faiss, "get_num_gpus", None)
    there = cards_of("cuda") if counted is not None and counted() > 0 else ()
    require_cards(len(there))
    return there


@pytest.fixture(params=["flat", "ivfpq", "cagra"])
def plan(request: pytest.FixtureRequest, cards: tuple[Card, ...]) -> Plan:
    if request.param == "cagra" and not faiss_has_graphs():
        pytest.skip("this FAISS was built without cuVS, which has CAGRA")
    return Plan(request.param, (cards[0].number,), True, 32 if request.param == "ivfpq" else 0)


def agreement(index: CardIndex, allowed_share: float | None = None) -> float:
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
    plan: Plan, share: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_cards, "EXACT_BELOW", 1_000)
    index = CardIndex.build(matrix_of(np.arange(COUNT), clustered(1, COUNT, DIM)), plan)
    assert agreement(index, share) >= (1.0 if plan.kind == "flat" else 0.98)


def test_a_scan_on_a_card_is_as_exact_as_its_slack(cards: tuple[Card, ...]) -> None:
    plan = Plan("flat", (cards[0].number,), True)
    index = CardIndex.build(matrix_of(np.arange(5_000), unit(1, 5_000, 384)), plan)
    queries = unit(2, 100, 384)
    (block,) = index.held._cards[plan.cards[0]]
    rough, places = block.index.search(queries, 1_000)
    exact = queries @ index.matrix.rows(slice(None)).T
    off = np.abs(np.take_along_axis(exact, places, axis=1) - rough).max(axis=1)
    assert (off < index._slack(queries)).all()


def test_changes_on_a_card(plan: Plan) -> None:
    first = CardIndex.build(matrix_of(np.arange(COUNT), clustered(1, COUNT, DIM)), plan)
    after = first.changed(first.ids[:500], np.arange(COUNT, COUNT + 700), clustered(2, 700, DIM))
    assert isinstance(after, CardIndex)
    replaced = after.changed(NONE, np.arange(600, 900), clustered(3, 300, DIM))
    assert isinstance(replaced, CardIndex)
    for index in (first, after, replaced):
        assert agreement(index) >= (1.0 if plan.kind == "flat" else 0.98)


@pytest.mark.parametrize("kind", ["flat", "ivfpq"])
@pytest.mark.parametrize("copies", [True, False])
def test_several_cards_agree_with_one(kind: str, copies: bool, cards: tuple[Card, ...]) -> None:
    require_cards(len(cards), 2)
    numbers = tuple(card.number for card in cards)
    chosen = Plan("flat", numbers, copies) if kind == "flat" else Plan("ivfpq", numbers, copies, 32)
    index = CardIndex.build(matrix_of(np.arange(COUNT), clustered(1, COUNT, DIM)), chosen)
    assert agreement(index) >= (1.0 if kind == "flat" else 0.98)


def test_a_large_index_goes_to_the_card_that_is_named(
    cards: tuple[Card, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(card.free_bytes > 0 for card in cards)
    monkeypatch.setattr(cards_module, "CARDS_ABOVE_BYTES", 0)
    last = cards[-1].number
    index = placed(matrix_of(np.arange(COUNT), clustered(1, COUNT, DIM)), f"cuda:{last}")
    if index is None:
        pytest.skip(f"card {last} has less than {cards_module.RESERVED_BYTES} bytes free")
    assert index.held.plan == Plan("flat", (last,), True)
    assert index.describe() == "exact, on a GPU"
