"""`serve` and `mcp`: where they refuse, what they print, and when a browser is opened."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seehear.cli import commands_serve
from tests.cli.conftest import Run


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """Collections that were served, in place of serving them."""
    from seehear.server import run

    found: list[Path | None] = []

    def serve(collection: Path | None, *, announce: Callable[[str], None], **_: Any) -> None:
        found.append(collection)
        announce("http://127.0.0.1:8000")

    monkeypatch.setattr(run, "serve", serve)
    return found


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that a browser was asked to open."""
    found: list[str] = []

    def open_page(address: str) -> bool:
        found.append(address)
        return True

    monkeypatch.setattr(commands_serve, "open_page", open_page)
    return found


def test_a_missing_collection_is_refused_as_by_search(
    run: Run, tmp_path: Path, served: list[Path | None]
) -> None:
    refused = [
        run(*command, "--collection", tmp_path / "none", check=False)
        for command in (("search", "red"), ("serve",), ("mcp",))
    ]
    assert len({done.stderr for done in refused}) == 1
    assert {done.returncode for done in refused} == {1}
    assert str(tmp_path / "none") in refused[0].stderr
    assert not served
    assert not (tmp_path / "none").exists()


def test_create_serves_a_collection_that_is_yet_to_be(
    run: Run, tmp_path: Path, served: list[Path | None], opened: list[str]
) -> None:
    run("serve", "--create", "--collection", tmp_path / "none")
    assert served == [tmp_path / "none"]


def test_the_address_is_printed_and_opened(
    run: Run, indexed: Path, served: list[Path | None], opened: list[str]
) -> None:
    told = run("serve").stderr
    assert "seehear is running at http://127.0.0.1:8000. Opening it" in told
    assert opened == ["http://127.0.0.1:8000"]
    assert "Open it in a browser" in run("serve", "--no-browser").stderr
    assert "Open it in a browser" in run("serve", "--host", "192.0.2.1").stderr
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("platform", "environment", "there"),
    [
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {}, False),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "a b"}, False),
        ("freebsd14", {"DISPLAY": ":0"}, True),
        ("darwin", {}, True),
        ("darwin", {"SSH_TTY": "/dev/ttys001"}, False),
        ("win32", {}, True),
        ("win32", {"SSH_CLIENT": "a b"}, False),
    ],
)
def test_where_there_is_a_desktop(platform: str, environment: dict[str, str], there: bool) -> None:
    assert commands_serve.has_desktop(environment, platform) == there


class Opener:
    def __init__(self, name: str) -> None:
        self.name = name
        self.opened: list[str] = []

    def open(self, address: str) -> bool:
        self.opened.append(address)
        return True


@pytest.mark.parametrize(
    ("terminal", "name", "opens"),
    [
        (True, "xdg-open", True),
        (False, "xdg-open", False),
        (True, "w3m", False),
        (True, "/usr/bin/lynx", False),
    ],
)
def test_a_browser_is_opened_for_a_person_only(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, name: str, opens: bool
) -> None:
    opener = Opener(name)
    monkeypatch.setattr(webbrowser, "get", lambda: opener)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    for variable in commands_serve.SSH:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    assert commands_serve.open_page("http://127.0.0.1:1") == opens
    if opens:
        import time

        until = time.monotonic() + 10
        while not opener.opened and time.monotonic() < until:
            time.sleep(0.01)
    assert opener.opened == (["http://127.0.0.1:1"] if opens else [])


def test_no_browser_at_all_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "get", none)
    monkeypatch.setattr(commands_serve, "has_desktop", lambda _: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert not commands_serve.open_page("http://127.0.0.1:1")
