"""Control one worker process: start it, talk to it, notice a crash, end it."""

from __future__ import annotations

import contextvars
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from seehear.errors import EnvironmentFaultError, MediaError, MediaLimitError
from seehear.libraries import decoder_fault
from seehear.media.workers import protocol
from seehear.media.workers.sample_buffer import AbandonedError, ContentStamp, SampleBuffer
from seehear.types import SampleSpec

START_TIMEOUT_S = 60.0
"""A cold disk takes seconds to read the libraries; a longer start is a broken installation."""
LEAST_SPEED = 50.0
"""Seconds of sound or video that are decoded in a second, at least. A long silence gives no sample,
nor does a second track that adds nothing."""
TIME_PER_SECOND = 2.0
"""Seconds allowed per second of sound or video, beyond the timeout for one sample. Real time is
1; a slow machine on a large video needs more, and a file built to waste time gets no more."""
TICK_S = 0.1
_KEPT_ENVIRONMENT = (
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT",
    "TEMP", "TMPDIR", "TZ", "TZDIR",
)  # fmt: skip
"""All that a worker gets to know: it loads libraries, and has no use for secrets."""
_ENTRY = (
    "from seehear.media.workers import sandbox; streams = sandbox.private_streams(); "
    "held = sandbox.enter(parent); from seehear.media.workers.worker import main; "
    "main(*streams, held)"
)
_EXIT_WAIT_S = 1.0
_SIGKILL = 9
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


class StartError(EnvironmentFaultError):
    """Raised when no worker process can be started."""


class Watchdog:
    """End processes that let their thread wait for too long, or for nobody.

    One thread watches all of them.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._waits: dict[WorkerProcess, tuple[float, contextvars.Context]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def expect(self, worker: WorkerProcess, seconds: float) -> None:
        """Set a worker's deadline: so many seconds from now."""
        with self._lock:
            if self._closed.is_set():
                worker.kill()
                return
            self._waits[worker] = time.monotonic() + seconds, contextvars.copy_context()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, name="seehear-decode-watchdog", daemon=True
                )
                self._thread.start()

    def relax(self, worker: WorkerProcess) -> None:
        """Remove a worker's deadline."""
        with self._lock:
            self._waits.pop(worker, None)

    def close(self) -> None:
        """End the thread, and every worker that has a deadline."""
        with self._lock:
            self._closed.set()
            for worker in self._waits:
                worker.kill()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(TICK_S):
            now = time.monotonic()
            with self._lock:  # held to the end: a worker that answers meanwhile must not be killed
                for worker, (deadline, context) in list(self._waits.items()):
                    if deadline < now:
                        worker.hung = True
                        worker.kill()
                    elif not self._is_wanted(context):
                        worker.kill()

    def _is_wanted(self, context: contextvars.Context) -> bool:
        try:
            context.run(self._check)
        except Exception:
            return False
        return True


