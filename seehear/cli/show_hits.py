"""Show hits: as a table, as JSON, as paths, as a page of pictures, in a program that opens one.

The table is as wide as the terminal:

     1  0.94 ████████       image  …/2023/Vienna/opera.jpg
     2  0.16 █░░░░░░░ weak  video  clips/morning.mp4        0:06.0 - 0:12.0

Of a path that is too long its end is shown. In a pipe nothing is cut.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seehear.cli import output
from seehear.cli.output import INDENT, clock, display_path, note, printable
from seehear.errors import SeehearError, UsageError
from seehear.files import check_output
from seehear.sources import is_remote, scheme_of

if TYPE_CHECKING:
    from seehear.cli.contact_sheet import Draw
    from seehear.types import Hit, PartExplanation

BAR_CELLS = 8
USUAL = {"image": "sight", "video": "sight", "audio": "sound", "text": "text"}
"""By what a file of each kind is found if nothing is said of it."""
LEAST_FILE = 24
"""Columns of the file below which the table does without its bar, and then without end times."""
SNIPPET_CELLS = 100
DIM, PLAIN = "\033[2m", "\033[0m"
PLAYERS = {"mpv": "--start", "vlc": "--start-time"}
"""Programs that begin at a time, and the option for it."""
OPENER_S = 5.0
"""Seconds in which a system's opener has said that it has no program."""


@dataclass(frozen=True, slots=True)
class _Layout:
    bar: bool
    stop: bool
    """True shows when a moment ends."""
    file_cells: int


@dataclass(frozen=True, slots=True)
class Shown:
    """How hits are wanted.

    Raises UsageError for two ways that exclude each other, and a sheet that must not be written.
    """

    json: bool
    paths: bool
    print0: bool
    open_best: bool
    preview: bool
    sheet: Path | None
    force: bool
    addresses: bool = False

    def __post_init__(self) -> None:
        by_line = self.paths or self.print0
        if self.json + by_line + self.addresses > 1:
            raise UsageError("Use one of --json, --paths and --addresses")
        if self.preview and (self.json or by_line or self.addresses):
            raise UsageError("--preview goes with the table. Leave out --json, --paths and -0")
        if self.sheet is not None:
            check_output(self.sheet, force=self.force)


def show_hits(hits: Sequence[Hit], shown: Shown, draw: Draw, *, title: str, empty: bool) -> None:
    """Show hits as they are wanted; `empty` says that the collection has nothing to find."""
    if empty:
        note(output.NOTHING_INDEXED)
    if shown.sheet is not None:
        from seehear.cli.contact_sheet import write_sheet

        write_sheet(shown.sheet, title, hits, draw, force=shown.force)
        note(f"Page with pictures: {display_path(shown.sheet)}")
    if shown.json:
        output.print_json([hit.to_dict() for hit in hits])
    elif shown.addresses:
        output.write_lines([moment.address for hit in hits for moment in hit.moments or (hit,)])
    elif shown.paths or shown.print0:
        output.print_paths([hit.path for hit in hits], end=b"\0" if shown.print0 else b"\n")
    elif hits:
        preview = None
        if shown.preview:
            from seehear.cli.preview import previews

            preview = previews(draw)
        print_hits(hits, preview)
    if not hits and not empty and not shown.json:
        note("Nothing found.")
    if shown.open_best and hits:
        open_file(hits[0])


def open_file(hit: Hit) -> None:
    """Open the file of a hit, with a player at its moment. Raises SeehearError if it is missing.

    No system has a way to say at which second its own program shall start: without a known player
    the moment is told.
    """
    name = printable(display_path(hit.path))
    if is_remote(hit.path) and scheme_of(hit.path)[:4] != "http":
        raise SeehearError(
            f"Cannot open {name}: no program does. `seehear serve` shows and plays it"
        )
    if hit.id is not None:
        raise SeehearError(f"Cannot open {name}: it was added from memory and has no file")
    if not hit.path.is_file():
        raise SeehearError(f"Cannot open {name}: the file is not there now (an unplugged drive?)")
    at = f". The match starts at {clock(hit.start_s)}" if hit.start_s else ""
    at = f". The match is on page {hit.page}" if hit.page else at
    note(f"Opening {name}{at}")
    player = _player(hit.start_s) if hit.start_s else []
    if not ((player and _launched([*player, str(hit.path)])) or _launched_by_system(hit.path)):
        raise SeehearError(f"Cannot open {name}: your system has no program for it")


