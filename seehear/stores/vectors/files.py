"""Write cache files completely or not at all, and translate the errors of FAISS."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seehear.errors import StoreError
from seehear.files import write_whole

HEADER_BYTES = 1024
"""Length of the first line of a cache file."""
IN_MEMORY_BELOW_BYTES = 64 << 20
"""Size below which rows that wait to be written are kept in memory."""


@contextmanager
def faiss_errors() -> Iterator[None]:
    """Turn errors of FAISS, which are plain RuntimeErrors, into StoreError with what to do."""
    try:
        yield
    except MemoryError:
        raise StoreError("there is too little memory for the vector indexes; free some") from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-200:]
        raise StoreError(
            f"FAISS failed on a vector index ({reason}); delete the folder `cache` of the "
            "collection, which is built again, and see `seehear doctor`"
        ) from error


def write_cache(path: Path, parts: Iterable[bytes | NDArray[Any]]) -> bool:
    """Write a file, or leave what is there; returns whether it could be written."""
    data = (one if isinstance(one, bytes) else np.ascontiguousarray(one).data for one in parts)
    try:
        write_whole(path, data, lasting=True)
    except OSError:  # a cache that cannot be written costs time, never an answer
        return False
    return True


def header_line(header: Mapping[str, Any]) -> bytes:
    """Return the first line of a cache file: plain values as JSON, padded."""
    return json.dumps(header).encode("ascii").ljust(HEADER_BYTES - 1) + b"\n"


def read_header(line: bytes, expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a first line holds. Raises ValueError where it is not as expected."""
    header = json.loads(line)
    if not isinstance(header, dict) or not expected.items() <= header.items():
        raise ValueError("a file of another kind")
    return header


def alloc_float16(shape: tuple[int, int], folder: Path) -> NDArray[np.float16]:
    """Allocate rows of float16, in an unnamed file if there are many.

    The system can write pages of a file to disk and reuse their memory. Where no file can be made,
    or the disk is full, the rows are in memory.
    """
    if 2 * shape[0] * shape[1] >= IN_MEMORY_BELOW_BYTES and hasattr(os, "posix_fallocate"):
        with suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, 2 * shape[0] * shape[1])
            return np.memmap(file, dtype="<f2", mode="r+", shape=shape)
    return np.empty(shape, dtype="<f2")


def digest(*parts: NDArray[Any]) -> str:
    """Return a digest of arrays, to check that a file is complete."""
    made = blake2b(digest_size=16)
    for part in parts:
        made.update(np.ascontiguousarray(part).data)
    return made.hexdigest()
