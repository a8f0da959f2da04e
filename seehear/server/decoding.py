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
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

import numpy as np

from seehear import errors
from seehear.errors import BrokenMediaError, MediaError, MediaLimitError
from seehear.server.batching import check_current
from seehear.server.decode_worker import Frame, read_frame, write_frame
from seehear.types import AudioSample, ImageSample, Modality, Sample, SampleSpec, VideoSample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

T = TypeVar("T")

_MOST_HEADER = 1 << 20
_MOST_BODY = 1 << 29
_TICK_S = 0.1
"""How often a wait looks whether its client is still there."""
_JOBS_PER_WORKER = 500
"""A worker is replaced after so many files, so that a decoder's leaks end with it."""
_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TMPDIR", "TEMP", "LD_LIBRARY_PATH")


_START = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r}); "
    "from seehear.server.decode_worker import main; main()"
)
"""Works from a checkout too, where isolated mode (-I) would not find the package."""


class DecodePool:
    """A few worker processes, started when first needed; safe to use from many threads."""

    def __init__(self, workers: int, memory_bytes: int, timeout_s: float) -> None:
        self._memory_bytes = memory_bytes
        self._timeout_s = timeout_s
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        self._closed = False
        for _ in range(workers):
            self._idle.put(None)

    def query(
        self, path: Path, spec: SampleSpec, most_pixels: int, most_s: float
    ) -> tuple[Modality, tuple[Sample, ...]]:
        """The samples of a query file. Raises MediaError."""
        asked = {
            "do": "query",
            "path": str(path),
            "spec": dataclasses.asdict(spec),
            "most_pixels": most_pixels,
            "most_s": most_s,
        }
        return _checked(_samples_of, self._ask(asked))

    def picture(
        self,
        path: Path,
        px: int,
        *,
        start_s: float | None = None,
        stop_s: float | None = None,
        sound: bool = False,
    ) -> tuple[bytes, str]:
        """A picture of a file and its content type. Raises MediaError."""
        asked = {"do": "picture", "path": str(path), "px": px}
        frame = self._ask(asked | {"start_s": start_s, "stop_s": stop_s, "sound": sound})
        kind = "image/png" if sound else "image/webp"
        magic = b"\x89PNG\r\n" if sound else b"RIFF"
        if not frame.body.startswith(magic):
            raise BrokenMediaError("no picture could be drawn of it")
        return frame.body, kind

    def waveform(self, path: Path, steps: int, most_s: float) -> tuple[float, list[float]]:
        """Duration of what was read, and its peaks in [0, 1]. Raises MediaError."""
        frame = self._ask({"do": "waveform", "path": str(path), "steps": steps, "most_s": most_s})
        return _checked(_peaks_of, frame)

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

    def _ask(self, request: dict[str, Any]) -> Frame:
        with self._worker() as worker:
            frame = worker.ask(request, self._timeout_s)
        if (kind := frame.header.get("error")) is not None:
            raise _error_of(kind, frame.header)
        return frame

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


class _Worker:
    """One process, and the thread that reads what it says."""

    def __init__(self, memory_bytes: int) -> None:
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the service, which ends its workers itself
        )
        self._requests = cast("BinaryIO", self._process.stdin)
        self._answers: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._jobs = 0
        self._broken = False
        threading.Thread(target=self._read, name="seehear-decode", daemon=True).start()

    @property
    def usable(self) -> bool:
        return not self._broken and self._jobs < _JOBS_PER_WORKER and self._process.poll() is None

    def ask(self, request: dict[str, Any], timeout_s: float) -> Frame:
        """One request and its answer. Raises MediaError when the worker dies or takes too long."""
        self._jobs += 1
        self._broken = True  # until the answer has come
        try:
            write_frame(self._requests, Frame(request))
        except OSError:
            raise BrokenMediaError("the decoder died") from None
        until = time.monotonic() + timeout_s
        while True:
            check_current()
            try:
                frame = self._answers.get(timeout=_TICK_S)
                break
            except queue.Empty:
                if time.monotonic() > until:
                    raise MediaLimitError(f"takes longer than {timeout_s:g} s to decode") from None
        if frame is None:
            raise BrokenMediaError("the decoder died of it")
        self._broken = False
        return frame

    def end(self) -> None:
        """Kill the process; it holds nothing that could be lost."""
        self._process.kill()
        self._process.wait()
        self._requests.close()

    def _read(self) -> None:
        answers = cast("BinaryIO", self._process.stdout)
        with answers:
            try:
                while (frame := read_frame(answers, _MOST_HEADER, _MOST_BODY)) is not None:
                    self._answers.put(frame)
            except (OSError, ValueError):
                self._process.kill()
        self._answers.put(None)


def _error_of(kind: object, header: dict[str, Any]) -> MediaError:
    found = getattr(errors, str(kind), None)
    if not (isinstance(found, type) and issubclass(found, MediaError)):
        found = BrokenMediaError
    return found(str(header.get("reason", ""))[:500], stage=str(header.get("stage", "decode"))[:20])


def _checked(read: Callable[[Frame], T], frame: Frame) -> T:
    """What a frame says; one that makes no sense is a decoder that has been taken over."""
    try:
        return read(frame)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenMediaError("the decoder sent nonsense") from error


def _samples_of(frame: Frame) -> tuple[Modality, tuple[Sample, ...]]:
    rest = memoryview(frame.body)

    def take(size: int) -> memoryview:
        nonlocal rest
        if not 0 <= size <= len(rest):
            raise ValueError("a sample is cut short")
        taken, rest = rest[:size], rest[size:]
        return taken

    def picture(shape: list[int]) -> ImageSample:
        height, width, channels = (int(n) for n in shape)
        if min(height, width) < 1 or channels != 3:
            raise ValueError("a picture has no such shape")
        flat = np.frombuffer(take(height * width * 3), dtype=np.uint8)
        return ImageSample(flat.reshape(height, width, 3))

    samples: list[Sample] = []
    for about in frame.header["samples"]:
        kind = about["kind"]
        if kind == "text":
            samples.append(bytes(take(int(about["size"]))).decode("utf-8"))
        elif kind == "image":
            samples.append(picture(about["shape"]))
        elif kind == "audio":
            wave: NDArray[np.float32] = np.frombuffer(take(4 * int(about["size"])), dtype="<f4")
            if not np.isfinite(wave).all():
                raise ValueError("a sound is not finite")
            samples.append(AudioSample(wave, int(about["rate_hz"])))
        else:
            samples.append(VideoSample(tuple(picture(shape) for shape in about["shapes"])))
    if not samples:
        raise ValueError("there is no sample")
    return Modality(frame.header["modality"]), tuple(samples)


def _peaks_of(frame: Frame) -> tuple[float, list[float]]:
    peaks = np.nan_to_num(np.frombuffer(frame.body, dtype="<f4"))
    return float(frame.header["stop_s"]), [round(float(peak), 3) for peak in np.clip(peaks, 0, 1)]
