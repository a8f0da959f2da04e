"""Compute the hash that identifies a content: BLAKE2b-256 of its bytes, in hex."""

from __future__ import annotations

import os
import stat
from hashlib import blake2b
from pathlib import Path

from seehear.errors import BrokenMediaError, MediaError

DIGEST_BYTES = 32
_CHUNK_BYTES = 1 << 20


def content_hash(path: str | Path) -> str:
    """Hash a file in chunks. Raises MediaError where it cannot be read to its end."""
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BrokenMediaError("not a regular file", stage="open")
            digest = blake2b(digest_size=DIGEST_BYTES)
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise MediaError(error.strerror or str(error), stage="open") from None
    return digest.hexdigest()
