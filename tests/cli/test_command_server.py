"""A running service answers `seehear search`: with the same output, and silently absent."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import seehear
from seehear.cli.command_client import SOCKET_NAME
from tests.cli.conftest import Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process forks for each command")

NOT_TAKEN = 99
ASK = f"""
import sys
from seehear.cli.command_client import run_in_service
status = run_in_service(sys.argv[1:], {seehear.__version__!r})
sys.exit({NOT_TAKEN} if status is None else status)
"""
"""The client alone: what it does not hand over ends with a status that no command has."""


@contextmanager
def _serving(run: Run) -> Iterator[subprocess.Popen[bytes]]:
    """The process beside `seehear serve`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "seehear.cli.command_server", run.collection],
        stdin=subprocess.PIPE,
        env=os.environ | _environment(run) | {"OMP_NUM_THREADS": "1"},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def start(run: Run) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start the process, and wait until it listens."""
    with ExitStack() as started:

        def begin() -> subprocess.Popen[bytes]:
            process = started.enter_context(_serving(run))
            _wait_for((run.collection / SOCKET_NAME).exists)
            return process

        yield begin


@pytest.fixture
def copied(run: Run, indexed_once: Path) -> Path:
    """The collection of `run`, indexed; gives its media."""
    shutil.copytree(indexed_once / "collection", run.collection)
    return indexed_once / "media"


@pytest.fixture(scope="module")
def _served_once(
    indexed_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Run, subprocess.Popen[bytes]]]:
    place = tmp_path_factory.mktemp("served")
    run = Run(place / "collection", place / "state")
    shutil.copytree(indexed_once / "collection", run.collection)
    with _serving(run) as process:
        _wait_for((run.collection / SOCKET_NAME).exists)
        yield run, process


@pytest.fixture
def served(run: Run, _served_once: tuple[Run, subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """The process that serves the collection of `run`, which the tests with it only ask."""
    run.collection = _served_once[0].collection
    return _served_once[1]


def _environment(run: Run) -> dict[str, str]:
    return {
        "SEEHEAR_COLLECTION": str(run.collection),
        "SEEHEAR_MODEL": "fake",
        "XDG_STATE_HOME": str(run.state),
        "COLUMNS": "160",
    }


def _wait_for(happens: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.05)


def _asked(
    run: Run, *arguments: str | Path, tries: int = 20, **more: str
) -> subprocess.CompletedProcess[str]:
    for _ in range(tries):  # a busy machine may let the half second pass in which a service answers
        done = subprocess.run(
            [sys.executable, "-c", ASK, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | _environment(run) | more,
            timeout=60,
        )
        if done.returncode != NOT_TAKEN or tries == 1:
            break
        time.sleep(0.2)
    return done


COMMANDS = (
    ["search", "red"],
    ["search", "red", "--json", "-k", "3"],
    ["search", "red", "--paths"],
    ["search", "red", "-0"],
    ["search", "red", "--in", "photos", "--where", "width > 10"],
    ["search", "red", "--where", "wdith > 10"],
    ["search", "red", "--image", "nowhere.png"],
    ["search", "--hlp"],
    ["search", ""],
    ["similar", "nowhere.png"],
)


def test_a_command_prints_and_ends_as_without_a_service(
    run: Run, indexed_once: Path, served: object
) -> None:
    without = Run(indexed_once / "collection", run.state)
    alone = [without(*arguments, check=False) for arguments in COMMANDS]
    assert {done.returncode for done in alone} == {0, 2}
    for arguments, expected in zip(COMMANDS, alone, strict=True):
        served = _asked(run, *arguments)
        assert served.returncode == expected.returncode, arguments
        assert served.stdout == expected.stdout
        assert served.stderr == expected.stderr


def test_a_file_is_found_from_the_folder_of_the_client(
    run: Run, indexed_once: Path, served: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = indexed_once / "media"
    monkeypatch.chdir(folder)
    name = next(path.name for path in sorted(folder.iterdir()) if path.suffix == ".png")
    hits = json.loads(_asked(run, "search", "--image", name, "--json").stdout)
    assert hits[0]["path"] == str(folder / name)
    refined = _asked(run, "search", "--like", "1", "--json")  # what the last search found is kept
    assert refined.returncode == 0


def test_what_has_changed_since_is_found(
    run: Run, copied: Path, start: Callable[[], object], tmp_path: Path
) -> None:
    start()
    assert "newcomer" not in _asked(run, "search", "newcomer", "--paths").stdout
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "newcomer.md").write_text("A newcomer has come.")
    run("index", tmp_path / "more")
    assert "newcomer.md" in _asked(run, "search", "newcomer", "--paths").stdout
    run("forget", tmp_path / "more")
    assert "newcomer.md" not in _asked(run, "search", "newcomer", "--paths").stdout


def test_only_the_collection_that_is_served_is_answered(
    run: Run, served: object, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    for arguments in (["--collection", other], [f"--collection={other}"]):
        assert _asked(run, "search", "red", *arguments, tries=1).returncode == NOT_TAKEN
    elsewhere = _asked(run, "search", "red", tries=1, SEEHEAR_COLLECTION=str(other))
    assert elsewhere.returncode == NOT_TAKEN
    assert _asked(run, "status", tries=1).returncode == NOT_TAKEN
    named = _asked(run, "search", "red", "--paths", "--collection", run.collection)
    assert named.stdout == run("search", "red", "--paths").stdout


def test_the_path_of_a_collection_may_be_long(
    run: Run, copied: Path, start: Callable[[], object], tmp_path: Path
) -> None:
    deep = tmp_path / ("long " * 30).strip() / "collection"
    deep.parent.mkdir()
    run.collection = run.collection.rename(deep)
    start()
    assert _asked(run, "search", "red", "--paths").stdout == run("search", "red", "--paths").stdout


def test_another_version_and_a_socket_without_an_owner_are_left_alone(
    run: Run, copied: Path, start: Callable[[], subprocess.Popen[bytes]]
) -> None:
    service = start()
    older = ASK.replace(seehear.__version__, "0.0.1")
    done = subprocess.run(
        [sys.executable, "-c", older, "search", "red"],
        capture_output=True,
        check=False,
        env=os.environ | _environment(run),
    )
    assert (done.returncode, done.stdout, done.stderr) == (NOT_TAKEN, b"", b"")
    service.kill()
    service.wait()
    assert (run.collection / SOCKET_NAME).exists()
    assert _asked(run, "search", "red", tries=1).returncode == NOT_TAKEN
    start()  # takes the place over, once it has loaded
    _wait_for(lambda: _asked(run, "search", "red", "--paths", tries=1).returncode == 0)


def test_it_ends_with_the_service(
    run: Run, copied: Path, start: Callable[[], subprocess.Popen[bytes]]
) -> None:
    service = start()
    assert service.stdin is not None
    service.stdin.close()
    assert service.wait(30) == 0
    assert not (run.collection / SOCKET_NAME).exists()


def test_a_collection_that_is_yet_to_be_made_is_answered_then(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    with _serving(run):
        run("index", folder)
        _wait_for((run.collection / SOCKET_NAME).exists)
        assert _asked(run, "search", "red", "--paths").returncode == 0


def test_ctrl_c_ends_the_command_and_not_the_service(
    run: Run, served: subprocess.Popen[bytes]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ASK, "search", "--say", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | _environment(run),
    ) as waiting:  # for its standard input
        children = Path(f"/proc/{served.pid}/task/{served.pid}/children")
        _wait_for(lambda: bool(children.read_text().split()))
        time.sleep(1.0)
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(30) == 130
    assert served.poll() is None
    assert _asked(run, "search", "red").returncode == 0
