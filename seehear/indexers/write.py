"""What is done -> the catalog: one transaction per batch, in one thread.

A transaction holds everything of the assets in it: asset, segments, vectors, locations. A process
killed at any instant leaves whole assets or none, and the next run does the rest.

Counts go up when a transaction is committed, never before: a report tells what is in the catalog.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from seehear import media
from seehear.errors import StoreError
from seehear.indexers.channel import Channel
from seehear.indexers.claims import Claims, Copy, Refusal
from seehear.indexers.diff import NEVER_NS, Work, is_as_before
from seehear.indexers.encode import Draft
from seehear.indexers.leaving import Departures
from seehear.indexers.report import FailedFile, Tally
from seehear.stores import Batch, Catalog, Content, Generation, Place

COMMIT_FILES = 256
COMMIT_S = 1.0
"""A commit waits for the disk (5 to 30 ms on one that turns), so it is worth a second's work; more
would be lost to a kill."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A content whose vectors are complete."""

    draft: Draft


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose content the catalog has."""

    content_hash: str
    copy: Copy


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that cannot be indexed."""

    work: Work
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file of a kind that is not read."""

    work: Work


Result = Encoded | Known | Failed | Skipped


class WriteStage:
    """Takes results from `inbox` until it ends; runs in one thread."""

    def __init__(
        self,
        catalog: Catalog,
        generation: Generation,
        *,
        claims: Claims,
        tally: Tally,
        inbox: Channel[Result],
        vanished: Departures,
        failing: Collection[str],
    ) -> None:
        self._catalog, self._generation, self._inbox = catalog, generation, inbox
        self._claims, self._tally = claims, tally
        self._vanished = vanished
        self._failing = failing
        self._after_commit: list[Callable[[], None]] = []
        self.busy_s = 0.0

    def run(self) -> None:
        results: list[Result] = []
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

    def _commit(self, results: list[Result]) -> None:
        started = time.monotonic()
        self._after_commit.clear()
        with self._catalog.batch() as batch:
            self._write_encoded(batch, [r for r in results if isinstance(r, Encoded)])
            self._write_known(batch, [r for r in results if isinstance(r, Known)])
            for result in results:
                if isinstance(result, Failed):
                    self._write_failed(batch, result)
                elif isinstance(result, Skipped):
                    self._write_skipped(batch, result)
        for note in self._after_commit:
            note()
        self.busy_s += time.monotonic() - started

    def _write_encoded(self, batch: Batch, results: list[Encoded]) -> None:
        contents: list[Content] = []
        copies: list[list[Copy]] = []
        for draft in (result.draft for result in results):
            segments, vectors = draft.encoded()
            size_bytes = draft.copy.stamp.size_bytes
            contents.append(Content(draft.content_hash, size_bytes, draft.info, segments, vectors))
            copies.append([draft.copy, *self._claims.written(draft.content_hash)])
            self._later("encoded")
            self._later("segments", len(segments))
            self._later("bytes_read", size_bytes)
        places = [[_place(copy) for copy in group] for group in copies]
        if contents:
            ids = batch.put_contents(self._generation.id, contents, places)
            for asset_id, group in zip(ids, copies, strict=True):
                self._located(batch, asset_id, group)

    def _write_known(self, batch: Batch, results: list[Known]) -> None:
        ids = batch.asset_ids([result.content_hash for result in results])
        lost = [r.copy.work.file.path for r in results if r.content_hash not in ids]
        if lost:
            raise StoreError(f"the catalog lost the content of {lost[0]}; run the command again")
        batch.put_places([(ids[r.content_hash], _place(r.copy)) for r in results])
        for result in results:
            self._located(batch, ids[result.content_hash], [result.copy])

    def _located(self, batch: Batch, asset_id: int, copies: list[Copy]) -> None:
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

    def _write_failed(self, batch: Batch, result: Failed) -> None:
        work, refusal = result.work, result.refusal
        path, file = Path(work.file.path), work.file
        modified_ns = file.modified_ns if refusal.lasting else NEVER_NS
        batch.put_failure(
            work.root_id, path, refusal.stage, refusal.reason, file.size_bytes, modified_ns
        )
        if refusal.lasting and work.before is not None and not is_as_before(file, work.before):
            # The content that the location stands for is not there any more. (An unchanged file
            # is read again for another model, and may fail by accident: it stays as it was.)
            batch.remove_location(work.before.id)
        failure = FailedFile(path, refusal.stage, refusal.reason)
        self._after_commit.append(lambda: self._tally.fail(failure))
        self._done(work)

    def _write_skipped(self, batch: Batch, result: Skipped) -> None:
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


def _place(copy: Copy) -> Place:
    stamp = copy.stamp
    path = Path(copy.work.file.path)
    return Place(copy.work.root_id, path, stamp.size_bytes, stamp.modified_ns, stamp.inode)
