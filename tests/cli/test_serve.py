"""`serve` and `mcp`: where they refuse, what they print, and when a browser is opened."""

from __future__ import annotations

import shutil
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seehear.cli import commands_serve
from seehear.errors import UsageError
from tests.cli.conftest import Run


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collections that were served, in place of serving them, with their roots if there are any."""
    from seehear.server import run

    found: list[Any] = []

    def serve(
        collection: Any, *, announce: Callable[[str], None], roots: Any = (), **_: Any
    ) -> None:
        found.extend([collection, roots] if roots else [collection])
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
    run: Run, tmp_path: Path, served: list[Any]
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


def test_a_folder_has_one_token(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("the token of one folder")
    given = [f"{tmp_path}={tmp_path / 'one'}"]
    assert commands_serve._folder_tokens(given) == {tmp_path: "the token of one folder"}
    with pytest.raises(UsageError, match="twice"):
        commands_serve._folder_tokens(given * 2)
    with pytest.raises(UsageError, match="twice"):
        commands_serve._folder_tokens([*given, f"{tmp_path}/none/..={tmp_path / 'one'}"])


def test_a_folder_that_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one").write_text("the token of one folder")
    commands_serve._folder_tokens([f"{tmp_path}={tmp_path / 'one'}"])
    assert capsys.readouterr().err == ""
    commands_serve._folder_tokens([f"{tmp_path / 'mistyped'}={tmp_path / 'one'}"])
    assert "mistyped is not there" in capsys.readouterr().err


def test_create_serves_a_collection_that_is_yet_to_be(
    run: Run, tmp_path: Path, served: list[Any], opened: list[str]
) -> None:
    run("serve", "--create", "--collection", tmp_path / "none")
    assert served == [tmp_path / "none"]


def test_the_address_is_printed_and_opened(
    run: Run, indexed: Path, served: list[Any], opened: list[str]
) -> None:
    told = run("serve").stderr
    assert "seehear is running at http://127.0.0.1:8000. Opening it" in told
    assert opened == ["http://127.0.0.1:8000"]
    assert "Open it in a browser" in run("serve", "--no-browser").stderr
    assert "Open it in a browser" in run("serve", "--host", "192.0.2.1").stderr
    assert len(opened) == 1


def test_several_collections_are_served_by_name(
    run: Run, indexed: Path, tmp_path: Path, served: list[Any], opened: list[str]
) -> None:
    other = shutil.copytree(run.collection, tmp_path / "other")
    named = [f"photos={run.collection}", f"films={other}"]
    given = [word for one in named for word in ("--collection", one)]
    run("serve", *given)
    assert served == [{"photos": run.collection, "films": other}]
    run("serve", *given, "--root", f"films={indexed}")
    assert served[-1] == {"films": [indexed]}
    run("serve", "--collection", named[0])  # one with a name, at /photos/
    assert served[-1] == {"photos": run.collection}


def test_a_folder_may_have_an_equals_sign(
    run: Run, indexed: Path, tmp_path: Path, served: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(run.collection, tmp_path / "a=b")
    run("serve", "--collection", folder)
    monkeypatch.chdir(tmp_path)
    run("serve", "--collection", "a=b")
    assert served == [folder, Path("a=b")]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["a={}", "a={}"], "names two collections 'a'"),
        (["a={}", "b={}"], "a and b are the same folder"),
        (["a={}", "{}"], "takes NAME=DIR where there are several"),
        (["{}", "{}"], "takes NAME=DIR where there are several"),
        (["={}"], "takes NAME=DIR"),
        (["a="], "takes NAME=DIR"),
        (["v1={}"], "addresses of its own at /v1"),
        (["my photos={}"], "use letters, digits, - and _"),
        (["a={}", "b={}/none"], "no collection in "),
    ],
)
def test_collections_that_are_refused(run: Run, indexed: Path, given: list[str], told: str) -> None:
    pairs = [("--collection", one.format(run.collection)) for one in given]
    refused = run("serve", *(word for pair in pairs for word in pair), "--port", "0", check=False)
    assert refused.returncode in {1, 2}
    assert told in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--root", "{}"], "--root takes NAME=DIR"),
        (["--root", "none={}"], "NAME being one of a"),
        (["--workers", "2"], "leave out --workers"),
    ],
)
def test_options_that_several_collections_refuse(
    run: Run, indexed: Path, options: list[str], told: str
) -> None:
    given = [one.format(indexed) for one in options]
    refused = run("serve", "--collection", f"a={run.collection}", *given, check=False)
    assert refused.returncode in {1, 2}
    assert told in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_one_of_several_that_cannot_be_opened_is_told(
    run: Run, indexed: Path, tmp_path: Path, served: list[Any]
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "catalog.db").write_bytes(b"not a database " * 100)
    given = [f"photos={run.collection}", f"films={tmp_path / 'broken'}"]
    told = run("serve", *(word for one in given for word in ("--collection", one))).stderr
    assert "films cannot be opened, and answers 503 until it can: " in told
    assert served == [{"photos": run.collection, "films": tmp_path / "broken"}]


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
