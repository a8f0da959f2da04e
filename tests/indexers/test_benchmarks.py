"""Run the harnesses in their short forms, so that all of them keep working."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from benchmarks import bench_index, crash


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("rounds", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_kills_lose_nothing(rounds: int, tmp_path: Path) -> None:
    outcome = crash.crash(rounds=rounds, files=24, seed=1, workspace=tmp_path)
    assert outcome.problems == []
    assert outcome.rounds == rounds
    assert outcome.killed >= max(1, rounds // 3)
    assert outcome.assets > 10


def test_the_crash_harness_sees_what_is_lost(tmp_path: Path) -> None:
    """A collection with a vector taken out, an asset unmarked and a content gone."""
    import sqlite3
    from contextlib import closing

    from tests.indexers.helpers import Library, picture

    for name in "abc":
        picture(tmp_path / "media" / f"{name}.png", size_px=(40 + ord(name), 50))
    library = Library(tmp_path / "collection")
    library.index(tmp_path / "media")
    library.close()
    before = crash.contents(tmp_path / "collection")
    assert crash.check(tmp_path / "collection") == []
    with closing(sqlite3.connect(tmp_path / "collection" / "catalog.db")) as database:
        database.execute("DELETE FROM vectors WHERE segment_id = 1")
        database.execute("DELETE FROM encodings WHERE asset_id = 2")
        database.commit()
    faults = " ".join(crash.check(tmp_path / "collection"))
    assert "1 x a segment without a vector" in faults
    assert "1 x an asset that is not encoded" in faults
    files = sorted((tmp_path / "media").iterdir())
    after = dict(list(before.items())[1:])
    assert len(crash.kept(before, after, files)) == 1
    assert crash.kept(before, before, files) == []


@pytest.mark.slow
def test_the_index_benchmark_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--quick", "--model", "fake", "--no-command", "--results", str(tmp_path)]
    assert bench_index.main(options) == 0
    assert "index / slower stage" in capsys.readouterr().out
    result = json.loads((tmp_path / "index.json").read_text())
    assert [kind["kind"] for kind in result["kinds"]] == ["photos", "sounds", "clips"]
    assert all(kind["index_per_s"] > 0 for kind in result["kinds"])
    assert {"date", "commit", "machine", "seed"} <= result.keys()


def test_the_page_about_reliability_names_what_is_there() -> None:
    """Its tests, its harnesses, and figures that the kept results bear out."""
    project = Path(__file__).parents[2]
    page = (project / "docs" / "reliability.md").read_text(encoding="utf-8")
    for cell in re.findall(r"`(tests/[^`]*)`((?:, `test_[a-z_]+\.py`)*)", page):
        first = project / cell[0]
        assert first.exists(), first
        for name in re.findall(r"test_[a-z_]+\.py", cell[1]):
            assert (first.parent / name).exists(), name
    kept = [*(project / "benchmarks" / "results").glob("crash*.json")]
    kept += (project / "benchmarks" / "results").glob("fuzz_media*.json")
    assert len(kept) >= 2
    for path in kept:
        result = json.loads(path.read_text())
        harness = result["benchmark"].removesuffix("_service")  # its option --service
        assert f"python -m benchmarks.{harness}" in page
        commits = result["commit"]  # of a result of several runs: with the seeds of each
        assert all(one in page for one in ([commits] if isinstance(commits, str) else commits))
        assert not result.get("problems")
        assert not result.get("faults")
