"""A folder of small media of every kind, and the command line run as a person would run it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from seehear.cli import main
from tests.indexers.helpers import note, picture, sound


@dataclass
class Run:
    """`run("search", "red")`: one command, with a collection and a state folder of its own.

    In this process, which saves most of a test's time: nothing is shared with the next command but
    modules that are loaded. `in_process=False` starts Python anew, as a person does.
    """

    collection: Path
    state: Path
    in_process: bool = True

    def __call__(
        self, *arguments: str | Path, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "SEEHEAR_COLLECTION": str(self.collection),
            "SEEHEAR_MODEL": "fake",
            "XDG_STATE_HOME": str(self.state),
            "COLUMNS": "160",
        }
        given = [str(argument) for argument in arguments]
        done = (called if self.in_process else _started)(given, environment)
        assert "Traceback" not in done.stderr
        if check:
            assert done.returncode == 0, done.stderr
        return done


def _started(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seehear", *arguments],
        capture_output=True, text=True, check=False, env=environment, timeout=120,
    )  # fmt: skip


def called(
    arguments: list[str], environment: dict[str, str], program: Callable[[], object] = main
) -> subprocess.CompletedProcess[str]:
    """What a program that was started with an environment of its own would have done."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)
    )
    status: Any = 0
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(sys, "argv", ["seehear", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            program()
        except SystemExit as left:
            status = left.code or 0
            if isinstance(status, str):
                err.write(f"{status}\n")
                status = 1
    told = [os.fsdecode(stream.buffer.getvalue()) for stream in (out, err)]
    return subprocess.CompletedProcess(arguments, status, *told)


def fill(media: Path) -> Path:
    """The media: two pictures, two sounds and a note."""
    picture(media / "fire.png", "red")
    picture(media / "sub" / "sky.jpg", "blue")
    sound(media / "siren.wav", "red")
    sound(media / "waves.wav", "blue")
    note(media / "notes.md", "The siren of the fire engine is red.")
    return media


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "media")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "collection", tmp_path / "state")


@pytest.fixture(scope="session")
def indexed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("indexed")
    Run(place / "collection", place / "state")("index", fill(place / "media"))
    return place


@pytest.fixture
def indexed(indexed_once: Path, run: Run) -> Path:
    """The media, indexed in the collection of `run`. Tests share both: they only ask, and the
    files that they add are not indexed."""
    run.collection = indexed_once / "collection"
    return indexed_once / "media"


@pytest.fixture
def ask(run: Run) -> Callable[..., Any]:
    """A command with --json, its answer parsed."""

    def command(*arguments: str | Path) -> Any:
        return json.loads(run(*arguments, "--json").stdout)

    return command
