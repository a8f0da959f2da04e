"""Run a worker: read requests from standard input, write answers to standard output.

    {"do": "file", "path": ..., "root": ..., "spec": {...}, "asks": true, "samples": true,
     "content": null}
        -> a stamp, a description, pairs of segments and samples, and an end with the fingerprint
        (WorkerLoop)
    {"do": "query", "file": ..., "spec": {...}, "most_pixels": n, "most_s": s}
        -> {"modality": "image", "items": [...]} and the samples
    {"do": "image", "file": ..., "px": 320, "start_s": 1.0, "stop_s": null, "audio": false,
     "page": null}
        -> {} and a WebP file, or a PNG file of a sound
    {"do": "waveform", "file": ..., "steps": 400, "most_s": 3600.0}
        -> {"stop_s": 12.5} and float32 peaks

    {"do": "audio", "file": ..., "rate": 16000, "start_s": 0.0, "most_s": 600.0}
        -> {} and float32 samples
    {"do": "clip", "file": ..., "start_s": 6.0, "stop_s": 12.0, "tolerance_s": 0.5, "cpu_s": 90.0}
        -> {"suffix": ".mp4", "start_s": 5.8, "stop_s": 12.0, "copied": true} and the file
    {"do": "timing", "file": ...}
        -> {"rate": [30000, 1001], "duration_s": 12.0, ...}, the fields of MediaTiming

A "file" is a path, or a StoredFile, which is opened beneath its root and must have the content that
was indexed, or an AskedFile beyond this machine. Of that, a worker, which has no network, asks for
parts: {"type": "read", "at": 0, "count": 65536} is answered by {} and the bytes. The process
imports no encoder, and has given up all it can (sandbox.py). What decoders print is discarded; the
process that started this one kills it when it gives up on a file.
"""

from __future__ import annotations

import dataclasses
import errno
import io
import os
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, cast

import numpy as np

from seehear import media
from seehear.errors import BrokenMediaError, EnvironmentFaultError, MediaError, MediaLimitError
from seehear.libraries import fault_of
from seehear.media import decode, hashing, media_info, source
from seehear.media.fingerprints import Fingerprinter
from seehear.media.limits import out_of_memory
from seehear.media.sniff import sniff_file
from seehear.media.stored_file import StoredFile, open_beneath
from seehear.media.workers import protocol
from seehear.processes import wire
from seehear.processes.resources import limit_cpu, limit_memory, peak_bytes
from seehear.types import (
    MediaInfo,
    SampleSpec,
    Segment,
    bytes_of,
    modality_of,
)

IN_MEMORY_BYTES = 64 << 20
"""Files up to this size are read once, hashed and decoded from memory. Larger ones are hashed
from disk and decoded by seeking; the system's cache saves most of the second reading."""
ASKED_BYTES = 1 << 18
"""Of a file beyond this machine, what is asked for at a time at least."""
BATCH_BYTES = 1 << 20
"""Samples are sent in batches of this size: fewer messages, and no sample waits for long."""
BATCH_PAIRS = 64
RETIRE_SHARE = 0.5
"""A worker whose memory grew beyond this share of its limit ends after the file: decoders leak,
and the next large file needs the whole limit."""
FILES_PER_LIFE = 1_000
WAVEFORM_RATE_HZ = 4000

WorkerSource = str | dict[str, Any] | BinaryIO
WorkerAnswer = tuple[wire.WireMessage, Sequence[memoryview | bytes]]


def main(requests: BinaryIO, answers: BinaryIO, held: wire.WireMessage) -> None:
    """Serve requests until their stream ends; `held` is what the process has given up."""
    with suppress(wire.WireError, BrokenPipeError, KeyboardInterrupt):
        setup, _ = wire.receive(requests)
        memory_bytes = int(setup["memory_bytes"])
        limit_memory(memory_bytes)
        worker = WorkerLoop(requests, answers, memory_bytes, float(setup["cpu_s"]))
        wire.send(answers, {"type": "ready", "sandbox": held})
        while not worker.should_recycle():
            request, _ = wire.receive(requests)
            worker.serve(request)
    # Exit without clean-up, in which a broken decoder could hang.
    os._exit(0)


