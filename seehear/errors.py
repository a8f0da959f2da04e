"""Define the error tree.

    SeehearError                 everything this package raises on purpose
    ├── UsageError               the request makes no sense: wrong option, empty query, bad filter
    │   ├── UnknownFolderError       the collection has nothing in that folder
    │   └── UnknownItemError         no item has that id
    ├── EnvironmentFaultError    a library cannot be loaded: the installation is at fault
    ├── ReaderFailedError        a reader died or took too long on one file
    ├── MediaError               one file cannot be turned into samples (has `.stage`)
    │   ├── UnsupportedMediaError    content of a kind that seehear does not read
    │   ├── BrokenMediaError         truncated, corrupt, empty or encrypted content
    │   ├── ContentChangedError      the file has other content than was indexed
    │   └── MediaLimitError          larger or longer than the limits allow
    ├── ModelError               a model cannot be loaded or does not fit
    │   ├── UnknownModelError        no model of that name
    │   ├── ModelUnavailableError    weights are neither bundled, cached nor reachable
    │   ├── ModelIntegrityError      weights differ from their manifest or architecture
    │   └── SpaceMismatchError       vectors of two embedding spaces would mix
    └── StoreError               a collection cannot be opened, read or written
        ├── CollectionClosedError    `close` was called before
        ├── CollectionLockedError    another process is writing
        ├── CollectionReplacedError  its file was deleted or replaced while it was open
        ├── StoreUnreachableError    the database server does not answer
        ├── SchemaVersionError       written by a newer version of seehear
        └── StorageFullError         the disk is full

Every message is one line that says what, where and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path


class SeehearError(Exception):
    """Base of all errors that seehear raises on purpose."""


class UsageError(SeehearError):
    """The request itself makes no sense."""


class UnknownItemError(UsageError):
    """No item of the collection has that id."""


class UnknownFolderError(UsageError):
    """The collection has nothing in a folder.

    `nearest` are folders that may be meant, `indexed` are the roots. The message does not tell
    whether the folder exists: a search never looks at the disk.
    """

    def __init__(
        self, folder: str | Path, nearest: Sequence[Path] = (), indexed: Sequence[Path] = ()
    ) -> None:
        self.folder = folder if isinstance(folder, Path) else Path(folder)
        self.nearest = tuple(nearest)
        self.indexed = tuple(indexed)
        super().__init__(self.told(path_from_here))

    def told(self, named: Callable[[Path], str]) -> str:
        """Return the message, with folder names as `named` gives them."""
        message = f'No folder "{named(self.folder)}".'
        if self.nearest:
            message += f" Did you mean {' or '.join(map(named, self.nearest))}?"
        else:
            message += f" The indexed folders are {', '.join(map(named, self.indexed))}"
        return " ".join(message.split())

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.folder, self.nearest, self.indexed)


def path_from_here(path: Path) -> str:
    """Return the shortest path that can be opened from the current folder; "." tells too little."""
    with suppress(ValueError, OSError):
        here = Path.cwd()
        path = path if path == here else path.relative_to(here)
    return str(path)


class EnvironmentFaultError(SeehearError):
    """A library cannot be loaded, or the machine cannot run it; no file is at fault.

    `library` is the name by which the library is imported, or None if it is not known.
    """

    def __init__(self, reason: str, library: str | None = None) -> None:
        super().__init__(reason)
        self.library = library


class ReaderFailedError(SeehearError):
    """A reader of speech or writing died, hung or failed on one file; the next file is not hit."""


class MediaError(SeehearError):
    """One file cannot be turned into samples.

    `stage` names the step that failed: "open", "probe", "decode" or "encode".
    """

    def __init__(self, reason: str, *, stage: str = "decode") -> None:
        super().__init__(reason)
        self.stage = stage

    def __reduce__(self) -> tuple[object, ...]:
        # Default pickling loses keyword-only arguments, and worker processes send these errors.
        return partial(type(self), stage=self.stage), (str(self),)


class ContentChangedError(MediaError):
    """The file has other content than the one that was indexed."""


class UnsupportedMediaError(MediaError):
    """The content is of a kind that seehear does not read."""


class BrokenMediaError(MediaError):
    """The content is truncated, corrupt, empty or encrypted."""


class MediaLimitError(MediaError):
    """The content is larger or longer than the limits allow."""


class ModelError(SeehearError):
    """A model cannot be loaded or does not fit."""


class UnknownModelError(ModelError):
    """There is no model of that name."""


class ModelUnavailableError(ModelError):
    """The weights are neither bundled, cached nor reachable."""


class ModelIntegrityError(ModelError):
    """The weights differ from their manifest or architecture."""


class SpaceMismatchError(ModelError):
    """Vectors of two different embedding spaces would mix."""


class StoreError(SeehearError):
    """A collection cannot be opened, read or written."""


class CollectionClosedError(StoreError):
    """The collection was closed; open it again."""


class CollectionLockedError(StoreError):
    """Another process is writing to the collection."""


class CollectionReplacedError(StoreError):
    """The collection's file was deleted or replaced while it was open; open it again."""


class StoreUnreachableError(StoreError):
    """The database server does not answer, or has ended the connection."""


class SchemaVersionError(StoreError):
    """The collection was written by a newer version of seehear."""


class StorageFullError(StoreError):
    """The disk that holds the collection is full."""


def one_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type if it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
