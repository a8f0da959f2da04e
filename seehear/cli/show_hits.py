"""What becomes of hits: a table, JSON, paths, a page of pictures, a program that opens one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seehear.cli import output
from seehear.errors import SeehearError, UsageError
from seehear.files import check_output

if TYPE_CHECKING:
    from seehear.cli.contact_sheet import Draw
    from seehear.types import Hit

OPENER_S = 5.0
"""Seconds in which a system's opener has said that it has no program."""


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

    def __post_init__(self) -> None:
        if self.json and (self.paths or self.print0):
            raise UsageError("Use either --json or --paths, not both")
        if self.preview and (self.json or self.paths or self.print0):
            raise UsageError("--preview goes with the table. Leave out --json, --paths and -0")
        if self.sheet is not None:
            check_output(self.sheet, force=self.force)


def show_hits(hits: Sequence[Hit], shown: Shown, draw: Draw, *, title: str, empty: bool) -> None:
    """Show hits as they are wanted; `empty` says that the collection has nothing to find."""
    if empty:
        output.note(output.NOTHING_INDEXED)
    if shown.sheet is not None:
        from seehear.cli.contact_sheet import write_sheet

        write_sheet(shown.sheet, title, hits, draw, force=shown.force)
        output.note(f"Page with pictures: {output.display_path(shown.sheet)}")
    if shown.json:
        output.print_json([hit.to_dict() for hit in hits])
    elif shown.paths or shown.print0:
        output.print_paths([hit.path for hit in hits], end=b"\0" if shown.print0 else b"\n")
    elif hits:
        from seehear.cli.hits_table import print_hits

        preview = None
        if shown.preview:
            from seehear.cli.preview import previews

            preview = previews(draw)
        print_hits(hits, preview)
    if not hits and not empty and not shown.json:
        output.note("Nothing found.")
    if shown.open_best and hits:
        open_file(hits[0])


def open_file(hit: Hit) -> None:
    """Open the file of a hit with the system's own program. Raises SeehearError where none does.

    No system has a way to say at which second a program shall start: the moment is told.
    """
    name = output.printable(output.display_path(hit.path))
    if not hit.path.is_file():
        raise SeehearError(f"Cannot open {name}: the file is not there now (an unplugged drive?)")
    at = f". The match starts at {output.clock(hit.start_s)}" if hit.start_s else ""
    output.note(f"Opening {name}{at}")
    if not _launched(hit.path):
        raise SeehearError(f"Cannot open {name}: your system has no program for it")


def _launched(path: Path) -> bool:
    """Whether the system's opener took the file. `typer.launch` does not tell where it fails."""
    import subprocess

    if sys.platform == "win32":
        os.startfile(path)
        return True
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    try:
        process = subprocess.Popen(
            [opener, str(path)],
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
