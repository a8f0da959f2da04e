"""The benchmarks of vectors and of the pipeline run, and say what they measured."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bench_pipeline, bench_vectors, vector_data


def test_the_benchmark_of_vectors_runs(tmp_path: Path) -> None:
    assert bench_vectors.main(["--quick", "--results", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "vectors.json").read_text())
    exact, two_tiers = result["ways"]
    assert exact["recall_at_10"] == 1.0
    assert two_tiers["recall_at_10"] > 0.9
    assert two_tiers["single_faster"] > 0


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


def test_the_benchmark_of_the_pipeline_runs(tmp_path: Path) -> None:
    plot = tmp_path / "plot.svg"
    drawn = ["--plot", str(plot)] if importlib.util.find_spec("matplotlib") else []
    options = ["--sizes", "20", "60", *drawn, "--results", str(tmp_path)]
    assert bench_pipeline.main(options) == 0
    sizes = json.loads((tmp_path / "pipeline.json").read_text())["sizes"]
    assert [row["files"] for row in sizes] == [20, 60]
    assert all(row["ms_per_file"] > 0 and row["peak_mib"] > 10 for row in sizes)
    assert plot.exists() == bool(drawn)
