"""The table of decode times is made by its script, and compares two checkouts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import bench_decode

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_decode_benchmark_compares_two_checkouts(tmp_path: Path) -> None:
    options = ["--quick", "--only", "wav", "--only", "jpg 12", "--only", "heic", "--only", "mp4 h"]
    beside = ["--beside", str(ROOT), "--results", str(tmp_path)]
    assert bench_decode.main(options + beside) == 0
    rows = {
        row["format"]: row for row in json.loads((tmp_path / "decode.json").read_text())["formats"]
    }
    assert list(rows) == [
        "jpg 12 MP", "jpg 12 MP progressive", "heic 12 MP", "wav", "mp4 h264", "mp4 hevc"
    ]  # fmt: skip
    assert all(row["now_ms"] > 0 and row["equal"] for row in rows.values())
