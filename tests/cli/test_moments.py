"""Addresses on the command line: printed, shown, opened at their time, and asked with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

Ask = Callable[..., Any]


def address_of(ask: Ask, name: str) -> str:
    hits = ask("search", "red", "-k", "10")
    return next(str(hit["address"]) for hit in hits if Path(hit["path"]).name == name)


def test_addresses_are_printed_and_shown(run: Run, ask: Ask, indexed: Path) -> None:
    printed = run("search", "red", "--in", "audio", "-k", "1", "--addresses").stdout.split()
    assert printed == [address_of(ask, "siren.wav")]
    told = run("show", printed[0]).stdout
    assert "siren.wav" in told
    assert "moment  0:00.0 - " in told
    facts = ask("show", printed[0])
    assert (facts["path"], facts["modality"]) == (str(indexed / "siren.wav"), "audio")
    assert facts["address"] == printed[0]
    note = run("show", address_of(ask, "notes.md")).stdout
    assert "text    The siren of the fire engine is red." in note


def test_a_moment_is_asked_with(run: Run, ask: Ask, indexed: Path) -> None:
    siren = address_of(ask, "siren.wav")
    for asked in (
        ("search", siren),
        ("search", "--audio", siren),
        ("search", "--like", siren),
        ("search", "2:red", "+", siren),
        ("similar", siren),
    ):
        found = ask(*asked, "--in", "photos", "-k", "1")
        assert Path(found[0]["path"]).name == "fire.png", asked
    assert "No file" not in run("search", siren).stderr
    run("search", "blue")
    refined = ask("search", "--like", "1", "--unlike", siren, "--in", "photos", "-k", "1")
    assert Path(refined[0]["path"]).name == "sky.jpg"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("show", "fire.png"), "'fire.png' is not the address of a moment, such as seehear://"),
        (("show", "seehear://ab/1"), "is of another collection"),
        (("search", "--like", "first"), "--like takes the rank of a hit or an address"),
        (("search", "red", "--json", "--addresses"), "Use one of --json, --paths and --addresses"),
    ],
)
def test_wrong_addresses(run: Run, indexed: Path, asked: tuple[str, ...], told: str) -> None:
    run("search", "red")
    wrong = run(*asked, check=False)
    assert wrong.returncode == 2
    assert told in wrong.stderr


def test_a_moment_is_opened_at_its_time(
    run: Run, ask: Ask, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = address_of(ask, "siren.wav").partition("#")[0]
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    options = {"xdg-open": [], "vlc": ["--start-time=1.500"], "mpv": ["--start=1.500"]}
    for name, option in options.items():
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path / "opened"}"\n')
        program.chmod(0o755)
        done = run("show", f"{whole}#t=1.5,2", "--open")
        assert "The match starts at 0:01.5" in done.stderr
        assert (tmp_path / "opened").read_text().splitlines() == [
            *option, str(indexed / "siren.wav"),
        ]  # fmt: skip
