"""The benchmark of GPUs runs on any CPU, in its quick form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import bench_gpu
from tests.gpu import require_cards


def check(file: Path) -> None:
    result = json.loads(file.read_text())
    assert {row["modality"] for row in result["encode"]} == {"image", "audio"}
    assert all(row["share"] > 0 for row in result["encode"])
    search = result["search"]
    assert search["index"].startswith("exact")
    assert search["recall_at_10"] == 1.0
    assert search["copy_gb_per_s"] > 0
    for row in search["rows"]:
        assert row["ms_each"] > 0
        assert row["share_of_bandwidth"] > 0


@pytest.mark.slow
def test_the_quick_form_runs_on_the_processor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_gpu.main(["--quick", "--device", "cpu", "--results", str(tmp_path)]) == 0
    check(tmp_path / "gpu-cpu.json")
    assert "of bandwidth" in capsys.readouterr().out


def test_without_a_card_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert bench_gpu.main(["--quick"]) == 2
    said = capsys.readouterr().err
    assert "no CUDA GPU can be used" in said
    assert said.count("\n") == 1


def test_a_card_that_faiss_cannot_search_on_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    monkeypatch.setattr(bench_gpu, "choose_device", torch.device)
    monkeypatch.setattr(bench_gpu, "faiss_has_gpu", lambda: False)
    assert bench_gpu.main(["--quick"]) == 2
    assert "install faiss-gpu" in capsys.readouterr().err
    monkeypatch.setattr(bench_gpu, "faiss_has_gpu", lambda: True)
    monkeypatch.setattr(bench_gpu, "gpu_devices", lambda name: (name,))
    monkeypatch.setattr(bench_gpu, "faiss_has_graphs", lambda: False)
    assert bench_gpu.main(["--quick", "--kind", "cagra"]) == 2
    said = capsys.readouterr().err
    assert "without cuVS" in said
    assert said.count("\n") == 1


@pytest.mark.gpu
def test_the_quick_form_runs_on_a_card(tmp_path: Path) -> None:
    import torch

    require_cards(torch.cuda.device_count())
    assert bench_gpu.main(["--quick", "--results", str(tmp_path)]) == 0
    check(tmp_path / "gpu.json")
