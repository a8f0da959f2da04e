"""The name of a content: BLAKE2b-256 of its bytes, in hex. The only place that makes one."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from seehear.errors import MediaError
from seehear.media.source import open_regular, reason_of
from seehear.sources import is_remote

DIGEST_BYTES = 32
_CHUNK_BYTES = 1 << 20


def content_hash(path: str | Path) -> str:
    """Hash a file, wherever it lies. Raises MediaError if it cannot be read to its end."""
    if is_remote(path):
        from seehear.sources.remote import open_file

        with open_file(path) as file:
            return hash_of(file)
    with open_regular(path) as file:
        try:
            return hash_of(file)
        except OSError as error:
            raise MediaError(f"cannot be read: {reason_of(error)}", stage="open") from None


def hash_of(file: BinaryIO) -> str:
    """Hash an open file from its position to its end. Raises OSError."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
