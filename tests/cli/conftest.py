"""A folder of small media of every kind, and the command line run as a person would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.indexers.helpers import broken, note, picture, sound

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    media = tmp_path / "media"
    picture(media / "fire.png", "red")
    picture(media / "sub" / "sky.jpg", "blue")
    sound(media / "siren.wav", "red")
    sound(media / "waves.wav", "blue")
    note(media / "notes.md", "The siren of the fire engine is red.")
    return media


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("search", "red")` with a collection and a state folder of its own."""

    def command(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "SEEHEAR_COLLECTION": str(tmp_path / "collection"),
            "SEEHEAR_MODEL": "fake",
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "COLUMNS": "160",
        }
        done = subprocess.run(
            [sys.executable, "-m", "seehear", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=120,
        )
        assert "Traceback" not in done.stderr
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return command


@pytest.fixture
def ask(run: Run) -> Callable[..., Any]:
    """A command with --json, its answer parsed."""

    def command(*arguments: str | Path) -> Any:
        return json.loads(run(*arguments, "--json").stdout)

    return command


__all__ = ["broken"]
