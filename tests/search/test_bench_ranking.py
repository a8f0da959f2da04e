"""The benchmark of the ranked list: it runs, and what it measures is what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bench_ranking, ranking
from benchmarks.ranking_asks import Ask, text
from benchmarks.ranking_data import concepts_of, held_out, made_up


@pytest.mark.slow
def test_the_quick_run_measures_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_ranking.main(["--quick", "--results", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "ranking-quick.json").read_text())
    assert result["benchmark"] == "ranking-quick"
    assert set(result["tables"]) == {"one list", "calibration", "hubs", "composition"}
    assert "## weak" in printed
    assert {row["route"] for row in result["weak"]} > {"text -> image", "image -> audio"}
    assert all(0 <= row["true_weak"] <= 1 for row in result["weak"])
    for title, rows in result["tables"].items():
        assert f"## {title}" in printed
        for row in rows:
            mean = row["mean"]
            assert 0 <= mean["low"] <= mean["value"] <= mean["high"] <= 1
            assert row["name"] in printed
    raw, calibrated = result["tables"]["one list"]
    assert (raw["name"], calibrated["name"]) == ("raw cosine", "calibrated")
    assert set(calibrated["ndcg"]) == {"word", "caption", "picture", "sound"}
    assert "mean minus raw cosine" in calibrated
    assert calibrated["ndcg"]["word"] == 1.0  # the fake encoder knows its colours
    *_, kept = result["tables"]["calibration"]  # by a simpler way, to the same end as the engine
    assert kept["mean"]["value"] == pytest.approx(calibrated["mean"]["value"], abs=0.03)
    added, joined = result["tables"]["composition"]
    assert joined["mean"]["value"] > added["mean"]["value"]


def test_without_data_it_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_ranking.main([]) == 2
    assert "--data DIR" in capsys.readouterr().err


def test_measures_by_hand() -> None:
    def first(*values: float) -> ranking.Scores:
        return np.array([*values, *[0.0] * (12 - len(values))])

    words = (text("x"),)
    asks = [
        Ask("a", words, first(True, False, True).astype(bool)),
        Ask("none", words, first().astype(bool)),
    ]
    scores = {"a": first(0.9, 0.8, 0.7, 0.1), "none": first(0.75, 0.6, 0.71, 0.2)}
    row = ranking.measure("hand", [(lambda ask: scores[ask.group], asks)], 20)
    ideal = 1 + 1 / np.log2(3)
    assert row.ndcg["a"] == pytest.approx((1 + 1 / np.log2(4)) / ideal)
    assert row.cut == pytest.approx(0.7)
    assert row.false_first is not None
    assert row.false_ten is not None
    assert row.false_first[0] == 1.0
    assert row.false_ten[0] == pytest.approx(2 / 10)  # 0.75 and 0.71 of the first ten


def test_halves_share_no_item() -> None:
    items = made_up()
    halves = {half: {i.key for i in items if i.half == half} for half in ("dev", "test")}
    assert all(halves.values())
    assert not halves["dev"] & halves["test"]
    assert held_out(1) != held_out(2)
    assert concepts_of("A frog's bark, and RAINING_cats") == {"frog", "rain", "cat"}
