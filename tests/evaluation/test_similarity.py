"""Compare ranks from a matrix of similarities with the measures of ir_measures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seehear.evaluation.similarity import first_relevant_ranks


def test_rank_is_that_of_the_first_relevant_item() -> None:
    similarities = np.array([[3, 2, 1], [1, 2, 3], [1, 3, 2]], np.float32)
    relevant = np.array([[False, True, False], [False, True, True], [True, False, False]])

    assert first_relevant_ranks(similarities, relevant).tolist() == [2, 1, 3]


def test_equal_items_rank_in_order_and_nan_ranks_last() -> None:
    similarities = np.array([[1, 1, 1], [np.nan, 0, -1]], np.float32)
    relevant = np.array([[False, False, True], [True, False, False]])

    assert first_relevant_ranks(similarities, relevant).tolist() == [3, 3]


def test_query_without_a_relevant_item_ranks_past_the_last() -> None:
    nothing = np.zeros((2, 3), np.bool_)

    assert first_relevant_ranks(np.zeros((2, 3), np.float32), nothing).tolist() == [4, 4]
    assert first_relevant_ranks(np.zeros((2, 0), np.float32), nothing[:, :0]).tolist() == [1, 1]


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 30))
def test_measures_from_ranks_are_those_of_ir_measures(seed: int, queries: int, items: int) -> None:
    ir_measures = pytest.importorskip("ir_measures")
    rng = np.random.default_rng(seed)
    similarities = rng.permuted(np.tile(np.arange(items, dtype=np.float32), (queries, 1)), axis=1)
    relevant = rng.random((queries, items)) < 0.3
    relevant[:, 0] = True

    ranks = first_relevant_ranks(similarities, relevant)

    qrels = [
        ir_measures.Qrel(str(q), str(i), int(relevant[q, i]))
        for q in range(queries)
        for i in range(items)
    ]
    run = [
        ir_measures.ScoredDoc(str(q), str(i), float(similarities[q, i]))
        for q in range(queries)
        for i in range(items)
    ]
    wanted = ir_measures.calc_aggregate([ir_measures.Success @ 5, ir_measures.RR], qrels, run)
    assert (ranks <= 5).mean() == pytest.approx(wanted[ir_measures.Success @ 5])
    assert (1 / ranks).mean() == pytest.approx(wanted[ir_measures.RR])
