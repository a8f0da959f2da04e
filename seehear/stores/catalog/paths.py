"""Convert paths for the database: the file system's own bytes, and readable names."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from seehear.sources import stored_path


def readable(path: Path) -> str:
    """Return a path as valid Unicode; bytes that are not UTF-8 are written as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def fold(text: str) -> str:
    """Return text in a form that ignores case and the encoding of accents."""
    return unicodedata.normalize("NFC", text).casefold()


def shown_parts(path: bytes) -> dict[str, str]:
    """Return the readable columns of a location: name, whole path, and folder with a slash."""
    shown = readable(stored_path(path))
    folder, _, name = shown.rpartition("/")
    return {"name": name, "shown": shown, "folders": folder + "/"}


def folder_range(folder: Path) -> tuple[bytes, bytes]:
    """Return the bounds [low, high) of the stored paths below a folder, for an index."""
    low = os.fsencode(folder).rstrip(b"/") + b"/"
    return low, low[:-1] + b"0"  # "0" is the byte after "/"
