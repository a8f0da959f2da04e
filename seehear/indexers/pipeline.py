"""Bring a collection up to date with folders: the whole run, from paths to a report.

    paths ─► targets ─► scan ─► diff ─┬─► locations that vanished for good are removed
                                      └─► work ─► decode ═► encode ═► write ─► clean up ─► promote
                                                  processes  thread    thread

The three stages on the right overlap, connected by queues of bounded size. The thread that called
`index` reports progress and waits; the first error of any stage ends all of them.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from seehear import media
from seehear.config import Settings
from seehear.encoders import Model
from seehear.errors import UsageError
from seehear.indexers.backfill import mark_unchanged, needs_fingerprint
from seehear.indexers.dedup import InFlightContents
from seehear.indexers.descriptions import assets_beside, describe_again
from seehear.indexers.encoding import CHANNEL_RESULTS, encode_stages
from seehear.indexers.generation import generation_for
from seehear.indexers.ignore import PathPatterns
from seehear.indexers.items import check_kept, encode_stored
from seehear.indexers.passages import cut_stored
from seehear.indexers.progress import (
    FailedFile,
    IndexReport,
    Progress,
    ProgressTracker,
    ReadReport,
    Stage,
    most_common,
)
from seehear.indexers.ray_cluster import RayOptions, connected
from seehear.indexers.reading import ReadingRun, ReadingWish, remember_wish
from seehear.indexers.roots import Target, resolve
from seehear.indexers.scan import relative_to
from seehear.indexers.stages import BoundedQueue, StopEvent, run_stages
from seehear.indexers.survey import ALWAYS_RETRY_NS, Survey
from seehear.indexers.write import WriteMessage, WriteStage
from seehear.libraries import require
from seehear.media.stored_file import is_beneath
from seehear.sources import is_remote
from seehear.stores import STATES, Catalog, Generation, Remark, ScanTable, ToRead
from seehear.types import Modality

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
    read: Sequence[str] | None = None,
    read_for_s: float | None = None,
    speech_model: str | None = None,
    reads: bool = True,
    on: RayOptions | None = None,
) -> IndexReport:
    """Index folders and files; when run again, process only what has changed since.

    Without `paths`, all roots of the collection are indexed. `include` and `exclude` are gitignore
    patterns that limit what this run looks at; what they leave out stays as it is. `progress` is
    called in this thread, about ten times a second. Setting `stop`, or Ctrl-C, ends the run
    early: what is committed stays, and the report says `interrupted`. `wait_s` is how long to
    wait for another run on the same collection. `calibrate` returns what the generation in use
    needs to score searches, by name; a run that was not stopped stores it when files are indexed.

    `read` names the readers that the collection shall have ("speech", "writing"; "none" alone ends
    that), which it remembers, as it does the model of speech; None keeps them. What they have not
    read below `paths` is read at the end, for at most `read_for_s` seconds. Without `reads`, none
    of it happens in this run. A reader that cannot be used is named in the report.

    `on` is the Ray cluster whose machines decode and encode; without it this machine does.

    A model other than the serving one fills its own generation, from all roots, and takes over
    when the generation is complete.

    Raises UsageError for a path that does not exist, an invalid pattern or a cluster that is too
    small, CollectionLockedError while another run writes, StorageFullError where the disk is full,
    ModelError where the model cannot encode anything, and EnvironmentFaultError where a library
    cannot be loaded or the cluster cannot be used; no file is recorded as failed for any of these.
    Files that fail are in the report.
    """
    tally = ProgressTracker(progress)
    if on is not None:
        on.check()
    run = _Run(catalog, model, settings or Settings(), tally, StopEvent(stop), on)
    patterns = PathPatterns(include, exclude)
    with catalog.write_lock(wait_s):
        chosen = speech_model or run.settings.speech_model
        wish = remember_wish(catalog, read, chosen, read_for_s)
        report = run.all(paths, patterns, retry_failed=retry_failed)
        if not report.interrupted:
            run.prepare(calibrate)
        if wish.readers and reads and not report.interrupted:
            done = run.read(wish, report, patterns, retry=retry_failed)
            report = replace(
                report, read=done, interrupted=run.halt.is_set(), seconds=tally.seconds()
            )
            if any(one.passages for one in done.readers.values()) and not report.interrupted:
                run.prepare(calibrate)
    tally.enter(Stage.DONE)
    return report


@dataclass(slots=True)
class _Run:
    catalog: Catalog
    model: Model
    settings: Settings
    tally: ProgressTracker
    halt: StopEvent
    on: RayOptions | None = None
    targets: list[Target] = field(default_factory=list)
    """What was scanned."""

    def prepare(self, calibrate: Callable[[], Mapping[str, bytes]] | None) -> None:
        """Store what searches of the serving generation need."""
        serving = self.catalog.generations.serving()
        if calibrate is not None and serving is not None:
            self.tally.enter(Stage.PREPARE)
            self.catalog.generations.put_blobs(serving.id, calibrate())

    def read(
        self, wish: ReadingWish, report: IndexReport, patterns: PathPatterns, *, retry: bool
    ) -> ReadReport:
        """Read what is missing of the files that this run has looked at."""
        tops = [target.top for target in self.targets]
        roots = {root.id: str(root.path) for root in self.catalog.locations.roots()}

        def covers(asset: ToRead) -> bool:
            path = str(asset.path)
            return any(is_beneath(path, top) for top in tops) and patterns.covers(
                relative_to(path, roots[asset.root_id])
            )

        assert report.generation_id is not None
        run = ReadingRun(
            self.catalog,
            self.model,
            report.generation_id,
            self.settings,
            wish,
            covers=covers,
            retry=retry,
            tally=self.tally,
            is_stopped=self.halt.is_set,
        )
        with closing(run):
            try:
                return run.all()
            except KeyboardInterrupt:
                self.halt.set()
                return run.report()

    def all(
        self, paths: Sequence[str | Path], patterns: PathPatterns, *, retry_failed: bool
    ) -> IndexReport:
        targets = resolve(self.catalog, paths, self.catalog.locations.add_root)
        check_kept(self.catalog, self.model)
        generation = generation_for(self.catalog, self.model)
        builds = generation.state != "serving"
        if self.on is not None and any(is_remote(target.top) for target in targets):
            raise UsageError("--on reads folders that all machines see, no URLs; leave out --on")
        if builds:
            # To take over, a generation needs all files that the serving one has.
            targets = resolve(self.catalog, (), None)
        self.targets = targets
        with closing(ScanTable(self.catalog.engine, self.catalog.folder)) as table:
            survey = Survey(
                self.catalog, table, patterns, self.tally, self.halt, self.settings.follow_links
            )
            promoted = False
            try:
                self.tally.begin(Stage.SCAN)
                survey.run(targets, generation, retry_failed=retry_failed)
                if not self._tick():
                    self._describe(survey, assets_beside(self.catalog, table, survey.cured))
                    relocated = self._work(generation, survey)
                if not self._tick():
                    self.tally.enter(Stage.CLEAN)
                    self._clean(survey)
                    self._describe(survey, relocated)
                    if table.task_count or survey.cured or self.tally.counts["removed"]:
                        with self.catalog.batch() as batch:
                            for root_id in survey.root_ids:
                                batch.set_described(root_id)
                    cut_stored(
                        self.catalog,
                        self.model,
                        generation.id,
                        self.settings,
                        self.tally,
                        self.halt.is_set,
                    )
                    encode_stored(
                        self.catalog, self.model, generation.id, self.settings, self.halt.is_set
                    )
                    promoted = builds and self._promote(generation)
                if not self._tick():
                    mark_unchanged(
                        self.catalog, self.settings, targets, survey, self.tally, self.halt
                    )
            except KeyboardInterrupt:
                self.halt.set()
            return self._report(generation, survey, promoted=promoted)

    def _tick(self) -> bool:
        """Report progress and tell whether to stop."""
        self.tally.report()
        return self.halt.is_set()

    def _describe(self, found: Survey, asset_ids: Collection[int]) -> None:
        """Take up what the files beside some assets say of them now."""
        changed = describe_again(self.catalog, self.settings, asset_ids, self.halt)
        self.tally.count("changed", changed)
        if changed:
            files = f"{changed} file{'s' if changed > 1 else ''}"
            found.notes.append(f"{files} described anew by what lies beside (XMP, Takeout)")

    def _work(self, generation: Generation, survey: Survey) -> Collection[int]:
        """Decode, encode and write what has changed.

        Return the assets that were known before and have a new path.
        """
        table = survey.table
        if table.task_count:
            require("faiss")  # fails now, not when the collection has grown to need it
        for links in table.new_links():
            with self.catalog.batch() as batch:
                for root_id, path, reason in links:
                    batch.put_failure(root_id, path, Remark.LINK, reason, 0, 0)
        # A vanished file whose size no new file has was not moved: remove it from results now.
        self._remove(table.take_gone(if_moved=False))
        self.tally.begin(Stage.ENCODE, table.task_count, table.task_bytes)
        if not table.task_count:
            return ()
        results: BoundedQueue[WriteMessage] = BoundedQueue(CHANNEL_RESULTS)
        claims = InFlightContents(lambda digest: self._is_encoded(generation, digest))
        writer = WriteStage(
            self.catalog,
            generation,
            claims=claims,
            tally=self.tally,
            inbox=results,
            table=table,
        )

        expected = _expected(table, self.model)
        with ExitStack() as opened:
            if self.on is None:
                stages, samples = encode_stages(
                    table.tasks(),
                    self.model,
                    self.settings,
                    claims=claims,
                    tally=self.tally,
                    results=results,
                    roots={root.id: str(root.path) for root in self.catalog.locations.roots()},
                    stop=self.halt,
                    to_mark=lambda digest: needs_fingerprint(self.catalog, digest),
                    expected=expected,
                    on_left=survey.leave,
                )
                channels: list[BoundedQueue[Any]] = [samples, results]
            else:
                from seehear.indexers.ray_stage import RayStage

                by_ray = RayStage(
                    opened.enter_context(connected(self.on)),
                    self.on,
                    self.model,
                    self.settings,
                    catalog=self.catalog,
                    generation=generation,
                    table=table,
                    claims=claims,
                    tally=self.tally,
                    results=results,
                    stop=self.halt,
                    expected=expected,
                )
                opened.callback(lambda: survey.notes.extend(by_ray.notes))
                stages, channels = {"encode": by_ray.run}, [results]
            run_stages({**stages, "write": writer.run}, channels, self.halt, self._tick)
        return writer.relocated

    def _is_encoded(self, generation: Generation, digest: str) -> bool:
        asset = self.catalog.assets.find(digest)
        return asset is not None and self.catalog.generations.is_encoded(generation.id, asset.id)

    def _clean(self, found: Survey) -> None:
        """Remove locations that vanished and did not move, and assets without any location."""
        if not found.was_left:  # what is gone may be what could not be read any more
            self._remove(found.table.take_gone(if_moved=True))
        with self.catalog.batch() as batch:
            for path in found.cured:
                batch.clear_failure(Path(path))
            batch.remove_orphans()
            for root_id in found.root_ids:
                batch.set_sidecars(root_id)

    def _remove(self, locations: Iterable[Sequence[int]]) -> None:
        for ids in locations:
            with self.catalog.batch() as batch:
                for id_ in ids:
                    batch.remove_location(id_)
                batch.remove_orphans()
            self.tally.count("removed", len(ids))

    def _promote(self, generation: Generation) -> bool:
        """Let a generation take over, unless it lacks an asset that it may still get.

        It waits for files that could not be opened or encoded this time, that patterns left out
        or that are in a folder that could not be listed. It does not wait for content that failed
        permanently: that would never end.
        """
        lacking = self.catalog.generations.unencoded(generation.id)
        if lacking:
            hopeless = {
                f.path
                for f in self.catalog.locations.failures()
                if f.modified_ns != ALWAYS_RETRY_NS
            }
            for start in range(0, len(lacking), LOOKED_AT_ONCE):
                chunk = lacking[start : start + LOOKED_AT_ONCE]
                for paths in self.catalog.locations.paths(chunk).values():
                    if not hopeless.intersection(paths):
                        return False
        self.catalog.generations.promote(generation.id)
        return True

    def _report(self, generation: Generation, found: Survey, *, promoted: bool) -> IndexReport:
        counts, notes = self.tally.counts, list(found.notes)
        unsupported = Counter[str]()
        for remark, number in found.table.remarks.items():
            counts[STATES[remark].value] += number
        for (remark, suffix, new), number in found.table.skipped().items():
            if remark is Remark.BESIDE:
                counts[new] += number
            else:
                counts["skipped"] += number
                unsupported[suffix] += number
        remembered = [
            FailedFile(failure.path, failure.stage, failure.reason, remembered=True)
            for failure in found.failed_before
        ]
        serving = self.catalog.generations.serving()
        pending = 0
        if serving is None or serving.id != generation.id:
            pending = len(list(self.catalog.generations.unencoded(generation.id)))
            notes.append(
                f"{generation.model} is not in use yet: {pending} files are still to be encoded. "
                "Run the same command again to continue"
            )
        return IndexReport(
            added=counts["added"],
            updated=counts["updated"],
            moved=counts["moved"],
            removed=counts["removed"],
            unchanged=counts["unchanged"] + found.unchanged,
            partial=counts["partial"],
            without_content=counts["without_content"],
            failed=counts["failed"] + len(remembered),
            skipped=counts["skipped"],
            unsupported=most_common(unsupported),
            encoded=counts["encoded"],
            segments=counts["segments"],
            bytes_read=counts["bytes_read"],
            failures=(*self.tally.failures, *remembered),
            offline=tuple(found.offline),
            notes=tuple(notes),
            interrupted=self.halt.is_set(),
            changed=bool(counts["changed"] or counts["removed"] or promoted),
            promoted=promoted,
            generation_id=generation.id,
            pending=pending,
            seconds=self.tally.seconds(),
        )


def _expected(table: ScanTable, model: Model) -> list[Modality]:
    """Guess the modalities of the tasks from its file names, limited to those of the model."""
    suffixes = {one.path.suffix.lower() for one in islice(table.tasks(), NAMES_LOOKED_AT)}
    return [
        modality
        for modality in Modality
        if model.spaces_of(modality) and not suffixes.isdisjoint(media.SUFFIXES[modality])
    ]
