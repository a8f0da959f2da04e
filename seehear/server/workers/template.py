"""Load the collection once, fork workers that answer from it, replace them after a change."""

from __future__ import annotations

import gc
import json
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from seehear.errors import (
    CollectionReplacedError,
    EnvironmentFaultError,
    SeehearError,
    StoreError,
)
from seehear.processes import wire
from seehear.server.problems import problem_of
from seehear.server.workers.shared import SharedCollection, WorkerOptions
from seehear.server.workers.worker import Worker

log = logging.getLogger("seehear.server")

_LOOK_S = 0.2
"""Between two looks at whether the collection has changed."""
_SHARE = 0.2
"""Of the template's time, at most, in which it reads changes: index runs commit every second."""


class Template:
    """Load the collection, fork workers, replace them after changes; one thread does it all."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._options = WorkerOptions.from_json(control.recv(1 << 20))
        self._live: dict[int, int] = {}
        """The round in which each worker was forked, by process."""
        self._round = 0
        self._coming: int | None = None
        """The worker that the service has not taken yet."""
        self._next_look = 0.0

    def run(self) -> None:
        """Work until the service ends. Report to it why that is not possible."""
        try:
            self._library = SharedCollection(self._options)
            self._library.read_all()
            self._state = self._library.state()
            while self._is_shareable() and self._step():
                pass
        except EnvironmentFaultError as fault:
            self._tell({"fault": wire.pack_fault(fault)})
        except SeehearError as error:
            self._tell({"trouble": problem_of(error, self._options.private).message})
        except OSError:  # the service has gone
            pass
        except Exception:
            log.exception("not ready")
            self._tell({"trouble": "the service failed to start; see its log"})
        finally:
            for process in self._live:
                with suppress(OSError):
                    os.kill(process, signal.SIGKILL)

    def _is_shareable(self) -> bool:
        """Tell the service if the collection cannot be shared: a fork has one thread alone."""
        if len([*Path("/proc/self/task").iterdir()]) == 1:
            return True
        self._tell({"unshareable": True})
        while self._control.recv(1 << 16):  # the workers finish what they have
            pass
        return False

    def _step(self) -> bool:
        """Wait for something to do, and do it; return False when the service has ended."""
        self._reap()
        if self._coming is None:
            old = next((one for one, made in self._live.items() if made < self._round), None)
            if old is not None or len(self._live) < self._options.count:
                self._fork(old if len(self._live) >= self._options.count else None)
        if select.select([self._control], [], [], _LOOK_S)[0]:
            text = self._control.recv(1 << 16)
            if not text:
                return False
            self._do(json.loads(text))
        elif self._coming is None and time.monotonic() >= self._next_look:
            self._look()
        return True

    def _do(self, message: Mapping[str, int]) -> None:
        if message.get("taken") == self._coming:
            self._coming = None
        if (replaced := message.get("replaced")) in self._live:
            del self._live[replaced]
        if (hung := message.get("end")) in self._live:
            os.kill(hung, signal.SIGKILL)

    def _look(self) -> None:
        """Read what has changed; the workers are then of an earlier round."""
        started = time.monotonic()
        try:
            if self._library.has_large_log():
                self._library.empty_log()
            state = self._library.state()
            if state == self._state:
                return
            self._library.read_all()
            self._state = state
            self._round += 1
        except StoreError as error:  # the workers answer as before; it is tried again
            log.warning("cannot read a change of the collection: %s", error)
        finally:
            ended = time.monotonic()
            self._next_look = ended + (ended - started) * (1 / _SHARE - 1)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                process, status = ended
                if self._live.pop(process, None) is not None and status:
                    log.warning("a search worker ended (status %d) and is made anew", status)
                if process == self._coming:
                    self._coming = None
                    self._next_look = time.monotonic() + 1.0
                    time.sleep(_LOOK_S)  # one that cannot start must not take all the time

    def _fork(self, replaces: int | None) -> None:
        """Start a worker and send its socket to the service."""
        ours, its = socket.socketpair()
        self._library.disconnect()
        gc.collect()
        gc.freeze()  # the collector would write to the pages that are shared
        process = os.fork()
        if process == 0:
            status = 1
            try:
                ours.close()
                self._control.close()
                Worker(its, self._library, self._options).run()
                status = 0
            except (OSError, CollectionReplacedError):  # the service has gone, or opens it anew
                status = 0
            except Exception:
                log.exception("a search worker failed")
            finally:
                os._exit(status)
        its.close()
        self._live[process] = self._round
        self._coming = process
        message = {"worker": process, "replaces": replaces}
        socket.send_fds(self._control, [json.dumps(message).encode()], [ours.fileno()])
        ours.close()

    def _tell(self, message: Mapping[str, Any]) -> None:
        with suppress(OSError):
            self._control.send(json.dumps(message).encode())


def main(descriptor: int) -> None:
    """Be the template; `descriptor` is its socket to the service."""
    # Ctrl-C and the end of a systemd unit reach all processes; these end with the service.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    Template(socket.socket(fileno=descriptor)).run()
