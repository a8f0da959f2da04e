"""Files that are written whole or not at all.

    caches       `replacing`, `write_whole`: files of seehear's own, replaced without asking
    outputs      `output_file`, `write_output`: files that a person names, under one rule

The rule for outputs: what exists is replaced only with `force`, and only if it is a regular file.
Links, folders and devices are refused, and a folder that is missing is not made.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seehear.errors import StorageFullError, StoreError, UsageError

OWNER_ONLY = 0o600
"""What only its owner may read, such as caches."""
AS_USUAL = 0o666
"""What others may read as the user's umask says."""


def make_folder(folder: Path, mode: int = OWNER_ONLY) -> None:
    """Make a folder for files of a mode, if it is missing; one that exists stays as it is.

    Raises OSError.
    """
    folder.mkdir(0o700 if mode == OWNER_ONLY else 0o777, parents=True, exist_ok=True)


def make_private(file: Path) -> None:
    """Make an empty file that only its owner may read, if it is missing. Raises OSError."""
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY, OWNER_ONLY))


@contextmanager
def replacing(path: Path, mode: int = OWNER_ONLY) -> Iterator[Path]:
    """Give an empty file beside `path` to fill; at the end of the block it takes the name `path`.

    If the block raises, the file is removed and what is at `path` stays. Readers see the old file
    or the new one, and several processes may write at once. Makes the folder. Raises OSError.
    """
    make_folder(path.parent, mode)
    with _partial(path, mode) as partial:
        yield partial
        partial.replace(path)


@contextmanager
def _partial(path: Path, mode: int) -> Iterator[Path]:
    """Give a new file beside `path`, and remove it unless the block has moved it."""
    partial = path.parent / f".writing-{secrets.token_hex(8)}"
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        yield partial
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


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
    with replacing(path, mode) as partial:
        _fill(partial, parts, lasting=lasting)


def _fill(partial: Path, parts: Iterable[bytes | memoryview], *, lasting: bool) -> None:
    with partial.open("wb") as file:
        for part in parts:
            file.write(part)
        if lasting:
            file.flush()
            os.fsync(file.fileno())


def check_output(path: Path, *, force: bool = False) -> None:
    """Raise UsageError if the rule for outputs forbids to write to `path`."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise UsageError(
                f"cannot write {path}: there is no folder {path.parent}. Make it first"
            ) from None
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot write {path}: {reason}. Choose another name") from None
    if stat.S_ISLNK(mode):
        raise UsageError(f"{path} is a link. Name the file itself, or choose another name")
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a folder. Name a file in it")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is a device or a pipe. Choose another name")
    if not force:
        raise UsageError(f"{path} already exists. Choose another name, or replace it with --force")


@contextmanager
def output_file(path: Path, mode: int = AS_USUAL, *, force: bool = False) -> Iterator[Path]:
    """Give an empty file beside `path` to fill, which takes that name at the end of the block.

    `check_output` has the rule. It also holds for what appears at `path` during the block. If the
    block raises, nothing is left. Raises UsageError, OSError.
    """
    check_output(path, force=force)
    with _partial(path, mode) as partial:
        yield partial
        check_output(path, force=force)
        if force:
            partial.replace(path)  # replaces a link that has just appeared, not its target
        else:
            _move_new(partial, path)


def _move_new(partial: Path, path: Path) -> None:
    """Give a file a name that no other file has. Raises UsageError if one has it."""
    try:
        try:
            os.link(partial, path)  # unlike a rename, never replaces a file
        except FileExistsError:
            raise
        except OSError:  # the file system has no hard links: hold the name, then take it
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY))
            partial.replace(path)
    except FileExistsError:
        check_output(path)  # says what has appeared
        raise


def write_output(
    path: Path,
    parts: Iterable[bytes | memoryview],
    mode: int = AS_USUAL,
    *,
    force: bool = False,
) -> None:
    """Write a file that a person names, whole or not at all.

    Raises UsageError as `check_output` does, StoreError if the file cannot be written and
    StorageFullError if the disk is full.
    """
    with told_disk_errors(f"cannot write {path}"), output_file(path, mode, force=force) as partial:
        _fill(partial, parts, lasting=True)


@contextmanager
def told_disk_errors(action: str) -> Iterator[None]:
    """Turn disk errors into StoreError, or StorageFullError where the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFullError(f"{action}: the disk is full; make room and try again") from None
        raise StoreError(f"{action}: {error.strerror or error}") from None
