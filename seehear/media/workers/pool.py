"""Lend workers, which are started when they are first needed, and ask them for single things.

    with closing(DecodePool(2, memory_bytes, timeout_s)) as pool:
        modality, samples = pool.query(path, spec)
        image, content_type = pool.image(path, 320)

What a client uploads or a stranger sent is hostile until shown otherwise. A worker decodes it and
sends back plain numbers, whose shapes are checked here; nothing that it sends is unpickled. A
worker that dies, hangs, or works for nobody any more is ended and replaced.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from seehear.errors import BrokenMediaError
from seehear.media.cut_clip import CutClip, MediaTiming
from seehear.media.stored_file import StoredFile
from seehear.media.workers import protocol
from seehear.media.workers.process import (
    LEAST_SPEED,
    DecoderCheck,
    WorkerProcess,
    start_process,
)
from seehear.processes import wire
from seehear.processes.child import TICK_S, StartError, Watchdog
from seehear.sources import is_remote
from seehear.types import AudioSample, Modality, Sample, SampleSpec

START_ATTEMPTS = 3
_UNREADABLE = "the decoder sent an unreadable answer"


class DecodePool:
    """A few worker processes; safe to use from many threads.

    `check` is called every tenth of a second while a caller waits, in that caller's context; what
    it raises ends the work.
    """

    def __init__(
        self,
        workers: int,
        memory_bytes: int,
        timeout_s: float,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._memory_bytes, self._timeout_s, self._check = memory_bytes, timeout_s, check
        self._idle: queue.LifoQueue[WorkerProcess | None] = queue.LifoQueue()
        self._closed = threading.Event()
        self._size = workers
        self._watchdog, self._libraries = Watchdog(check), DecoderCheck()
        # A worker ends with the thread that started it: one that lives as long as the pool.
        self._starter = ThreadPoolExecutor(1, "seehear-decode-start")
        for _ in range(workers):
            self._idle.put(None)

    def query(
        self,
        file: Path | StoredFile,
        spec: SampleSpec,
        most_pixels: int | None = None,
        most_s: float | None = None,
    ) -> tuple[Modality, tuple[Sample, ...]]:
        """Return the modality and the samples of a query file, as `media.query_samples` does.

        Raises MediaError, also for more pixels or seconds; EnvironmentFaultError where a decoding
        library cannot be loaded.
        """
        head, body = self._ask(
            "query",
            file,
            spec=dataclasses.asdict(spec),
            most_pixels=most_pixels,
            most_s=most_s,
        )
        try:
            pairs = protocol.unpack_pairs(head["items"], body)
            modality = Modality(head["modality"])
        except (wire.WireError, KeyError, ValueError):
            raise BrokenMediaError(_UNREADABLE) from None
        return modality, tuple(sample for _, sample in pairs)

    def image(
        self,
        file: Path | StoredFile,
        px: int,
        *,
        start_s: float | None = None,
        stop_s: float | None = None,
        audio: bool = False,
        page: int | None = None,
    ) -> tuple[bytes, str]:
        """Draw a picture of a file, or of one of its pages; return it and its content type.

        Raises MediaError; ContentChangedError where a stored file has other content by now.
        """
        asked = {"px": px, "start_s": start_s, "stop_s": stop_s, "audio": audio, "page": page}
        _, body = self._ask("image", file, **asked)
        drawn = body.tobytes()
        kind, magic = ("image/png", b"\x89PNG\r\n") if audio else ("image/webp", b"RIFF")
        if not drawn.startswith(magic):
            raise BrokenMediaError("cannot make a picture of it")
        return drawn, kind

    def waveform(
        self, file: Path | StoredFile, steps: int, most_s: float
    ) -> tuple[float, list[float]]:
        """Return the duration of what was read, and its peaks in [0, 1]. Raises as `image`."""
        head, body = self._ask("waveform", file, steps=steps, most_s=most_s)
        try:
            peaks = np.clip(np.nan_to_num(body.view("<f4")), 0.0, 1.0)
            return float(head["stop_s"]), [round(float(peak), 3) for peak in peaks]
        except (KeyError, TypeError, ValueError):
            raise BrokenMediaError(_UNREADABLE) from None

    def audio(
        self, file: Path | StoredFile, rate_hz: int, start_s: float, most_s: float
    ) -> AudioSample:
        """Return a stretch of the sound of a file, mono at a rate; empty behind its end.

        Raises MediaError.
        """
        _, body = self._ask("audio", file, rate=rate_hz, start_s=start_s, most_s=most_s)
        if body.size % 4:
            raise BrokenMediaError(_UNREADABLE)
        waveform = np.nan_to_num(body.view("<f4")).astype(np.float32)
        return AudioSample(np.clip(waveform, -1.0, 1.0), rate_hz)

    def clip(
        self, file: Path | StoredFile, start_s: float, stop_s: float, tolerance_s: float
    ) -> CutClip:
        """Cut a moment out of a sound or a video, as `media.clip.cut` does. Raises as `image`."""
        # Encoding 4K takes some seconds for each; without key frames a film is decoded up to it.
        timeout_s = self._timeout_s + 10.0 * max(0.0, stop_s - start_s) + stop_s / LEAST_SPEED
        asked = {"start_s": start_s, "stop_s": stop_s, "tolerance_s": tolerance_s}
        head, body = self._ask("clip", file, timeout_s, **asked, cpu_s=2 * timeout_s)
        try:
            suffix = str(head["suffix"])
            if not re.fullmatch(r"\.[a-z0-9]{2,4}", suffix):
                raise BrokenMediaError(_UNREADABLE)
            times = float(head["start_s"]), float(head["stop_s"])
            return CutClip(body.tobytes(), suffix, *times, bool(head["copied"]))
        except (KeyError, TypeError, ValueError):
            raise BrokenMediaError(_UNREADABLE) from None

    def timing(self, file: Path | StoredFile) -> MediaTiming:
        """Return what an editing program needs to know of a sound or a video. Raises as `image`."""
        head, _ = self._ask("timing", file)
        try:
            found = {one.name: head[one.name] for one in dataclasses.fields(MediaTiming)}
            return MediaTiming(**found | {"rate": found["rate"] and Fraction(*found["rate"])})
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            raise BrokenMediaError(_UNREADABLE) from None

    def warm(self) -> None:
        """Start every worker, and have each read the libraries that it decodes with.

        Raises EnvironmentFaultError where none can be started or a library cannot be loaded.
        """
        with ExitStack() as held:
            for worker in [held.enter_context(self.worker()) for _ in range(self._size)]:
                worker.ask({"do": "warm"})

    def prepare(self) -> None:
        """Begin to start the first worker, and return at once. Raises StartError."""
        with self._idle.mutex:
            started = any(self._idle.queue)
        if not started:
            worker = self._free_worker()
            self._idle.put(worker if worker is not None else self._start())

    def sandbox(self) -> dict[str, Any]:
        """Return what a worker has given up on this system, by name (see sandbox.py)."""
        with self.worker() as worker:
            return worker.sandbox

    def close(self) -> None:
        """End the workers; those that are lent end when they come back."""
        self._closed.set()
        self._watchdog.close()
        self._end_idle()
        self._starter.shutdown()

    @contextmanager
    def worker(self) -> Iterator[WorkerProcess]:
        """Lend a worker that nobody else uses; a broken one is replaced first."""
        worker = self._free_worker()
        try:
            worker = self._ready(worker)
            yield worker
        finally:
            if worker is not None and (self._closed.is_set() or not worker.is_alive()):
                worker.end()
                worker = None
            self._idle.put(worker)
            if self._closed.is_set():  # maybe since the line above looked
                self._end_idle()

    def _end_idle(self) -> None:
        with suppress(queue.Empty):
            while True:
                if (worker := self._idle.get_nowait()) is not None:
                    worker.end()

    def _ready(self, worker: WorkerProcess | None) -> WorkerProcess:
        """Return a worker that has started, in several attempts. Raises StartError.

        A worker that is killed as it starts (the system is short of memory) does not prove a broken
        installation.
        """
        for left in reversed(range(START_ATTEMPTS)):
            try:
                if worker is None or not worker.is_alive():
                    if worker is not None:
                        worker.end()
                    worker = self._start()
                worker.wait_ready()
            except StartError:
                self._check()
                worker = None
                if not left or self._closed.wait(2 * TICK_S):
                    raise
            else:
                return worker
        raise AssertionError

    def _start(self) -> WorkerProcess:
        process = self._starter.submit(start_process).result()
        return WorkerProcess(
            process, self._memory_bytes, self._timeout_s, self._watchdog, self._libraries
        )

    def _free_worker(self) -> WorkerProcess | None:
        while not self._closed.is_set():
            self._check()
            with suppress(queue.Empty):
                return self._idle.get(timeout=TICK_S)
        raise StartError("the decode workers have ended")

    def _ask(
        self, do: str, file: Path | StoredFile, timeout_s: float | None = None, **request: Any
    ) -> tuple[wire.WireMessage, wire.WireBody]:
        try:
            with ExitStack() as held:
                content = held.enter_context(opened) if (opened := _beyond(file)) else None
                if content is not None:
                    request["asked"] = [content.name, content.seek(0, os.SEEK_END)]
                elif isinstance(file, StoredFile):
                    request["file"] = dataclasses.asdict(file)
                else:
                    request["file"] = os.fspath(file)
                worker = held.enter_context(self.worker())
                return worker.ask({"do": do, **request}, timeout_s, content)
        except Exception:
            self._check()  # what ended the work tells more than that it ended
            raise


def _beyond(file: Path | StoredFile) -> BinaryIO | None:
    """Open a file that lies beyond this machine; None for one of it. Raises MediaError."""
    if not is_remote(file.path if isinstance(file, StoredFile) else file):
        return None
    if isinstance(file, StoredFile):
        return file.open()
    from seehear.sources.remote import open_file

    return open_file(file)
