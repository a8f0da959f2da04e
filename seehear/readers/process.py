"""A reader in a process of its own: what it takes is limited, and what kills it kills one reading.

    with ReaderProcess("speech", model="whisper-base", threads=2) as reader:
        for sound in sounds:
            try:
                reading = reader.hear(sound.blocks)
            except ReaderFailedError as error:     # this file only; the next one gets a new process
                ...

The process holds neither torch nor FAISS, runs at low priority, and has given up what it does not
need (seehear/processes/sandbox.py): the model is found, and fetched, before it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from seehear.errors import ReaderFailedError
from seehear.processes import wire
from seehear.processes.child import ChildProcess, StartError, Watchdog, start_child
from seehear.readers.base import AudioBlock, Reader, ReaderKind
from seehear.readers.blocks import check_block
from seehear.readers.records import unpack_reading
from seehear.readers.registry import find_reader
from seehear.types import ImageSample, Reading

START_TIMEOUT_S = 180.0
"""A cold disk takes long to read a large model."""
_SIGPROF = 27
"""What ends a process that has used up its processor time."""
_ENTRY = (
    "from seehear.processes import sandbox; streams = sandbox.private_streams(); "
    "sandbox.enter(parent); from seehear.readers.worker import main; main(*streams)"
)


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """What a reader may take."""

    memory_bytes: int = 6 << 30
    """Address space; Whisper base needs 2 GiB of it, turbo twice as much."""
    timeout_s: float = 120.0
    """Most processor time of each thread for an image, or for a block of sound beside its length.
    """
    time_per_second: float = 6.0
    """Processor time allowed per second of sound. The slowest model takes about 2."""
    patience: float = 10.0
    """How many times as long it may take by the clock: on a busy machine, low priority means that
    a reader waits more than it works."""


class ReaderProcess(Reader):
    """A `Reader` whose work is done in another process; for one thread at a time.

    The process starts with the first file, and again after a file on which it failed. `check` is
    called every tenth of a second while it works; what it raises ends the work.
    """

    def __init__(
        self,
        kind: ReaderKind,
        model: str | None = None,
        threads: int = 1,
        limits: ReaderLimits | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Find the model, and fetch it if it has to be. Raises as `open_reader`."""
        found = find_reader(kind, model)
        self.engine = found.engine
        self._setup = {"kind": kind, "model": found.model, "threads": threads}
        self._limits = limits or ReaderLimits()
        self._watchdog = Watchdog(check)
        # The process ends with the thread that started it: one that lives as long as this object.
        self._starter = ThreadPoolExecutor(1, f"seehear-{kind}-start")
        self._threads = threads
        self._child: ChildProcess | None = None

    def __enter__(self) -> ReaderProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._end()
        self._watchdog.close()
        self._starter.shutdown()

    def hear(self, blocks: Iterable[AudioBlock], *, translate: bool = False) -> Reading:
        """Return what is said in a sound, as `Reader.hear`.

        Raises ReaderFailedError where the process dies, hangs or fails on it;
        EnvironmentFaultError for a missing library or a damaged model; what `blocks` raises.
        """
        return unpack_reading(self._stream({"do": "hear", "translate": translate}, blocks))

    def measure_speech(self, blocks: Iterable[AudioBlock]) -> float:
        """Return the seconds of speech in a sound. Raises as `hear`."""
        return float(self._stream({"do": "measure"}, blocks)["seconds"])

    def see(self, image: ImageSample) -> Reading:
        """Return what is written in an image. Raises as `hear`."""
        height, width = image.pixels.shape[:2]
        request = {"do": "see", "height": height, "width": width}
        with _Exchange(self, self._start()) as exchange:
            exchange.send(request, self._limits.timeout_s, [wire.bytes_of(image.pixels)])
            return unpack_reading(exchange.receive())

    def _stream(self, request: wire.WireMessage, blocks: Iterable[AudioBlock]) -> wire.WireMessage:
        """Send a request and its blocks, each after the one before was read; return the answer."""
        with _Exchange(self, self._start()) as exchange:
            allowed_s = self._limits.timeout_s
            exchange.send(request, allowed_s)
            for start_s, block in blocks:
                body = [wire.bytes_of(check_block(block))]
                allowed_s = self._limits.timeout_s + self._limits.time_per_second * block.duration_s
                exchange.send({"start_s": start_s}, allowed_s, body)
                exchange.receive("next")
            exchange.send({"end": True}, allowed_s)
            return exchange.receive()

    def _start(self) -> ChildProcess:
        """Return the running process, or start it. Raises EnvironmentFaultError."""
        if self._child is not None and self._child.is_alive():
            return self._child
        self._end()
        threads = str(max(1, self._threads))
        environment = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": "1"}
        process = self._starter.submit(
            start_child, _ENTRY, environment, "readers of speech and writing"
        ).result()
        child = self._child = ChildProcess(process, self._watchdog)
        try:
            child.send(self._setup | {"memory_bytes": self._limits.memory_bytes})
            head, _ = child.receive(START_TIMEOUT_S)
        except wire.WireError:
            child.wait_exit()
            reason = "it takes too long" if child.hung else child.exit_reason()
            self._end()
            raise StartError(
                f"the reader {self.engine} cannot be started ({reason}); see `seehear doctor`"
            ) from None
        except BaseException:
            self._end()
            raise
        if head.get("type") == "fault":
            self._end()
            raise wire.unpack_fault(head.get("fault", {}))
        return child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


class _Exchange:
    """Send one request and receive its answer; whatever goes wrong on the way ends the child."""

    def __init__(self, owner: ReaderProcess, child: ChildProcess) -> None:
        self._owner, self._child = owner, child
        self._wait_s = 0.0

    def __enter__(self) -> _Exchange:
        return self

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if error is None:
            return
        child = self._child
        if isinstance(error, wire.WireError):
            child.wait_exit()
            reason = child.exit_reason()
            hung = child.hung or child.exit_code == -_SIGPROF
            self._owner._end()
            if hung:
                raise ReaderFailedError(
                    f"reading was stopped: the reader {self._owner.engine} takes too long"
                ) from None
            raise ReaderFailedError(
                f"the reader {self._owner.engine} died on it ({reason})"
            ) from None
        self._owner._end()  # its answer would be taken for that of the next request

    def send(
        self, head: wire.WireMessage, allowed_s: float, body: list[memoryview] | None = None
    ) -> None:
        """Send a message, whose work may take so much processor time. Raises WireError."""
        limits = self._owner._limits
        self._wait_s = limits.patience * allowed_s
        cpu_s = allowed_s * max(1, self._owner._threads)
        self._owner._watchdog.expect(self._child, self._wait_s)
        try:
            self._child.send(head | {"cpu_s": cpu_s}, body or ())
        finally:
            self._owner._watchdog.relax(self._child)

    def receive(self, kind: str = "answer") -> wire.WireMessage:
        """Return the next message. Raises ReaderFailedError for a failure, WireError for none."""
        head, _ = self._child.receive(self._wait_s)
        if head.get("type") == "failed":
            raise ReaderFailedError(f"the reader {self._owner.engine} failed ({head['reason']})")
        if head.get("type") == "fault":
            raise wire.unpack_fault(head.get("fault", {}))
        if head.get("type") != kind:
            raise wire.WireError("a message of an unknown kind")
        return head