class DecoderCheck:
    """Check once, after a worker has died, whether the decoding libraries load at all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = False
        self._fault: EnvironmentFaultError | None = None

    def fault(self) -> EnvironmentFaultError | None:
        """Return the fault of the first library that fails to load in a fresh process, or None."""
        with self._lock:
            if not self._done:
                self._fault, self._done = decoder_fault(), True
            return self._fault


class WorkerProcess:
    """A worker, from its start on; `wait_ready` says whether it could start.

    Raises StartError where the system starts no process.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        memory_bytes: int,
        timeout_s: float,
        watchdog: Watchdog,
        libraries: DecoderCheck,
    ) -> None:
        self.hung = False
        self.usable = True
        self.sandbox: dict[str, Any] = {}
        """What the worker has given up, by name; known once it is ready."""
        self._process = process
        self._timeout_s = timeout_s
        self._watchdog, self._libraries = watchdog, libraries
        self._input = cast(BinaryIO, process.stdin)
        self._output = cast(BinaryIO, process.stdout)
        self._ready = False
        with suppress(protocol.WireError):  # `wait_ready` tells
            self._send({"memory_bytes": memory_bytes, "cpu_s": 2 * timeout_s + 60})

    def wait_ready(self) -> None:
        """Wait for the end of the start. Raises StartError where it fails.

        Raises EnvironmentFaultError where a decoding library cannot be loaded.
        """
        if self._ready:
            return
        try:
            head, _ = self._receive(START_TIMEOUT_S)
        except protocol.WireError:
            self._wait_exit()
            reason = self._exit_reason()
            self.end()
            if (fault := self._library_fault()) is not None:
                raise fault from None
            raise StartError(
                f"decode workers cannot be started ({reason}); see `seehear doctor`"
            ) from None
        self._ready, self.sandbox = True, dict(head.get("sandbox") or {})

    def ask(self, request: protocol.WireMessage) -> tuple[protocol.WireMessage, protocol.WireBody]:
        """Send one request and return its answer.

        Raises MediaError where the file cannot be read, or the worker dies or takes too long;
        EnvironmentFaultError where a decoding library cannot be loaded.
        """
        try:
            self._send(request)
            head, body = self._receive(self._timeout_s)
        except protocol.WireError as error:
            raise self._failed(error) from None
        except BaseException:  # its answer would be taken for that of the next request
            self.end()
            raise
        if head.get("worn"):
            self.end()
        kind = head.get("type")
        if kind == "fault":
            raise protocol.unpack_fault(head.get("fault", {}))
        if kind not in {"answer", "end"}:
            raise self._failed(protocol.WireError("a message of an unknown kind"))
        if "error" in head:
            raise protocol.unpack_error(head["error"])
        return head, body

    def decode(
        self,
        slot: SampleBuffer,
        root: str | None,
        spec: SampleSpec,
        wanted: Callable[[str], bool] | None,
        to_mark: Callable[[str], bool] | None = None,
        *,
        samples: bool = True,
    ) -> None:
        """Fill a buffer with a file. A crash of the worker becomes the file's error.

        No link on the way to the file may leave the folder `root`.

        Raises EnvironmentFaultError where a decoding library cannot be loaded.
        """
        request = {
            "do": "file",
            "path": os.fspath(slot.task.path),
            "root": root,
            "spec": dataclasses.asdict(spec),
            "asks": wanted is not None,
            "samples": samples,
        }
        try:
            self._send(request)
            self._follow(slot, wanted, to_mark)
        except AbandonedError:
            self.end()  # faster than waiting for the rest of a long video
            slot.finish()
        except protocol.WireError as error:
            slot.finish(self._failed(error))

    def _follow(
        self,
        slot: SampleBuffer,
        wanted: Callable[[str], bool] | None,
        to_mark: Callable[[str], bool] | None,
    ) -> None:
        left_s = wait_s = self._timeout_s
        while True:
            since = time.monotonic()
            head, body = self._receive(min(wait_s, left_s))
            left_s -= time.monotonic() - since
            kind = head.get("type")
            if kind == "stamp":
                slot.stamp = _stamp(head)
                if slot.stamp.content_hash is not None and wanted is not None:
                    go = wanted(slot.stamp.content_hash)
                    slot.skipped = not go
                    mark = to_mark is None or to_mark(slot.stamp.content_hash)
                    self._send({"go": go, "fingerprint": mark})
                # Hashing reads the whole file from a maybe slow disk: the time limit starts now.
                left_s = self._timeout_s
            elif kind == "info":
                info = protocol.unpack_info(head.get("info", {}))
                lasts_s = info.duration_s or 0.0
                wait_s = self._timeout_s + lasts_s / LEAST_SPEED
                left_s = self._timeout_s + TIME_PER_SECOND * lasts_s
                slot.describe(info)
            elif kind == "pairs":
                slot.put(protocol.unpack_pairs(head.get("items", ()), body), len(body))
            elif kind == "end":
                if head.get("worn"):
                    self.end()
                error = protocol.unpack_error(head["error"]) if "error" in head else None
                if slot.info is not None and "partial" in head:
                    slot.info.mark_partial(str(head["partial"]))
                changed = bool(head.get("changed"))
                slot.finish(error, changed=changed, fingerprint=body.tobytes())
                return
            elif kind == "fault":
                raise protocol.unpack_fault(head.get("fault", {}))
            else:
                raise protocol.WireError("a message of an unknown kind")

    def is_alive(self) -> bool:
        """Tell whether the process can be given another file."""
        return self.usable and self._process.poll() is None

    def kill(self) -> None:
        """Kill the process at once; its thread notices by the end of the pipe."""
        self.usable = False
        with suppress(OSError):
            self._process.kill()

    def end(self) -> None:
        """End the process and wait for it; it holds nothing that could be lost."""
        self._watchdog.relax(self)
        self.kill()
        for pipe in (self._input, self._output):
            with suppress(OSError):
                pipe.close()
        self._process.wait()

    def _send(self, head: dict[str, Any]) -> None:
        try:
            protocol.send(self._input, head)
        except (OSError, ValueError) as error:
            raise protocol.WireError("the worker has ended") from error

    def _receive(self, seconds: float) -> tuple[protocol.WireMessage, protocol.WireBody]:
        self._watchdog.expect(self, seconds)
        try:
            return protocol.receive(self._output)
        finally:
            self._watchdog.relax(self)

    def _failed(self, error: protocol.WireError) -> MediaError:
        """End a worker that does not answer, and return what to tell of its file."""
        self._wait_exit()
        died = self._process.poll() is not None
        reason = self._exit_reason() if died else str(error)
        self.end()
        if died and (fault := self._library_fault()) is not None:
            raise fault from None
        if self.hung:
            return MediaLimitError(
                f"decoding was stopped: no result within {self._timeout_s:g} seconds"
            )
        return MediaError(f"the decoder died on it ({reason})")

    def _wait_exit(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_WAIT_S)  # let it end, for its exit status

    def _library_fault(self) -> EnvironmentFaultError | None:
        """Return the fault of a library that cannot be loaded and crashed this process, or None."""
        # SIGKILL comes from outside: from us, or from a system that is short of memory.
        killed = self.hung or self._process.returncode in (0, -_SIGKILL)
        return None if killed else self._libraries.fault()

    def _exit_reason(self) -> str:
        code = self._process.poll()
        if code is None or code >= 0:
            return f"exit status {code}" if code else "it ended by itself"
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"


