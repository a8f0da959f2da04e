"""Thumbnails in the terminal, drawn into a pipe by each of the ways."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from seehear.cli import preview
from seehear.media.terminal import CELL_PX, Graphics, terminal_image
from tests.cli.conftest import Run

pytest.importorskip("timg")


def picture(width: int, height: int, colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(320, 180), (10, 400), (400, 4), (1, 1)])
def test_a_picture_fits_its_place(size: tuple[int, int]) -> None:
    data = picture(*size)
    columns, rows = 20, 6
    blocks = terminal_image(data, Graphics.BLOCKS, columns, rows).split("\n")
    assert len(blocks) <= rows
    assert {line.count("▄") for line in blocks} <= set(range(1, columns + 1))
    kitty = terminal_image(data, Graphics.KITTY, columns, rows)
    chunks = re.findall(r"\033_G([^;]*);([^\033]*)\033\\", kitty)
    assert "".join(f"\033_G{head};{chunk}\033\\" for head, chunk in chunks) == kitty
    assert [head[-1] for head, _ in chunks] == [*"1" * (len(chunks) - 1), "0"]
    assert max(len(chunk) for _, chunk in chunks) <= 4096
    iterm = terminal_image(data, Graphics.ITERM2, columns, rows)
    assert iterm.startswith("\033]1337;File=inline=1;")
    for encoded in ("".join(chunk for _, chunk in chunks), iterm.partition(":")[2][:-1]):
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True))) as drawn:
            assert drawn.width <= columns * CELL_PX[0]
            assert drawn.height <= rows * CELL_PX[1]
            assert drawn.getpixel((0, 0)) == (255, 0, 0)
    sixel = terminal_image(data, Graphics.SIXEL, columns, rows)
    assert sixel.startswith("\033Pq")
    assert sixel.endswith("\033\\")
    assert 1 <= sixel.count("-") <= rows * CELL_PX[1] // 6
    assert "#0;2;100;0;0" in sixel


SIGNS = {"kitty": "\033_G", "iterm2": "\033]1337;", "sixel": "\033Pq", "blocks": "▄"}


@pytest.mark.parametrize("way", SIGNS)
def test_each_hit_has_its_thumbnail_below_it(
    run: Run, indexed: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("SEEHEAR_PREVIEW", way)
    out = run("search", "red", "-k", "5", "--preview").stdout
    parts = re.split(r"^\d  ", out, flags=re.MULTILINE)[1:]
    assert len(parts) == 5
    for part in parts:  # a picture, a spectrogram, or a passage that needs none
        assert (SIGNS[way] in part) == ("notes.md" not in part)


def test_a_file_that_is_gone_has_no_thumbnail(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEHEAR_PREVIEW", "kitty")
    run("index", folder)
    (folder / "fire.png").unlink()
    out = run("search", "red", "--type", "photos", "--preview").stdout
    assert "(no preview: " in out
    assert SIGNS["kitty"] in out


def test_where_nothing_can_be_drawn_a_line_says_so(
    run: Run, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEEHEAR_PREVIEW", raising=False)
    done = run("search", "red", "--preview", "-k", "1")
    assert "\033" not in done.stdout
    assert "notes.md" in done.stdout
    assert "This terminal shows no pictures. Use --sheet" in done.stderr
    monkeypatch.setenv("SEEHEAR_PREVIEW", "kity")
    wrong = run("search", "red", "--preview", check=False)
    assert (wrong.returncode, "Did you mean kitty?" in wrong.stderr) == (2, True)
    monkeypatch.setenv("SEEHEAR_PREVIEW", "blocks")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "pip install 'seehear[preview]'" in run("search", "red", "--preview").stderr


@pytest.mark.parametrize(
    ("environment", "way"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM": "screen", "LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "xterm-256color"}, "blocks"),
        ({"TERM": "dumb"}, None),
        ({}, None),
        ({"TERM": "dumb", "SEEHEAR_PREVIEW": "SIXEL"}, "sixel"),
    ],
)
def test_the_terminal_says_what_it_can(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], way: str | None
) -> None:
    for name in ("TERM", "TERM_PROGRAM", "LC_TERMINAL", "KITTY_WINDOW_ID", "SEEHEAR_PREVIEW"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert preview._way() == way
