"""The demo: what it prints can be typed, and it says plainly where there is nothing to show."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer

from demo import own_folder, run
from demo.shell import shown
from seehear.cli.app import make_app
from tests.cli.conftest import called, fill
from tests.indexers.helpers import note, picture, sound

ROOT = Path(__file__).resolve().parents[2]
AWKWARD = "my 'own' \"pics\" $HOME & `x`"


def started(folder: str, place: Path, model: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as `make demo` does."""
    environment = {**os.environ, "SEEHEAR_MODEL": model, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "demo/run.py", *arguments(folder, place)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def arguments(folder: Path | str, place: Path) -> list[str]:
    where = ["--sheet", str(place / "sheet.html"), "--collection", str(place / "collection")]
    return [*where, "--", str(folder)]


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the demo and its commands in this process, with the fake model and what is given of
    the readers."""

    def command(words: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        assert words[:3] == [sys.executable, "-m", "seehear"]
        done = called(words[3:], dict(os.environ))
        sys.stdout.write(done.stdout)
        sys.stderr.write(done.stderr)
        return done

    def run_demo(
        folder: Path | str, place: Path, *, home: Path | None = None, read: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(run, "subprocess", SimpleNamespace(run=command))
        monkeypatch.setattr(run, "readers", lambda: list(read))
        environment = {**os.environ, "SEEHEAR_MODEL": "fake"}
        if home is not None:
            environment["HOME"] = str(home)
        return called(arguments(folder, place), environment, run.main)

    monkeypatch.chdir(ROOT)
    return run_demo


def commands(printed: str) -> list[str]:
    return [line[2:] for line in printed.splitlines() if line.startswith("$ ")]


def typed(lines: list[str], model: str) -> subprocess.CompletedProcess[str]:
    """The lines typed into a shell at the checkout's root, until one fails."""
    environment = {**os.environ, "SEEHEAR_MODEL": model, "PYTHONPATH": str(ROOT)}
    environment.pop("SEEHEAR_COLLECTION", None)
    script = "\n".join(["set -e", *lines])
    return subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def check_typed(lines: list[str], place: Path) -> None:
    """Let a shell read the lines, and run in this process what it would have started."""
    told = place / "typed"
    script = [
        "set -e",
        "seehear() {",
        f'  printf \'%s\\0\' $# "$SEEHEAR_COLLECTION" "$@" >> {shlex.quote(str(told))}',
        "}",
        *lines,
        "type -P seehear",
    ]
    environment = {**os.environ, "SEEHEAR_MODEL": "fake"}
    environment.pop("SEEHEAR_COLLECTION", None)
    shell = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(shell.stdout.strip()).parent == Path(sys.executable).parent
    words = iter(os.fsdecode(told.read_bytes()).split("\0")[:-1])
    ran = 0
    for count in words:
        collection, *given = itertools.islice(words, int(count) + 1)
        done = called(given, {**environment, "SEEHEAR_COLLECTION": collection})
        assert done.returncode == 0, (given, done.stderr)
        ran += 1
    assert ran == sum(line.startswith("seehear ") for line in lines)


Demo = Callable[..., subprocess.CompletedProcess[str]]


def test_every_printed_command_works_when_typed(demo: Demo, tmp_path: Path) -> None:
    folder = fill(tmp_path / AWKWARD)
    for i, colour in enumerate(("red", "red", "blue")):
        picture(folder / f"-{i} {colour}.png", colour, (60 + i, 50))
    done = demo(folder, tmp_path)
    assert done.returncode == 0, done.stderr
    lines = commands(done.stdout)
    assert f"export SEEHEAR_COLLECTION={tmp_path / 'collection'}" in lines
    asked = [shlex.split(line) for line in lines if line.startswith("seehear search")]
    assert {words[2] for words in asked} >= {"--image", "--audio"}
    assert any(words[2].startswith("The siren of the fire") for words in asked)
    assert not any("rocket" in line for line in lines)
    assert "Of 5 photos, the most typical is" in done.stdout
    (tmp_path / "sheet.html").unlink()
    check_typed(lines, tmp_path)
    assert (tmp_path / "sheet.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)  # ten processes with a model each, twice
@pytest.mark.skipif(not (ROOT / "demo" / "media").is_dir(), reason="make demo makes the media")
def test_the_demo_of_its_own_media_can_be_typed(tmp_path: Path) -> None:
    done = started("demo/media", tmp_path, "tiny")
    assert done.returncode == 0, done.stderr
    lines = commands(done.stdout)
    assert any(line.startswith("seehear index demo/media --read ") for line in lines)
    again = typed(lines, "tiny")
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("made", ["missing", "empty", "file", "unreadable"])
def test_nothing_to_show_is_a_plain_sentence(demo: Demo, tmp_path: Path, made: str) -> None:
    folder = tmp_path / AWKWARD
    if made == "file":
        picture(tmp_path / "a.png").rename(folder)
    elif made != "missing":
        folder.mkdir()
    if made == "unreadable":
        (folder / "program.exe").write_bytes(b"MZ\x00\x01")
    done = demo(folder, tmp_path)
    told = {
        "missing": f'There is no folder "{folder}".',
        "empty": f'The folder "{folder}" is empty.',
        "file": f'"{folder}" is a file.',
        "unreadable": f'There is no photo, sound, clip or text to read in "{folder}".',
    }[made]
    assert told in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert (done.returncode == 0) == (made == "unreadable")
    assert not [line for line in commands(done.stdout) if "search" in line]


def test_a_folder_with_one_file(demo: Demo, tmp_path: Path) -> None:
    sound(tmp_path / "media" / "night train.wav", "red")
    read = ("--read", "speech", "--speech-model", "fake", "--read-for", run.READ_FOR)
    done = demo(tmp_path / "media", tmp_path, read=read)
    assert "holds one file" in done.stdout
    assert "most typical" not in done.stdout
    lines = commands(done.stdout)
    assert [line for line in lines if line.startswith("seehear search 'night train'")]
    assert any("--read speech --speech-model fake" in line for line in lines)
    check_typed(lines, tmp_path)


def test_a_tilde_is_the_home_folder(demo: Demo, tmp_path: Path) -> None:
    note(tmp_path / "my notes" / "a.txt", "walking home in the rain")
    done = demo("~/my notes", tmp_path, home=tmp_path)
    assert "seehear search 'walking home in the rain'" in done.stdout, done.stderr


def test_it_starts_as_a_program_of_its_own(tmp_path: Path) -> None:
    done = started(str(tmp_path / "missing"), tmp_path, "fake")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f'There is no folder "{tmp_path / "missing"}".\n'


def test_the_readers_that_are_here_are_options_of_index() -> None:
    given = run.readers()
    index: Any = typer.main.get_group(make_app()).commands["index"]
    parsed = index.make_context("index", ["media", *given]).params
    assert (parsed["read"] is not None) == bool(given)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    "folder", [AWKWARD, "~/a b", "plain", "a$b", "100% (of) it;", "demo/media"]
)
def test_make_hands_the_folder_on_as_it_is(folder: str) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "demo", f"FOLDER={folder}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    words = shlex.split(done.stdout.splitlines()[-1])
    assert words[1:] == ["demo/run.py", "--sheet", "demo/sheet.html", "--", folder]


def test_a_path_is_never_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "-k") == "./-k"
    assert shown(tmp_path / "a b") == "a b"
    assert shown(Path("/elsewhere/-k")) == "/elsewhere/-k"


def test_the_typical_is_near_the_others_and_the_unlike_far() -> None:
    rng = np.random.default_rng(3)
    centre = rng.normal(size=16)
    near = [centre + rng.normal(scale=0.1 * (i + 1), size=16) for i in range(6)]
    vectors = np.array([-centre, *near], dtype=np.float32)
    order = np.argsort(-own_folder.nearness(vectors))
    assert order[-1] == 0
    assert order[0] in {1, 2, 3}
    assert own_folder.nearness(vectors[:1]).tolist() == [0.0]
    assert np.isfinite(own_folder.nearness(np.zeros((3, 4), np.float32))).all()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("IMG_2034", ""),
        ("PXL_20240105_101112", ""),
        ("Screenshot 2024-01-02", ""),
        ("summer_in-Vienna 2", "summer Vienna"),
        ("Straße am Meer", "Straße Meer"),
        ("a b c", ""),
    ],
)
def test_words_of_names(name: str, words: str) -> None:
    assert own_folder.words_of_name(name) == words


def test_first_words_are_words() -> None:
    assert own_folder.first_words("# 12 -- It's raining, again! And more and more") == (
        "It's raining again And more and"
    )
    assert own_folder.first_words("12 345") == ""
    assert own_folder.first_words("alone") == ""
