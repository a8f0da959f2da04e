"""Give searches to worker processes: start the template, keep the workers, queue what waits."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from seehear.errors import EnvironmentFaultError, SeehearError
from seehear.processes import wire
from seehear.processes.child import python_command
from seehear.processes.resources import usable_cores
from seehear.server.mount_path import mount_path
from seehear.server.problems import ServiceError
from seehear.server.workers.shared import WorkerOptions
from seehear.types import Modality

log = logging.getLogger("seehear.server")

MOST_AT_ONCE = 16
"""Requests that a worker takes together. Their sentences are encoded as one batch; beyond this,
the first client would wait longer for the last than a larger batch saves."""
MOST_WORKERS = 8
"""By default: the service itself, in one process, keeps no more of them busy."""
_RESTART_S = 1.0
_END_S = 5.0


def default_workers() -> int:
    """Return how many workers suit this machine; 1 stands for no process but the service's own."""
    if not can_share():
        return 1
    return min(MOST_WORKERS, usable_cores())


def can_share() -> bool:
    """Tell whether processes can share a collection here: elsewhere forks are not safe, or none."""
    return sys.platform == "linux"


@dataclass(slots=True, eq=False)
class _Asked:
    """A request that waits, or that a worker has."""

    number: int
    message: bytes
    answer: asyncio.Future[bytes]
    worker: _Worker | None = None


@dataclass(slots=True, eq=False)
class _Worker:
    """One worker as the service knows it."""

    process: int
    replaces: int | None
    template: subprocess.Popen[bytes] | None
    """The process that it was forked from."""
    transport: asyncio.Transport | None = None
    has: dict[int, _Asked] = field(default_factory=dict)
    """The requests that it has not answered yet, in their order."""
    retiring: bool = False


