"""What a person sees of a run while it works."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from seehear.cli import output, progress
from seehear.indexers import Progress, Stage


def event(stage: Stage, done: int, total: int | None, rate: float = 2.0) -> Progress:
    return Progress(stage, done, total, 0, 0, 0, rate, 1.0, 30.0 if stage is Stage.ENCODE else None)


RUN = [
    event(Stage.SCAN, 0, None, 0.0),
    event(Stage.SCAN, 900, None),
    event(Stage.ENCODE, 0, 426, 0.0),
    event(Stage.ENCODE, 200, 426),
    event(Stage.ENCODE, 426, 426),
    event(Stage.CLEAN, 426, 426),
    event(Stage.PREPARE, 426, 426),
    event(Stage.DONE, 426, 426),
]


def lines_of(shown: progress.ProgressLines, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with shown:
        for one in RUN:
            shown(one)
    told = capsys.readouterr()
    assert not told.out
    return told.err.splitlines()


def test_a_log_has_every_stage_and_the_end_of_each_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = lines_of(progress.ProgressLines(every_s=0.0), capsys)
    assert "indexing: 200/426 files, 2.0 files/s" in told
    end = told.index("indexing: 426/426 files, 2.0 files/s")
    assert told[end:][-3:] == [
        "indexing: 426/426 files, 2.0 files/s",
        "removing files that are gone",
        "preparing search",
    ]
    assert not [line for line in told if " 0.0 files/s" in line]


def test_a_short_run_leaves_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert not lines_of(progress.ProgressLines(every_s=60.0), capsys)


def test_a_log_of_a_long_run_has_one_line_a_stage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first line, only a new stage is told before the time is up again."""
    shown = progress.ProgressLines(every_s=60.0)
    shown._last_s -= 61
    told = lines_of(shown, capsys)
    assert [line.partition(":")[0] for line in told] == [
        "scanning", "scanning", "indexing", "indexing", "removing files that are gone",
        "preparing search",
    ]  # fmt: skip
    assert "indexing: 426/426 files, 2.0 files/s" in told


def test_a_log_does_not_repeat_itself_each_few_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One long video may take minutes: an hour of it is not 720 lines."""
    now = 0.0
    monkeypatch.setattr("seehear.cli.progress.time.monotonic", lambda: now)
    shown = progress.ProgressLines()
    for second in range(1, 121):
        now = float(second)
        shown(event(Stage.ENCODE, 12 if second < 100 else 13, 52, rate=1 / second))
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "indexing: 12/52 files, 0.2 files/s",
        "indexing: 12/52 files",
        "indexing: 13/52 files",
    ]


def test_the_bar_ends_full_and_then_prepares_search(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        output, "console", lambda **_: Console(file=screen, force_terminal=True, width=120)
    )
    bar = progress.ProgressBar()
    seen = []
    with bar:
        for one in RUN:
            bar(one)
            task = bar._bar.tasks[0]
            shown = (task.description, task.completed, task.total, task.fields["rate"])
            seen.append((*shown, task.fields["left"]))
    assert seen[4:] == [
        ("indexing", 426, 426, "2.0 files/s", "30 s left"),
        ("removing files that are gone", 426, 426, "", ""),
        ("preparing search", 426, 426, "", ""),
        ("done", 426, 426, "", ""),
    ]
    assert "preparing search" in screen.getvalue()


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, "1 s"), (40, "40 s"), (89, "89 s"), (300, "5 min"), (5399, "90 min"), (10_800, "3 h")],
)
def test_lengths_of_time(seconds: float, told: str) -> None:
    assert progress.about(seconds) == told


def test_a_terminal_gets_a_bar_and_a_pipe_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(progress.display(quiet=False), progress.ProgressBar)
    assert isinstance(progress.display(quiet=True), progress.ProgressLines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert isinstance(progress.display(quiet=False), progress.ProgressLines)
