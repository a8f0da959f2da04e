"""Paths in the database: the file system's own bytes, and readable names beside them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path


def readable(path: Path) -> str:
    """A path as valid Unicode; bytes that are not UTF-8 are written as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def fold(text: str) -> str:
    """Text in the form in which case, and the way accents are written, make no difference."""
    return unicodedata.normalize("NFC", text).casefold()


def shown_parts(path: bytes) -> dict[str, str]:
    """The readable columns of a location: its name, the whole, and its folder with a slash."""
    shown = readable(Path(os.fsdecode(path)))
    folder, _, name = shown.rpartition("/")
    return {"name": name, "shown": shown, "folders": folder + "/"}


def folder_range(folder: Path) -> tuple[bytes, bytes]:
    """Bounds [low, high) of the stored paths below a folder: an index answers it."""
    low = os.fsencode(folder).rstrip(b"/") + b"/"
    return low, low[:-1] + b"0"  # "0" is the byte after "/"
