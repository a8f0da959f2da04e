"""Open a file of a collection: beneath its root, and with the content that was indexed.

Between a scan and an answer, a file or a folder above it may have become a link to somewhere else,
or have other content. Then it must neither be sent nor drawn.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seehear.errors import ContentChangedError, MediaError
from seehear.media.hashing import hash_of
from seehear.media.source import open_regular, reason_of
from seehear.sources import is_remote

_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NO_LINK | _BINARY
_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _NO_LINK | _BINARY


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A location of an asset, with the state in which its content was hashed."""

    path: str
    root: str
    content_hash: str
    size_bytes: int
    modified_ns: int
    inode: int
    """As the catalog has it: 0 where the file had just been modified."""
    follow_links: bool = False

    def open(self) -> BinaryIO:
        """Open the file for reading.

        A file whose size, time and inode are those of the catalog is taken for unchanged; any other
        one is hashed. One beyond this machine has to have the mark that the catalog has. Raises
        MediaError (stage "open") where it cannot be opened, is not a regular file, or lies outside
        its root; ContentChangedError where it has other content.
        """
        if is_remote(self.path):
            from seehear.sources.remote import RemoteState, open_file

            return open_file(self.path, RemoteState(self.size_bytes, self.modified_ns, self.inode))
        file = open_regular(self.path) if self.follow_links else open_beneath(self.path, self.root)
        try:
            self._check(file)
        except BaseException:
            file.close()
            raise
        return file

    def _check(self, file: BinaryIO) -> None:
        try:
            status = os.fstat(file.fileno())
            state = status.st_size, status.st_mtime_ns, status.st_ino & (1 << 63) - 1
            if state == (self.size_bytes, self.modified_ns, self.inode):
                return
            same = status.st_size == self.size_bytes and hash_of(file) == self.content_hash
            file.seek(0)
        except OSError as error:
            raise MediaError(f"cannot be read: {reason_of(error)}", stage="open") from None
        if not same:
            raise ContentChangedError(
                "the file has changed since it was indexed; index its folder again", stage="open"
            )


def open_beneath(path: str, root: str) -> BinaryIO:
    """Open a regular file of `root` for reading. Links may lead elsewhere in `root`, not out of it.

    Raises MediaError (stage "open").
    """
    try:
        real_root, real = (os.path.realpath(name, strict=True) for name in (root, path))
        if not is_beneath(real, real_root):
            raise MediaError(
                "is reached by a link that leads out of its folder (see --follow-links)",
                stage="open",
            )
        descriptor = _descend(real, real_root)
    except OSError as error:
        raise MediaError(f"cannot be opened: {reason_of(error)}", stage="open") from None
    except ValueError:
        raise MediaError("cannot be opened: its name holds a null byte", stage="open") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MediaError("is not a regular file", stage="open")
    # By its name, since the suffix counts.
    return open(path, "rb", opener=lambda *_: descriptor)


def is_beneath(real: str, real_root: str) -> bool:
    """Tell whether a path without links is a folder or below it."""
    return real == real_root or real.startswith(real_root.rstrip(os.sep) + os.sep)


def _descend(real: str, real_root: str) -> int:
    """Open folder after folder: none may become a link between the check and the opening."""
    if not _NO_LINK or os.open not in os.supports_dir_fd or real == real_root:
        return os.open(real, _FILE)
    folder = os.open(real_root, _FOLDER)
    try:
        *folders, name = Path(real).relative_to(real_root).parts
        for inner in folders:
            deeper = os.open(inner, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = deeper
        return os.open(name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)
