"""Files that are written whole or not at all.

    caches       `replacing`, `write_whole`: files of seehear's own, replaced without asking
    outputs      `output_file`, `write_output`: files that a person names, under one rule

The rule for outputs: what exists is replaced only with `force`, and only if it is a regular file.
Links, folders, devices and URLs are refused, and a folder that is missing is not made.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seehear.errors import StorageFullError, StoreError, UsageError

HAS_LOCKS: bool = os.name == "posix"
"""Whether a lock can tell if a file is still in use by a process."""
SCRATCH = ".seehear-"
"""What the names of scratch folders begin with."""
WRITING = ".writing-"
"""What the names of files begin with that are not written whole yet."""
ABANDONED_AFTER_S = 60.0
_URL = re.compile(r"(?!file:)([a-z][a-z0-9+.-]+):(?=/)", re.IGNORECASE)
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
    """Make an empty file that only its owner may read; one that exists stays. Raises OSError."""
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY, OWNER_ONLY))


def write_private(file: Path, text: str) -> None:
    """Write a short file that only its owner may read; no link is followed. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(file, flags, OWNER_ONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


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
    _remove_abandoned(path.parent, WRITING)
    partial = path.parent / f"{WRITING}{os.urandom(8).hex()}"
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        with _held(partial):
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


def check_local(path: str | os.PathLike[str]) -> None:
    """Raise UsageError for a URL in place of an output, also where pathlib has taken `//` for `/`.

    It is not shown: it may hold a password.
    """
    found = _URL.match(os.fspath(path))
    if found is not None and not os.path.lexists(found[0]):
        raise UsageError(
            f"cannot write to {found[1]}://: outputs are files of this machine. Name one here, and "
            "copy it there"
        )


def check_output(path: Path, *, force: bool = False) -> None:
    """Raise UsageError if the rule for outputs forbids to write to `path`."""
    check_local(path)
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


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Make a folder for the block, for its owner alone, and delete it afterwards.

    Deletes such folders, too, whose processes were killed. Raises OSError.
    """
    import shutil

    _remove_abandoned(parent, SCRATCH)
    folder = parent / f"{SCRATCH}{os.urandom(8).hex()}"
    folder.mkdir(0o700)
    try:
        with _held(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(folder: Path, prefix: str) -> None:
    """Delete what no process holds any more; what is very new may be about to be held."""
    if not HAS_LOCKS:
        return
    for left in folder.glob(prefix + "[0-9a-f]" * 16):  # as `token_hex` makes them
        with suppress(OSError):
            if time.time() - left.lstat().st_mtime < ABANDONED_AFTER_S:
                continue
            import shutil

            with _held(left, surely=True):
                shutil.rmtree(left) if prefix == SCRATCH else left.unlink()


@contextmanager
def _held(path: Path, *, surely: bool = False) -> Iterator[None]:
    """Hold a file or folder by a lock that ends with this process, where the disk has locks.

    Raises OSError for links and pipes and, with `surely`, where it is not held.
    """
    if not HAS_LOCKS:
        yield
        return
    import fcntl

    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        kind = os.fstat(file).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise OSError(errno.EINVAL, "not a file or folder")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if surely:
                raise
        yield
    finally:
        os.close(file)


def irregular_entry(folder: Path) -> Path | None:
    """Return what in a folder is neither a file nor a folder, or None.

    Opening a pipe waits for ever, and reading a device may have no end. Raises OSError.
    """
    return next(
        (one for one in sorted(folder.iterdir()) if not one.is_file() and not one.is_dir()), None
    )