def _player(start_s: float) -> list[str]:
    """Return the start of a command that plays from a time on; empty without a known player."""
    import shutil

    for program, option in PLAYERS.items():
        if found := shutil.which(program):
            return [found, f"{option}={start_s:.3f}"]
    return []


def _launched_by_system(path: Path) -> bool:
    """Return whether the system's opener took the file; `typer.launch` does not tell."""
    if sys.platform == "win32":
        os.startfile(path)
        return True
    return _launched(["open" if sys.platform == "darwin" else "xdg-open", str(path)])


def _launched(command: Sequence[str]) -> bool:
    """Return whether a program has started and not failed."""
    import subprocess

    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return process.wait(OPENER_S) == 0
    except subprocess.TimeoutExpired:
        return True  # it is the program itself, which goes on
    except OSError:
        return False


def print_hits(hits: Sequence[Hit], preview: Callable[[Hit], str | None] | None = None) -> None:
    """Print the table on standard output; `preview` gives a picture to print below each hit.

    Weak hits are dim and say so, for those who see no colours.
    """
    width = terminal_width()
    dims = width is not None and "NO_COLOR" not in os.environ
    lines = []
    for hit, row in zip(hits, _rows(hits, width), strict=True):
        lines += [f"{DIM}{line}{PLAIN}" if dims and hit.weak else line for line in row]
        if preview is not None and (image := preview(hit)) is not None:
            lines.append(image)
    output.write_lines(lines)
    if all(hit.weak for hit in hits):
        note("No close matches. Showing the nearest.")


def terminal_width() -> int | None:
    """Return the columns of the terminal, or None if standard output is a file or a pipe."""
    if not sys.stdout.isatty():
        return None
    import shutil

    return max(20, shutil.get_terminal_size().columns)


def _rows(hits: Sequence[Hit], width: int | None) -> list[list[str]]:
    """Return the lines of each hit."""
    files = [_file(hit) for hit in hits]
    layout = _layout(hits, files, width)
    ranks = len(str(hits[-1].rank))
    kinds = max(len(_kind(hit)) for hit in hits)
    scores = max(len(_score(hit, layout.bar)) for hit in hits)
    rows = []
    for hit, file in zip(hits, files, strict=True):
        cells = [str(hit.rank).rjust(ranks), _score(hit, layout.bar).ljust(scores)]
        cells.append(_kind(hit).ljust(kinds))
        times = _times(hit, layout.stop) or [""]
        name = keep_end(file, layout.file_cells)
        cells.append(name + " " * (layout.file_cells - cell_len(name)) if times[0] else name)
        start = "  ".join(cells)
        lines = [f"{start}  {times[0]}".rstrip()]
        lines += [" " * cell_len(start) + f"  {time}" for time in times[1:]]
        inner = SNIPPET_CELLS if width is None else width - len(INDENT)
        if hit.snippet:
            told = f"page {hit.page}: {hit.snippet}" if hit.page else hit.snippet
            lines.append(INDENT + keep_start(_one_line(told), min(inner, SNIPPET_CELLS)))
        explained = [_found_by(hit)] if hit.why and hit.by else []
        for told in map(_one_line, [*explained, *map(_explained, hit.why)]):
            lines.append(INDENT + (told if width is None else keep_start(told, inner)))
        rows.append(lines)
    return rows


