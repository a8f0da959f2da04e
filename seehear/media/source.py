"""Open a source, a path or the bytes of a file, as one seekable binary file."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from seehear.errors import BrokenMediaError, MediaError

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""A path (str or path-like), the content of a file (bytes-like), or a file that is open."""

HEAD_BYTES = 64 << 10
"""Bytes read to recognise a file: MPEG-TS, text encodings and ID3 tags need this many."""


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """Open the source as a file positioned at its start. Raises MediaError(stage="open").

    An empty file raises BrokenMediaError. A pipe, socket or device is refused without waiting.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        if len(source) == 0:
            raise BrokenMediaError("the file is empty", stage="open")
        with io.BytesIO(source) as memory:
            yield memory
        return
    if not isinstance(source, str | os.PathLike):
        source.seek(0)
        yield source
        return
    with open_regular(source) as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise BrokenMediaError("the file is empty", stage="open")
        yield file


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading. Raises MediaError(stage="open") for anything else."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise MediaError(f"cannot be opened: {reason_of(error)}", stage="open") from None
    except ValueError:
        raise MediaError("cannot be opened: its name holds a null byte", stage="open") from None
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if regular:
            return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise MediaError("is not a regular file", stage="open")


def reason_of(error: OSError) -> str:
    """Return the operating system's words in lower case, for example "permission denied"."""
    return (error.strerror or str(error) or type(error).__name__).lower()


def path_of(source: Source) -> str:
    """Return the path of a source; "" for bytes."""
    if isinstance(source, bytes | bytearray | memoryview):
        return ""
    if not isinstance(source, str | os.PathLike):
        source = source.name
    return os.fsdecode(source)


def suffix_of(source: Source) -> str:
    """Return the lower-case suffix of a path; "" for bytes."""
    return os.path.splitext(path_of(source))[1].lower()  # noqa: PTH122


def size_of(file: BinaryIO) -> int:
    """Return the size of an open file in bytes; keeps the position."""
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(position)
    return size


def head_of(file: BinaryIO, count: int = HEAD_BYTES) -> bytes:
    """Return the first `count` bytes and go back to the start."""
    file.seek(0)
    head = file.read(count)
    file.seek(0)
    return head
