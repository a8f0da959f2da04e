"""Benchmarks write beside the published results only when told to."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path

import pytest

from benchmarks import record

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted(
    path.stem
    for path in (ROOT / "benchmarks").glob("*.py")
    if "record.keep(" in path.read_text("utf-8")
)


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    record.add_options(parser)
    return parser.parse_args(arguments)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(record, "SCRATCH", tmp_path / "scratch")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        ([], "scratch"),
        (["--publish"], "results"),
        (["--results", "mine"], "mine"),
        (["--quick"], None),
        (["--quick", "--publish"], None),
        (["--quick", "--results", "mine"], "mine"),
    ],
)
def test_where_a_result_is_written(
    folders: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    folder: str | None,
) -> None:
    monkeypatch.chdir(folders)
    path = record.keep("speed", {"seed": 3}, options(*arguments))
    written = sorted(str(p.relative_to(folders)) for p in folders.rglob("*.json"))
    assert written == ([] if folder is None else [f"{folder}/speed.json"])
    told = capsys.readouterr().out
    if path is None:
        assert "not written" in told
    else:
        assert str(path) in told
        assert json.loads(path.read_text())["seed"] == 3


def test_publishing_and_another_folder_exclude_each_other() -> None:
    with pytest.raises(SystemExit):
        options("--publish", "--results", "x")


def test_git_ignores_what_is_not_published() -> None:
    done = subprocess.run(
        ["git", "check-ignore", "-q", "benchmarks/scratch/speed.json"], cwd=ROOT, check=False
    )
    assert done.returncode == 0


def test_every_program_takes_the_options_and_saves_in_no_other_way() -> None:
    assert {"bench_vectors", "bench_encode", "crash", "fuzz_media"} <= set(PROGRAMS)
    for path in (ROOT / "benchmarks").glob("*.py"):
        text = path.read_text("utf-8")
        if path.stem in PROGRAMS:
            assert "record.add_options(parser)" in text, path.name
        if path.stem != "record":
            assert "record.save(" not in text, path.name
            assert "RESULTS" not in text, path.name


DOCUMENTED = sorted(
    {
        command
        for page in (ROOT / "docs").glob("*.md")
        for command in re.findall(r"python -m benchmarks\.[^`\n]*", page.read_text("utf-8"))
    }
)


@pytest.mark.parametrize("command", DOCUMENTED)
def test_documented_commands_publish_nothing(command: str) -> None:
    assert "--publish" not in command.split()


def test_a_quick_run_leaves_the_published_results_alone(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import fuzz_media

    monkeypatch.setattr(fuzz_media, "QUICK_FILES", 20)
    assert fuzz_media.main(["--quick"]) == 0
    assert not list(folders.iterdir())
