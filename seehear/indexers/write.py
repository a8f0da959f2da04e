"""Write results to the catalog: one transaction per batch, in one thread.

A transaction contains everything of its assets: asset, segments, vectors, locations. A process
killed at any instant leaves complete assets or none, and the next run does the rest.

Counts are increased after a transaction is committed: a report states what is in the catalog.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seehear import media
from seehear.errors import StoreError
from seehear.indexers.dedup import IndexFailure, InFlightContents
from seehear.indexers.progress import FailedFile, ProgressTracker
from seehear.indexers.stages import BoundedQueue
from seehear.indexers.survey import ALWAYS_RETRY_NS
from seehear.stores import (
    STATES,
    Batch,
    Catalog,
    FileTask,
    Generation,
    NewContent,
    Remark,
    ScanTable,
)

COMMIT_FILES = 256
COMMIT_S = 1.0
"""A commit waits for the disk (5 to 30 ms on a spinning one), so it should hold a second's work;
more would be lost if the process is killed."""


@dataclass(frozen=True, slots=True)
class FileEncoded:
    """A file with all vectors of its content."""

    content: NewContent
    file: FileTask


@dataclass(frozen=True, slots=True)
class ContentKnown:
    """A file whose content is already in the catalog."""

    content_hash: str
    file: FileTask


@dataclass(frozen=True, slots=True)
class FileFailed:
    """A file that cannot be indexed."""

    file: FileTask
    refusal: IndexFailure


@dataclass(frozen=True, slots=True)
class FileSkipped:
    """A file of a kind that is not read."""

    file: FileTask


WriteMessage = FileEncoded | ContentKnown | FileFailed | FileSkipped


def follow(
    digest: str, file: FileTask, claims: InFlightContents, results: BoundedQueue[WriteMessage]
) -> None:
    """Write a file with the content that another file has claimed, or that is known."""
    answer = claims.attach(digest, file)
    if isinstance(answer, IndexFailure):
        results.put(FileFailed(file, answer))
    elif not answer:
        results.put(ContentKnown(digest, file))


class WriteStage:
    """Take results from `inbox` until it ends, and write them; runs in one thread."""

    def __init__(
        self,
        catalog: Catalog,
        generation: Generation,
        *,
        claims: InFlightContents,
        tally: ProgressTracker,
        inbox: BoundedQueue[WriteMessage],
        table: ScanTable,
    ) -> None:
        self._catalog, self._generation, self._inbox = catalog, generation, inbox
        self._claims, self._tally = claims, tally
        self._table = table
        self._after_commit: list[Callable[[], None]] = []
        self.relocated: set[int] = set()
        """Assets of known content that got a new path."""

    def run(self) -> None:
        results: list[WriteMessage] = []
        since = 0.0
        while True:
            timeout_s = max(0.0, since + COMMIT_S - time.monotonic()) if results else None
            result = self._inbox.get(timeout_s)
            if result is not None:
                since = since if results else time.monotonic()
                results.append(result)
            ended = result is None and self._inbox.ended
            due = len(results) >= COMMIT_FILES or time.monotonic() - since >= COMMIT_S
            if results and (ended or due):
                self._commit(results)
                results = []
            if ended:
                return

    def _commit(self, results: list[WriteMessage]) -> None:
        self._after_commit.clear()
        with self._catalog.batch() as batch:
            self._write_encoded(batch, [r for r in results if isinstance(r, FileEncoded)])
            self._write_known(batch, [r for r in results if isinstance(r, ContentKnown)])
            for result in results:
                if isinstance(result, FileFailed):
                    self._write_failed(batch, result)
                elif isinstance(result, FileSkipped):
                    self._write_skipped(batch, result)
        for note in self._after_commit:
            note()

    def _write_encoded(self, batch: Batch, results: list[FileEncoded]) -> None:
        contents = [result.content for result in results]
        files = [
            [result.file, *self._claims.complete(result.content.content_hash)] for result in results
        ]
        for content in contents:
            self._later("encoded")
            self._later("segments", len(content.segments))
            self._later("bytes_read", content.size_bytes)
        if contents:
            ids = batch.put_contents(self._generation.id, contents, files)
            pairs = zip(ids, files, strict=True)
            self._located(batch, [(id_, file) for id_, group in pairs for file in group])

    def _write_known(self, batch: Batch, results: list[ContentKnown]) -> None:
        ids = batch.asset_ids([result.content_hash for result in results])
        lost = [r.file.path for r in results if r.content_hash not in ids]
        if lost:
            raise StoreError(f"the catalog lost the content of {lost[0]}; run the command again")
        located = [(ids[result.content_hash], result.file) for result in results]
        batch.put_locations(located)
        self.relocated.update(id_ for id_, file in located if file.asset_id != id_)
        self._located(batch, located)

    def _located(self, batch: Batch, located: Sequence[tuple[int, FileTask]]) -> None:
        """Count files that are written, and remove the locations that they were moved from."""
        new = [asset_id for asset_id, file in located if file.location_id is None]
        moved_from = iter(self._table.take_moved(new))
        remarks = batch.remarks(self._generation.id, [asset_id for asset_id, _ in located])
        for asset_id, file in located:
            if file.location_id is not None:
                name = "unchanged" if file.asset_id == asset_id else "updated"
            elif (gone := next(moved_from)) is not None:
                batch.remove_location(gone)
                name = "moved"
            else:
                name = "added"
            if name != "unchanged":
                self._later("changed")
            if asset_id in remarks:
                remark, reason = remarks[asset_id]
                self._remark(batch, file, remark, reason)
                name = STATES[remark].value
            elif file.failed_before:
                batch.clear_failure(file.path)
            self._later(name)
            self._done(file)

    def _write_failed(self, batch: Batch, result: FileFailed) -> None:
        file, refusal = result.file, result.refusal
        modified_ns = file.modified_ns if refusal.permanent else ALWAYS_RETRY_NS
        batch.put_failure(
            file.root_id, file.path, refusal.stage, refusal.reason, file.size_bytes, modified_ns
        )
        if refusal.permanent and file.location_id is not None and not file.intact:
            # The location's content is gone. (An unchanged file is read again for another model,
            # and may fail by accident: its location stays.)
            batch.remove_location(file.location_id)
        failure = FailedFile(file.path, refusal.stage, refusal.reason)
        self._after_commit.append(lambda: self._tally.fail(failure))
        self._done(file)

    def _write_skipped(self, batch: Batch, result: FileSkipped) -> None:
        file = result.file
        if file.location_id is not None:
            batch.remove_location(file.location_id)
        self._remark(batch, file, Remark.KIND, media.suffix_label(str(file.path)))
        self._done(file)

    def _remark(self, batch: Batch, file: FileTask, remark: Remark, reason: str) -> None:
        batch.put_failure(
            file.root_id, file.path, remark, reason, file.size_bytes, file.modified_ns
        )

    def _later(self, name: str, by: int = 1) -> None:
        self._after_commit.append(lambda: self._tally.count(name, by))

    def _done(self, file: FileTask) -> None:
        self._after_commit.append(lambda: self._tally.done(file.size_bytes))
