"""Run a decode worker: read tasks from standard input, write samples to standard output.

Started by the pool as `python -c "from seehear.media.worker import main; main()"`. The process
imports no encoder. The output of decoders is discarded, the system limits the memory, and the pool
kills the process if it gives up on a file.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from seehear.errors import BrokenMediaError, EnvironmentFaultError, MediaError, MediaLimitError
from seehear.libraries import fault_of
from seehear.media import decode, hashing, media_info, protocol, source
from seehear.media.sniff import sniff
from seehear.types import AudioSample, ImageSample, Sample, SampleSpec, VideoSample

IN_MEMORY_BYTES = 64 << 20
"""Files up to this size are read once, hashed and decoded from memory. Larger ones are hashed
from disk and decoded by seeking; the system's cache saves most of the second reading."""
BATCH_BYTES = 1 << 20
"""Samples are sent in batches of this size: fewer messages, and no sample waits for long."""
BATCH_PAIRS = 64
RETIRE_SHARE = 0.5
"""A worker whose memory grew beyond this share of its limit ends after the file: decoders leak,
and the next large file needs the whole limit."""
FILES_PER_LIFE = 5_000

Head = dict[str, Any]


def main() -> None:
    """Serve tasks until standard input ends."""
    tasks, results = _private_pipes()
    with suppress(protocol.WireError, BrokenPipeError, KeyboardInterrupt):
        setup, _ = protocol.receive(tasks)
        _limit_memory(int(setup["memory_bytes"]))
        worker = WorkerLoop(tasks, results, SampleSpec(**setup["spec"]), setup)
        protocol.send(results, {"type": "ready"})
        while not worker.should_recycle():
            task, _ = protocol.receive(tasks)
            worker.serve(task["path"])
    # Exit without clean-up, in which a broken decoder could hang.
    os._exit(0)


class WorkerLoop:
    """Decode one file at a time and report it."""

    def __init__(self, tasks: BinaryIO, results: BinaryIO, spec: SampleSpec, setup: Head) -> None:
        self._tasks, self._results, self._spec = tasks, results, spec
        self._asks = bool(setup["asks"])
        self._memory_bytes = int(setup["memory_bytes"])
        self._cpu_s = float(setup["cpu_s"])
        self._starved = False
        self._files = 0

    def serve(self, path: str) -> None:
        """Report one file: its stamp, its description and samples, and how it ended.

        A library that cannot be loaded is reported as a fault of the environment, not of the file.
        """
        _limit_cpu(self._cpu_s)
        self._files += 1
        try:
            error, changed = self._read(path)
        except EnvironmentFaultError as fault:
            protocol.send(self._results, {"type": "fault", "fault": protocol.pack_fault(fault)})
            return
        last = {"type": "end", "changed": changed, "worn": self.should_recycle()}
        if error is not None:
            last["error"] = protocol.pack_error(error)
        protocol.send(self._results, last)

    def _read(self, path: str) -> tuple[MediaError | None, bool]:
        """Return a file's error, or None, and whether the file changed while it was read."""
        try:
            with source.open_regular(path) as file:
                before = os.fstat(file.fileno())
                error = self._file(file, path, before)
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

    def should_recycle(self) -> bool:
        """Tell whether the process should be replaced before the next file."""
        if self._starved or self._files >= FILES_PER_LIFE:
            return True
        return _peak_bytes() > RETIRE_SHARE * self._memory_bytes

    def _file(self, file: BinaryIO, path: str, stat: os.stat_result) -> MediaError | None:
        stamp = {"size": stat.st_size, "modified_ns": stat.st_mtime_ns, "inode": stat.st_ino}
        try:
            if stat.st_size == 0:
                raise BrokenMediaError("the file is empty", stage="open")
            suffix = source.suffix_of(path)
            head = source.head_of(file)
            sniff(head, suffix)  # raises for a file that is not media, before it is hashed
            digest, file = _hashed(file, stat.st_size)
            protocol.send(self._results, {"type": "stamp", "hash": digest, **stamp})
            stamp = {}
            if self._asks and not protocol.receive(self._tasks)[0]["go"]:
                return None
            item = decode.recognise(file, suffix)
            info = media_info.probe_open(item)
            protocol.send(self._results, {"type": "info", "info": protocol.pack_info(info)})
            self._send_pairs(decode.samples_open(item, self._spec))
        except MediaError as error:
            if (fault := fault_of(error)) is not None:
                raise fault from error
            if stamp:
                protocol.send(self._results, {"type": "stamp", "hash": None, **stamp})
            return error
        except MemoryError:
            self._starved = True
            return MediaLimitError("decoding takes more memory than a file may have")
        except RecursionError:
            return BrokenMediaError("corrupt: its parts are nested without end")
        return None

    def _send_pairs(self, pairs: Iterator[protocol.Pair]) -> None:
        batch: list[protocol.Pair] = []
        size = 0
        for pair in pairs:
            batch.append(pair)
            size += _bytes_of(pair[1])
            if size >= BATCH_BYTES or len(batch) >= BATCH_PAIRS:
                self._send_batch(batch)
                batch, size = [], 0
        if batch:
            self._send_batch(batch)

    def _send_batch(self, batch: list[protocol.Pair]) -> None:
        items, buffers = protocol.pack_pairs(batch)
        # The limit is for CPU time of one batch; waiting for a busy pool does not count.
        protocol.send(self._results, {"type": "pairs", "items": items}, buffers)
        _limit_cpu(self._cpu_s)


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


def _bytes_of(sample: Sample) -> int:
    if isinstance(sample, ImageSample):
        return sample.pixels.nbytes
    if isinstance(sample, AudioSample):
        return sample.waveform.nbytes
    if isinstance(sample, VideoSample):
        return sum(frame.pixels.nbytes for frame in sample.frames)
    return len(sample)


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep standard input and output for us; discard what libraries read and print."""
    tasks = os.fdopen(os.dup(0), "rb")
    results = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115 open until the end
        for mode in ("r", "w", "w")
    )
    return tasks, results


def _limit_memory(most_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_cpu(seconds: float) -> None:
    """Ask the system to end this process after so many seconds of CPU time on one sample.

    The pool ends a worker that hangs; this limit is for the case that the pool itself has ended.
    """
    try:
        from signal import ITIMER_PROF, SIG_DFL, SIGPROF, setitimer, signal
    except ImportError:
        return
    signal(SIGPROF, SIG_DFL)
    setitimer(ITIMER_PROF, seconds)


def _peak_bytes() -> int:
    """Return the peak memory of this process in bytes; 0 where it is unknown."""
    # Not getrusage on Linux: there a process starts with the peak of its parent, and a worker of a
    # large program would be recycled before its first file.
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
