"""The benchmarks of encoding run, in their quick form, and say what they promise."""

import importlib.util
import json
from pathlib import Path

import pytest

from benchmarks import bench_encode, bench_onnx


@pytest.mark.slow
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


def test_without_onnx_runtime_the_benchmark_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert bench_onnx.main(["--quick"]) == 3
    assert "pip install onnxruntime onnx onnxscript" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(600)  # a dozen processes, half of which load torch
def test_onnx_runtime_agrees_with_the_towers(tmp_path: Path) -> None:
    for name in bench_onnx.NEEDED:
        pytest.importorskip(name)
    assert bench_onnx.main(["--quick", "--results", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "onnx.json").read_text())
    assert {row["tower"] for row in result["rows"]} == {"image", "audio", "text"}
    assert all(row["worst_cosine"] > 0.999 for row in result["rows"])
    assert set(result["start_s"]) == {"image", "audio", "text"}
