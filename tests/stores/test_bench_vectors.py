"""The benchmarks of vectors and of the pipeline run, and report what they measured."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import (
    bench_crossover,
    bench_pipeline,
    bench_rivals,
    bench_vectors,
    memory,
    vector_data,
    vector_rivals,
)


@pytest.mark.slow
def test_the_benchmark_of_vectors_runs(tmp_path: Path) -> None:
    options = ["--quick", "--threads", "1", "--with", "faiss-refine", "--changes"]
    assert bench_vectors.main([*options, "--results", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "vectors.json").read_text())
    exact, two_tiers, refined = result["ways"]
    assert exact["recall_at_10"] == 1.0
    assert two_tiers["recall_at_10"] > 0.9
    assert two_tiers["single_faster"] > 0
    assert refined["recall_at_10"] > 0.9
    for way in (two_tiers, refined):
        assert all(way["changes"][what] > 0 for what in ("open_ms", "add_ms", "remove_ms"))
    assert list(two_tiers["changes"]["damage"].values()) == [
        "noticed on reading",
        "noticed on opening",
        "noticed on opening",
    ]
    assert refined["changes"]["damage"]["cut to half before opening"] == "noticed on opening"
    if sys.platform == "linux":
        assert 0.8 < exact["memory_own"] < 1.5
        assert 0 < two_tiers["memory_own"] < exact["memory_own"]


def test_a_library_that_is_not_there_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "away"
    missing.mkdir()
    (missing / "hnswlib.py").write_text("raise ImportError('no hnswlib here')\n")
    monkeypatch.setenv("PYTHONPATH", str(missing))
    task = vector_rivals.Task(tmp_path, tmp_path / "hnswlib", 0.99, 1)
    with pytest.raises(bench_vectors.MissingError):
        bench_vectors.build("hnswlib", task)


@pytest.mark.parametrize(
    ("name", "modules"), [("lancedb", ["lancedb"]), ("sqlite-vec", ["apsw", "sqlite_vec"])]
)
def test_other_libraries_are_set_for_the_recall_that_is_asked_for(
    name: str, modules: list[str], tmp_path: Path
) -> None:
    for module in modules:
        pytest.importorskip(module)
    rng = np.random.default_rng(0)
    rows = vector_data.unit(rng.standard_normal((1_200, 32), dtype=np.float32))
    queries = vector_data.unit(rng.standard_normal((20, 32), dtype=np.float32))
    truth = np.argsort(-(queries @ rows.T), axis=1)[:, : vector_rivals.K]
    for part, content in (("vectors", rows), ("queries", queries), ("truth", truth)):
        np.save(tmp_path / f"{part}.npy", content)
    task = vector_rivals.Task(tmp_path, tmp_path / name, 0.99, 1)
    task.own.mkdir()
    vector_rivals.build(name, task)
    search, _ = vector_rivals.opened(name, task)
    at_once = search(queries)
    assert vector_rivals.recall(at_once, truth) >= task.aim
    np.testing.assert_array_equal(np.concatenate([search(q[None]) for q in queries]), at_once)


def test_memory_is_that_of_this_process() -> None:
    before = memory.resident()
    if before is None:
        pytest.skip("neither the system nor psutil tells")
    held = np.ones(64 << 17)  # 64 MiB
    after = memory.resident()
    assert after is not None
    assert after.own - before.own > 0.9 * held.nbytes


@pytest.mark.slow
def test_the_benchmark_of_the_crossover_runs(tmp_path: Path) -> None:
    options = ["--quick", "--mib", "1", "--rounds", "1", "--results", str(tmp_path)]
    assert bench_crossover.main(options) == 0
    (row,) = json.loads((tmp_path / "crossover.json").read_text())["sizes"]
    assert row["vectors"] == 512
    assert row["exact_cpu_ms"] > 0
    assert row["two_tiers_cpu_ms"] > 0


def test_made_vectors_are_unit_and_the_same_each_time() -> None:
    base = vector_data.base(60, None)
    assert base.shape == (60, vector_data.DIM)
    vectors, queries = vector_data.collection_and_queries(base, 200, 10)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    again, _ = vector_data.collection_and_queries(base, 200, 10)
    np.testing.assert_array_equal(vectors, again)
    assert queries.shape == (10, vector_data.DIM)


def test_too_few_captions_are_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are 0"):
        vector_data.sentences(5, tmp_path)


@pytest.mark.slow
def test_the_benchmark_of_the_pipeline_runs(tmp_path: Path) -> None:
    plot = tmp_path / "plot.svg"
    drawn = ["--plot", str(plot)] if importlib.util.find_spec("matplotlib") else []
    options = ["--sizes", "20", "60", *drawn, "--results", str(tmp_path)]
    assert bench_pipeline.main(options) == 0
    sizes = json.loads((tmp_path / "pipeline.json").read_text())["sizes"]
    assert [row["files"] for row in sizes] == [20, 60]
    assert all(row["ms_per_file"] > 0 and row["peak_mib"] > 10 for row in sizes)
    assert plot.exists() == bool(drawn)


@pytest.mark.slow  # three processes that load torch and open_clip, of which modules are compiled
@pytest.mark.timeout(600)
def test_the_benchmark_beside_other_programs_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--quick", "--rclip", str(tmp_path / "none"), "--results", str(tmp_path)]
    assert bench_rivals.main(options) == 0
    (ours,) = json.loads((tmp_path / "rivals.json").read_text())["programs"]
    assert ours["name"] == "seehear"
    assert ours["cpu_seconds"] > 0
    assert ours["seconds_to_seehear"] == 1
    said = capsys.readouterr().out
    assert "rclip is left out" in said
    assert "clip-retrieval is left out" in said
