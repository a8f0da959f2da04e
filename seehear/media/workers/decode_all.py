"""Decode many files in workers, in order, with bounded look-ahead.

    for file in decode_all(tasks, spec, settings, wanted=lambda digest: digest not in known):
        if file.skipped:                 # its content is known: nothing was decoded
            ...
        try:
            for segment, sample in file:     # streams; a long file is never in memory as a whole
                ...
        except MediaError as error:          # this file only; the next one is not affected
            ...

The file of a worker that crashes or hangs fails with MediaError(stage="decode"). A decoding library
that cannot be loaded ends the run, because no file is at fault.

    tasks -> [buffer][buffer][buffer]...    in order; each holds a few MiB of samples at most
                ^       ^       ^
              thread  thread  thread        each fills a buffer from its own worker process

Back-pressure: a full buffer stops its thread, the pipe fills, and the worker waits. That waiting
time does not count against the file.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from seehear.config import Settings
from seehear.errors import MediaError
from seehear.media.workers.pool import DecodePool
from seehear.media.workers.sample_buffer import SampleBuffer
from seehear.processes.resources import usable_cores
from seehear.sources import SourceError, path_of
from seehear.sources.ahead import Content, content_at
from seehear.types import MediaInfo, Sample, SampleSpec, Segment

MOST_WORKERS = 8
"""Default limit: beyond eight workers the encoder is the slower side on any machine."""
AHEAD_PER_WORKER = 3
"""Files in progress for each worker: the one being decoded, and finished ones that wait behind a
slow one."""
_WAKE_S = 0.2


class DecodeTask(Protocol):
    """One file to decode: any object with a path. The caller gets the same object back."""

    @property
    def path(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class _PathTask:
    path: Path


@dataclass(slots=True)
class DecodedFile:
    """One file as the pool yields it; iterate it once, for its (Segment, Sample) pairs.

    Iterating raises MediaError, at once (`error` is then set beforehand) or after some pairs (a
    file that breaks midway): then discard the pairs before it. A file that changed while it was
    read raises too, with `changed` set: try it again.
    """

    task: Any
    """The object that was given, with its `path`."""
    content_hash: str | None = None
    """BLAKE2b-256 of the content, hex; None where the file could not be opened or recognised."""
    size_bytes: int = 0
    modified_ns: int = 0
    inode: int = 0
    info: MediaInfo | None = None
    """None where the file failed before it was recognised, or was skipped."""
    skipped: bool = False
    """True where `wanted` declined its content."""
    changed: bool = False
    error: MediaError | None = None
    fingerprint: bytes = b""
    """Of the whole content, once it was iterated to the end; empty where `to_mark` declined it."""
    _slot: SampleBuffer | None = field(default=None, repr=False)

    @property
    def path(self) -> Path:
        return path_of(self.task.path)

    def __iter__(self) -> Iterator[tuple[Segment, Sample]]:
        if self._slot is not None:
            try:
                yield from self._slot.pairs()
                self.fingerprint = self._slot.fingerprint
            except MediaError as error:
                self.error, self.changed = error, self._slot.changed
                raise


def decode_all(
    tasks: Iterable[DecodeTask | Path],
    spec: SampleSpec,
    settings: Settings | None = None,
    *,
    wanted: Callable[[str], bool] | None = None,
    to_mark: Callable[[str], bool] | None = None,
    samples: bool = True,
    root_of: Callable[[Any], str | None] = lambda task: None,
    content_of: Callable[[Any], Content | None] = lambda task: content_at(task.path),
    stop: threading.Event | None = None,
    pool: DecodePool | None = None,
) -> Generator[DecodedFile]:
    """Decode files in worker processes and yield them in the order of `tasks`.

    `tasks` is read lazily, a few files ahead. Take a file's pairs before the next file; pairs not
    taken by then are dropped. `wanted` gets the content hash and decides whether the content
    is decoded at all; it is called from another thread, in no particular order. `to_mark` decides
    likewise whether a wanted content gets a fingerprint; without it, each does. Without `samples`,
    only what the file is and the fingerprint come back. `root_of` gets a task and returns the
    folder that no link on the way to its file may leave; None allows every link. `content_of` gets
    a task and returns its content where it lies beyond this machine. `stop`, once set,
    ends the iteration after the current pair. Closing the iterator ends the workers, except those
    of a `pool` that is given.

    Raises EnvironmentFaultError where no worker can be started or a decoding library cannot be
    loaded; the errors of a file are on the file.
    """
    run = _Run(spec, settings or Settings(), root_of, stop or threading.Event(), pool)
    run.asked = (wanted, to_mark)
    run.samples, run.content_of = samples, content_of
    try:
        yield from run.files(iter(tasks))
    finally:
        run.close()


class _Run:
    def __init__(
        self,
        spec: SampleSpec,
        settings: Settings,
        root_of: Callable[[Any], str | None],
        stop: threading.Event,
        pool: DecodePool | None,
    ) -> None:
        self.asked: tuple[Callable[[str], bool] | None, Callable[[str], bool] | None] = None, None
        """What decides whether a content is decoded, and whether it gets a fingerprint."""
        self.samples = True
        self.content_of: Callable[[Any], Content | None] = lambda task: None
        self._spec, self._root_of, self._stop = spec, root_of, stop
        self._count = settings.decode_workers or min(MOST_WORKERS, usable_cores())
        self._todo: queue.SimpleQueue[SampleBuffer | None] = queue.SimpleQueue()
        self._lent = pool
        self._pool = pool or DecodePool(
            self._count, settings.decode_memory_bytes, settings.decode_timeout_s
        )
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._pending: deque[SampleBuffer] = deque()
        self._current: SampleBuffer | None = None

    def files(self, tasks: Iterator[DecodeTask | Path]) -> Iterator[DecodedFile]:
        pending = self._pending
        more = True
        while not self._stop.is_set():
            while more and len(pending) < AHEAD_PER_WORKER * self._count:
                task = next(tasks, None)
                if task is None:
                    more = False
                    break
                task = _PathTask(Path(task)) if isinstance(task, str | Path) else task
                slot = SampleBuffer(task, self._stop)
                pending.append(slot)
                self._todo.put(slot)
                self._grow(len(pending))
            if not pending:
                return
            self._current = slot = pending.popleft()
            while not slot.wait_known(_WAKE_S):
                if self._stop.is_set():
                    return
            yield _file_of(slot)
            slot.abandon()

    def close(self) -> None:
        """End all threads and processes and wait for them."""
        self._closing.set()
        for slot in self._pending:
            slot.abandon()
        if self._current is not None:
            self._current.abandon()
        for _ in self._threads:
            self._todo.put(None)
        if self._lent is None:
            self._pool.close()
        for thread in self._threads:
            thread.join()

    def _grow(self, under_way: int) -> None:
        """Add a worker while there is work for it: a single file starts a single process."""
        if len(self._threads) < min(self._count, under_way):
            name = f"seehear-decode-{len(self._threads)}"
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _decode(self, slot: SampleBuffer) -> None:
        content, root = self.content_of(slot.task), self._root_of(slot.task)
        try:
            with self._pool.worker() as worker:
                asked = *self.asked, content
                worker.decode(slot, root, self._spec, *asked, samples=self.samples)
        finally:
            if content is not None:
                content.close()

    def _serve(self) -> None:
        """Take buffers and fill each from a worker; runs in a thread of its own."""
        while (slot := self._todo.get()) is not None and not self._closing.is_set():
            try:
                self._decode(slot)
            except SourceError as error:
                slot.finish(error)
            except Exception as error:  # of any origin: the caller shall see it
                slot.fail_all(error)


def _file_of(slot: SampleBuffer) -> DecodedFile:
    """Return the state of a file when its turn has come; raise an error that ends the run."""
    slot.raise_fatal()
    stamp = slot.stamp
    return DecodedFile(
        task=slot.task,
        content_hash=stamp.content_hash,
        size_bytes=stamp.size_bytes,
        modified_ns=stamp.modified_ns,
        inode=stamp.inode,
        info=slot.info,
        skipped=slot.skipped,
        changed=slot.changed,
        error=slot.error,
        _slot=slot,
    )
