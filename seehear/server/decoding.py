"""Files decoded for the service in worker processes with limits of memory and time.

What a client uploads is hostile until shown otherwise, and so is a file that lies in a folder.
The service itself opens none of them: a worker decodes, and sends back plain numbers whose shapes
are checked here. Nothing that it sends is unpickled. A worker that dies, hangs, or works for a
client that has gone is killed and replaced.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from seehear.cancellation import check_current
from seehear.errors import BrokenMediaError, MediaLimitError
from seehear.libraries import decoder_fault
from seehear.media import protocol
from seehear.types import Modality, Sample, SampleSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICK_S = 0.1
"""How often a wait looks whether its client is still there."""
_START_S = 20.0
"""A cold disk and a busy machine take seconds to read the decoders' libraries."""
_JOBS_PER_WORKER = 500
"""A worker is replaced after so many files, so that a decoder's leaks end with it."""
_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TMPDIR", "TEMP", "LD_LIBRARY_PATH")


_START = (
    "import sys; sys.path[:] = sys.argv[2:]; from seehear.server.decode_worker import main; main()"
)


class DecodePool:
    """A few worker processes, started when first needed; safe to use from many threads."""

    def __init__(self, workers: int, memory_bytes: int, timeout_s: float) -> None:
        self._memory_bytes = memory_bytes
        self._timeout_s = timeout_s
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        self._closed = False
        self._size = workers
        for _ in range(workers):
            self._idle.put(None)

    def query(
        self, path: Path, spec: SampleSpec, most_pixels: int, most_s: float
    ) -> tuple[Modality, tuple[Sample, ...]]:
        """The samples of a query file.

        Raises MediaError, EnvironmentFaultError where a decoding library cannot be loaded.
        """
        asked = {
            "do": "query",
            "path": str(path),
            "spec": dataclasses.asdict(spec),
            "most_pixels": most_pixels,
            "most_s": most_s,
        }
        head, body = self._ask(asked)
        try:
            pairs = protocol.unpack_pairs(head["items"], body)
            modality = Modality(head["modality"])
        except (protocol.WireError, KeyError, ValueError):
            raise BrokenMediaError("the decoder sent an unreadable answer") from None
        return modality, tuple(sample for _, sample in pairs)

    def image(
        self,
        path: Path,
        px: int,
        *,
        start_s: float | None = None,
        stop_s: float | None = None,
        audio: bool = False,
    ) -> tuple[bytes, str]:
        """A picture of a file and its content type. Raises MediaError."""
        asked = {"do": "image", "path": str(path), "px": px}
        _, body = self._ask(asked | {"start_s": start_s, "stop_s": stop_s, "audio": audio})
        drawn = body.tobytes()
        kind, magic = ("image/png", b"\x89PNG\r\n") if audio else ("image/webp", b"RIFF")
        if not drawn.startswith(magic):
            raise BrokenMediaError("cannot make a picture of it")
        return drawn, kind

    def waveform(self, path: Path, steps: int, most_s: float) -> tuple[float, list[float]]:
        """Duration of what was read, and its peaks in [0, 1]. Raises MediaError."""
        asked = {"do": "waveform", "path": str(path), "steps": steps, "most_s": most_s}
        head, body = self._ask(asked)
        try:
            peaks = np.clip(np.nan_to_num(body.view("<f4")), 0.0, 1.0)
            return float(head["stop_s"]), [round(float(peak), 3) for peak in peaks]
        except (KeyError, TypeError, ValueError):
            raise BrokenMediaError("the decoder sent an unreadable answer") from None

    def warm(self) -> None:
        """Start every worker, and have each read the libraries that it decodes with.

        Raises MediaError where they cannot be started, EnvironmentFaultError where a library
        cannot be loaded.
        """
        with ExitStack() as held:
            for worker in [held.enter_context(self._worker()) for _ in range(self._size)]:
                _check(worker.ask({"do": "warm"}, self._timeout_s)[0])

    def close(self) -> None:
        """End the workers."""
        self._closed = True
        while True:
            try:
                worker = self._idle.get_nowait()
            except queue.Empty:
                return
            if worker is not None:
                worker.end()

    def _ask(self, request: protocol.WireMessage) -> tuple[protocol.WireMessage, protocol.WireBody]:
        with self._worker() as worker:
            head, body = worker.ask(request, self._timeout_s)
        _check(head)
        return head, body

    @contextmanager
    def _worker(self) -> Iterator[_Worker]:
        """A worker that nobody else uses; a broken one is not handed out again."""
        worker = self._free_worker()
        try:
            if worker is None or not worker.usable:
                if worker is not None:
                    worker.end()
                worker = _Worker(self._memory_bytes)
            yield worker
        finally:
            if worker is not None and (self._closed or not worker.usable):
                worker.end()
                worker = None
            self._idle.put(worker)

    def _free_worker(self) -> _Worker | None:
        while True:
            check_current()
            try:
                return self._idle.get(timeout=_TICK_S)
            except queue.Empty:
                continue


def _check(head: protocol.WireMessage) -> None:
    """Raise the error that an answer holds."""
    for name, unpack in (("error", protocol.unpack_error), ("fault", protocol.unpack_fault)):
        if (record := head.get(name)) is not None:
            raise unpack(record if isinstance(record, dict) else {})


class _Worker:
    """One process, and the thread that reads what it says."""

    def __init__(self, memory_bytes: int) -> None:
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        paths = [str(Path(__file__).resolve().parents[2])]
        # Absolute entries only: the working folder may hold a file that is named like a module.
        paths += [entry for entry in sys.path if Path(entry).is_absolute()]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, str(memory_bytes), *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for the service, which ends its workers itself
        )
        self._requests = cast("BinaryIO", self._process.stdin)
        self._answers: queue.SimpleQueue[tuple[protocol.WireMessage, protocol.WireBody] | None]
        self._answers = queue.SimpleQueue()
        self._jobs = 0
        self._broken = False
        threading.Thread(target=self._read, name="seehear-decode", daemon=True).start()

    @property
    def usable(self) -> bool:
        return not self._broken and self._jobs < _JOBS_PER_WORKER and self._process.poll() is None

    def ask(
        self, request: protocol.WireMessage, timeout_s: float
    ) -> tuple[protocol.WireMessage, protocol.WireBody]:
        """One request and its answer. Raises MediaError when the worker dies or takes too long."""
        # A new process reads its libraries first; that is no fault of the file.
        timeout_s += _START_S if self._jobs == 0 else 0.0
        self._jobs += 1
        self._broken = True  # until the answer has come
        try:
            protocol.send(self._requests, request)
        except OSError:
            raise BrokenMediaError("the decoder crashed") from None
        until = time.monotonic() + timeout_s
        while True:
            check_current()
            try:
                answer = self._answers.get(timeout=_TICK_S)
                break
            except queue.Empty:
                if time.monotonic() > until:
                    raise MediaLimitError(f"takes longer than {timeout_s:g} s to decode") from None
        if answer is None:
            if (fault := decoder_fault()) is not None:
                raise fault
            raise BrokenMediaError("the decoder crashed on it")
        self._broken = False
        return answer

    def end(self) -> None:
        """Kill the process; it holds nothing that could be lost."""
        self._process.kill()
        self._process.wait()
        self._requests.close()

    def _read(self) -> None:
        answers = cast("BinaryIO", self._process.stdout)
        with answers:
            try:
                while True:
                    self._answers.put(protocol.receive(answers))
            except (protocol.WireError, OSError, ValueError):
                self._process.kill()
        self._answers.put(None)
