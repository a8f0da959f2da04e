"""Compare the files that exist now with the known locations: decide what is to be done.

    file now, location before                              class
    ------------------------------------------------------ -----------------
    same size, mtime and inode                             unchanged
    same, but the generation lacks the asset               work (encode again)
    anything else differs, or the inode is RACY_INODE      work (hash decides)
    no location, a failure with the same size and mtime    failed before
    no location                                            work (new)
    no file, and the scan knows that it is gone            vanished

Whether work is an addition, an update, a move or no change at all is known only when the content is
hashed. A changed inode alone counts as a difference, too: two recordings of equal length that swap
names keep their size and, after a copy, the time.

Time stamps have a granularity (4 ms on ext4, 2 s on FAT), so a file that changes right after it was
read can look unchanged. Like git, seehear does not trust a file that was modified within
`MTIME_GRANULARITY_NS` of being read: its location is stored with the inode `RACY_INODE`, and the
next run hashes the file once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seehear.indexers.scan import ScannedFile
from seehear.indexers.work_queue import Work, WorkQueue

if TYPE_CHECKING:
    from seehear.indexers.missing import MissingLocations, SizeSet
    from seehear.stores import Failure, KnownFile

MTIME_GRANULARITY_NS = 2_000_000_000
"""The coarsest time stamp in use, that of FAT."""

RACY_INODE = 0
"""An inode number that no file has."""

ALWAYS_RETRY_NS = -1
"""Time stamp of a failure that is not caused by the content, such as a missing permission. No file
has this time stamp, so the next run tries again."""


@dataclass(slots=True)
class Diff:
    """What is to be done, summed over the roots of a run.

    Work and vanished locations may be as many as the files of the collection, so both are kept
    as bytes, not as objects.
    """

    work: WorkQueue
    vanished: MissingLocations
    failed_before: list[Failure] = field(default_factory=list)
    cured: list[tuple[int, str]] = field(default_factory=list)
    """(root, path) of remembered failures whose file is gone."""
    failing: set[str] = field(default_factory=set)
    """Paths that failed in an earlier run, including paths in this run's work."""
    unchanged: int = 0


def compare(
    files: Iterable[ScannedFile],
    root_id: int,
    known: Mapping[str, KnownFile],
    failures: Mapping[str, Failure],
    *,
    retry_failed: bool = False,
) -> Iterator[tuple[ScannedFile, Work | Failure | None]]:
    """Classify files one by one: Work, an earlier Failure, or None for unchanged."""
    for file in files:
        before = known.get(file.path)
        failure = failures.get(file.path)
        if failure is not None and not retry_failed and _same_failure(file, failure):
            yield file, failure
        elif before is not None and before.encoded and is_as_before(file, before):
            yield file, None
        else:
            yield file, Work(file, root_id, before)


def is_as_before(file: ScannedFile, before: KnownFile) -> bool:
    """Tell whether size, time and inode match, so that the location is still valid."""
    return (
        file.size_bytes == before.size_bytes
        and file.modified_ns == before.modified_ns
        and file.inode == before.inode != RACY_INODE
    )


def _same_failure(file: ScannedFile, failure: Failure) -> bool:
    return file.size_bytes == failure.size_bytes and file.modified_ns == failure.modified_ns


def moves_first(work: Iterable[Work], sizes: SizeSet) -> Iterator[Work]:
    """Yield work that may be a move, by size, before the rest; otherwise in the order given.

    `sizes` are the sizes of locations whose content disappears. A file of the same size may have
    that content, and hashing it early lets hits follow a renamed file at once. Iterates twice over
    `work`.
    """
    if len(sizes):
        yield from (item for item in work if item.file.size_bytes in sizes)
    yield from (item for item in work if item.file.size_bytes not in sizes)
