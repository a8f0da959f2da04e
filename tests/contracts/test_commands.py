"""Every command has help, and the reference pages are those that the code generates."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import typer

from seehear.cli.app import make_app

DOCS = Path(__file__).resolve().parents[2] / "docs"
COMMANDS: dict[str, Any] = dict(typer.main.get_group(make_app()).commands)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_option_has_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert all(parameter.help for parameter in command.params if parameter.name != "help")


@pytest.mark.parametrize("name", ["commands.md", "formats.md", "python.md"])
def test_the_generated_pages_are_current(name: str) -> None:
    found = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert found is not None
    assert found.loader is not None
    generate = importlib.util.module_from_spec(found)
    found.loader.exec_module(generate)
    page = (DOCS / name).read_text(encoding="utf-8")
    assert page == generate.PAGES[name](), "run `python docs/generate.py`"
