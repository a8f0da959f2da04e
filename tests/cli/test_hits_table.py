"""The table of hits fits the terminal, whatever its width and whatever the names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from seehear.cli import show_hits
from seehear.cli.show_hits import keep_end, keep_start, print_hits
from seehear.types import By, Hit, Modality, Moment, PartExplanation

LONG = Path("/home/ann/Pictures/2023/A very long journey to the south/Vienna/opera at night.jpg")
WIDE = Path("/home/ann/写真/二〇二三年の夏休みの旅行/ウィーンの国立歌劇場の夜景の写真その一.jpg")
EMOJI = Path(
    "/home/ann/🎉 party 🎂 with 🎈 balloons and 🍰 cake and 🎁 presents for all/🎉🎂🎈.mp4"
)
COMBINING = Path("/home/ann/" + "cafe\u0301 " * 20 + "e\u0301.jpg")


def hit(rank: int, path: Path, score: float = 0.9, **fields: object) -> Hit:
    made = Hit(
        rank=rank,
        score=score,
        similarity=0.3,
        path=path,
        modality=Modality.VIDEO,
        asset_id=rank,
        segment_id=rank,
        matched_modality=Modality.AUDIO,
        weak=score < 0.3,
    )
    return dataclasses.replace(made, **fields)  # type: ignore[arg-type]


MOMENTS = (
    Moment(6.0, 12.0, 0.9, 0.3, 1, Modality.VIDEO),
    Moment(3600.0, 3725.5, 0.8, 0.3, 1, Modality.VIDEO),
)
TERM = PartExplanation(
    "a long description of things", 1.0, False, 0.9, "text->image", "s@1:2", 0.2, 0.1, 0.1
)
HITS = (
    hit(1, LONG, start_s=6.0, stop_s=12.0, moments=MOMENTS, duplicates=(LONG, WIDE)),
    hit(2, WIDE, snippet="歌劇場の夜景 " * 40, matched_modality=Modality.VIDEO),
    hit(3, EMOJI, start_s=0.0, stop_s=6.0, why=(TERM, TERM)),
    hit(4, COMBINING, snippet="a passage of text " * 30),
    hit(10, Path("/a.jpg"), score=0.1),
)


@pytest.fixture
def table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[int | None, list[str]]:
    """The lines of the table by width; None is no terminal."""
    monkeypatch.setenv("NO_COLOR", "1")
    found: dict[int | None, list[str]] = {}
    for width in (30, 60, 80, 120, 200, None):
        monkeypatch.setattr(show_hits, "terminal_width", lambda width=width: width)
        print_hits(HITS)
        found[width] = capsys.readouterr().out.splitlines()
    return found


def test_no_line_is_wider_than_the_terminal(table: dict[int | None, list[str]]) -> None:
    for width, lines in table.items():
        if width is not None and width >= 60:
            assert max(map(cell_len, lines)) <= width, width
        rows = [line for line in lines if line.strip()[0].isdigit() and "weak" in line]
        assert rows, width


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_end_of_a_long_path_is_what_is_shown(
    table: dict[int | None, list[str]], width: int
) -> None:
    line = next(line for line in table[width] if line.startswith(" 1 "))
    assert "…" in line
    assert "similar)" in line
    for end in ("その一.jpg", "🎉🎂🎈.mp4", "e\u0301.jpg"):
        assert any(end in line and "…" in line for line in table[width]), end


def test_a_wide_terminal_and_a_pipe_show_whole_paths(table: dict[int | None, list[str]]) -> None:
    for width in (200, None):
        for path in (LONG, WIDE, EMOJI, COMBINING):
            assert any(str(path) in line for line in table[width]), (width, path)
    assert any(str(TERM.route) in line and line.endswith("0.100") for line in table[None])


def test_moments_stand_beside_their_file_in_one_column(table: dict[int | None, list[str]]) -> None:
    for width in (80, 200, None):
        lines = table[width]
        first = next(i for i, line in enumerate(lines) if "0:06.0" in line)
        columns = {
            cell_len(line[: line.index(start)])
            for line, start in (
                (lines[first], "0:06.0"),
                (lines[first + 1], "1:00:00"),
                (next(line for line in lines if "0:00.0" in line), "0:00.0"),
            )
        }
        assert len(columns) == 1, (width, lines)
    (line,) = (line for line in table[None] if "🎉🎂🎈.mp4" in line)
    assert line.endswith("0:00.0 - 0:06.0")


def test_weak_hits_alone_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    print_hits(HITS)
    assert capsys.readouterr().err == ""
    print_hits([hit(1, LONG, score=0.1)])
    assert capsys.readouterr().err == "No close matches. Showing the nearest.\n"
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(show_hits, "terminal_width", lambda: 80)
    print_hits([hit(1, LONG, score=0.1)])
    out = capsys.readouterr().out
    assert out.startswith("\033[2m")
    assert "weak" in out


def test_names_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "/a/red\033[31m\n\r\x9b2J\u202egpj.jpg"
    print_hits([hit(1, Path(name), snippet="x\033]0;title\a y")])
    out = capsys.readouterr().out
    assert not set("\033\r\a\x9b\u202e") & set(out)
    assert "\\x1b[31m\\n\\r\\x9b2J\\u202egpj.jpg" in out
    assert len(out.splitlines()) == 2


@pytest.mark.parametrize("text", ["abcdefghij" * 5, "歌劇場の夜景" * 9, "e\u0301" * 50, "🎉a" * 20])
def test_a_cut_text_fits_and_says_that_it_is_cut(text: str) -> None:
    for cells in (1, 2, 7, 20):
        end = keep_end(text, cells)
        assert cell_len(end) <= cells
        assert end[0] == "…"
        assert text.endswith(end[1:])
        assert end[1:2] != "\u0301"
    start = keep_start(text, 20)
    assert cell_len(start) <= 20
    assert start.endswith(" …")
    assert keep_start(text, 500) == keep_end(text, 500) == text


@pytest.mark.parametrize(
    ("modality", "by", "told"),
    [
        (Modality.VIDEO, (By.SUBTITLES, By.SIGHT), "video (subtitles)"),
        (Modality.VIDEO, (By.SIGHT, By.SPEECH), "video"),
        (Modality.VIDEO, (By.SOUND,), "video (sound)"),
        (Modality.AUDIO, (By.SOUND,), "audio"),
        (Modality.AUDIO, (By.LYRICS,), "audio (lyrics)"),
        (Modality.IMAGE, (By.WRITING,), "image (writing)"),
        (Modality.IMAGE, (By.NAME, By.SIGHT), "image (name)"),
        (Modality.TEXT, (By.TEXT,), "text"),
    ],
)
def test_the_kind_says_by_what_a_file_was_found(
    modality: Modality,
    by: tuple[By, ...],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_hits([hit(1, Path("/a"), modality=modality, by=by)])
    assert f"  {told}  /a" in capsys.readouterr().out.rstrip()


def test_the_explanation_says_by_what_in_which_language_and_where(
    capsys: pytest.CaptureFixture[str],
) -> None:
    box = (0.1, 0.2, 0.3, 0.4)
    fields: dict[str, Any] = {
        "by": (By.WRITING, By.SIGHT), "language": "en", "box": box, "why": (TERM,)
    }  # fmt: skip
    print_hits([hit(1, Path("/a"), **fields)])
    told = "found by writing, sight; language en; at 20% of the width and 30% of the height"
    assert told in capsys.readouterr().out
