"""Read every file again and compare its content with the indexed hash (`verify --hashes`).

An index run trusts size, time and inode. This check does not: it finds files that changed without a
new time stamp, and files that a failing disk has altered.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from seehear.errors import CollectionLockedError, MediaError
from seehear.indexers.progress import Progress, ProgressTracker, Stage
from seehear.indexers.roots import root_state
from seehear.media.hashing import content_hash
from seehear.sources import SourceError, is_remote
from seehear.sources.errors import MISSING
from seehear.stores import RACY_INODE, Catalog, Location

AHEAD = 8
MARK_WAIT_S = 60.0
THREADS = 2
"""Hashing runs at the speed of a disk; more threads would only make a spinning disk seek."""


@dataclass(frozen=True, slots=True)
class FileMismatch:
    """A file that differs from what was indexed at its path."""

    path: Path
    reason: str
    """"changed" (an ordinary change, which the next index run notices), "altered" (other content
    with the same size and time), "missing", or the reason why it cannot be read."""


@dataclass(frozen=True, slots=True)
class RehashReport:
    """The result of reading all files of the roots that are online."""

    files: int
    bytes_read: int
    deviations: tuple[FileMismatch, ...]
    offline: int
    """Files in offline roots, which were not read."""
    marked: bool
    """Whether the next index run will read the altered files again, ignoring their time stamps."""
    interrupted: bool
    seconds: float


def rehash(
    catalog: Catalog,
    *,
    repair: bool = False,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> RehashReport:
    """Compare every file that is online with its indexed content hash.

    With `repair`, files that differ are marked so that the next index run reads them again,
    whatever their time stamp; nothing else is changed. If another process writes for longer than
    `MARK_WAIT_S` seconds at the end, they are not marked, and the report says so. Raises
    EnvironmentFaultError where a root needs a library that is missing.
    """
    tally = ProgressTracker(progress)
    roots = catalog.locations.roots()
    online = {root.id: root_state(catalog, root).reason is None for root in roots}
    locations = [place for root_id in online for place in catalog.locations.in_root(root_id)]
    here = [place for place in locations if online[place.root_id]]
    tally.begin(Stage.VERIFY, len(here), sum(place.size_bytes for place in here))
    deviations: list[FileMismatch] = []
    altered: list[Location] = []
    files = bytes_read = 0
    for location, digest in _hashes(here, stop):
        asset = catalog.assets.get(location.asset_id)
        if asset is None:  # another process has removed it
            tally.done(location.size_bytes)
            continue
        reason = digest if isinstance(digest, MediaError) else None
        if reason is not None:
            gone = not is_remote(location.path) and not os.path.lexists(location.path)
            gone = gone or (isinstance(reason, SourceError) and reason.kind == MISSING)
            deviations.append(FileMismatch(location.path, "missing" if gone else str(reason)))
        elif digest != asset.content_hash:
            deviations.append(FileMismatch(location.path, _how(location)))
            altered.append(location)
        files += 1
        bytes_read += location.size_bytes
        tally.done(location.size_bytes)
        tally.report()
    marked = repair and bool(altered)
    if marked:
        try:
            _mark(catalog, altered)
        except CollectionLockedError:
            marked = False
    tally.enter(Stage.DONE)
    return RehashReport(
        files=files,
        bytes_read=bytes_read,
        deviations=tuple(deviations),
        offline=len(locations) - len(here),
        marked=marked,
        interrupted=stop is not None and stop.is_set(),
        seconds=tally.seconds(),
    )


def _mark(catalog: Catalog, locations: list[Location]) -> None:
    with catalog.write_lock(MARK_WAIT_S), catalog.batch() as batch:
        for location in locations:
            batch.put_location(
                location.root_id,
                location.path,
                location.asset_id,
                location.size_bytes,
                location.modified_ns,
                RACY_INODE,
            )


def _hashes(
    locations: list[Location], stop: threading.Event | None
) -> Iterator[tuple[Location, str | MediaError]]:
    """Yield hashes in order, a few files ahead."""

    def read(location: Location) -> str | MediaError:
        try:
            return content_hash(location.path)
        except MediaError as error:
            return error

    with ThreadPoolExecutor(THREADS, "seehear-hash") as pool:
        ahead: list[tuple[Location, Future[str | MediaError]]] = []
        for place in locations:
            if stop is not None and stop.is_set():
                break
            ahead.append((place, pool.submit(read, place)))
            if len(ahead) >= AHEAD:
                first, future = ahead.pop(0)
                yield first, future.result()
        for first, future in ahead:
            yield first, future.result()


def _how(location: Location) -> str:
    if is_remote(location.path):
        from seehear.sources.remote import state_of

        try:
            mark = state_of(location.path).mark
        except SourceError:
            return "missing"
        return "altered" if mark == location.inode else "changed"
    try:
        status = os.stat(location.path)
    except OSError:
        return "missing"
    same = (status.st_size, status.st_mtime_ns) == (location.size_bytes, location.modified_ns)
    return "altered" if same else "changed"
