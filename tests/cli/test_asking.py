"""Asking from the command line: with a file by its name, for paths alone, for the best hit."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seehear.arguments import parse_modalities
from seehear.cli.output import print_paths
from seehear.collection import Collection
from seehear.config import Settings
from seehear.errors import UsageError
from tests.cli.conftest import Run
from tests.indexers.helpers import note, picture, sound

Ask = Callable[..., Any]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with files to ask with."""
    folder = tmp_path / "here"
    picture(folder / "photo.jpg", "red")
    picture(folder / "my holiday photo.PNG", "red")
    sound(folder / "siren.wav", "red")
    note(folder / "poem.txt", "The siren of the fire engine is red.")
    note(folder / "red", "a file without a suffix")
    note(folder / "data.xyz", "a file of no kind")
    (folder / "folder.jpg").mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["photo.jpg"], "photo.jpg"),
        (["./photo.jpg"], "photo.jpg"),
        (["my", "holiday", "photo.PNG"], "my holiday photo.PNG"),
        (["my holiday photo.PNG"], "my holiday photo.PNG"),
        (["siren.wav"], "siren.wav"),
        (["poem.txt"], "poem.txt"),
    ],
)
def test_a_file_that_exists_is_asked_with(
    run: Run, indexed: Path, here: Path, words: list[str], name: str
) -> None:
    done = run("search", *words, "--in", "image", "-k", "1")
    assert "fire.png" in done.stdout
    (told,) = (line for line in done.stderr.splitlines() if "Searching with" in line)
    assert told.startswith(
        f"Searching with the file {name}. To search for these words use: seehear search --text "
    )
    as_words = told.partition("seehear search ")[2]
    again = run("search", *shlex.split(as_words), "-k", "1", "--mode", "words")
    assert "Searching with" not in again.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["red"],  # a file, but of no kind that is read
        ["data.xyz"],
        ["folder.jpg"],
        ["lost.jpg"],
        ['"photo.jpg"'],
        ["--text", "photo.jpg"],
        ["a red photo.jpg"],
        ["x" * 5000],
        ["~nobody/photo.jpg"],
    ],
)
def test_everything_else_is_words(run: Run, indexed: Path, here: Path, words: list[str]) -> None:
    assert "Searching with" not in run("search", *words, "-k", "1").stderr


def test_the_next_search_refines_one_with_a_file(run: Run, indexed: Path, here: Path) -> None:
    run("search", "siren.wav", "-k", "5")
    shutil.move(here / "siren.wav", here / "gone.wav")
    lost = run("search", "--like", "1", check=False)
    assert (lost.returncode, f"No file {here / 'siren.wav'}" in lost.stderr) == (2, True)
    shutil.move(here / "gone.wav", here / "siren.wav")
    assert run("search", "--like", "1").stdout


def test_paths_alone_are_for_other_programs(run: Run, indexed: Path, tmp_path: Path) -> None:
    asked = ("search", "red", "--in", "image", "--top", "2")
    lines = run(*asked, "--paths").stdout.splitlines()
    assert set(lines) == {str(indexed / "fire.png"), str(indexed / "sub" / "sky.jpg")}
    zero = run(*asked, "-0").stdout
    assert zero == run(*asked, "--print0", "--paths").stdout
    assert zero.split("\0") == [*lines, ""]
    listed = subprocess.run(
        ["xargs", "-0", "ls"], input=zero, capture_output=True, text=True, check=True
    )
    assert sorted(listed.stdout.splitlines()) == sorted(lines)
    none = run("search", "red", "--where", "size > 1GB", "--paths")
    assert (none.stdout, none.stderr) == ("", "Nothing found.\n")
    assert run("similar", indexed / "fire.png", "--paths", "-k", "1").stdout.count("\n") == 1
    for other in ("--json", "--preview"):
        assert run(*asked, "--paths", other, check=False).returncode == 2


