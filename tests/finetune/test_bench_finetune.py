"""The benchmark of what fine-tuning gains and forgets runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import bench_finetune


@pytest.mark.slow
def test_quick_run_tunes_on_drawn_shapes_once_and_weighs_them_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_finetune.main(["--quick", "--epochs", "1", "--results", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "finetune.json").read_text())["rows"]

    assert [row["share"] for row in rows] == [0.5, 1.0]
    assert all(0 <= row[name] <= 1 for row in rows for name in ("before", "after", "kept"))
    assert rows[0]["kept"] >= rows[1]["kept"]
    assert "drawn shapes, share 0.5" in capsys.readouterr().out


def test_shapes_are_told_as_they_are_drawn(tmp_path: Path) -> None:
    pairs = bench_finetune.shapes(tmp_path, 30)

    assert len({pair["text"] for pair in pairs}) == 30
    assert all((tmp_path / pair["path"]).is_file() for pair in pairs)
    assert pairs == bench_finetune.shapes(tmp_path, 30)
