"""Control one worker process: start it, talk to it, notice a crash, end it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from seehear.errors import EnvironmentFaultError, MediaError, MediaLimitError
from seehear.libraries import decoder_fault
from seehear.media.workers import protocol
from seehear.media.workers.sample_buffer import AbandonedError, ContentStamp, SampleBuffer
from seehear.processes import wire
from seehear.processes.child import ChildProcess, StartError, Watchdog, start_child
from seehear.sources import SourceError
from seehear.sources.ahead import Content
from seehear.types import SampleSpec

START_TIMEOUT_S = 60.0
"""A cold disk takes seconds to read the libraries; a longer start is a broken installation."""
LEAST_SPEED = 50.0
"""Seconds of sound or video that are decoded in a second, at least. A long silence gives no sample,
nor does a second track that adds nothing."""
TIME_PER_SECOND = 2.0
"""Seconds allowed per second of sound or video, beyond the timeout for one sample. Real time is
1; a slow machine on a large video needs more, and a file built to waste time gets no more."""
_ENTRY = (
    "from seehear.processes import sandbox; streams = sandbox.private_streams(); "
    "held = sandbox.enter(parent); from seehear.media.workers.worker import main; "
    "main(*streams, held)"
)
_SIGKILL = 9


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


class WorkerProcess(ChildProcess):
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
        super().__init__(process, watchdog)
        self.sandbox: dict[str, Any] = {}
        """What the worker has given up, by name; known once it is ready."""
        self._timeout_s = timeout_s
        self._libraries = libraries
        self._ready = False
        with suppress(wire.WireError):  # `wait_ready` tells
            self.send({"memory_bytes": memory_bytes, "cpu_s": 2 * timeout_s + 60})

    def wait_ready(self) -> None:
        """Wait for the end of the start. Raises StartError where it fails.

        Raises EnvironmentFaultError where a decoding library cannot be loaded.
        """
        if self._ready:
            return
        try:
            head, _ = self.receive(START_TIMEOUT_S)
        except wire.WireError:
            self.wait_exit()
            reason = self.exit_reason()
            self.end()
            if (fault := self._library_fault()) is not None:
                raise fault from None
            raise StartError(
                f"decode workers cannot be started ({reason}); see `seehear doctor`"
            ) from None
        self._ready, self.sandbox = True, dict(head.get("sandbox") or {})

    def ask(
        self,
        request: wire.WireMessage,
        timeout_s: float | None = None,
        content: BinaryIO | None = None,
    ) -> tuple[wire.WireMessage, wire.WireBody]:
        """Send one request and return its answer; the worker may read in `content` meanwhile.

        Raises MediaError where the file cannot be read, or the worker dies or takes too long;
        EnvironmentFaultError where a decoding library cannot be loaded.
        """
        try:
            self.send(request)
            left_s = self._timeout_s if timeout_s is None else timeout_s
            _, head, body = self._received(left_s, content)
        except wire.WireError as error:
            raise self._failed(error) from None
        except BaseException:  # its answer would be taken for that of the next request
            self.end()
            raise
        if head.get("worn"):
            self.end()
        kind = head.get("type")
        if kind == "fault":
            raise wire.unpack_fault(head.get("fault", {}))
        if kind not in {"answer", "end"}:
            raise self._failed(wire.WireError("a message of an unknown kind"))
        if "error" in head:
            raise protocol.unpack_error(head["error"])
        return head, body

    def _received(
        self, left_s: float, content: BinaryIO | None, wait_s: float | None = None
    ) -> tuple[float, wire.WireMessage, wire.WireBody]:
        """Wait for the next message other than a wish to read, and grant those meanwhile.

        Returns how much of `left_s` is left, too: reading here takes nothing of it. Raises
        WireError, and what reading raises.
        """
        while True:
            since = time.monotonic()
            head, body = self.receive(left_s if wait_s is None else min(wait_s, left_s))
            left_s -= time.monotonic() - since
            if head.get("type") != "read" or content is None:
                return left_s, head, body
            try:
                at, count = int(head["at"]), int(head["count"])
                content.seek(at)
            except (KeyError, TypeError, ValueError) as error:
                raise wire.WireError("a malformed wish to read") from error
            self.send({}, (content.read(max(0, min(count, wire.MOST_BODY_BYTES))),))

    def decode(
        self,
        slot: SampleBuffer,
        root: str | None,
        spec: SampleSpec,
        wanted: Callable[[str], bool] | None,
        to_mark: Callable[[str], bool] | None = None,
        content: Content | None = None,
        *,
        samples: bool = True,
    ) -> None:
        """Fill a buffer with a file. A crash of the worker becomes the file's error.

        No link on the way to the file may leave the folder `root`. The worker reads in `content`
        where the file lies beyond this machine.

        Raises EnvironmentFaultError where a decoding library cannot be loaded.
        """
        request = {
            "do": "file",
            "path": os.fspath(slot.task.path),
            "root": root,
            "spec": dataclasses.asdict(spec),
            "asks": wanted is not None,
            "samples": samples,
            "content": None if content is None else dataclasses.asdict(content.state),
        }
        try:
            self.send(request)
            self._follow(slot, wanted, to_mark, None if content is None else content.file)
        except AbandonedError:
            self.end()  # faster than waiting for the rest of a long video
            slot.finish()
        except wire.WireError as error:
            slot.finish(self._failed(error))
        except SourceError:
            self.end()  # it waits for bytes that do not come
            raise

    def _follow(
        self,
        slot: SampleBuffer,
        wanted: Callable[[str], bool] | None,
        to_mark: Callable[[str], bool] | None,
        content: BinaryIO | None,
    ) -> None:
        left_s = wait_s = self._timeout_s
        while True:
            left_s, head, body = self._received(left_s, content, wait_s)
            kind = head.get("type")
            if kind == "stamp":
                slot.stamp = _stamp(head)
                if slot.stamp.content_hash is not None and wanted is not None:
                    go = wanted(slot.stamp.content_hash)
                    slot.skipped = not go
                    mark = to_mark is None or to_mark(slot.stamp.content_hash)
                    self.send({"go": go, "fingerprint": mark})
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
                raise wire.unpack_fault(head.get("fault", {}))
            else:
                raise wire.WireError("a message of an unknown kind")

    def _failed(self, error: wire.WireError) -> MediaError:
        """End a worker that does not answer, and return what to tell of its file."""
        self.wait_exit()
        died = self.exit_code is not None
        reason = self.exit_reason() if died else str(error)
        self.end()
        if died and (fault := self._library_fault()) is not None:
            raise fault from None
        if self.hung:
            return MediaLimitError(
                f"decoding was stopped: no result within {self._timeout_s:g} seconds"
            )
        return MediaError(f"the decoder died on it ({reason})")

    def _library_fault(self) -> EnvironmentFaultError | None:
        """Return the fault of a library that cannot be loaded and crashed this process, or None."""
        # SIGKILL comes from outside: from us, or from a system that is short of memory.
        killed = self.hung or self.exit_code in (0, -_SIGKILL)
        return None if killed else self._libraries.fault()


def start_process() -> subprocess.Popen[bytes]:
    """Start the program of a worker. It ends with the calling thread, which has to live as long.

    Raises StartError.
    """
    # Files are decoded in parallel: more threads per decoder would only compete for the cores.
    return start_child(_ENTRY, environment={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})


def _stamp(head: wire.WireMessage) -> ContentStamp:
    try:
        digest = head["hash"]
        return ContentStamp(
            None if digest is None else str(digest),
            int(head["size"]),
            int(head["modified_ns"]),
            int(head["inode"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise wire.WireError("a malformed stamp") from error
