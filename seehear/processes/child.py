"""Start one child process, talk to it, notice that it died or hangs, and end it."""

from __future__ import annotations

import contextvars
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from seehear.errors import EnvironmentFaultError
from seehear.processes import wire

TICK_S = 0.1
_KEPT_ENVIRONMENT = (
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT",
    "TEMP", "TMPDIR", "TZ", "TZDIR",
)  # fmt: skip
"""All that a child gets to know: it loads libraries, and has no use for secrets."""
_EXIT_WAIT_S = 1.0
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


class StartError(EnvironmentFaultError):
    """Raised when no child process can be started."""


class Watchdog:
    """End processes that let their thread wait for too long, or for nobody.

    One thread watches all of them.
    """

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        self._check = check
        self._waits: dict[ChildProcess, tuple[float, contextvars.Context]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def expect(self, child: ChildProcess, seconds: float) -> None:
        """Set a child's deadline: so many seconds from now."""
        with self._lock:
            if self._closed.is_set():
                child.kill()
                return
            self._waits[child] = time.monotonic() + seconds, contextvars.copy_context()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, name="seehear-watchdog", daemon=True
                )
                self._thread.start()

    def relax(self, child: ChildProcess) -> None:
        """Remove a child's deadline."""
        with self._lock:
            self._waits.pop(child, None)

    def close(self) -> None:
        """End the thread, and every child that has a deadline."""
        with self._lock:
            self._closed.set()
            for child in self._waits:
                child.kill()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(TICK_S):
            now = time.monotonic()
            with self._lock:  # held to the end: a child that answers meanwhile must not be killed
                for child, (deadline, context) in list(self._waits.items()):
                    if deadline < now:
                        child.hung = True
                        child.kill()
                    elif not self._is_wanted(context):
                        child.kill()

    def _is_wanted(self, context: contextvars.Context) -> bool:
        try:
            context.run(self._check)
        except Exception:
            return False
        return True


class ChildProcess:
    """A child that answers messages; `hung` tells that it was ended for taking too long."""

    def __init__(self, process: subprocess.Popen[bytes], watchdog: Watchdog) -> None:
        self.hung = False
        self.usable = True
        self._process = process
        self._watchdog = watchdog
        self._input = cast(BinaryIO, process.stdin)
        self._output = cast(BinaryIO, process.stdout)

    @property
    def exit_code(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        return self._process.poll()

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

    def send(self, head: wire.WireMessage, body: Sequence[memoryview | bytes] = ()) -> None:
        """Send one message. Raises WireError where the child has ended."""
        try:
            wire.send(self._input, head, body)
        except (OSError, ValueError) as error:
            raise wire.WireError("the process has ended") from error

    def receive(self, seconds: float) -> tuple[wire.WireMessage, wire.WireBody]:
        """Wait so long for one message. Raises WireError where none comes."""
        self._watchdog.expect(self, seconds)
        try:
            return wire.receive(self._output)
        finally:
            self._watchdog.relax(self)

    def wait_exit(self) -> None:
        """Give it a moment to end by itself, for its exit status."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_WAIT_S)

    def exit_reason(self) -> str:
        """Return how it ended, for people."""
        code = self._process.poll()
        if code is None or code >= 0:
            return f"exit status {code}" if code else "it ended by itself"
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"


def python_command(code: str) -> list[str]:
    """Return the command that runs Python code with the modules of this process.

    The code finds the id of this process as `parent`.
    """
    package_parent = str(Path(__file__).resolve().parents[2])
    # -I and absolute entries only: a folder of media may hold a file that is named like a module.
    paths = [package_parent, *(entry for entry in sys.path if Path(entry).is_absolute())]
    code = f"import sys; parent = int(sys.argv[1]); sys.path[:] = sys.argv[2:]; {code}"
    return [sys.executable, "-I", "-S", "-c", code, str(os.getpid()), *paths]


def start_child(
    code: str, environment: Mapping[str, str] | None = None, what: str = "decode workers"
) -> subprocess.Popen[bytes]:
    """Start Python code in a process that ends with the calling thread, which has to live as long.

    The code runs as in `python_command`. `what` names such processes for people.

    Raises StartError.
    """
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    # A session of its own: Ctrl-C goes to the parent, which ends its children in order.
    apart: dict[str, Any] = (
        {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        if os.name == "nt"
        else {"start_new_session": True}
    )
    try:
        process = subprocess.Popen(
            python_command(code),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment or {}) | kept,
            **apart,
        )
    except OSError as error:
        raise StartError(f"{what} cannot be started: {error}") from error
    _widen(process.stdout)
    return process


def _widen(pipe: Any) -> None:
    """Enlarge the pipe to 1 MiB, which holds several samples; 64 KiB hold half of one."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), _F_SETPIPE_SZ, _PIPE_BYTES)
