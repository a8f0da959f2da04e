"""What comes out of files of strangers cannot steer a terminal, whichever command prints it.

Each field that is not ours (names, texts, tags, models, archives, arguments) holds what terminals
obey or what hides in them, and each command is run on a terminal and into a pipe.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
import tty
import unicodedata
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from unittest import mock

import av
import numpy as np
import pytest

from seehear import diagnostics
from seehear.cli import main, output
from seehear.cli.output import printable
from seehear.collection import Collection
from tests.cli.conftest import Run
from tests.indexers.helpers import broken, note, picture

STEERING = (
    "\x1b]52;c;aGk=\x07"  # writes to the clipboard
    "\x1b]0;title\x1b\\"
    "\x1b[6n\x9b2J\x90q\x9c"  # asks for an answer, clears the screen by C1, opens a device string
    "\r\x08\x7f\x0b\x0c\x0e\n\t"
    "\u202e\u200f\u2066\u2028\u061c"  # turns the direction, ends a line
    "\u200b\u2060\ufeff\u200d\u00ad\U000e0041"  # takes no room
)
ATTACK = f"a{STEERING}z"
NAME = ATTACK.encode() + b"\xff\xfe"
"""A name of a file; its last bytes are not UTF-8."""
CODES = re.compile(r"\x1b\[[0-9;]*m")
"""Colours, which are ours."""
BAR = re.compile(r"\x1b\[\??[0-9;]*[A-Zhlm]|\r")
"""What a progress bar is drawn with."""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Media with hostile names, folders, passages and tags, and their collection."""
    place = tmp_path_factory.mktemp("attacked")
    folder = place / f"media {ATTACK}"
    name = os.fsdecode(NAME)
    picture(folder / "red.png", "red")
    (folder / f"{name}.png").write_bytes((folder / "red.png").read_bytes())
    picture(folder / f"{name} dir" / f"blue {ATTACK}.png", "blue")
    # Text that begins with a byte order mark may hold any control character.
    note(folder / f"{ATTACK}.md", f"\ufeffThe siren of the red fire {STEERING} engine. {ATTACK}")
    broken(folder / f"broken {name}.jpg")
    note(folder / f"unread.{'x' * 3}{STEERING}", "no format")
    with av.open(str(folder / "tagged.flac"), "w") as container:
        container.metadata.update(artist=ATTACK, title=ATTACK, album=ATTACK)
        stream = container.add_stream("flac", rate=16_000)
        tone = (np.sin(np.arange(32_000) / 9) * 9_000).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    run = Run(place / "collection", place / "state")
    with mock.patch.dict(os.environ, SEEHEAR_WORKERS="1"):
        assert run("index", folder).stderr.startswith("5 added, 0 updated, 0 moved, 0 removed")
        run("export", place / "export")  # with a model's name of this kind it is refused
        run("upgrade", "--model", f"fake:{ATTACK}".replace("\n", ""))
    return place


@pytest.fixture
def call(attacked: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bytes]:
    """A command on a terminal or into a pipe; what it printed, on both streams."""
    monkeypatch.setenv("SEEHEAR_COLLECTION", str(attacked / "collection"))
    monkeypatch.setenv("XDG_STATE_HOME", str(attacked / "state"))
    monkeypatch.setenv("SEEHEAR_WORKERS", "1")
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def called(*arguments: str, terminal: bool) -> bytes:
        reader, writer = os.openpty() if terminal else os.pipe()
        if terminal:
            tty.setraw(writer)
        told = bytearray()
        thread = threading.Thread(target=_read_all, args=(reader, told))
        thread.start()
        with (
            os.fdopen(writer, "w", encoding="utf-8", errors="backslashreplace") as stream,
            redirect_stdout(stream),
            redirect_stderr(stream),
            mock.patch.object(sys, "argv", ["seehear", *arguments]),
        ):
            with suppress(SystemExit):
                main()
            stream.flush()
        thread.join(20)
        os.close(reader)
        return bytes(told)

    return called


def _read_all(reader: int, into: bytearray) -> None:
    try:
        while block := os.read(reader, 1 << 16):
            into.extend(block)
    except OSError:  # the terminal's other side was closed
        pass


def harmful(text: str) -> set[str]:
    """Characters that a terminal obeys, or that hide in it."""
    return {
        char
        for char in text
        if char not in "\n\t" and unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp", "Cs"}
    }


