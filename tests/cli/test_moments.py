"""Addresses on the command line: printed, shown, opened at their time, and asked with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.indexers.helpers import picture

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


def test_hits_are_cut_into_clips(run: Run, ask: Ask, indexed: Path, tmp_path: Path) -> None:
    done = run("cut", "red", "--to", tmp_path / "clips", "--handles", "0.2", "-k", "1")
    assert done.stdout.strip() == str(tmp_path / "clips" / "siren 00.00.00.0-00.00.02.0.wav")
    assert "1 clip: 0 copied, 1 encoded" in done.stderr
    again = run("cut", "red", "--to", tmp_path / "clips", "-k", "1", check=False)
    assert (again.returncode, "already exists" in again.stderr) == (2, True)
    told = ask("cut", "red", "--to", tmp_path / "clips", "-k", "1", "--overwrite")
    assert [Path(clip["source"]).name for clip in told["clips"]] == ["siren.wav"]
    assert not told["failures"]


@pytest.mark.parametrize("form", ["edl", "fcpxml", "otio", "m3u", "csv"])
def test_hits_are_listed(run: Run, indexed: Path, tmp_path: Path, form: str) -> None:
    to = tmp_path / f"red.{form}"
    done = run("cut", "red", "--in", "sounds,photos", "--to", to)
    assert "2 moments in" in done.stderr
    assert "2 hits without a moment" in done.stderr
    assert "siren.wav" in to.read_text()
    run("cut", "red", "--to", tmp_path, "--format", form)
    assert (tmp_path / f"moments.{form}").exists()


def test_a_moment_is_cut_by_its_address(run: Run, ask: Ask, indexed: Path, tmp_path: Path) -> None:
    whole = address_of(ask, "siren.wav").partition("#")[0]
    moment = ("--moment", f"{whole}#t=0.5,1.5", "--to", tmp_path / "one")
    told = ask("cut", *moment, "--handles", "0")
    assert [(c["start_s"], c["stop_s"]) for c in told["clips"]] == [(0.5, 1.5)]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("red",), "Say where to with --to"),
        (("--to", "x"), "Say what to look for"),
        (("red", "--to", "x", "--format", "edll"), "Did you mean edl"),
        (("red", "--to", "/no/where/x"), "there is no folder /no/where"),
    ],
)
def test_wrong_cuts(run: Run, indexed: Path, asked: tuple[str, ...], told: str) -> None:
    wrong = run("cut", *asked, check=False)
    assert wrong.returncode == 2
    assert told in wrong.stderr


def test_nothing_to_cut(run: Run, indexed: Path, tmp_path: Path) -> None:
    none = run("cut", "red", "--in", "photos", "--to", tmp_path / "x", check=False)
    assert none.returncode == 1
    assert "Nothing was cut" in none.stderr
    assert not (tmp_path / "x").exists()


def test_what_stands_apart_and_what_stands_for_the_rest(run: Run, ask: Ask, tmp_path: Path) -> None:
    media = tmp_path / "media"
    for colour, count in {"red": 6, "blue": 3, "green": 1}.items():
        for number in range(count):
            picture(media / colour / f"{number}.png", colour, (80 + number, 60))
    run("index", media)
    lines = run("unusual", "-k", "1").stdout.splitlines()
    assert lines[0].endswith("green/0.png")
    assert ask("unusual", media / "blue", "-k", "1")[0]["path"].startswith(str(media / "blue"))
    told = ask("typical", "--in", "photos", "-k", "3")
    assert [Path(one["path"]).parent.name for one in told] == ["red", "blue", "green"]
    assert run("typical", "-k", "1").stdout.startswith("100%  image")
    few = run("unusual", "--in", "texts")
    assert "Too few files" in few.stderr