class AskedFile(io.RawIOBase):
    """A file beyond this machine, of which parts are asked for over the pipe."""

    def __init__(self, tasks: BinaryIO, results: BinaryIO, name: str, size: int) -> None:
        self.name = name
        self._tasks, self._results, self._size, self._at = tasks, results, size, 0

    def buffered(self) -> BinaryIO:
        reader: Any = io.BufferedReader(self, ASKED_BYTES)
        return cast(BinaryIO, reader)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, "a position before the start")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), max(0, self._size - self._at))
        if count == 0:
            return 0
        wire.send(self._results, {"type": "read", "at": self._at, "count": count})
        body = wire.receive(self._tasks)[1][:count]
        buffer[: len(body)] = wire.bytes_of(body)
        self._at += len(body)
        return len(body)


class WorkerLoop:
    """Decode one file at a time and report it."""

    def __init__(self, tasks: BinaryIO, results: BinaryIO, memory_bytes: int, cpu_s: float) -> None:
        self._tasks, self._results = tasks, results
        self._memory_bytes, self._cpu_s = memory_bytes, cpu_s
        self._spec, self._asks, self._samples = SampleSpec(), False, True
        self._starved = False
        self._files = 0
        self._info: MediaInfo | None = None

    def serve(self, request: wire.WireMessage) -> None:
        """Answer one request; a failure is {"type": "end", "error": {...}}.

        A library that cannot be loaded is reported as a fault of the environment, not of the file.
        """
        limit_cpu(self._cpu_s)
        self._files += 1
        do = request.pop("do")
        body: Sequence[memoryview | bytes] = ()
        try:
            if do == "file":
                self._spec, self._asks = SampleSpec(**request["spec"]), bool(request["asks"])
                self._samples, self._fingerprint = bool(request["samples"]), b""
                if request["content"] is None:
                    error, changed = self._read(request["path"], request["root"])
                else:
                    error, changed = self._ask_for(request["path"], request["content"]), False
                last, body = {"type": "end", "changed": changed}, (self._fingerprint,)
                if self._info is not None and "partial" in self._info.details:
                    last["partial"] = self._info.details["partial"]  # maybe found while decoding
            else:
                error = None
                last, body = self._answer(do, request)
        except EnvironmentFaultError as fault:
            wire.send(self._results, {"type": "fault", "fault": wire.pack_fault(fault)})
            return
        if error is not None:
            last["error"] = protocol.pack_error(error)
        wire.send(self._results, last | {"worn": self.should_recycle()}, body)

    def _answer(self, do: str, request: wire.WireMessage) -> WorkerAnswer:
        """Answer a request that has one answer. Raises EnvironmentFaultError."""
        try:
            if "asked" in request:
                asked = AskedFile(self._tasks, self._results, *request.pop("asked"))
                request["file"] = asked.buffered()
            head, body = _DOES[do](**request)
            return {"type": "answer"} | head, body
        except Exception as error:
            if (fault := fault_of(error)) is not None:
                raise fault from error
            if isinstance(error, MemoryError):
                self._starved = True
                error = out_of_memory()
            elif isinstance(error, OSError):
                error = MediaError(f"cannot be read: {source.reason_of(error)}", stage="open")
            elif not isinstance(error, MediaError):
                # A bug of a decoder: its details help nobody.
                error = BrokenMediaError(f"the decoder failed ({type(error).__name__})")
            return {"type": "end", "error": protocol.pack_error(error)}, ()

    def _read(self, path: str, root: str | None) -> tuple[MediaError | None, bool]:
        """Return a file's error, or None, and whether the file changed while it was read."""
        try:
            with source.open_regular(path) if root is None else open_beneath(path, root) as file:
                before = os.fstat(file.fileno())
                size, modified_ns, inode, _ = _stamp(before)
                stamp = {"size": size, "modified_ns": modified_ns, "inode": inode}
                error = self._file(file, path, root, stamp)
                after, changed = os.fstat(file.fileno()), True
                with suppress(OSError):
                    changed = _stamp(os.stat(path)) != _stamp(before)  # noqa: PTH116
                changed = changed or _stamp(after) != _stamp(before)
        except MediaError as failure:
            return failure, False
        except Exception as failure:
            if (fault := fault_of(failure)) is not None:
                raise fault from failure
            if not isinstance(failure, OSError):
                raise
            return MediaError(f"cannot be read: {source.reason_of(failure)}", stage="open"), False
        return error, changed

    def _ask_for(self, path: str, state: wire.WireMessage) -> MediaError | None:
        """Read a file beyond this machine; return its error, or None."""
        size = int(state["size_bytes"])
        with AskedFile(self._tasks, self._results, path, size).buffered() as file:
            stamp = {"size": size, "modified_ns": state["modified_ns"], "inode": state["mark"]}
            return self._file(file, path, None, stamp)

    def should_recycle(self) -> bool:
        """Tell whether the process should be replaced before the next file."""
        if self._starved or self._files >= FILES_PER_LIFE:
            return True
        return peak_bytes() > RETIRE_SHARE * self._memory_bytes

    def _file(
        self, file: BinaryIO, path: str, root: str | None, stamp: wire.WireMessage
    ) -> MediaError | None:
        self._info, size = None, stamp["size"]
        try:
            if size == 0:
                raise BrokenMediaError("the file is empty", stage="open")
            suffix = source.suffix_of(path)
            sniff_file(file, suffix)  # raises for a file that is not media, before it is hashed
            digest, file = _hashed(file, size)
            wire.send(self._results, {"type": "stamp", "hash": digest, **stamp})
            stamp = {}
            told = wire.receive(self._tasks)[0] if self._asks else {"go": True}
            if not told["go"]:
                return None
            made = Fingerprinter() if told.get("fingerprint", True) else None
            item = decode.recognise(file, path)
            item.root = root
            self._info = media_info.probe_open(item)
            wire.send(self._results, {"type": "info", "info": protocol.pack_info(self._info)})
            if made is None and not self._samples:
                return None  # what the file says about itself is all that is asked for
            self._send_pairs(decode.samples_open(item, self._spec, made))
            self._fingerprint = made.data() if made is not None else b""
        except MediaError as error:
            if (fault := fault_of(error)) is not None:
                raise fault from error
            if stamp:
                wire.send(self._results, {"type": "stamp", "hash": None, **stamp})
            return error
        except MemoryError:
            self._starved = True
            return out_of_memory()
        except RecursionError:
            return BrokenMediaError("corrupt: its parts are nested without end")
        return None

    def _send_pairs(self, pairs: Iterator[protocol.Pair]) -> None:
        batch: list[protocol.Pair] = []
        size = 0
        for pair in pairs:
            batch.append(pair)
            size += bytes_of(pair[1])
            if size >= BATCH_BYTES or len(batch) >= BATCH_PAIRS:
                self._send_batch(batch)
                batch, size = [], 0
        if batch:
            self._send_batch(batch)

    def _send_batch(self, batch: list[protocol.Pair]) -> None:
        items, buffers = protocol.pack_pairs(batch if self._samples else ())
        # The limit is for CPU time of one batch; waiting for a busy pool does not count.
        wire.send(self._results, {"type": "pairs", "items": items}, buffers)
        limit_cpu(self._cpu_s)