def _layout(hits: Sequence[Hit], files: Sequence[str], width: int | None) -> _Layout:
    """Return the first layout that fits: with everything, without bars, without end times."""
    longest = max(cell_len(file) for file in files)
    if width is None:
        return _Layout(bar=True, stop=True, file_cells=longest)
    fixed = len(str(hits[-1].rank)) + 2 + max(len(_kind(hit)) for hit in hits) + 2 + 2
    room = 0
    for bar, stop in ((True, True), (False, True), (False, False)):
        times = max((len(time) + 2 for hit in hits for time in _times(hit, stop)), default=0)
        room = width - fixed - max(len(_score(hit, bar)) for hit in hits) - times
        if room >= min(longest, LEAST_FILE):
            return _Layout(bar, stop, min(longest, room))
    return _Layout(bar=False, stop=False, file_cells=max(1, min(longest, room)))


def _score(hit: Hit, bar: bool) -> str:
    filled = round(hit.score * BAR_CELLS)
    drawn = f" {'█' * filled}{'░' * (BAR_CELLS - filled)}" if bar else ""
    return f"{hit.score:.2f}{drawn}{' weak' if hit.weak else ''}"


def _kind(hit: Hit) -> str:
    """Return the kind of a file, and by what it was found where that is not its usual way."""
    usual = USUAL[hit.modality]
    first = hit.by[0] if hit.by else usual
    return str(hit.modality) if first == usual else f"{hit.modality} ({first})"


def _found_by(hit: Hit) -> str:
    """Return by what a hit was found, the language of its words and where they stand."""
    told = f"found by {', '.join(hit.by)}"
    if hit.language:
        told += f"; language {hit.language}"
    if hit.box is not None:
        across, down = (hit.box[0] + hit.box[2]) / 2, (hit.box[1] + hit.box[3]) / 2
        told += f"; at {across:.0%} of the width and {down:.0%} of the height"
    return told


def _file(hit: Hit) -> str:
    name = printable(display_path(hit.path))
    return f"{name} (+{len(hit.duplicates)} similar)" if hit.duplicates else name


def _times(hit: Hit, stop: bool) -> list[str]:
    spans = [(m.start_s, m.stop_s) for m in hit.moments] or ([hit.moment] if hit.moment else [])
    return [f"{clock(a)} - {clock(b)}" if stop else clock(a) for a, b in spans]


def _explained(term: PartExplanation) -> str:
    """Return one part's share in a score, in words."""
    told = [f"{'not ' if term.exclude else ''}{term.part!r}: {term.score:.2f}"]
    if term.similarity is not None and term.expected is not None and term.spread is not None:
        told.append(
            f"{term.route} in {term.space.partition('@')[0]}: cosine {term.similarity:.3f}, "
            f"unrelated {term.expected:.3f} ± {term.spread:.3f}"
        )
    if term.presence is not None:
        told.append(f"the collection holds such things: {term.presence:.2f}")
    if term.words:
        told.append(f"words: {term.words}")
    return "; ".join(told)


def cell_len(text: str) -> int:
    """Return how many columns a text takes: two for a wide character, zero for a mark."""
    from rich.cells import cell_len as measured

    return len(text) if text.isascii() else measured(text)


def keep_end(text: str, cells: int) -> str:
    """Return a text that fits some columns: its end, behind an ellipsis, where it is longer."""
    if cell_len(text) <= cells:
        return text
    start = max(0, len(text) - cells)  # a character has a column at least, or is a mark
    while start < len(text) and (
        cell_len(text[start:]) > cells - 1 or unicodedata.combining(text[start])
    ):
        start += 1
    return "…" + text[start:]


def keep_start(text: str, cells: int) -> str:
    """Return a text that fits some columns: whole words, and an ellipsis, where it is longer."""
    if cell_len(text) <= cells:
        return text
    stop = min(len(text), cells)
    while stop and cell_len(text[:stop]) > cells - 2:
        stop -= 1
    words = text[:stop].rsplit(" ", 1)[0] if " " in text[: stop + 1] else text[:stop]
    return words.rstrip() + " …"


def _one_line(text: str) -> str:
    return printable(" ".join(text.replace("\xad", "").split()))  # without soft hyphens
