"""The benchmark of encoding runs, in its quick form, and says what it promises."""

import json
from pathlib import Path

import pytest

from benchmarks import bench_encode


def test_the_quick_form_prints_its_tables_and_writes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_encode.main(["--quick", "--rounds", "1", "--results", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "encode.json").read_text())
    assert {"machine", "commit", "date", "seed", "ways", "texts", "whole"} <= set(result)
    measured = {(row["tower"], row["way"]) for row in result["ways"] if "failed" not in row}
    assert {("tiny pictures", "plain"), ("tiny pictures", "fused")} <= measured
    assert ("tiny pictures", "channels first") in measured
    assert ("seehear-bench-small pictures", "channels last") in measured
    for row in result["ways"]:
        if row.get("tried_here"):
            assert row["worst_cosine"] > 0.999, row
    assert result["texts"][0]["worst_cosine"] > 0.9999
    for heading in ("ratio", "short/s", "encode/s"):
        assert heading in printed
