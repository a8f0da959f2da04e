"""Turn files into samples: run the decode workers and pass their samples to the encoder.

Runs in one thread. The decoding itself happens in workers (seehear.media.workers), which hash
a file and decode it from the same bytes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from seehear import media
from seehear.config import Settings
from seehear.encoders import Model
from seehear.errors import BrokenMediaError, MediaError, MediaLimitError, UnsupportedMediaError
from seehear.indexers.dedup import IndexFailure, InFlightContents
from seehear.indexers.encode import DecodeMessage, PendingAsset, SampleReady
from seehear.indexers.progress import ProgressTracker
from seehear.indexers.scan import inode63
from seehear.indexers.stages import BoundedQueue
from seehear.indexers.survey import MTIME_GRANULARITY_NS
from seehear.indexers.write import FileFailed, FileSkipped, WriteMessage, follow
from seehear.media.workers.pool import DecodePool
from seehear.sources import SourceError, is_remote
from seehear.sources.ahead import Fetcher
from seehear.stores import RACY_INODE, FileTask
from seehear.types import Modality, bytes_of


class DecodeStage:
    """Decode `tasks` in order; send samples to `samples`, and finished files to `results`.

    `results` also gets what needs no encoding: known contents, failures and skipped files. `roots`
    are the paths of roots by id, which no link may leave unless the settings allow it. `tasks`
    is read a few files ahead, in the thread of `run`.
    """

    def __init__(
        self,
        tasks: Iterable[FileTask],
        model: Model,
        settings: Settings,
        *,
        claims: InFlightContents,
        tally: ProgressTracker,
        samples: BoundedQueue[DecodeMessage],
        results: BoundedQueue[WriteMessage],
        roots: Mapping[int, str],
        stop: threading.Event,
        to_mark: Callable[[str], bool] | None = None,
        pool: DecodePool | None = None,
        on_left: Callable[[int, str], None] | None = None,
    ) -> None:
        """`on_left` gets each root that could not be reached any more, and why.

        `to_mark` tells which contents still need their fingerprint, by hash.

        `pool` lends the workers; without it, they are started, and end with the stage.
        """
        self._pool = pool
        self._to_mark = to_mark
        self._spec, self._settings = model.spec, settings
        self._encodable = frozenset(m for m in Modality if model.spaces_of(m))
        self._claims, self._tally = claims, tally
        self._samples, self._results, self._stop = samples, results, stop
        self._tasks = tasks
        self._roots: Mapping[int, str] = {} if settings.follow_links else roots
        self._again: list[FileTask] = []
        self._read_twice: set[Path] = set()
        """Files that changed while they were read: read once more, then left for the next run."""
        self._started_ns = time.time_ns()
        self._fetcher, self._on_left = Fetcher(stop), on_left

    def run(self) -> None:
        with closing(self._fetcher):
            self._run()
        for root_id, reason in self._fetcher.left.items():
            if self._on_left is not None:
                self._on_left(root_id, reason)

    def _run(self) -> None:
        pending = self._tasks
        while not self._stop.is_set():
            files = media.decode_all(
                self._fetcher.ahead(pending),
                self._spec,
                self._settings,
                wanted=self._claims.try_claim,
                to_mark=self._to_mark,
                root_of=lambda task: self._roots.get(task.root_id),
                content_of=self._fetcher.content,
                stop=self._stop,
                pool=self._pool,
            )
            with closing(files):  # ends the workers at once, also when another stage failed
                for file in files:
                    if self._stop.is_set():
                        break
                    self._take(file)
            pending, self._again = [*self._again, *self._claims.orphans()], []
            if not pending:
                return

    def _take(self, file: media.DecodedFile) -> None:
        self._tally.working_on(file.path)
        if file.skipped:
            assert file.content_hash is not None
            follow(file.content_hash, self._as_read(file), self._claims, self._results)
            return
        if file.content_hash is not None:
            self._claims.confirm(file.content_hash)
        draft: PendingAsset | None = None
        try:
            for segment, sample in file:
                draft = draft or self._draft(file)
                if draft.dropped:
                    return  # the encoder failed on earlier samples of the file
                if segment.modality in self._encodable:
                    draft.segments.append(segment)
                    ordinal = len(draft.segments) - 1
                    self._samples.put(SampleReady(draft, ordinal, sample), bytes_of(sample))
        except MediaError as error:
            self._fail(file, draft, error)
            return
        if not self._stop.is_set():  # once set, the iteration may have ended early
            draft = draft or self._draft(file)
            draft.fingerprint = file.fingerprint
            self._samples.put(draft)

    def _fail(self, file: media.DecodedFile, draft: PendingAsset | None, error: MediaError) -> None:
        task: FileTask = file.task
        if isinstance(error, SourceError) and self._fetcher.leave(task, error):
            self._leave(file, draft)
            return
        refusal = IndexFailure(error.stage, str(error), is_lasting(error))
        if file.changed or isinstance(error, UnsupportedMediaError):
            if draft is not None:
                draft.abandoned = True
                self._samples.put(draft)
            copies = self._claims.complete(file.content_hash) if file.content_hash else []
            if not file.changed:
                for one in (task, *copies):
                    self._results.put(FileSkipped(one))
                return
            self._again += copies
            if task.path not in self._read_twice:
                self._read_twice.add(task.path)
                self._again.append(task)
            else:
                refusal = IndexFailure("open", "the file keeps changing while it is read", False)
                self._results.put(FileFailed(task, refusal))
        elif draft is not None:
            draft.failure = refusal
            self._samples.put(draft)
        else:
            self._results.put(FileFailed(task, refusal))
            for copy in self._claims.fail(file.content_hash, refusal) if file.content_hash else []:
                self._results.put(FileFailed(copy, refusal))

    def _leave(self, file: media.DecodedFile, draft: PendingAsset | None) -> None:
        """Leave a file to the next run, without a failure: its root cannot be reached any more."""
        if draft is not None:
            draft.abandoned = True
            self._samples.put(draft)
        if file.content_hash is not None:
            self._again += self._claims.complete(file.content_hash)

    def _draft(self, file: media.DecodedFile) -> PendingAsset:
        assert file.content_hash is not None
        assert file.info is not None
        return PendingAsset(file.content_hash, self._as_read(file), file.info)

    def _as_read(self, file: media.DecodedFile) -> FileTask:
        """Return the task with the state to store; RACY_INODE if the file was just modified."""
        task: FileTask = file.task
        doubtful = self._started_ns - MTIME_GRANULARITY_NS <= file.modified_ns <= time.time_ns()
        doubtful = doubtful and not is_remote(task.path)  # a mark changes with the content
        return replace(
            task,
            size_bytes=file.size_bytes,
            modified_ns=file.modified_ns,
            inode=RACY_INODE if doubtful else inode63(file.inode),
        )

    def refused(self, draft: PendingAsset, refusal: IndexFailure) -> None:
        """Pass on an asset that failed; the encoder calls this."""
        for file in (draft.file, *self._claims.fail(draft.content_hash, refusal)):
            self._results.put(FileFailed(file, refusal))


def is_lasting(error: MediaError) -> bool:
    """Tell whether a failure lies in the content, so that trying again would give the same.

    A file that could not be opened or read is tried again by the next run.
    """
    return error.stage != "open" or isinstance(error, BrokenMediaError | MediaLimitError)
