"""Bring a collection up to date with folders: the whole run, from paths to a report.

    paths ─► targets ─► scan ─► diff ─┬─► locations that vanished for good are removed
                                      └─► work ─► decode ═► encode ═► write ─► clean up ─► promote
                                                  processes  thread    thread

The three stages on the right overlap, connected by queues of bounded size. The thread that called
`index` reports progress and waits; the first error of any stage ends all of them.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from seehear import media
from seehear.config import Settings
from seehear.encoders import Model
from seehear.indexers.bounded_queue import BoundedQueue
from seehear.indexers.decode import DecodeStage
from seehear.indexers.dedup import InFlightContents
from seehear.indexers.diff import ALWAYS_RETRY_NS, Diff, moves_first
from seehear.indexers.encode import DecodeMessage, EncodeStage
from seehear.indexers.generation import generation_for
from seehear.indexers.ignore import PathPatterns
from seehear.indexers.missing import MissingLocations, SizeSet
from seehear.indexers.progress import (
    FailedFile,
    IndexReport,
    Progress,
    ProgressTracker,
    Stage,
    most_common,
)
from seehear.indexers.roots import resolve
from seehear.indexers.stages import StopEvent, run_stages
from seehear.indexers.survey import Survey, Surveyor
from seehear.indexers.work_queue import WorkQueue
from seehear.indexers.write import WriteMessage, WriteStage
from seehear.libraries import require
from seehear.stores import Catalog, Generation
from seehear.types import Ids, Modality

CHANNEL_BYTES = 64 << 20
"""Decoded samples that wait for the encoder: about ten batches of images, or one of windows of
sound; enough that short delays of one side do not stop the other."""

CHANNEL_RESULTS = 1024
REMOVE_AT_ONCE = 1000
"""Removals in one transaction: readers never wait long, and a killed process loses little."""

NAMES_LOOKED_AT = 10_000
"""Number of file names looked at to guess which encoders to load first."""

LOOKED_AT_ONCE = 1000
"""Assets missing from a generation whose locations are in memory at a time."""


def index(
    catalog: Catalog,
    model: Model,
    paths: Sequence[str | Path],
    settings: Settings | None = None,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    retry_failed: bool = False,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    wait_s: float = 0.0,
    calibrate: Callable[[], Mapping[str, bytes]] | None = None,
) -> IndexReport:
    """Index folders and files; when run again, process only what has changed since.

    Without `paths`, all roots of the collection are indexed. `include` and `exclude` are gitignore
    patterns that limit what this run looks at; what they leave out stays as it is. `progress` is
    called in this thread, about ten times a second. Setting `stop`, or Ctrl-C, ends the run
    early: what is committed stays, and the report says `interrupted`. `wait_s` is how long to
    wait for another run on the same collection. `calibrate` returns what the generation in use
    needs to score searches, by name; a run that was not stopped stores it as its last stage.

    A model other than the serving one fills its own generation, from all roots, and takes over
    when the generation is complete.

    Raises UsageError for a path that does not exist or an invalid pattern,
    CollectionLockedError while another run writes, StorageFullError where the disk is full,
    ModelError where the model cannot encode anything, and EnvironmentFaultError where a library
    cannot be loaded; no file is recorded as failed for any of these. Files that fail are in the
    report.
    """
    tally = ProgressTracker(progress)
    run = _Run(catalog, model, settings or Settings(), tally, StopEvent(stop))
    patterns = PathPatterns(include, exclude)
    with catalog.write_lock(wait_s):
        report = run.all(paths, patterns, retry_failed=retry_failed)
        if calibrate is not None and not report.interrupted:
            tally.enter(Stage.PREPARE)
            serving = catalog.serving()
            if serving is not None:
                catalog.put_calibrations(serving.id, calibrate())
    tally.enter(Stage.DONE)
    return report


@dataclass(slots=True)
class _Run:
    catalog: Catalog
    model: Model
    settings: Settings
    tally: ProgressTracker
    halt: StopEvent

    def all(
        self, paths: Sequence[str | Path], patterns: PathPatterns, *, retry_failed: bool
    ) -> IndexReport:
        targets = resolve(self.catalog, paths, self.catalog.add_root)
        generation = generation_for(self.catalog, self.model)
        builds = generation.state != "serving"
        if builds:
            # To take over, a generation needs all files that the serving one has.
            targets = resolve(self.catalog, (), None)
        with closing(WorkQueue(self.catalog.folder)) as work:
            found, promoted = Survey(Diff(work, MissingLocations())), False
            surveyor = Surveyor(
                self.catalog,
                generation,
                patterns,
                self.tally,
                self._tick,
                found,
                retry_failed,
                self.settings.follow_links,
            )
            try:
                self.tally.begin(Stage.SCAN)
                surveyor.run(targets)
                if not self._tick():
                    left = self._work(generation, found.diff)
                if not self._tick():
                    self.tally.enter(Stage.CLEAN)
                    self._clean(found, left)
                    promoted = builds and self._promote(generation)
            except KeyboardInterrupt:
                self.halt.set()
        return self._report(generation, found, promoted=promoted)

    def _tick(self) -> bool:
        """Report progress and tell whether to stop."""
        self.tally.report()
        return self.halt.is_set()

    def _work(self, generation: Generation, diff: Diff) -> Ids:
        """Decode, encode and write; return the ids of vanished locations still to remove."""
        if len(diff.work):
            require("faiss")  # fails now, not when the collection has grown to need it
        perhaps_moved, gone = diff.vanished, MissingLocations()
        if diff.vanished:
            # A vanished file whose size no new file has was not moved: remove it from results now.
            sizes = SizeSet(item.file.size_bytes for item in diff.work)
            perhaps_moved, gone = diff.vanished.split(sizes)
        self._remove(gone.ids())
        vanished = perhaps_moved.by_asset()
        self.tally.begin(Stage.ENCODE, len(diff.work), diff.work.size_bytes)
        if not diff.work:
            return vanished.left()
        replaced = (item.before.size_bytes for item in diff.work if item.before is not None)
        work = moves_first(diff.work, SizeSet(chain(perhaps_moved.sizes, replaced)))
        samples: BoundedQueue[DecodeMessage] = BoundedQueue(CHANNEL_BYTES)
        results: BoundedQueue[WriteMessage] = BoundedQueue(CHANNEL_RESULTS)
        claims = InFlightContents(lambda digest: self._is_encoded(generation, digest))
        decoder = DecodeStage(
            work,
            self.model,
            self.settings,
            claims=claims,
            tally=self.tally,
            samples=samples,
            results=results,
            roots={root.id: str(root.path) for root in self.catalog.roots()},
            stop=self.halt,
        )
        encoder = EncodeStage(
            self.model,
            self.settings.batch_size,
            samples,
            decoder.encoded,
            decoder.refused,
            _expected(diff.work, self.model),
        )
        writer = WriteStage(
            self.catalog,
            generation,
            claims=claims,
            tally=self.tally,
            inbox=results,
            vanished=vanished,
            failing=diff.failing,
        )

        def decode() -> None:
            decoder.run()
            samples.close()

        def encode() -> None:
            encoder.run()
            results.close()

        stages = {"decode": decode, "encode": encode, "write": writer.run}
        run_stages(stages, (samples, results), self.halt, self._tick)
        return vanished.left()

    def _is_encoded(self, generation: Generation, digest: str) -> bool:
        asset = self.catalog.find_asset(digest)
        return asset is not None and self.catalog.is_encoded(generation.id, asset.id)

    def _clean(self, found: Survey, left: Ids) -> None:
        """Remove locations that vanished and did not move, and assets without any location."""
        self._remove(left)
        with self.catalog.batch() as batch:
            for root_id, path in found.diff.cured:
                batch.clear_failure(root_id, Path(path))
            batch.remove_orphans()
            for root_id in found.root_ids:
                batch.set_sidecars(root_id)
            for root_id in found.whole_root_ids:
                counted = self.tally.unsupported.get(root_id, Counter())
                batch.set_unsupported(root_id, most_common(counted))

    def _remove(self, locations: Ids) -> None:
        for start in range(0, len(locations), REMOVE_AT_ONCE):
            chunk = locations[start : start + REMOVE_AT_ONCE]
            with self.catalog.batch() as batch:
                for id_ in chunk:
                    batch.remove_location(int(id_))
                batch.remove_orphans()
            self.tally.count("removed", len(chunk))

    def _promote(self, generation: Generation) -> bool:
        """Let a generation take over, unless it lacks an asset that it may still get.

        It waits for files that could not be opened or encoded this time, that patterns left out
        or that are in a folder that could not be listed. It does not wait for content that failed
        permanently: that would never end.
        """
        lacking = self.catalog.unencoded(generation.id)
        if lacking:
            hopeless = {f.path for f in self.catalog.failures() if f.modified_ns != ALWAYS_RETRY_NS}
            for start in range(0, len(lacking), LOOKED_AT_ONCE):
                chunk = lacking[start : start + LOOKED_AT_ONCE]
                for paths in self.catalog.paths_of(chunk).values():
                    if not hopeless.intersection(paths):
                        return False
        self.catalog.promote(generation.id)
        return True

    def _report(self, generation: Generation, found: Survey, *, promoted: bool) -> IndexReport:
        counts, notes = self.tally.counts, list(found.notes)
        remembered = [
            FailedFile(failure.path, failure.stage, failure.reason, remembered=True)
            for failure in found.diff.failed_before
        ]
        serving = self.catalog.serving()
        pending = 0
        if serving is None or serving.id != generation.id:
            pending = len(list(self.catalog.unencoded(generation.id)))
            notes.append(
                f"{generation.model} is not in use yet: {pending} files are still to be encoded. "
                "Run the same command again to continue"
            )
        return IndexReport(
            added=counts["added"],
            updated=counts["updated"],
            moved=counts["moved"],
            removed=counts["removed"],
            unchanged=counts["unchanged"] + found.diff.unchanged,
            failed=counts["failed"] + len(remembered),
            skipped=counts["skipped"],
            unsupported=most_common(sum(self.tally.unsupported.values(), Counter())),
            encoded=counts["encoded"],
            segments=counts["segments"],
            bytes_read=counts["bytes_read"],
            failures=(*self.tally.failures, *remembered),
            offline=tuple(found.offline),
            notes=tuple(notes),
            interrupted=self.halt.is_set(),
            promoted=promoted,
            generation_id=generation.id,
            pending=pending,
            seconds=self.tally.seconds(),
        )


def _expected(work: WorkQueue, model: Model) -> list[Modality]:
    """Guess the modalities of the work from its file names, limited to those of the model."""
    suffixes = {os.path.splitext(one.file.path)[1].lower() for one in islice(work, NAMES_LOOKED_AT)}
    return [
        modality
        for modality in Modality
        if model.spaces_of(modality) and not suffixes.isdisjoint(media.SUFFIXES[modality])
    ]
