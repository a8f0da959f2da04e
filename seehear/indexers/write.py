"""Write results to the catalog: one transaction per batch, in one thread.

A transaction contains everything of its assets: asset, segments, vectors, locations. A process
killed at any instant leaves complete assets or none, and the next run does the rest.

Counts are increased after a transaction is committed: a report states what is in the catalog.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from seehear import media
from seehear.errors import StoreError
from seehear.indexers.bounded_queue import BoundedQueue
from seehear.indexers.dedup import HashedFile, IndexFailure, InFlightContents
from seehear.indexers.diff import ALWAYS_RETRY_NS, is_as_before
from seehear.indexers.encode import PendingAsset
from seehear.indexers.missing import MoveMatcher
from seehear.indexers.progress import FailedFile, ProgressTracker
from seehear.indexers.work_queue import Work
from seehear.stores import Batch, Catalog, Generation, NewContent, NewLocation

COMMIT_FILES = 256
COMMIT_S = 1.0
"""A commit waits for the disk (5 to 30 ms on a spinning one), so it should hold a second's work;
more would be lost if the process is killed."""


@dataclass(frozen=True, slots=True)
class AssetEncoded:
    """A content whose vectors are complete."""

    draft: PendingAsset


@dataclass(frozen=True, slots=True)
class ContentKnown:
    """A file whose content is already in the catalog."""

    content_hash: str
    copy: HashedFile


@dataclass(frozen=True, slots=True)
class FileFailed:
    """A file that cannot be indexed."""

    work: Work
    refusal: IndexFailure


@dataclass(frozen=True, slots=True)
class FileSkipped:
    """A file of a kind that is not read."""

    work: Work


WriteMessage = AssetEncoded | ContentKnown | FileFailed | FileSkipped


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
        vanished: MoveMatcher,
        failing: Collection[str],
    ) -> None:
        self._catalog, self._generation, self._inbox = catalog, generation, inbox
        self._claims, self._tally = claims, tally
        self._vanished = vanished
        self._failing = failing
        self._after_commit: list[Callable[[], None]] = []

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
            self._write_encoded(batch, [r for r in results if isinstance(r, AssetEncoded)])
            self._write_known(batch, [r for r in results if isinstance(r, ContentKnown)])
            for result in results:
                if isinstance(result, FileFailed):
                    self._write_failed(batch, result)
                elif isinstance(result, FileSkipped):
                    self._write_skipped(batch, result)
        for note in self._after_commit:
            note()

    def _write_encoded(self, batch: Batch, results: list[AssetEncoded]) -> None:
        contents: list[NewContent] = []
        copies: list[list[HashedFile]] = []
        for draft in (result.draft for result in results):
            segments, vectors = draft.encoded()
            size_bytes = draft.copy.stamp.size_bytes
            contents.append(
                NewContent(draft.content_hash, size_bytes, draft.info, segments, vectors)
            )
            copies.append([draft.copy, *self._claims.complete(draft.content_hash)])
            self._later("encoded")
            self._later("segments", len(segments))
            self._later("bytes_read", size_bytes)
        locations = [[_new_location(copy) for copy in group] for group in copies]
        if contents:
            ids = batch.put_contents(self._generation.id, contents, locations)
            for asset_id, group in zip(ids, copies, strict=True):
                self._located(batch, asset_id, group)

    def _write_known(self, batch: Batch, results: list[ContentKnown]) -> None:
        ids = batch.asset_ids([result.content_hash for result in results])
        lost = [r.copy.work.file.path for r in results if r.content_hash not in ids]
        if lost:
            raise StoreError(f"the catalog lost the content of {lost[0]}; run the command again")
        batch.put_locations([(ids[r.content_hash], _new_location(r.copy)) for r in results])
        for result in results:
            self._located(batch, ids[result.content_hash], [result.copy])

    def _located(self, batch: Batch, asset_id: int, copies: list[HashedFile]) -> None:
        for copy in copies:
            self._clear_failure(batch, copy.work)
            self._later(self._class(batch, copy.work, asset_id))
            self._done(copy.work)

    def _class(self, batch: Batch, work: Work, asset_id: int) -> str:
        if work.before is not None:
            return "unchanged" if work.before.asset_id == asset_id else "updated"
        gone = self._vanished.take(asset_id)
        if gone is None:
            return "added"
        batch.remove_location(gone)
        return "moved"

    def _write_failed(self, batch: Batch, result: FileFailed) -> None:
        work, refusal = result.work, result.refusal
        path, file = Path(work.file.path), work.file
        modified_ns = file.modified_ns if refusal.permanent else ALWAYS_RETRY_NS
        batch.put_failure(
            work.root_id, path, refusal.stage, refusal.reason, file.size_bytes, modified_ns
        )
        if refusal.permanent and work.before is not None and not is_as_before(file, work.before):
            # The location's content is gone. (An unchanged file is read again for another model,
            # and
            # may fail by accident: its location stays.)
            batch.remove_location(work.before.id)
        failure = FailedFile(path, refusal.stage, refusal.reason)
        self._after_commit.append(lambda: self._tally.fail(failure))
        self._done(work)

    def _write_skipped(self, batch: Batch, result: FileSkipped) -> None:
        if result.work.before is not None:
            batch.remove_location(result.work.before.id)
        self._clear_failure(batch, result.work)
        suffix = media.suffix_label(result.work.file.path)
        self._after_commit.append(lambda: self._tally.skip(result.work.root_id, suffix))
        self._done(result.work)

    def _clear_failure(self, batch: Batch, work: Work) -> None:
        if work.file.path in self._failing:
            batch.clear_failure(work.root_id, Path(work.file.path))

    def _later(self, name: str, by: int = 1) -> None:
        self._after_commit.append(lambda: self._tally.count(name, by))

    def _done(self, work: Work) -> None:
        self._after_commit.append(lambda: self._tally.done(work.file.size_bytes))


def _new_location(copy: HashedFile) -> NewLocation:
    stamp = copy.stamp
    path = Path(copy.work.file.path)
    return NewLocation(copy.work.root_id, path, stamp.size_bytes, stamp.modified_ns, stamp.inode)
