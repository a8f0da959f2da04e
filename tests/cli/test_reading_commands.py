"""What is said and written, by commands: --read, --read-for, status, failures, forget."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seehear.cli.options import seconds_of
from seehear.errors import UsageError
from seehear.indexers import reading
from tests.cli.conftest import Run
from tests.indexers.helpers import note, spoken, written


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    folder = tmp_path / "talk"
    folder.mkdir()
    spoken(folder / "talk.wav", "the broken ankle", 1.0, 4.0)
    written(folder / "door.png", "EXIT", "Gate 7")
    note(folder / "note.txt", "a note")
    return folder


def test_reading_from_the_first_run_to_the_last(run: Run, talk: Path) -> None:
    """With real processes, so in one test: read, remember, tell, forget."""
    done = run("index", talk, "--read", "speech,writing", "--speech-model", "fake")
    summary = [line for line in done.stderr.splitlines() if ": 1 file read" in line]
    assert summary == [
        "speech: 1 file read (4 s of sound), something found in 1",
        "writing: 1 file read, something found in 1",
    ]
    (hit, *_) = json.loads(run("search", "broken ankle", "--json").stdout)
    assert (Path(hit["path"]).name, hit["start_s"]) == ("talk.wav", 1.0)
    status = json.loads(run("status", "--json").stdout)["read"]
    assert status["speech"] == {
        "on": True, "files": 1, "read": 1, "found": 1, "failed": 0, "passages": 1,
        "speech_s": 0.9, "engines": ["fake 1"],
    }  # fmt: skip
    assert "writing     1 of 1 file read, 1 passage; fake 1" in run("status").stdout
    report = json.loads(run("index", talk, "--json").stdout)
    assert report["read"]["readers"]["speech"]["files"] == 0
    done = run("forget", "--readings", "speech")
    assert done.stderr == "Removed 1 reading; no more of them are made.\n"
    assert "ankle" not in run("search", "broken ankle").stdout
    report = json.loads(run("index", talk, "--json").stdout)
    assert list(report["read"]["readers"]) == ["writing"]
    run("index", talk, "--read", "none")
    assert "off (see `seehear index --read writing`)" in run("status").stdout


def test_a_missing_reader_is_one_line_after_the_report(
    run: Run, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "find_spec", lambda name: None)
    done = run("index", talk, "--read", "speech", check=False)
    assert done.returncode == 1
    *_, summary, error = done.stderr.splitlines()
    assert summary.startswith("3 added")
    assert "cannot read speech: the library faster_whisper is not installed" in error
    assert "seehear[speech]" in error


@pytest.mark.parametrize("wrong", ["music", "speech,none", "speech writing"])
def test_an_unknown_reader_is_refused(run: Run, talk: Path, wrong: str) -> None:
    done = run("index", talk, "--read", wrong, check=False)
    assert done.returncode == 2
    assert "speech, writing, or none" in done.stderr


def test_forget_takes_one_of_both(run: Run, talk: Path) -> None:
    run("index", talk)
    for given in ([], [str(talk), "--readings", "speech"]):
        done = run("forget", *given, check=False)
        assert done.returncode == 2
        assert "name a folder or file to remove, or else --readings" in done.stderr


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("30 min", 1800), ("1.5h", 5400), ("2h", 7200)],
)
def test_times(time: str, seconds: float) -> None:
    assert seconds_of(time) == seconds


@pytest.mark.parametrize("time", ["", "0", "-5m", "30x", "m", "1e3", "half an hour", "٣h"])
def test_other_times_are_refused(time: str) -> None:
    with pytest.raises(UsageError, match="such as 30m"):
        seconds_of(time)
