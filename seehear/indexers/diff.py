"""Files that are there now against files that were there: what is to be done.

    file now, location before                              class
    ------------------------------------------------------ -----------------
    same size, mtime and inode                             unchanged
    same, but the generation lacks the asset               work (encode again)
    anything else differs, or the inode is in doubt        work (hash decides)
    no location, a failure with the same size and mtime    failed before
    no location                                            work (new)
    no file, and the scan knows that it is gone            vanished

Whether work turns out to be an addition, an update, a move or nothing at all is known only when
the content is hashed. A changed inode alone is a doubt too: two recordings of equal length that
swap their names keep size and, after a copy, the time.

A time stamp has a grain (4 ms on ext4, 2 s on FAT), so a file that changes right after it was read
can look as if it had not. Like git, seehear does not trust a file that was touched within
`GRAIN_NS` of being read: its location is stored with the inode `IN_DOUBT`, and the next run hashes
it once more.
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
"""An inode that no file has."""

ALWAYS_RETRY_NS = -1
"""Time stamp of a failure that says nothing about the file, such as a missing permission: no file
has it, so the next run tries again."""


@dataclass(slots=True)
class Diff:
    """What is to be done, summed over the roots of a run.

    Work and what vanished may be as many as the collection has files, and are kept as bytes.
    """

    work: WorkQueue
    vanished: MissingLocations
    failed_before: list[Failure] = field(default_factory=list)
    cured: list[tuple[int, str]] = field(default_factory=list)
    """(root, path) of remembered failures whose file is gone."""
    failing: set[str] = field(default_factory=set)
    """Paths that failed in an earlier run, this run's work among them."""
    unchanged: int = 0


def compare(
    files: Iterable[ScannedFile],
    root_id: int,
    known: Mapping[str, KnownFile],
    failures: Mapping[str, Failure],
    *,
    retry_failed: bool = False,
) -> Iterator[tuple[ScannedFile, Work | Failure | None]]:
    """Classify files one by one: work, a failure of before, or None for unchanged."""
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
    """Whether size, time and inode say that a file still holds what the location says."""
    return (
        file.size_bytes == before.size_bytes
        and file.modified_ns == before.modified_ns
        and file.inode == before.inode != RACY_INODE
    )


def _same_failure(file: ScannedFile, failure: Failure) -> bool:
    return file.size_bytes == failure.size_bytes and file.modified_ns == failure.modified_ns


def moves_first(work: Iterable[Work], sizes: SizeSet) -> Iterator[Work]:
    """Work that may be a move, by size, before the rest; otherwise in the order given.

    `sizes` are those of locations whose content goes away. A file of the same size may hold it,
    and hashing it early lets hits follow a renamed file at once. `work` is gone through twice.
    """
    if len(sizes):
        yield from (item for item in work if item.file.size_bytes in sizes)
    yield from (item for item in work if item.file.size_bytes not in sizes)
