"""`seehear doctor`: each thing that may be wrong is a row with its remedy, and none ends it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seehear.cli.app import make_app
from seehear.config import Settings
from seehear.diagnostics import Level, Row, examine, machine, places, settings_of
from seehear.libraries import LIBRARIES, Child
from tests.diagnostics.conftest import FAKE, row_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("file", ["model.safetensors", "vocabulary.txt", "manifest.json"])
def test_a_damaged_model_is_a_fault(file: str, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(machine.TINY, folder)
    assert machine.bundled_model_row(folder).level is Level.OK
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(b"?" + content[1:])
    assert machine.bundled_model_row(folder).level is Level.FAULT
    (folder / file).unlink()
    row = machine.bundled_model_row(folder)
    assert (row.level, "install seehear again" in row.remedy) == (Level.FAULT, True)


def test_a_model_that_cannot_be_loaded_is_a_fault(tmp_path: Path) -> None:
    with Child() as child:
        row = machine.model_row("fake", "cpu", child)
        bad = machine.model_row(str(tmp_path), "cpu", child)
    assert (row.level, row.found) == (
        Level.OK,
        "fake loads and encodes text, image, audio, video",
    )
    assert bad.level is Level.FAULT
    assert "is not a model folder" in bad.found


@pytest.mark.parametrize(
    ("told", "level", "found"),
    [
        ({"driver": False, "torch": "", "built": "13.0", "faiss": 0}, Level.OK, "no GPU"),
        ({"driver": True, "torch": "", "built": None, "faiss": 0}, Level.WARNING, "without CUDA"),
        ({"driver": True, "torch": "", "built": "13.0", "faiss": 0}, Level.WARNING, "CUDA 13.0"),
        (
            {"driver": True, "torch": "H100", "built": "13.0", "faiss": 1, "graphs": True},
            Level.OK,
            "FAISS sees 1",
        ),
        (
            {"driver": True, "torch": "H100", "built": "13.0", "faiss": 1, "graphs": False},
            Level.OK,
            "and builds no graphs (for more than 8 GiB of vectors: ",
        ),
    ],
    ids=["none", "cpu-build", "old-driver", "used", "without-graphs"],
)
def test_a_gpu_that_is_there_is_used(
    told: dict[str, object], level: Level, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = Child()
    monkeypatch.setattr(child, "run", lambda *_, **__: (True, json.dumps(told)))
    row = machine.gpu_row(child)
    assert row.level is level
    assert found in row.found


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"SEEHEAR_VECTORS": "nonsense"}, ['not by "nonsense"']),
        ({"SEEHEAR_VECTORS": "pgvector"}, ["name it with SEEHEAR_DATABASE"]),
        ({"SEEHEAR_VECTORS": "milvus://host:port"}, ["the URL of a Milvus server"]),
        ({"SEEHEAR_BATCH_SIZE": "many"}, ["must be a whole number"]),
        (
            {"SEEHEAR_WORKERS": "0", "SEEHEAR_FOLLOW_LINKS": "yes"},
            ["must be a whole number", "must be at least 1"],
        ),
    ],
)
def test_settings_that_cannot_be_read_are_rows(wrong: dict[str, str], found: list[str]) -> None:
    settings, rows = settings_of({"SEEHEAR_MODEL": "fake", "HOME": "/home/ann", **wrong})
    assert settings == Settings(model="fake")
    assert [row.level for row in rows] == [Level.FAULT] * len(found)
    for row, name, part in zip(rows, sorted(wrong), found, strict=True):
        assert part in row.found
        assert row.remedy == f"set {name} to another value, or unset it"


def test_settings_that_need_each_other_are_read() -> None:
    given = {"SEEHEAR_VECTORS": "pgvector", "SEEHEAR_DATABASE": "postgresql://host/name"}
    assert settings_of(given) == (
        Settings(database=given["SEEHEAR_DATABASE"], vectors="pgvector"),
        [],
    )


def test_a_check_that_fails_is_a_row(collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> list[Row]:
        raise RuntimeError("gone\nwrong")

    monkeypatch.setattr(machine, "library_rows", lambda _: iter(()))
    for name in ("gpu_row", "decoding_row", "bundled_model_row"):
        monkeypatch.setattr(machine, name, lambda *_: Row("x", Level.OK, ""))
    monkeypatch.setattr(machine, "model_row", lambda *_: Row("x", Level.OK, ""))
    monkeypatch.setattr(places, "collection_rows", fails)
    row = row_of(list(examine(collection, FAKE)), "collection")
    assert (row.level, row.found) == (Level.FAULT, "could not be checked: gone wrong")


def test_no_library_is_blamed_where_no_process_can_be_started(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    rows = list(examine(collection, FAKE))
    assert [row.topic for row in rows if row.level is Level.FAULT] == ["processes"]
    assert "no process can be started" in row_of(rows, "processes").found
    assert row_of(rows, "collection").level is Level.OK


ROWS = [
    Row("Python", Level.OK, "3.11.9"),
    Row("disk", Level.WARNING, "1.2 GB free for /home/somebody/.local/share/seehear", "make room"),
    Row(
        "torchaudio", Level.FAULT, "cannot be loaded: " + "a long reason " * 12, "pip " + "x " * 60
    ),
]


@pytest.mark.parametrize(("count", "status"), [(1, 0), (2, 0), (3, 1)], ids=str)
def test_the_table_fits_80_columns_and_a_fault_is_status_1(
    count: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seehear.diagnostics.examine", lambda *_: iter(ROWS[:count]))
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(make_app(), ["doctor"])
    assert done.exit_code == status
    lines = done.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0] == "ok      Python              3.11.9"
    assert (
        lines[-1]
        == {1: "Everything is OK.", 2: "0 faults, 1 warning.", 3: "1 fault, 1 warning."}[count]
    )
    done = CliRunner().invoke(make_app(), ["doctor", "--json"])
    assert done.exit_code == status
    assert json.loads(done.stdout) == [
        {"topic": r.topic, "level": r.level, "found": r.found, "remedy": r.remedy}
        for r in ROWS[:count]
    ]


def test_doctor_runs_where_every_library_is_broken(tmp_path: Path) -> None:
    """All but Typer and what Typer needs."""
    stubs = tmp_path / "stubs"
    broken = [one.module for one in LIBRARIES if one.module not in {"typer", "rich"}]
    for name in broken:
        (stubs / name).mkdir(parents=True)
        (stubs / name / "__init__.py").write_text("raise OSError('broken here')")
    done = subprocess.run(
        [sys.executable, "-m", "seehear", "doctor", "--json", "--collection", str(tmp_path / "c")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=170,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(stubs), str(ROOT)])},
    )
    assert done.returncode == 1, done.stderr
    rows = {row["topic"]: row for row in json.loads(done.stdout)}
    for name in broken:
        assert "broken here" in rows[name]["found"]
        assert "pip install" in rows[name]["remedy"]
    assert {rows[topic]["level"] for topic in (*broken, "decoding", "model")} == {"fault"}
    assert rows["Python"]["level"] == rows["model tiny"]["level"] == "ok"
    assert rows["collection"]["level"] == "ok"
