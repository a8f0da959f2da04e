"""The benchmark of starting runs, in its quick form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import bench_start


@pytest.mark.slow
def test_the_quick_form_measures_a_search_from_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--quick", "--assets", "200", "--rounds", "1", "--results", str(tmp_path)]
    assert bench_start.main(options) == 0
    assert "seehear search" in capsys.readouterr().out
    result = json.loads((tmp_path / "start.json").read_text())
    rows = {row["process"]: row for row in result["processes"]}
    assert rows["seehear search"]["seconds"] > rows["python -c pass"]["seconds"] > 0
    packages = {row["package"] for row in result["imports"]}
    assert {"numpy", "sqlalchemy", "seehear"} <= packages
    assert "torch" not in packages
