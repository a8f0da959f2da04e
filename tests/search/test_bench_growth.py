"""The benchmark of growth runs, on two small collections."""

from __future__ import annotations

import pytest

from benchmarks import bench_growth


@pytest.mark.slow
def test_quick_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_growth.main(["--quick"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| 60", "| 120"]
