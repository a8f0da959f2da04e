"""Keep the columns of all segments in a cache file that processes map into memory and share.

    line of JSON   magic, layout, identity, state of the catalog, rows, digest; padded
    columns        one after the other, those of eight bytes first

All little-endian. As the files of vectors, a file is used only if every field matches and its
digest is correct; it is replaced as a whole, so that a process keeps the file that it has mapped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seehear.stores.catalog.records import SegmentColumns
from seehear.stores.catalog.segment_table import SegmentTable
from seehear.stores.vectors import files
from seehear.stores.vectors.files import HEADER_BYTES, read_header

MAGIC = "seehear-segments"
LAYOUT = 1
_COLUMNS = ("<i8", "<i8", "<i8", "<i8", "<i8", "<f8", "<f8", "i1", "i1")
ROW_BYTES = sum(np.dtype(kind).itemsize for kind in _COLUMNS)
_STATE = ("change", "moves", "newest")


def save(table: SegmentTable, path: Path, identity: str) -> bool:
    """Write a table completely or not at all; return whether it was written."""
    columns = [
        np.ascontiguousarray(column, dtype=kind)
        for column, kind in zip(_arrays(table), _COLUMNS, strict=True)
    ]
    header = _expected(identity) | {
        **{name: getattr(table, name) for name in _STATE},
        "rows": len(table.own),
        "digest": files.digest(*columns),
    }
    return files.write_cache(path, [files.header_line(header), *columns])


def load(path: Path, identity: str) -> SegmentTable | None:
    """Map a table; None for a missing, other or damaged file."""
    try:
        with path.open("rb") as file:
            header = read_header(file.read(HEADER_BYTES), _expected(identity))
            rows, *state = (int(header[name]) for name in ("rows", *_STATE))
            if rows < 0 or path.stat().st_size != HEADER_BYTES + ROW_BYTES * rows:
                return None
            mapped: NDArray[Any] = np.zeros(0, dtype=np.uint8)
            if rows:
                mapped = np.memmap(file, np.uint8, "r", HEADER_BYTES).view(np.ndarray)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    columns, start = [], 0
    for kind in _COLUMNS:
        stop = start + rows * np.dtype(kind).itemsize
        columns.append(mapped[start:stop].view(kind))
        start = stop
    if header.get("digest") != files.digest(*columns):
        return None
    ids, assets, own, by_asset, sorted_assets, start_s, stop_s, kinds, origins = columns
    found = SegmentColumns(ids, assets, kinds, origins, start_s, stop_s)
    return SegmentTable(found, own, by_asset, sorted_assets, *state)


def _arrays(table: SegmentTable) -> list[NDArray[Any]]:
    columns = table.segment_columns
    return [
        columns.ids, columns.assets, table.own, table.by_asset, table.assets,
        columns.start_s, columns.stop_s, columns.kinds, columns.origins,
    ]  # fmt: skip


def _expected(identity: str) -> dict[str, Any]:
    return {"magic": MAGIC, "layout": LAYOUT, "identity": identity}
