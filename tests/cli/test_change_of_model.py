"""`index --model` with another model than the collection's: it says what happens, and asks."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import typer

from seehear.collection import Collection
from seehear.encoders import full_name, is_fetched, registry
from seehear.indexers import Progress, Stage, change
from seehear.indexers.generation import generation_for
from tests.cli.conftest import Run


def test_a_script_is_refused_in_one_line(run: Run, indexed: Path) -> None:
    done = run("index", indexed, "--model", "fake:2", check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "uses the model fake." in line
    assert "encodes 5 files again, which takes about " in line
    assert "fake answers searches" in line
    assert "--yes" in line
    assert "`seehear upgrade --model fake:2`" in line
    assert "fake:2" not in run("generations").stdout


def test_yes_goes_on_and_tells_first(run: Run, folder: Path) -> None:
    run("index", folder)
    done = run("index", folder, "--model", "fake:2", "--yes")
    told, summary = done.stderr.splitlines()[:2]
    assert "encodes 5 files again" in told
    assert summary.startswith("0 added")
    assert [line.split()[1] for line in run("generations").stdout.splitlines()] == [
        "retired",
        "serving",
    ]
    # Both models have encoded everything: going back encodes nothing, so nothing is asked.
    assert "again" not in run("index", folder, "--model", "fake").stderr


def test_upgrade_asks_nothing(run: Run, folder: Path) -> None:
    run("index", folder)
    assert "--yes" not in run("upgrade", "--model", "fake:2").stderr
    assert "serving   fake:2" in run("generations").stdout


@pytest.mark.parametrize("options", [(), ("--model", "fake")])
def test_the_same_model_and_a_new_collection_ask_nothing(
    run: Run, folder: Path, options: tuple[str, ...]
) -> None:
    for _ in range(2):
        assert "again" not in run("index", folder, *options).stderr


@pytest.mark.parametrize("agrees", [True, False])
def test_a_terminal_is_asked(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, agrees: bool
) -> None:
    run("index", folder)
    asked: list[str] = []

    def confirm(text: str, *, abort: bool, err: bool) -> bool:
        asked.append(text)
        if not agrees and abort:
            raise typer.Abort
        return True

    monkeypatch.setattr(typer, "confirm", confirm)
    monkeypatch.setattr("seehear.cli.commands_index._is_terminal", lambda: True)
    done = run("index", folder, "--model", "fake:2", check=False)
    assert asked == ["Go on?"]
    assert "without asking" in done.stderr
    assert (done.returncode == 0) == agrees
    assert ("serving   fake:2" in run("generations").stdout) == agrees


def test_an_unknown_model_is_an_error_before_any_question(run: Run, indexed: Path) -> None:
    done = run("index", indexed, "--model", "tniy", check=False)
    assert "tiny" in done.stderr
    assert "again" not in done.stderr


def test_a_run_that_was_stopped_counts_what_is_left(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()

    def look(progress: Progress) -> None:
        if progress.stage is Stage.ENCODE and progress.files_done:
            stop.set()

    with Collection(tmp_path / "c") as library:
        library.index(folder, model="fake")
        catalog = library._catalog
        model = library._opened.model("fake:2")
        made = generation_for(catalog, model)
        assert len(catalog.generations.unencoded(made.id)) == 5
        library.index(folder / "notes.md", model="fake:2", progress=look, stop=stop)
        found = library.model_change("fake:2")
        left = len(catalog.generations.unencoded(made.id))
        assert (found.files if found else 0) == left


def test_the_python_interface_asks_nothing(tmp_path: Path, folder: Path) -> None:
    with Collection(tmp_path / "c") as library:
        library.index(folder, model="fake")
        assert library.index(folder, model="fake:2").promoted


def test_a_model_that_is_not_here_is_not_fetched_to_measure_it(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("seehear.encoders.model_cards._cached", lambda _: False)
    with Collection(tmp_path / "c") as library:
        library.index(folder, model="fake")
        for name in ("standard", "open_clip:ViT-L-14/x", "clap:somebody/something"):
            found = library.model_change(name)
            assert found is not None
            assert (found.model, found.files, found.seconds) == (name, 5, None)


def test_time_is_measured_on_files_that_are_there(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Collection(tmp_path / "c") as library:
        library.index(folder, model="fake")
        found = library.model_change("fake:2")
        assert found is not None
        assert found.seconds is not None
        assert 0 < found.seconds < 60
        monkeypatch.setattr(change, "TRIED_S", 0.0)
        assert library.model_change("fake:2") is not None  # whatever little could be measured
        for file in folder.rglob("*.*"):
            file.unlink()
        gone = library.model_change("fake:2")
        assert gone is not None
        assert gone.seconds is None


def test_names_of_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert full_name("mine") == full_name("./mine") == str(tmp_path / "mine")
    assert full_name("tiny") == "tiny"
    assert full_name("open_clip:a/b") == "open_clip:a/b"
    assert not is_fetched("tiny")
    assert not is_fetched("./mine")
    assert not is_fetched(f"open_clip:{tmp_path / 'mine'}")
    monkeypatch.setattr(registry, "available_models", list)
    assert is_fetched("open_clip:a/b")
