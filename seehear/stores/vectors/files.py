"""Cache files: vectors of one index, with what they are and how far they have seen.

    line of JSON   magic, layout, identity of the index, last change, rows, dim, digest
    ids            int64 (rows,), little-endian
    vectors        float16 (rows, dim), little-endian

Read back only when every field fits and the digest holds; anything else is no cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seehear.types import Ids, Vectors

MAGIC = "seehear-vectors"
LAYOUT = 1
LONGEST_HEADER = 4096


@dataclass(frozen=True, slots=True)
class Saved:
    """What a cache file holds: ids (n,), float32 (n, dim), and the last change it has seen."""

    ids: Ids
    vectors: Vectors
    change: int


def save(path: Path, identity: str, saved: Saved) -> bool:
    """Write a cache file whole or not at all; returns whether it could be written."""
    ids = np.ascontiguousarray(saved.ids, dtype="<i8").tobytes()
    rows = np.ascontiguousarray(saved.vectors, dtype="<f2").tobytes()
    header = {
        "magic": MAGIC,
        "layout": LAYOUT,
        "identity": identity,
        "change": saved.change,
        "rows": len(saved.ids),
        "dim": saved.vectors.shape[1],
        "digest": _digest(ids, rows),
    }
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(header).encode("ascii") + b"\n")
            file.write(ids)
            file.write(rows)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        # A cache that cannot be written costs time, never an answer.
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()
        return False
    return True


def load(path: Path, identity: str, dim: int) -> Saved | None:
    """Read a cache file; None where there is none that fits and is whole."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.readline(LONGEST_HEADER))
            expected = {"magic": MAGIC, "layout": LAYOUT, "identity": identity, "dim": dim}
            if not isinstance(header, dict) or any(header.get(k) != v for k, v in expected.items()):
                return None
            rows, change = int(header["rows"]), int(header["change"])
            ids = file.read(8 * rows)
            packed = file.read(2 * rows * dim)
    except (OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError):
        return None
    if len(packed) != 2 * rows * dim or header.get("digest") != _digest(ids, packed):
        return None
    return Saved(
        np.frombuffer(ids, dtype="<i8").astype(np.int64),
        np.frombuffer(packed, dtype="<f2").reshape(rows, dim).astype(np.float32),
        change,
    )


def _digest(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
