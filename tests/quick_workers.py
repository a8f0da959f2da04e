"""Decode workers that are forked from a process which has loaded the libraries already.

Starting Python and loading numpy take half a second of each of the hundreds of workers that tests
start. A forked one gives up the same rights and is a child of the test's process, too. Workers that
run other code, or with another path or environment, are started as always.
"""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from seehear.media.workers import process
from seehear.processes import child

_CLONE = {"x86_64": 56, "aarch64": 220}
_TEMPLATE = """
import ctypes, os, socket
from seehear.media.workers import worker
worker._warm()
assert len(os.listdir("/proc/self/task")) == 1
python, number = ctypes.pythonapi, {number}
CLONE_PARENT_AND_SIGCHLD = 0x8000 | 17
asked = socket.socket(fileno={descriptor})
while True:
    folder, streams, _, _ = socket.recv_fds(asked, 1 << 16, 2)
    if not folder:
        break
    python.PyOS_BeforeFork()
    pid = python.syscall(number, CLONE_PARENT_AND_SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        python.PyOS_AfterFork_Child()
        asked.close()
        os.setsid()
        os.chdir(folder)
        for wanted, stream in enumerate(streams):
            os.dup2(stream, wanted)
            os.close(stream)
        exec({entry!r})
    python.PyOS_AfterFork_Parent()
    for stream in streams:
        os.close(stream)
    asked.send(pid.to_bytes(4, "little"))
"""


class Forked(subprocess.Popen[bytes]):
    """A process that another one started for this one."""

    def __init__(self, pid: int, requests: int, answers: int) -> None:
        self.args, self.pid, self.returncode = "a forked worker", pid, None
        self.stdin, self.stdout = os.fdopen(requests, "wb"), os.fdopen(answers, "rb")
        self.stderr = None
        self._child_created, self._waitpid_lock = True, threading.Lock()


class Template:
    """The process that is forked; started when the first worker is."""

    def __init__(self) -> None:
        self._lock, self._entry = threading.Lock(), process._ENTRY
        self._for: object = None
        self._process: subprocess.Popen[bytes] | None = None
        self._asking: socket.socket | None = None
        # Its thread is the parent of all that are forked, and they end with it.
        self._starter = ThreadPoolExecutor(1, "quick-workers")

    def start_child(
        self, code: str, environment: Mapping[str, str] | None = None, what: str = "decode workers"
    ) -> subprocess.Popen[bytes]:
        kept = {name: os.environ.get(name) for name in child._KEPT_ENVIRONMENT}
        wanted = (code, environment, kept, [*sys.path], sys.executable)
        with self._lock:
            if self._process is None and code == self._entry:
                self._for = wanted
                given = {k: v for k, v in kept.items() if v} | dict(environment or {})
                self._starter.submit(self._start, code, given).result()
            if self._asking is not None and self._for == wanted:
                try:
                    return self._fork(self._asking)
                except OSError:  # a test has killed all children of this process
                    self.close()
        return child.start_child(code, environment, what)

    def _fork(self, asking: socket.socket) -> Forked:
        theirs, requests = os.pipe()
        answers, results = os.pipe()
        try:
            socket.send_fds(asking, [os.fsencode(os.getcwd())], [theirs, results])  # noqa: PTH109
            told = asking.recv(4)
            if not told:
                raise ConnectionResetError
        except OSError:
            os.close(requests)
            os.close(answers)
            raise
        finally:
            os.close(theirs)
            os.close(results)
        started = Forked(int.from_bytes(told, "little"), requests, answers)
        child._widen(started.stdout)
        return started

    def _start(self, entry: str, environment: dict[str, str]) -> None:
        self._asking, answering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptor = answering.fileno()
        code = _TEMPLATE.format(
            number=_CLONE[platform.machine()], descriptor=descriptor, entry=entry
        )
        self._process = subprocess.Popen(
            child.python_command("\n" + code),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment, pass_fds=[descriptor],
        )  # fmt: skip
        answering.close()

    def close(self) -> None:
        if self._process is not None and self._asking is not None:
            self._asking.close()
            self._process.wait()
            self._process = self._asking = None


@contextmanager
def quick_workers() -> Iterator[None]:
    """Fork decode workers where the system can do so."""
    if sys.platform != "linux" or platform.machine() not in _CLONE:
        yield
        return
    template = Template()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "start_child", template.start_child)
        yield
    template.close()
    template._starter.shutdown()
