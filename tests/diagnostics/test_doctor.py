"""`seehear doctor`: each thing that may be wrong is a row with its remedy, and none ends it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from seehear.cli import app as cli_app
from seehear.collection import Collection
from seehear.config import Settings
from seehear.diagnostics import Level, Row, examine, installation, machine, places
from seehear.libraries import LIBRARIES, Child, Library, why_not_loaded
from seehear.stores.catalog.database import HEAD

ROOT = Path(__file__).resolve().parents[2]
FAKE = Settings(model="fake", device="cpu")


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    folder = tmp_path / "collection"
    (tmp_path / "a.txt").write_text("A boat lies at the pier.")
    with Collection(folder, FAKE) as made:
        assert made.index(tmp_path / "a.txt").added == 1
    return folder


def row_of(rows: list[Row], topic: str) -> Row:
    return next(row for row in rows if row.topic == topic)


def test_python_is_judged_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert installation.python_row().level is Level.OK
    monkeypatch.setattr(sys, "version_info", (3, 10, 1, "final", 0))
    row = installation.python_row()
    assert row.level is Level.FAULT
    assert "3.11 to 3.13" in row.remedy


@pytest.mark.parametrize(
    ("installed", "level", "remedy"),
    [
        ({"faiss-cpu": "1.15.1"}, Level.OK, ""),
        ({"faiss-gpu": "1.15.1"}, Level.OK, ""),
        ({"faiss-cpu": "1.15.1", "faiss-gpu": "1.15.1"}, Level.FAULT, "pip uninstall -y"),
        ({}, Level.FAULT, "pip install faiss-"),
    ],
    ids=["cpu", "gpu", "both", "none"],
)
def test_one_faiss_is_installed_and_not_two(
    installed: dict[str, str], level: Level, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_version", installed.get)
    row = installation.faiss_row()
    assert row.level is level
    assert remedy in row.remedy


def test_versions_are_compared_with_what_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ["alpha==2.0", "beta>=3", "gamma>=1; extra == 'more'", "delta>=1; extra == 'more'"]
    monkeypatch.setattr(metadata, "requires", lambda _: needs)
    versions = {"alpha": "2.0", "beta": "3.1", "gamma": "1.5"}
    monkeypatch.setattr(installation, "_version", versions.get)
    monkeypatch.setattr(installation, "LOCK", Path("nowhere"))
    assert installation.package_rows() == [
        Row("packages", Level.OK, "3 versions are as seehear requires them")
    ]
    versions |= {"alpha": "2.1", "gamma": "0.5"}
    del versions["beta"]
    (row,) = installation.package_rows()
    assert row.level is Level.FAULT
    for said in ("alpha 2.1 (needs ==2.0)", "beta missing (needs >=3)", "gamma 0.5 (needs >=1)"):
        assert said in row.found
    assert row.remedy == "pip install 'alpha==2.0' 'beta>=3' 'gamma>=1'"


@pytest.mark.parametrize(
    ("version", "level"),
    [("1.15.1", Level.OK), ("1.14.0", Level.FAULT), (None, Level.FAULT)],
    ids=["current", "old", "none"],
)
def test_an_environment_without_a_gpu_has_the_other_faiss(
    version: str | None, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: ["faiss-gpu>=1.15.1"])
    monkeypatch.setattr(installation, "_version", {"faiss-cpu": version}.get)
    monkeypatch.setattr(installation, "LOCK", Path("nowhere"))
    (row,) = installation.package_rows()
    assert row.level is level


def test_versions_are_compared_with_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "# made by a tool\n"
        "alpha==2.0 ; python_full_version < '3.13' \\\n"
        "    --hash=sha256:00 \\\n    --hash=sha256:01\n"
        "alpha==2.1 ; python_full_version >= '3.13' \\\n    --hash=sha256:02\n"
        "torch==2.15.0 \\\n    --hash=sha256:03\n"
        "elsewhere[extra]==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:04\n"
    )
    assert installation.read_lock(lock) == {
        "alpha": ["2.0", "2.1"],
        "torch": ["2.15.0"],
        "elsewhere": ["1.0"],
    }
    versions = {"alpha": "2.1", "torch": "2.15.0+cpu"}
    monkeypatch.setattr(installation, "LOCK", lock)
    monkeypatch.setattr(installation, "_version", versions.get)
    assert installation.package_rows()[1].found == "2 packages are as in requirements.lock"
    versions["torch"] = "2.11.0"
    row = installation.package_rows()[1]
    assert row.level is Level.WARNING
    assert "torch 2.11.0 (locked 2.15.0)" in row.found
    assert "--require-hashes -r requirements.lock" in row.remedy


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("raise OSError('Could not load this library')", "Could not load this library"),
        ("raise ImportError('undefined symbol')", "undefined symbol"),
        ("raise AttributeError('no such thing')", "no such thing"),
        ("import os; os.kill(os.getpid(), 4)", "ends its process with signal 4"),
        ("raise SystemExit(3)", "3"),
        ("import os; os._exit(5)", "exit status 5"),
    ],
)
def test_a_library_that_does_not_load_is_a_row(
    body: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brittle.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    with Child() as child:
        row = machine.library_row(Library("brittle", "brittle", "tests"), child)
        after = machine.library_row(Library("json", "json", "tests"), child)
    assert row.level is Level.FAULT
    assert found in row.found
    assert after.level is Level.OK


def test_a_library_that_hangs_is_a_row_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brittle.py").write_text("import time; time.sleep(60)")
    monkeypatch.syspath_prepend(tmp_path)
    reason = why_not_loaded(Library("brittle", "brittle", "tests"), timeout_s=0.5)
    assert reason == "no result within 0.5 seconds"


def test_what_loads_is_imported_once_for_all_that_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch takes seconds, and several libraries import it."""
    count = "open(__file__ + '.log', 'a').write('x')"
    (tmp_path / "heavy.py").write_text(f"{count}\nprint('hello')")
    (tmp_path / "light.py").write_text("import heavy, os\nos.write(1, b'noise on the pipe')")
    monkeypatch.syspath_prepend(tmp_path)
    with Child() as child:
        for name in ("heavy", "light"):
            row = machine.library_row(Library(name, name, "tests"), child)
            assert row.level is Level.OK
        said = child.run("import heavy, sys; print(sys.argv[1:])", "a b", "é", timeout_s=60)
    assert said == (True, "['a b', 'é']")
    assert (tmp_path / "heavy.py.log").read_text() == "x"