class _Channel(asyncio.Protocol):
    """The socket to one worker."""

    def __init__(self, pool: WorkerPool, worker: _Worker) -> None:
        self._pool, self._worker = pool, worker
        self._unpacker = wire.Unpacker()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._worker.transport = transport

    def data_received(self, data: bytes) -> None:
        for head, body in self._unpacker.feed(data):
            self._pool.on_message(self._worker, head, body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.on_lost(self._worker)


class WorkerPool:
    """Worker processes that answer searches, all of one collection.

    Its methods are called in the event loop, except for `wait_ready` and `stop`.
    """

    def __init__(self, options: WorkerOptions, on_batch: Callable[[Modality, int], None]) -> None:
        self._options = options
        self._on_batch = on_batch
        self._loop: asyncio.AbstractEventLoop | None = None
        self._control: socket.socket | None = None
        self._template: subprocess.Popen[bytes] | None = None
        self._workers: dict[int, _Worker] = {}
        self._waiting: deque[_Asked] = deque()
        self._numbers = 0
        self._settled = threading.Event()
        self._failure: SeehearError | None = None
        self._stopped = False
        self.usable = True
        """False where the collection cannot be shared: the service answers by itself then."""

    @property
    def processes(self) -> list[int]:
        """The ids of the workers that answer."""
        return list(self._workers)

    def wait_ready(self, loop: asyncio.AbstractEventLoop, stopping: threading.Event) -> bool:
        """Start, in a thread beside the loop; return whether the workers answer from now on.

        Raises SeehearError where the collection cannot be opened or loaded.
        """
        self._settled.clear()
        self._failure = None
        self._loop = loop
        loop.call_soon_threadsafe(self._start)
        while not self._settled.wait(0.1) and not stopping.is_set():
            pass
        if self._failure is not None:
            raise self._failure
        return self.usable

    def ask(
        self, content: bytes, uploads: Sequence[tuple[dict[str, Any], bytes]] = ()
    ) -> asyncio.Future[bytes]:
        """Return the answer to come to a search in JSON; cancel it when nobody waits any more.

        Each upload is told by its name, field, words heard and samples, and by their vectors. The
        answer raises ServiceError, as the service would.
        """
        self._numbers += 1
        head: dict[str, Any] = {
            "id": self._numbers,
            "bytes": len(content),
            "mount": mount_path.get(),
        }
        if uploads:
            head["uploads"] = [told for told, _ in uploads]
        body = b"".join([content, *(rows for _, rows in uploads)])
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        asked = _Asked(self._numbers, wire.packed(head, body), answer)
        answer.add_done_callback(lambda _: self._on_done(asked))
        self._waiting.append(asked)
        self._hand_out()
        return answer

    def stop(self) -> None:
        """End all processes; what is still asked is to be asked again."""
        self._stopped = True
        self._close_control()
        self._hand_out()
        for worker in self._workers.values():
            if worker.transport is not None:
                worker.transport.abort()
        self._end_template(_END_S)

    # The template

    def _start(self) -> None:
        if self._stopped:
            return
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
        code = f"from seehear.server.workers.template import main; main({its.fileno()})"
        try:
            self._template = subprocess.Popen(
                python_command(code),
                stdin=subprocess.DEVNULL,
                env={**os.environ, **one_thread},
                pass_fds=[its.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            self._fail(EnvironmentFaultError(f"search workers cannot be started: {error}"))
            return
        finally:
            its.close()
        ours.send(self._options.to_json())
        ours.setblocking(False)
        self._control = ours
        assert self._loop is not None
        self._loop.add_reader(ours, self._on_control)

    def _on_control(self) -> None:
        """Read one message of the template, or its end."""
        assert self._loop is not None
        assert self._control is not None
        try:
            text, descriptors, _, _ = socket.recv_fds(self._control, 1 << 16, 1)
        except BlockingIOError:
            return
        except OSError:
            text, descriptors = b"", []
        if not text:
            self._close_control()
            self._end_template(0.0)
            if self._settled.is_set() and self.usable and not self._stopped:
                log.warning("the template of the search workers ended and is made anew")
                self._loop.call_later(_RESTART_S, self._start)
            elif not self._settled.is_set():
                self._fail(SeehearError("the search workers ended while they were loading"))
            return
        message = json.loads(text)
        if "worker" in message:
            worker = _Worker(message["worker"], message["replaces"], self._template)
            channel = socket.socket(fileno=descriptors[0])
            channel.setblocking(False)
            self._loop.create_task(
                self._loop.create_connection(lambda: _Channel(self, worker), sock=channel)
            )
        elif "unshareable" in message:
            self._give_up()
        elif "fault" in message:
            self._fail(wire.unpack_fault(message["fault"]))
        elif "trouble" in message:
            self._fail(SeehearError(message["trouble"]))

    def _close_control(self) -> None:
        """Let the template end."""
        if self._control is not None:
            assert self._loop is not None
            if not self._loop.is_closed():
                self._loop.remove_reader(self._control)
            self._control.close()
            self._control = None

    def _end_template(self, patience_s: float) -> None:
        """Wait for the process, which ends when its socket closes; kill it if it does not."""
        if self._template is not None:
            try:
                self._template.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._template.kill()
                self._template.wait()

    def _tell(self, **message: int | None) -> None:
        if self._control is not None:
            with suppress(OSError):
                self._control.send(json.dumps(message).encode())

    def _fail(self, failure: SeehearError) -> None:
        if self._settled.is_set():
            log.warning("search workers: %s", failure)
        else:
            self._failure = failure
            self._settled.set()

    def _give_up(self) -> None:
        """Let the service answer by itself from now on; what waits is to be asked again."""
        self.usable = False
        self._settled.set()
        assert self._loop is not None
        self._loop.call_later(_END_S, self._close_control)
        for worker in list(self._workers.values()):
            self._retire(worker)
        self._refuse_waiting("the model has just changed")

    def _refuse_waiting(self, why: str) -> None:
        for asked in self._waiting:
            if not asked.answer.done():
                asked.answer.set_exception(_again(why))
        self._waiting.clear()

    # The workers

    def on_message(self, worker: _Worker, head: wire.WireMessage, body: bytes) -> None:
        """Take what a worker sends: that it is ready, an answer, or that it is about to end."""
        if "ready" in head:
            self._on_ready(worker)
            return
        if "ended" in head:
            self._take_back(worker)
            self._workers.pop(worker.process, None)
            return
        if "batch" in head:
            self._on_batch(Modality.TEXT, head["batch"])
        asked = worker.has.pop(head["id"], None)
        if asked is not None and not asked.answer.done():
            if head["status"] == 200:
                asked.answer.set_result(body)
            else:
                told = json.loads(body)["error"]
                asked.answer.set_exception(
                    ServiceError(
                        head["status"], told["code"], told["message"], head["retry_after_s"]
                    )
                )
        if not worker.has:
            if worker.retiring:
                self._close(worker)
            self._hand_out()

    def on_lost(self, worker: _Worker) -> None:
        """Fail what a worker that died was doing; give the rest to another one."""
        self._workers.pop(worker.process, None)
        begun = next((one for one in worker.has.values() if not one.answer.done()), None)
        if begun is not None and not self._stopped:
            del worker.has[begun.number]
            begun.answer.set_exception(_again("the process that searched has ended"))
        self._take_back(worker)

    def _on_ready(self, worker: _Worker) -> None:
        # The workers of a template that has ended are replaced one by one, too.
        replaced = next(
            (
                one
                for one in self._workers.values()
                if one.process == worker.replaces or one.template is not self._template
            ),
            None,
        )
        self._workers[worker.process] = worker
        if replaced is not None:
            self._retire(replaced)
        self._tell(taken=worker.process, replaced=worker.replaces)
        self._settled.set()
        self._hand_out()

    def _retire(self, worker: _Worker) -> None:
        """Give a worker nothing more, and close it when it has answered what it has."""
        self._workers.pop(worker.process, None)
        worker.retiring = True
        if not worker.has:
            self._close(worker)

    def _close(self, worker: _Worker) -> None:
        if worker.transport is not None:
            worker.transport.close()

    def _take_back(self, worker: _Worker) -> None:
        """Put what a worker has not begun in front of what waits."""
        asked = [one for one in worker.has.values() if not one.answer.done()]
        worker.has.clear()
        self._waiting.extendleft(reversed(asked))
        self._hand_out()

    def _hand_out(self) -> None:
        """Give what waits to the workers that have nothing to do, in equal shares."""
        if self._stopped:
            self._refuse_waiting("the service has let go of the collection")
        for worker in list(self._workers.values()):
            while self._waiting and self._waiting[0].answer.done():
                self._waiting.popleft()
            if not self._waiting:
                return
            if worker.has or worker.transport is None:
                continue
            share = -(-len(self._waiting) // max(1, len(self._workers)))
            for _ in range(min(MOST_AT_ONCE, share)):
                if self._waiting:
                    self._give(worker, self._waiting.popleft())

    def _give(self, worker: _Worker, asked: _Asked) -> None:
        if asked.answer.done() or worker.transport is None:
            return
        asked.worker = worker
        worker.has[asked.number] = asked
        worker.transport.write(asked.message)

    def _on_done(self, asked: _Asked) -> None:
        """Tell the worker of a request that nobody waits for it any more."""
        worker = asked.worker
        if asked.answer.cancelled() and worker is not None and asked.number in worker.has:
            assert worker.transport is not None
            assert self._loop is not None
            worker.transport.write(wire.packed({"cancel": asked.number}))
            self._loop.call_later(_END_S, self._end_hung, worker, asked.number)

    def _end_hung(self, worker: _Worker, number: int) -> None:
        """Kill a worker that still works for a client that has gone."""
        if next(iter(worker.has), None) == number:
            self._tell(end=worker.process)


def _again(why: str) -> ServiceError:
    return ServiceError(503, "busy", f"{why}; try again", 1)
