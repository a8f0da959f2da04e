"""Files that are written whole or not at all, and folders that hold files alone."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OWNER_ONLY = 0o600
"""What only its owner may read, such as caches."""
AS_USUAL = 0o666
"""What others may read as the user's umask says."""


@contextmanager
def replacing(path: Path, mode: int = OWNER_ONLY) -> Iterator[Path]:
    """Give an empty file beside `path` to fill; at the end of the block it takes the name `path`.

    If the block raises, the file is removed and what is at `path` stays. Readers see the old file
    or the new one, and several processes may write at once. Makes the folder. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".writing-{secrets.token_hex(8)}"
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def write_whole(
    path: Path,
    parts: Iterable[bytes | memoryview],
    mode: int = OWNER_ONLY,
    *,
    lasting: bool = False,
) -> None:
    """Write a file whole or leave what is there; `lasting` waits until the disk has it.

    Raises OSError.
    """
    with replacing(path, mode) as partial, partial.open("wb") as file:
        for part in parts:
            file.write(part)
        if lasting:
            file.flush()
            os.fsync(file.fileno())


def irregular_entry(folder: Path) -> Path | None:
    """Return what in a folder is neither a file nor a folder, or None.

    Opening a pipe waits for ever, and reading a device may have no end. Raises OSError.
    """
    return next(
        (one for one in sorted(folder.iterdir()) if not one.is_file() and not one.is_dir()), None
    )