def test_a_library_of_an_extra_may_be_missing_and_no_other_may() -> None:
    with Child() as child:
        extra = machine.library_row(Library("no_such_library", "no-such", "tests", "more"), child)
        needed = machine.library_row(Library("no_such_library", "no-such", "tests"), child)
    assert (extra.level, extra.found) == (Level.OK, "not installed; only for tests")
    assert (needed.level, needed.found) == (Level.FAULT, "not installed")


def test_every_requirement_has_its_row() -> None:
    """What pyproject.toml asks of users is looked at, each package once."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = sum(project["optional-dependencies"].values(), start=project["dependencies"])
    required = {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in lines}  # type: ignore[index]
    known = {one.package.lower().replace("_", "-") for one in LIBRARIES}
    assert required - {"faiss-gpu", "faiss-cpu"} <= known


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
        ({"driver": True, "torch": "H100", "built": "13.0", "faiss": 1}, Level.OK, "FAISS sees 1"),
    ],
    ids=["none", "cpu-build", "old-driver", "used"],
)
def test_a_gpu_that_is_there_is_used(
    told: dict[str, object], level: Level, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = Child()
    monkeypatch.setattr(child, "run", lambda *_, **__: (True, json.dumps(told)))
    row = machine.gpu_row(child)
    assert row.level is level
    assert found in row.found


def test_a_whole_collection_is_well(collection: Path) -> None:
    rows = places.collection_rows(collection, FAKE)
    assert {row.level for row in rows} == {Level.OK}
    assert f"schema {HEAD}" in row_of(rows, "collection").found
    assert places.newest_schema() == HEAD
    assert places.model_of(collection, Settings()) == ("fake", "auto")


def test_no_collection_yet_is_well(tmp_path: Path) -> None:
    row = row_of(places.collection_rows(tmp_path / "a" / "b", FAKE), "collection")
    assert row.level is Level.OK
    assert not (tmp_path / "a").exists()


def test_a_folder_of_other_files_and_a_file_are_faults(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    for folder, found in ((tmp_path, "holds other files"), (tmp_path / "a.png", "is a file")):
        row = row_of(places.collection_rows(folder, FAKE), "collection")
        assert row.level is Level.FAULT
        assert found in row.found


def test_a_read_only_collection_is_a_warning(
    collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may do all
    row = row_of(places.collection_rows(collection, FAKE), "collection")
    assert row.level is Level.WARNING
    assert "can be searched, not indexed" in row.found


def test_a_catalog_that_is_damaged_or_newer_is_a_fault(collection: Path) -> None:
    with closing(sqlite3.connect(collection / "catalog.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9000'")
    row = row_of(places.collection_rows(collection, FAKE), "collection")
    assert row.level is Level.FAULT
    assert "newer seehear" in row.found
    for left in collection.glob("catalog.db*"):
        left.unlink()
    (collection / "catalog.db").write_bytes(b"no database" * 1000)
    row = row_of(places.collection_rows(collection, FAKE), "collection")
    assert row.level is Level.FAULT
    assert "seehear verify" in row.remedy


def test_who_holds_the_lock_is_named(collection: Path) -> None:
    assert places.lock_row(collection).level is Level.OK
    with Collection(collection, FAKE) as library, library._catalog.write_lock():
        row = places.lock_row(collection)
    assert row.level is Level.WARNING
    assert f"process {os.getpid()} is writing" in row.found
    assert places.lock_row(collection).level is Level.OK


@pytest.mark.parametrize(
    ("free", "level"), [(10 << 20, Level.FAULT), (1 << 30, Level.WARNING), (1 << 40, Level.OK)]
)
def test_free_disk_is_judged(
    free: int, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert places.disk_row("disk", tmp_path / "not" / "there").level is level


@pytest.mark.parametrize(("kind", "share"), [("nfs4", True), ("cifs", True), ("ext4", False)])
def test_a_network_share_is_a_warning(
    kind: str, share: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my disk"
    folder.mkdir()
    mounts = tmp_path / "mounts"
    point = str(folder).replace(" ", "\\040")
    mounts.write_text(f"root / ext4 rw 0 0\nserver:/x {point} {kind} rw 0 0\n")
    monkeypatch.setattr(places, "MOUNTS", mounts)
    assert places.network_share(folder / "collection") == (kind if share else None)
    assert places.network_share(tmp_path) is None
    rows = places.collection_rows(folder / "collection", FAKE)
    assert any(row.topic == "share" for row in rows) is share


def test_a_cache_that_cannot_be_written_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEHEAR_CACHE", str(tmp_path / "cache"))
    assert places.cache_rows()[0].level is Level.OK
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "x").write_bytes(bytes(3_000_000))
    assert "3.0 MB" in places.cache_rows()[0].found
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert places.cache_rows()[0].level is Level.WARNING


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
    done = CliRunner().invoke(cli_app.app, ["doctor"])
    assert done.exit_code == status
    lines = done.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0] == "ok      Python              3.11.9"
    assert (
        lines[-1]
        == {1: "Everything is OK.", 2: "0 faults, 1 warning.", 3: "1 fault, 1 warning."}[count]
    )
    done = CliRunner().invoke(cli_app.app, ["doctor", "--json"])
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