COMMANDS: dict[str, list[str]] = {
    "index": ["index", "MEDIA"],
    "index --json": ["index", "MEDIA", "--json"],
    "index of a missing folder": ["index", ATTACK],
    "index --model": ["index", "MEDIA", "--model", ATTACK],
    "index --include": ["index", "MEDIA", "--include", f"[{ATTACK}"],
    "watch": ["watch", ATTACK],
    "status": ["status"],
    "status --json": ["status", "--json"],
    "failures": ["failures"],
    "failures --json": ["failures", "--json"],
    "files": ["files"],
    "files --json": ["files", "--json"],
    "generations": ["generations"],
    "upgrade": ["upgrade", "--model", f"no {ATTACK}"],
    "facets": ["facets"],
    "facets folder": ["facets", "folder"],
    "facets artist": ["facets", "artist"],
    "facets of an unknown field": ["facets", ATTACK],
    "facets --json": ["facets", "--json"],
    "search": ["search", "red", "--in", "image,text,audio"],
    "search --explain": ["search", f"red {ATTACK}", "--explain"],
    "search of a line": ["search", f"red {ATTACK}", "+", f"{ATTACK}.jpg"],
    "search of a path": ["search", f"nowhere/{ATTACK}.jpg"],
    "search --json": ["search", "siren", "--json"],
    "search --moments": ["search", "siren", "--mode", "words", "--moments", "3"],
    "search --preview": ["search", "red", "--preview"],
    "search --image": ["search", "--image", ATTACK],
    "search with a broken file": ["search", "--image", "BROKEN"],
    "search with a file": ["search", "PNG"],
    "search --where": ["search", "red", "--where", f"folder = '{ATTACK}'"],
    "search --where nonsense": ["search", "red", "--where", ATTACK],
    "search --under": ["search", "red", "--under", ATTACK],
    "search --in": ["search", "red", "--in", ATTACK],
    "search --mode": ["search", "red", "--mode", ATTACK],
    "search --sheet": ["search", "red", "--sheet", f"nowhere {ATTACK}/a.html"],
    "search --device": ["search", "red", "--device", ATTACK],
    "search --open": ["search", "siren", "--in", "text", "--open"],
    "similar": ["similar", "PNG"],
    "similar of a folder": ["similar", "MEDIA"],
    "similar of a missing file": ["similar", ATTACK],
    "duplicates": ["duplicates"],
    "duplicates --json": ["duplicates", "--json"],
    "eval": ["eval", "QRELS"],
    "eval --json": ["eval", "QRELS", "--json"],
    "eval of a missing file": ["eval", ATTACK],
    "verify": ["verify", "--hashes"],
    "verify --json": ["verify", "--hashes", "--json"],
    "export": ["export", f"nowhere {ATTACK}/a"],
    "import": ["import", "ARCHIVE", "--collection", "NEW"],
    "import --json": ["import", "ARCHIVE", "--collection", "NEW", "--json"],
    "import --map": ["import", "ARCHIVE", "--map", ATTACK, "--collection", "NEW"],
    "import of a hostile manifest": ["import", "FORGED", "--collection", "NEW"],
    "forget": ["forget", ATTACK],
    "doctor": ["doctor"],
    "doctor --json": ["doctor", "--json"],
    "models": ["models"],
    "formats": ["formats"],
    "train": ["train", "--pairs", "PAIRS", "--out", "NEW"],
    "train of a missing file": ["train", "--pairs", ATTACK, "--out", "NEW"],
    "train --init": ["train", "--pairs", "PAIRS", "--out", "NEW", "--init", ATTACK],
    "train --out": ["train", "--pairs", "PAIRS", "--out", f"MEDIA/{ATTACK}.md"],
    "serve --token-file": ["serve", "--token-file", ATTACK],
    "serve without a collection": ["serve", "--collection", f"nowhere {ATTACK}"],
    "mcp": ["mcp", "--collection", f"nowhere {ATTACK}", "--device", ATTACK],
    "an unknown command": [ATTACK],
    "an unknown option": ["search", f"--{ATTACK}"],
    "a wrong number": ["search", "red", "-k", ATTACK],
}


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_that_steers_a_terminal_is_printed(
    call: Callable[..., bytes],
    attacked: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    terminal: bool,
) -> None:
    media = attacked / f"media {ATTACK}"
    names = {
        "MEDIA": media,
        "BROKEN": media / f"broken {os.fsdecode(NAME)}.jpg",
        "PNG": media / f"{os.fsdecode(NAME)}.png",
        "QRELS": _qrels(tmp_path),
        "PAIRS": _pairs(tmp_path),
        "ARCHIVE": attacked / "export",
        "FORGED": _forged(tmp_path, attacked / "export"),
        "NEW": tmp_path / "new",
    }
    row = diagnostics.Row(ATTACK, diagnostics.Level.FAULT, ATTACK, ATTACK)
    monkeypatch.setattr(diagnostics, "examine", lambda *_: [row])
    monkeypatch.setattr(Collection, "watch", lambda *_, **__: None)
    given = [
        re.sub("MEDIA|BROKEN|PNG|QRELS|PAIRS|ARCHIVE|FORGED|NEW", lambda m: str(names[m[0]]), word)
        for word in COMMANDS[command]
    ]
    told = call(*given, terminal=terminal).decode("utf-8")  # raises for bytes that are not UTF-8
    assert told
    assert "Traceback" not in told
    bar = BAR if command.split(maxsplit=1)[0] in {"index", "upgrade", "verify", "train"} else CODES
    assert not harmful(bar.sub("", told) if terminal else told), told


def _qrels(folder: Path) -> Path:
    path = folder / "qrels.jsonl"
    judged = {"text": f"red {ATTACK}", "relevant": [f"{ATTACK}.png"], "route": ATTACK}
    path.write_text(json.dumps(judged))
    return path