def start_process() -> subprocess.Popen[bytes]:
    """Start the program of a worker. It ends with the calling thread, which has to live as long.

    Raises StartError.
    """
    package_parent = str(Path(__file__).resolve().parents[3])
    # -I and absolute entries only: a folder of media may hold a file that is named like a module.
    paths = [package_parent, *(entry for entry in sys.path if Path(entry).is_absolute())]
    code = f"import sys; parent = int(sys.argv[1]); sys.path[:] = sys.argv[2:]; {_ENTRY}"
    # Files are decoded in parallel: more threads per decoder would only compete for the cores.
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | {
        name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ
    }
    # A session of its own: Ctrl-C goes to the parent, which ends its workers in order.
    apart: dict[str, Any] = (
        {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        if os.name == "nt"
        else {"start_new_session": True}
    )
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code, str(os.getpid()), *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            **apart,
        )
    except OSError as error:
        raise StartError(f"decode workers cannot be started: {error}") from error
    _widen(process.stdout)
    return process


def _widen(pipe: Any) -> None:
    """Enlarge the pipe to 1 MiB, which holds several samples; 64 KiB hold half of one."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), _F_SETPIPE_SZ, _PIPE_BYTES)


def _stamp(head: protocol.WireMessage) -> ContentStamp:
    try:
        digest = head["hash"]
        return ContentStamp(
            None if digest is None else str(digest),
            int(head["size"]),
            int(head["modified_ns"]),
            int(head["inode"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise protocol.WireError("a malformed stamp") from error
