"""Measures against what they must give by hand, and the command on a small data folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from training import evaluate
from training.metrics import chance, success


def test_success_is_the_share_of_ranks_within_the_first_k() -> None:
    ranks = np.array([2, 1, 4, 1])

    assert [success(ranks, k) for k in (1, 2, 3, 4)] == [0.5, 0.75, 0.75, 1.0]


def test_chance_is_that_of_a_random_order() -> None:
    relevant = np.array([[True, False, False, False], [True, True, False, False]])

    # Two draws out of four: 1/2 to meet the one; 1 - 1/6 to meet one of two.
    assert chance(relevant, 2).tolist() == pytest.approx([0.5, 5 / 6])
    assert chance(relevant, 9).tolist() == [1.0, 1.0]


def test_command_writes_tables_and_json(
    data: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("training.metrics.speeds", lambda *_: {"images a second": 1.0})
    path = tmp_path / "figures.json"
    status = evaluate.main(
        ["--data", str(data), "--model", str(untrained), "--json", str(path), "--quiet"]
    )

    assert status == 0
    report = json.loads(path.read_text())
    assert report["Captions"]["told"]["captions"] == 16
    assert report["Sound and text, by set"]["tones"]["sentences"] == 3
    assert "| told | 8 | 16 |" in capsys.readouterr().out


def test_missing_model_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--data", str(data), "--model", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
