"""What is installed: versions and libraries are rows, also where they hang or end a process."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from seehear.diagnostics import Level, Row, installation, machine
from seehear.libraries import LIBRARIES, Child, Library, why_not_loaded

ROOT = Path(__file__).resolve().parents[2]


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
