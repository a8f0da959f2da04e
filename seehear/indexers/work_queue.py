"""Keep the work that a scan finds outside memory: any number of files needs the same memory.

Records are appended during the scan and read from the start afterwards, as often as needed. The
first `IN_MEMORY_BYTES` stay in memory, the rest goes to an unnamed file in the collection's folder,
which the system deletes when the process ends, even if it is killed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from tempfile import SpooledTemporaryFile

from seehear.errors import StorageFullError, StoreError
from seehear.indexers.scan import ScannedFile
from seehear.stores import KnownFile

IN_MEMORY_BYTES = 1 << 20
"""About seven thousand files: most runs need no disk."""

_FILE = Struct("<Iqqqq?")
"""Length of the path in bytes, root, size, time, inode, and whether the catalog knows the path."""
_BEFORE = Struct("<qqqqQ?")
"""The known location: its id, asset, size, time, inode, and whether the asset is encoded."""


@dataclass(frozen=True, slots=True)
class Work:
    """A file whose content must be hashed, and perhaps decoded and encoded."""

    file: ScannedFile
    root_id: int
    before: KnownFile | None = None
    """What the catalog has at this path."""


class WorkQueue:
    """Work in the order in which it was found. For one thread at a time; close it at the end.

    Raises StorageFullError or StoreError where the disk cannot store it.
    """

    def __init__(self, folder: Path) -> None:
        with _translated(folder):
            self._file = SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(folder))  # noqa: SIM115
        self._folder = folder
        self._count = 0
        self.size_bytes = 0
        """Total size of the files."""

    def __len__(self) -> int:
        return self._count

    def append(self, work: Work) -> None:
        file, before = work.file, work.before
        path = os.fsencode(file.path)
        record = _FILE.pack(
            len(path),
            work.root_id,
            file.size_bytes,
            file.modified_ns,
            file.inode,
            before is not None,
        )
        if before is not None:
            record += _BEFORE.pack(
                before.id,
                before.asset_id,
                before.size_bytes,
                before.modified_ns,
                before.inode,
                before.encoded,
            )
        with _translated(self._folder):
            self._file.write(record + path)
        self._count += 1
        self.size_bytes += file.size_bytes

    def __iter__(self) -> Iterator[Work]:
        with _translated(self._folder):
            self._file.seek(0)
        for _ in range(self._count):
            with _translated(self._folder):
                work = self._read()
            yield work

    def _read(self) -> Work:
        length, root_id, size_bytes, modified_ns, inode, known = _FILE.unpack(
            self._file.read(_FILE.size)
        )
        before: KnownFile | None = None
        if known:
            before = KnownFile(*_BEFORE.unpack(self._file.read(_BEFORE.size)))
        path = os.fsdecode(self._file.read(length))
        return Work(ScannedFile(path, size_bytes, modified_ns, inode), root_id, before)

    def close(self) -> None:
        self._file.close()


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFullError(
                f"the disk that holds {folder} is full; make room and run the command again"
            ) from None
        raise StoreError(f"cannot write to {folder}: {error.strerror or error}") from None
