"""Keep a part of the index of words in a file, which is mapped into memory."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from seehear.files import write_whole
from seehear.stores.catalog.word_index import ARRAYS, IndexPart

LAYOUT = 1
"""Of the file; another one is built again."""


def save(path: Path, part: IndexPart, identity: str, header: dict[str, Any]) -> bool:
    """Write a part to a file, with a header of plain values; returns whether that was possible."""
    columns = [np.ascontiguousarray(getattr(part, name), kind) for name, kind in ARRAYS.items()]
    sizes = [len(column) for column in columns]
    header = header | {"layout": LAYOUT, "identity": identity, "sizes": sizes}
    told = json.dumps(header).encode()
    told += b" " * (-len(told) % 8)
    data = [len(told).to_bytes(8, "little"), told, *map(_bytes_of, columns)]
    digest = _crc(
        piece for name, piece in zip(("", "", *ARRAYS), data, strict=True) if name != "positions"
    )
    with suppress(OSError):  # a cache that cannot be written costs time, never an answer
        write_whole(path, [digest.to_bytes(8, "little"), *data], lasting=True)
        return True
    return False


def load(path: Path, identity: str) -> tuple[IndexPart, dict[str, Any]] | None:
    """Map a part and its header from a file; None without a whole one of that identity."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        begin = start = 16 + int.from_bytes(mapped[8:16], "little")
        header = json.loads(mapped[16:begin])
        if (header["layout"], header["identity"]) != (LAYOUT, identity):
            return None
        found: dict[str, Any] = {}
        for (name, kind), size in zip(ARRAYS.items(), header["sizes"], strict=True):
            found[name] = np.frombuffer(mapped, dtype=kind, count=size, offset=start)
            start += found[name].nbytes
    except (OSError, ValueError, KeyError, TypeError):
        return None
    rest = (_bytes_of(column) for name, column in found.items() if name != "positions")
    if _crc([mapped[8:begin], *rest]) != int.from_bytes(mapped[:8], "little"):
        return None
    return IndexPart(**found), header


def _bytes_of(column: NDArray[Any]) -> bytes | memoryview:
    return column.data.cast("B") if len(column) else b""


def _crc(pieces: Iterable[bytes | memoryview]) -> int:
    found = 0
    for piece in pieces:
        found = crc32(piece, found)
    return found