@contextmanager
def _opened(file: WorkerSource) -> Iterator[BinaryIO | str]:
    if not isinstance(file, dict):
        yield file
        return
    with StoredFile(**file).open() as stored:
        yield stored


def _query(
    file: WorkerSource,
    spec: dict[str, Any],
    most_pixels: int | None,
    most_s: float | None,
) -> WorkerAnswer:
    with _opened(file) as content:
        return _samples(content, SampleSpec(**spec), most_pixels, most_s)


def _samples(
    content: BinaryIO | str, spec: SampleSpec, most_pixels: int | None, most_s: float | None
) -> WorkerAnswer:
    info = media.probe(content)
    if most_pixels is not None and (info.width_px or 0) * (info.height_px or 0) > most_pixels:
        raise MediaLimitError(f"has more than {most_pixels:,} pixels", stage="probe")
    if most_s is not None and (info.duration_s or 0.0) > most_s:
        raise MediaLimitError(f"is longer than {most_s:g} seconds", stage="probe")
    modality, samples = media.query_samples(content, spec)
    items, body = protocol.pack_pairs([(Segment(modality_of(one)), one) for one in samples])
    return {"modality": str(modality), "items": items}, body


def _image(
    file: WorkerSource,
    px: int,
    start_s: float | None,
    stop_s: float | None,
    audio: bool,
    page: int | None,
) -> WorkerAnswer:
    size = {"width_px": px, "height_px": max(32, px * 9 // 16)}
    with _opened(file) as content:
        if audio:
            return {}, (media.spectrogram_image(content, start_s or 0.0, stop_s, **size),)
        return {}, (media.thumbnail(content, None, px, time_s=start_s, page=page),)


def _waveform(file: WorkerSource, steps: int, most_s: float) -> WorkerAnswer:
    with _opened(file) as content:
        audio = media.load_audio(content, WAVEFORM_RATE_HZ, max_s=most_s)
    pieces = np.array_split(np.abs(audio.waveform), steps)
    peaks = np.array([piece.max() if piece.size else 0.0 for piece in pieces], dtype="<f4")
    return {"stop_s": audio.duration_s}, (peaks.tobytes(),)


def _audio(file: WorkerSource, rate: int, start_s: float, most_s: float) -> WorkerAnswer:
    with _opened(file) as content:
        audio = media.load_audio(content, rate, start_s=start_s, max_s=most_s)
    return {}, (audio.waveform.astype("<f4").tobytes(),)


def _clip(
    file: WorkerSource, start_s: float, stop_s: float, tolerance_s: float, cpu_s: float
) -> WorkerAnswer:
    from seehear.media import clip

    limit_cpu(cpu_s)
    with _opened(file) as content, decode.recognised_media(content) as item:
        made = clip.cut(item, start_s, stop_s, tolerance_s)
    head = {name: getattr(made, name) for name in ("suffix", "start_s", "stop_s", "copied")}
    return head, (made.data,)


def _timing(file: WorkerSource) -> WorkerAnswer:
    from seehear.media import clip

    with _opened(file) as content, decode.recognised_media(content) as item:
        found = dataclasses.asdict(clip.timing_of(item))
    rate = found["rate"]
    return found | {"rate": rate and [rate.numerator, rate.denominator]}, ()


def _warm() -> WorkerAnswer:
    """Decode next to nothing, which reads the libraries of images and of sound."""
    audio = io.BytesIO()
    with wave.open(audio, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(3200))
    media.load_image(b"P6 1 1 255 \0\0\0", 1)
    media.load_audio(audio.getvalue(), 8000)
    return {}, ()


_DOES: dict[str, Callable[..., WorkerAnswer]] = {
    "query": _query,
    "image": _image,
    "waveform": _waveform,
    "audio": _audio,
    "clip": _clip,
    "timing": _timing,
    "warm": _warm,
}


def _hashed(file: BinaryIO, size: int) -> tuple[str, BinaryIO]:
    """Return the BLAKE2b-256 of the content in hex, and a file to decode it from."""
    file.seek(0)
    if size <= IN_MEMORY_BYTES:
        file = io.BytesIO(file.read(IN_MEMORY_BYTES + 1))
    digest = hashing.hash_of(file)
    file.seek(0)
    return digest, file


def _stamp(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev
