"""Open a source, a path or the bytes of a file, as one seekable binary file."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from seehear.errors import BrokenMediaError, MediaError

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""A path (str or path-like), the content of a file (bytes-like), or a file that is open."""

HEAD_BYTES = 64 << 10
"""Bytes read to recognise a file: MPEG-TS and text encodings need this many."""
MOST_TAGS = 8
"""ID3 tags one behind the other that are skipped; programs that add to a file leave two."""


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


class FileView(io.RawIOBase):
    """The part of an open file from `start` on, up to `stop`, as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, stop: int | None = None) -> None:
        self._file, self._start = file, start
        self._stop = file.seek(0, os.SEEK_END) if stop is None else stop
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = memoryview(buffer)[: max(0, self._stop - self._file.tell())]
        count: int = self._file.readinto(part)  # type: ignore[attr-defined]
        return count

    def tell(self) -> int:
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET:
            if offset < 0:
                raise ValueError("a position before the start")
            offset += self._start
        elif whence == os.SEEK_END:
            offset, whence = self._stop + offset, os.SEEK_SET
        return self._file.seek(offset, whence) - self._start


def start_behind_tags(file: BinaryIO) -> int:
    """Return where the content starts behind ID3 tags, which programs put before any format.

    0 for a file without a tag, or with nothing behind it.
    """
    size, at = size_of(file), 0
    for _ in range(MOST_TAGS):
        file.seek(at)
        tag = file.read(10)
        if len(tag) < 10 or tag[:3] != b"ID3":
            break
        length = (tag[6] & 127) << 21 | (tag[7] & 127) << 14 | (tag[8] & 127) << 7 | tag[9] & 127
        at += 10 + length + (10 if tag[5] & 0x10 else 0)  # some end with their header again
    file.seek(0)
    return at if at < size else 0


def head_of(file: BinaryIO, count: int = HEAD_BYTES) -> bytes:
    """Return the first `count` bytes and go back to the start."""
    file.seek(0)
    head = file.read(count)
    file.seek(0)
    return head
