"""Write files into a ZIP archive piece by piece, as a client takes it: nothing is kept on disk."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from io import RawIOBase
from pathlib import PurePath
from typing import Any, BinaryIO

from seehear.errors import MediaError

_PIECE_BYTES = 1 << 18
_FIRST_YEAR, _LAST_YEAR = 1980, 2107
"""Of the dates that ZIP can write."""


class _Pieces(RawIOBase):
    """Collect what is written, until it is taken."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def zip_stream(
    files: Iterable[tuple[str, float, Callable[[], BinaryIO]]], missing: Iterable[str] = ()
) -> Iterator[bytes]:
    """Yield an archive of files: name, time of modification and how to open each.

    Media are stored as they are: they do not compress. A file that cannot be read any more ends
    early, and is named with the `missing` in a text at the end of the archive.
    """
    out = _Pieces()
    lost = list(missing)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, modified_s, open_file in files:
            entry = zipfile.ZipInfo(name, _date(modified_s))
            try:
                with open_file() as file, archive.open(entry, "w", force_zip64=True) as target:
                    while piece := file.read(_PIECE_BYTES):
                        target.write(piece)
                        yield out.take()
            except (OSError, MediaError):
                lost.append(name)
            yield out.take()
        if lost:
            archive.writestr("files that are missing.txt", "\n".join([*lost, ""]))
    yield out.take()


def unique_names(names: Iterable[str]) -> list[str]:
    """Return file names of which no two are the same on a disk that ignores case."""
    used: set[str] = set()
    made = []
    for name in names:
        path, count = PurePath(name), 1
        while name.casefold() in used:
            count += 1
            name = f"{path.stem} ({count}){path.suffix}"  # noqa: PLW2901
        used.add(name.casefold())
        made.append(name)
    return made


def _date(modified_s: float) -> tuple[int, int, int, int, int, int]:
    try:
        date = time.localtime(modified_s)[:6]
    except (OverflowError, ValueError, OSError):
        return (_FIRST_YEAR, 1, 1, 0, 0, 0)
    return date if _FIRST_YEAR <= date[0] <= _LAST_YEAR else (_FIRST_YEAR, 1, 1, 0, 0, 0)
