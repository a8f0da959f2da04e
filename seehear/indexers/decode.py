"""Turn files into samples: run the decode workers and pass their samples to the encoder.

Runs in one thread. The decoding itself happens in workers (seehear.media.workers), which hash
a file and decode it from the same bytes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from seehear import media
from seehear.config import Settings
from seehear.encoders import Model
from seehear.errors import BrokenMediaError, MediaError, MediaLimitError, UnsupportedMediaError
from seehear.indexers.bounded_queue import BoundedQueue
from seehear.indexers.dedup import FileStat, HashedFile, IndexFailure, InFlightContents
from seehear.indexers.diff import MTIME_GRANULARITY_NS, RACY_INODE
from seehear.indexers.encode import (
    DecodeDone,
    DecodeFailed,
    DecodeMessage,
    PendingAsset,
    SampleReady,
)
from seehear.indexers.progress import ProgressTracker
from seehear.indexers.scan import inode63
from seehear.indexers.work_queue import Work
from seehear.indexers.write import AssetEncoded, ContentKnown, FileFailed, FileSkipped, WriteMessage
from seehear.types import AudioSample, ImageSample, Modality, Sample, VideoSample

ATTEMPTS = 2
"""A file that changes while it is read is read once more, then left for the next run."""


@dataclass(slots=True)
class _Attempt:
    work: Work
    number: int = 1
    read_ns: int = 0


class DecodeStage:
    """Decode `work` in order; send samples to `samples`, and finished files to `results`.

    `results` also gets what needs no encoding: known contents, failures and skipped files. `roots`
    are the paths of roots by id, which no link may leave unless the settings allow it. `work`
    is read a few files ahead, in the thread of `run`.
    """

    def __init__(
        self,
        work: Iterable[Work],
        model: Model,
        settings: Settings,
        *,
        claims: InFlightContents,
        tally: ProgressTracker,
        samples: BoundedQueue[DecodeMessage],
        results: BoundedQueue[WriteMessage],
        roots: Mapping[int, str],
        stop: threading.Event,
    ) -> None:
        self._spec, self._settings = model.spec, settings
        self._encodable = frozenset(m for m in Modality if model.spaces_of(m))
        self._claims, self._tally = claims, tally
        self._samples, self._results, self._stop = samples, results, stop
        self._work = work
        self._roots: Mapping[int, str] = {} if settings.follow_links else roots
        self._again: list[_Attempt] = []

    def run(self) -> None:
        pending = (_Attempt(item) for item in self._work)
        while not self._stop.is_set():
            files = media.decode_all(
                self._tasks(pending),
                self._spec,
                self._settings,
                wanted=self._claims.try_claim,
                stop=self._stop,
            )
            with closing(
                cast(Generator[media.DecodedFile], files)
            ):  # closing ends the workers at once, also when another stage failed
                for file in files:
                    if self._stop.is_set():
                        break
                    self._take(file)
            again = [*self._again, *(_Attempt(copy.work) for copy in self._claims.orphans())]
            if not again:
                return
            pending, self._again = (attempt for attempt in again), []

    def _tasks(self, pending: Iterable[_Attempt]) -> Iterator[media.DecodeTask]:
        for attempt in pending:
            attempt.read_ns = time.time_ns()
            work = attempt.work
            root = self._roots.get(work.root_id)
            yield media.DecodeTask(Path(work.file.path), attempt, root)

    def _take(self, file: media.DecodedFile) -> None:
        attempt = file.task.tag
        assert isinstance(attempt, _Attempt)
        work = attempt.work
        self._tally.working_on(work.file.path)
        if file.skipped:
            assert file.content_hash is not None
            self._follow(file.content_hash, HashedFile(work, _stamp(file, attempt.read_ns)))
            return
        if file.content_hash is not None:
            self._claims.confirm(file.content_hash)
        draft: PendingAsset | None = None
        try:
            for segment, sample in file:
                draft = draft or _draft(file, attempt)
                if draft.dropped:
                    return  # the encoder failed on earlier samples of the file
                if segment.modality in self._encodable:
                    draft.segments.append(segment)
                    ordinal = len(draft.segments) - 1
                    self._samples.put(SampleReady(draft, ordinal, sample), size_of(sample))
        except MediaError as error:
            self._fail(file, attempt, draft, error)
            return
        if not self._stop.is_set():  # once set, the iteration may have ended early
            self._samples.put(DecodeDone(draft or _draft(file, attempt)))

    def _follow(self, digest: str, copy: HashedFile) -> None:
        answer = self._claims.attach(digest, copy)
        if isinstance(answer, IndexFailure):
            self._results.put(FileFailed(copy.work, answer))
        elif not answer:
            self._results.put(ContentKnown(digest, copy))

    def _fail(
        self,
        file: media.DecodedFile,
        attempt: _Attempt,
        draft: PendingAsset | None,
        error: MediaError,
    ) -> None:
        refusal = IndexFailure(error.stage, str(error), _is_lasting(error))
        if file.changed or isinstance(error, UnsupportedMediaError):
            if draft is not None:
                self._samples.put(DecodeFailed(draft, None))
            copies = self._claims.abandon(file.content_hash) if file.content_hash else []
            if not file.changed:
                for work in (attempt.work, *(copy.work for copy in copies)):
                    self._results.put(FileSkipped(work))
                return
            self._again.extend(_Attempt(copy.work) for copy in copies)
            if attempt.number < ATTEMPTS:
                self._again.append(_Attempt(attempt.work, attempt.number + 1))
            else:
                refusal = IndexFailure("open", "the file keeps changing while it is read", False)
                self._results.put(FileFailed(attempt.work, refusal))
        elif draft is not None:
            self._samples.put(DecodeFailed(draft, refusal))
        else:
            self._results.put(FileFailed(attempt.work, refusal))
            for copy in self._claims.fail(file.content_hash, refusal) if file.content_hash else []:
                self._results.put(FileFailed(copy.work, refusal))

    def encoded(self, draft: PendingAsset) -> None:
        """Pass on an asset whose vectors are complete; the encoder calls this."""
        self._results.put(AssetEncoded(draft))

    def refused(self, draft: PendingAsset, refusal: IndexFailure) -> None:
        """Pass on an asset that failed; the encoder calls this."""
        self._results.put(FileFailed(draft.copy.work, refusal))
        for copy in self._claims.fail(draft.content_hash, refusal):
            self._results.put(FileFailed(copy.work, refusal))


def _is_lasting(error: MediaError) -> bool:
    """Tell whether a failure lies in the content, so that trying again would give the same.

    A file that could not be opened or read is tried again by the next run.
    """
    return error.stage != "open" or isinstance(error, BrokenMediaError | MediaLimitError)


def _draft(file: media.DecodedFile, attempt: _Attempt) -> PendingAsset:
    assert file.content_hash is not None
    assert file.info is not None
    return PendingAsset(
        file.content_hash, HashedFile(attempt.work, _stamp(file, attempt.read_ns)), file.info
    )


def _stamp(file: media.DecodedFile, read_ns: int) -> FileStat:
    """Return the stamp to store; with RACY_INODE if the file was just modified (see diff.py)."""
    doubtful = read_ns - MTIME_GRANULARITY_NS <= file.modified_ns <= time.time_ns()
    return FileStat(
        file.size_bytes, file.modified_ns, RACY_INODE if doubtful else inode63(file.inode)
    )


def size_of(sample: Sample) -> int:
    """Return how many bytes a sample holds in memory."""
    if isinstance(sample, ImageSample):
        return sample.pixels.nbytes
    if isinstance(sample, AudioSample):
        return sample.waveform.nbytes
    if isinstance(sample, VideoSample):
        return sum(frame.pixels.nbytes for frame in sample.frames)
    return len(sample)
