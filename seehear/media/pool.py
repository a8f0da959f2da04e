"""Decoding many files in worker processes, in order, with bounded look-ahead.

    for file in decode_all(tasks, spec, settings, wanted=lambda digest: digest not in known):
        if file.skipped:                 # its content is known: nothing was decoded
            ...
        try:
            for segment, sample in file:     # streams; an hour-long file never lies here whole
                ...
        except MediaError as error:          # this file only; the next one is unharmed
            ...

A worker is a Python process that imports seehear.media and nothing heavier, under memory and time
limits. One that dies or hangs is replaced, and its file fails with MediaError(stage="decode").
What workers send is read as plain records and never unpickled, since a decoder that a hostile
file has taken over must not reach further than its own process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seehear.config import Settings
from seehear.errors import MediaError
from seehear.types import MediaInfo, Sample, SampleSpec, Segment

if TYPE_CHECKING:
    import threading


@dataclass(frozen=True, slots=True)
class DecodeTask:
    """One file to decode. `tag` is the caller's own and comes back untouched."""

    path: Path
    tag: object = None


@dataclass(slots=True)
class DecodedFile:
    """One file as it comes out of the pool; iterate it once, for its (Segment, Sample) pairs.

    Iterating raises MediaError, at once (`error` is then set beforehand) or after some pairs
    (a file that breaks halfway): drop what came before. A file that changed while it was read
    raises too, with `changed` set: worth another try.
    """

    task: DecodeTask
    content_hash: str | None = None
    """BLAKE2b-256 of the content, hex; None where the file could not be opened."""
    size_bytes: int = 0
    modified_ns: int = 0
    inode: int = 0
    info: MediaInfo | None = None
    """None where the file failed before it was recognised, or was skipped."""
    skipped: bool = False
    """True where `wanted` declined its content."""
    changed: bool = False
    error: MediaError | None = None

    @property
    def path(self) -> Path:
        return self.task.path

    def __iter__(self) -> Iterator[tuple[Segment, Sample]]:
        raise NotImplementedError


def decode_all(
    tasks: Iterable[DecodeTask | Path],
    spec: SampleSpec,
    settings: Settings | None = None,
    *,
    wanted: Callable[[str], bool] | None = None,
    stop: threading.Event | None = None,
) -> Iterator[DecodedFile]:
    """Decode files in worker processes and yield them in the order of `tasks`.

    `tasks` is read lazily, a few files ahead. Take a file's pairs before the next file; what is
    left of it is dropped otherwise. `wanted` gets the content hash and decides whether the content
    is decoded at all; it is called from another thread, in no particular order. `stop`, once set,
    ends the iteration after the current pair. Closing the iterator ends the workers.
    """
    raise NotImplementedError
