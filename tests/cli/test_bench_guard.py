"""The guard of speed: it names what became slower, by the stored result of the same machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import bench_guard

BEFORE = {
    "commit": "abc",
    "date": "a day",
    "tasks": {"help": {"yardsticks": 1.0}, "warm": {"yardsticks": 2.0}},
}


def now(**yardsticks: float) -> dict[str, dict[str, float]]:
    return {name: {"processor_s": 1.0, "yardsticks": value} for name, value in yardsticks.items()}


@pytest.mark.parametrize(
    ("measured", "status", "named"),
    [
        (now(help=1.0, warm=2.0), 0, None),
        (now(help=1.14, warm=1.0), 0, None),
        (now(help=1.16, warm=2.0), 1, "help (1.16)"),
        (now(help=0.5, warm=3.0, new=9.0), 1, "warm (1.50)"),
    ],
)
def test_what_became_slower_is_named(
    measured: dict[str, dict[str, float]],
    status: int,
    named: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench_guard.compare(measured, BEFORE) == status
    told = capsys.readouterr().out
    assert ("slower by more than 15%" in told) == bool(named)
    assert (named or "") in told


def test_another_machine_has_nothing_to_compare_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_guard.compare(now(help=1.0), None) == 0
    assert "store one with --publish" in capsys.readouterr().out


@pytest.mark.slow
def test_a_quick_run_measures_processes(tmp_path: Path) -> None:
    told = ["--quick", "--only", "help", "--only", "warm", "--results", str(tmp_path)]
    assert bench_guard.main(told) == 0
    result = json.loads((tmp_path / f"{bench_guard.name_of_machine()}.json").read_text())
    assert set(result["tasks"]) == {"help", "warm"}
    assert all(one["yardsticks"] > 0 for one in result["tasks"].values())


def test_a_task_that_there_is_not_is_wrong_usage() -> None:
    with pytest.raises(SystemExit):
        bench_guard.main(["--quick", "--only", "nothing"])