def _pairs(folder: Path) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text(json.dumps({"path": f"{ATTACK}.png", "text": ATTACK}))
    return path


def _forged(folder: Path, export: Path) -> Path:
    """An archive whose manifest says hostile things."""
    path = folder / "forged"
    with tarfile.open(export) as source, tarfile.open(path, "w") as target:
        for member in source:
            content = source.extractfile(member)
            assert content is not None
            data = content.read()
            if member.name == "manifest.json":
                told = json.loads(data)
                told |= {"model": ATTACK, "roots": [ATTACK], "schema": ATTACK, "digest": ATTACK}
                data = json.dumps(told).encode()
                member.size = len(data)
            target.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize("option", ["--paths", "-0"])
def test_paths_are_exact_for_programs_and_quoted_for_people(
    call: Callable[..., bytes], attacked: Path, option: str
) -> None:
    """On a terminal a shell takes what is shown for the same path."""
    end = b"\0" if option == "-0" else b"\n"
    search = ("search", "red", "--in", "image", "--show-duplicates", option)
    piped = call(*search, terminal=False)
    exact = os.fsencode(attacked / f"media {ATTACK}") + b"/" + NAME + b".png" + end
    assert exact in piped
    shown = call(*search, terminal=True).decode()
    assert not harmful(shown)
    lines = [line for line in shown.splitlines() if "No close matches" not in line]
    assert all(line.startswith("$'") for line in lines)
    read = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {' '.join(lines)}"],
        capture_output=True, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
    ).stdout  # fmt: skip
    assert {os.fsdecode(path) for path in read.split(b"\0") if path} == {
        os.fsdecode(path)
        for path in piped.split(end + b"/")
        for path in [b"/" + path.strip(b"/" + end)]
    }


def test_json_says_the_same_when_it_is_read(call: Callable[..., bytes], attacked: Path) -> None:
    told = call("search", "siren", "--in", "text", "--json", terminal=False).decode()
    (hit,) = json.loads(told[: told.rindex("]") + 1])
    assert hit["path"] == str(attacked / f"media {ATTACK}" / f"{ATTACK}.md")


@pytest.mark.parametrize(
    "text",
    [
        "straße 歌劇場 🎉 e\u0301 \u05e9\u05dc\u05d5\u05dd \u0633\u0644\u0627\u0645",
        "👨‍👩‍👧 family ❤️",  # joined by U+200D, with a variation selector
        "می‌خواهم",  # U+200C between letters
        "क्‍ष",
    ],
)
def test_what_people_write_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text
    assert output._quoted(text) == text


@pytest.mark.parametrize("text", ["\u200dred", "re\u200cd", "red\u200d", "é\u200d.exe"])
def test_joiners_that_only_hide_are_shown(text: str) -> None:
    assert not harmful(printable(text))


def test_every_character_that_steers_is_escaped() -> None:
    steering = [
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(char) in {"Cc", "Zl", "Zp", "Cs"}
        or unicodedata.bidirectional(char) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI"}
        or unicodedata.bidirectional(char) in {"FSI", "PDI"}
    ]
    assert len(steering) > 2000
    assert not [char for char in steering if printable(char) == char]


@pytest.mark.parametrize("name", [STEERING, "it's \\ \n", "\x01\udcff", "a\u009bb1"])
def test_a_shell_reads_a_quoted_name_back(name: str) -> None:
    shown = output._quoted(name)
    assert not harmful(shown)
    read = subprocess.run(
        ["bash", "-c", f"printf %s {shown}"],
        capture_output=True, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
    ).stdout  # fmt: skip
    assert os.fsdecode(read) == name


def test_log_records_warnings_and_tracebacks_go_through_the_same_door() -> None:
    code = (
        "import logging, sys, warnings\n"
        "from seehear.cli.output import guard_messages\n"
        "guard_messages()\n"
        f"attack = {ATTACK!r}\n"
        "log = logging.getLogger('some.library')\n"
        "log.warning('read %s', attack)\n"
        "try: raise ValueError(attack)\n"
        "except ValueError: log.exception('failed')\n"
        "warnings.warn(attack)\n"
        "raise RuntimeError(attack)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    told = done.stderr.decode()
    assert done.returncode == 1
    assert "read a\\x1b]52;c;" in told
    for words in ("ValueError: a\\x1b]52", "UserWarning: a\\x1b]52", "RuntimeError: a\\x1b]52"):
        assert words in told
    assert not harmful(told)


def test_the_door_is_the_only_way_out() -> None:
    """No other module of the command line prints; Rich draws what is ours alone."""
    found = set()
    for path in Path(output.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if re.search(
                    r"^(print|(typer|click)\.(s?echo|secho))$|std(out|err)\..*write", called
                ):
                    found.add((path.name, called))
                if called == "output.console":
                    found.add((path.name, called))
    console = {(f"{name}.py", "output.console") for name in ("progress", "commands_model")}
    allowed = console | {("commands_formats.py", "output.console")}
    assert {one for one in found if one[0] != "output.py"} == allowed