def test_paths_are_the_bytes_of_the_file_system(
    run: Run, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    raw = b"/media/\xff\xfe odd\nname.jpg"
    print_paths([Path(os.fsdecode(raw))], end=b"\0")
    assert capfdbinary.readouterr().out == raw + b"\0"


def test_the_best_hit_is_opened(
    run: Run, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    opener = programs / "xdg-open"
    opener.write_text(f'#!/bin/sh\necho "$1" > "{tmp_path / "opened"}"\n')
    opener.chmod(0o755)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    done = run("search", "red", "--in", "image", "-k", "1", "--open")
    assert "Opening" in done.stderr
    assert (tmp_path / "opened").read_text().strip() == str(indexed / "fire.png")
    opener.write_text("#!/bin/sh\nexit 3\n")
    for path in (f"{programs}:/usr/bin:/bin", str(tmp_path / "nothing")):
        monkeypatch.setenv("PATH", path)
        lost = run("search", "red", "--in", "image", "-k", "1", "--open", check=False)
        assert lost.returncode == 1
        assert lost.stderr.endswith("your system has no program for it\n")
        assert "fire.png" in lost.stdout


def test_a_file_that_is_gone_is_not_opened(run: Run, folder: Path) -> None:
    run("index", folder)
    (folder / "fire.png").unlink()
    lost = run("search", "red", "--in", "image", "-k", "1", "--open", check=False)
    assert (lost.returncode, "is not there now" in lost.stderr) == (1, True)


@pytest.mark.parametrize("words", ["photo", "photos", "pictures", "Images", "photo,pictures"])
def test_words_for_types(run: Run, ask: Ask, indexed: Path, words: str) -> None:
    for option in ("--in", "--type"):
        assert {hit["modality"] for hit in ask("search", "red", option, words)} == {"image"}
    assert len(ask("search", "red", "--where", f"type in ({words})")) == 2
    with Collection(run.collection, Settings(model="fake")) as library:
        assert len(library.search("red", modalities=parse_modalities(words))) == 2
        with pytest.raises(UsageError, match="Did you mean photo"):
            library.search("red", modalities=["fotos"])  # type: ignore[list-item]
    wrong = run("search", "red", "--type", "photo,fotos", check=False)
    assert (wrong.returncode, 'No type "fotos". Did you mean photo' in wrong.stderr) == (2, True)


def test_an_unknown_folder_names_the_nearest(
    run: Run, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(indexed)
    for asked in (("--under", "sbu"), ("--where", "folder = sbu")):
        for command in (("search", "red"), ("duplicates",)):
            wrong = run(*command, *asked, check=False)
            assert wrong.returncode == 2
            assert wrong.stderr == 'seehear: No folder "sbu". Did you mean sub?\n'
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    wrong = run("search", "red", "--under", "other", check=False)
    assert 'Nothing in "other" is indexed. Index it first: seehear index other' in wrong.stderr
    assert "sky.jpg" in run("search", "red", "--under", indexed / "sub").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["photos/lost.jpg"], "No file photos/lost.jpg here. Searching for it as words."),
        (["lost.jpg"], "No file lost.jpg here. Searching for it as words."),
        (["/no/where"], "No file /no/where here. Searching for it as words."),
        (["~nobody/x"], "No file ~nobody/x here. Searching for it as words."),
        (["red", "+", "lost.WAV"], "No file lost.WAV here. Searching for it as words."),
        (["red", "./sub"], "Searching for ./sub as words. To search only in the folder use"),
        (["./fire.png", "red"], "Searching for ./fire.png as words. For the file use --image"),
        (["a red fire"], ""),
        (["red", "v1.5"], ""),
        (["red", "+", '"lost.jpg"'], ""),
    ],
)
def test_a_path_that_is_searched_as_words_is_told(
    run: Run, indexed: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(indexed)
    lines = [
        line
        for line in run("search", *words).stderr.splitlines()
        if "words" in line or "No file" in line
    ]
    assert len(lines) == bool(told), lines
    assert not told or lines[0].startswith(told)


@pytest.mark.parametrize(
    "command",
    [("similar",), ("search", "--image"), ("search", "red", "--not-image"), ("search", "--video")],
)
def test_a_folder_in_place_of_a_file_is_told(
    run: Run, indexed: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (indexed, f"seehear: {indexed} is a folder. Name a file in it"),
        (tmp_path / "pipe", f"seehear: {tmp_path / 'pipe'} is a device or a pipe. Name a file"),
        (tmp_path / "none", f"seehear: No file {tmp_path / 'none'}. Check its name"),
    ):
        done = run(*command, path, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert done.stderr.startswith(words)


USAGE = (
    ((), ("--tpo",), "No such option: --tpo"),
    ((), ("serach", "red"), "No such command 'serach'. Did you mean 'search'?"),
    (("search",), ("search", "--tpo"), "No such option: --tpo"),
    (
        ("search",),
        ("search", "red", "-k", "many"),
        "Invalid value for '-k' / '--top' / '--count': 'many'",
    ),
    (
        ("search",),
        ("search", "red", "-k", "0"),
        "Invalid value for '-k' / '--top' / '--count': 0 is not in",
    ),
    (("index",), ("index",), "Missing argument 'PATH...'."),
    (("export",), ("export", "a", "b"), "Got unexpected extra argument"),
    (("upgrade",), ("upgrade",), "Missing option '--model'."),
)


@pytest.mark.parametrize(("command", "arguments", "words"), USAGE)
def test_wrong_usage_is_one_line_that_names_the_help(
    run: Run, command: tuple[str, ...], arguments: tuple[str, ...], words: str
) -> None:
    done = run(*arguments, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"seehear: {words}")
    assert done.stderr.endswith(f" See `{' '.join(['seehear', *command])} --help`\n")
    assert done.stderr.count("\n") == 1


def test_without_arguments_the_commands_are_listed(run: Run) -> None:
    done = run(check=False)
    assert (done.returncode, done.stdout) == (2, run("--help").stdout)


def test_help_is_short_or_long(run: Run) -> None:
    assert run("-h").stdout == run("--help").stdout
    for command in ("search", "index", "facets", "status"):
        assert run(command, "-h").stdout == run(command, "--help").stdout


def test_the_shell_completes_commands_and_options(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def completed(line: str) -> set[str]:
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - (not line.endswith(" "))))
        monkeypatch.setenv("_SEEHEAR_COMPLETE", "complete_bash")
        return set(run(check=False).stdout.split())

    every = completed("seehear ")
    assert {"search", "similar", "duplicates", "facets", "index", "serve", "status"} <= every
    assert completed("seehear sea") == {"search"}
    assert {"--paths", "--preview", "--print0"} <= completed("seehear search --p")


def test_completion_is_printed_and_nothing_at_home_is_rewritten(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    run.in_process = False  # Typer reads that when the application is made
    script = tmp_path / "completion.bash"
    script.write_text(run("--show-completion", "bash").stdout)
    loaded = subprocess.run(
        ["bash", "-c", f"source {script} && complete -p seehear"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "seehear" in loaded.stdout
    assert run("--install-completion", "bash", check=False).returncode == 2
    assert "--install-completion" not in run("--help").stdout
    told = " ".join(run("--help").stdout.split())
    assert "Print a script that completes commands with the Tab key." in told
    assert [path.name for path in tmp_path.iterdir()] == ["completion.bash"]
