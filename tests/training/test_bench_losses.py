"""The benchmark of the losses and backbones runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import bench_losses


@pytest.mark.slow
def test_quick_run_measures_losses_and_backbones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_losses.main(["--quick", "--results", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "losses.json").read_text())
    assert set(result["losses"]) == {"InfoNCE", "sigmoid", "InfoNCE, MobileNet v1"}
    for figures in result["losses"].values():
        assert 0 <= figures["dev_recall@10"] <= 1
    assert "InfoNCE" in capsys.readouterr().out
