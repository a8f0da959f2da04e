"""Queue work: so many requests at once, so many waiting; refuse the next one.

A client that goes away takes its work with it: what waits never starts, and what runs stops at
its next step (decoding, encoding, searching).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.exceptions import HTTPException

from seehear.cancellation import CancelledQueryError, CancelToken, current_token
from seehear.server.problems import ServiceError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive

T = TypeVar("T")

CLIENT_GONE = 499
"""Status for a request whose client has left: nobody reads it, the metrics count it."""


class RequestQueue:
    """Run blocking work for requests in a bounded number of threads.

    One more than `running` + `queue` requests is refused.
    """

    def __init__(self, running: int, queue: int, timeout_s: float) -> None:
        self._positions = running + queue
        self._running = running
        self._timeout_s = timeout_s
        self._taken = 0
        self.served = 0
        """Requests that have had a place."""
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(running, thread_name_prefix="seehear-query")

    @property
    def waiting(self) -> int:
        """Number of requests that wait for a thread."""
        return max(0, self._taken - self._running)

    @property
    def running(self) -> int:
        """Number of requests that are worked on."""
        return min(self._taken, self._running)

    async def run(self, request: Request, work: Callable[[], T]) -> T:
        """Do the work in a thread and return its result.

        Raises ServiceError 503 when the queue is full and when the time is up, 499 when the client
        has gone, and whatever the work raises.
        """
        with self.admit() as admission:
            return await admission.run(request, work)

    @contextmanager
    def admit(self) -> Iterator[Admission]:
        """Take a place in the queue, for instance before a body is read.

        Raises ServiceError 503 when the queue is full. The place is free again at the end of the
        block, or when the work that was started in it has stopped.
        """
        with self._lock:
            if self._taken >= self._positions:
                raise ServiceError(503, "busy", "too many queries at once; try again", 1)
            self._taken += 1
            self.served += 1
        admission = Admission(self._threads, self._timeout_s)
        try:
            yield admission
        finally:
            if admission.future is None:
                self._leave(None)
            else:
                admission.future.add_done_callback(self._leave)

    def close(self) -> None:
        """Drop the waiting requests, and wait for the running ones."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _leave(self, _: object) -> None:
        with self._lock:
            self._taken -= 1


class Admission:
    """Hold one request's place in a queue."""

    def __init__(self, threads: ThreadPoolExecutor, timeout_s: float) -> None:
        self._threads = threads
        self._timeout_s = timeout_s
        self.future: Future[Any] | asyncio.Future[Any] | None = None

    async def run(self, request: Request, work: Callable[[], T]) -> T:
        """Do the work in a thread and return its result; raises as `RequestQueue.run`."""
        ticket = CancelToken(threading.Event())
        context = contextvars.copy_context()
        context.run(current_token.set, ticket)
        self.future = future = self._threads.submit(context.run, work)
        result = asyncio.wrap_future(future)
        try:
            return await self._first(request, result)
        except BaseException:
            future.add_done_callback(_close)
            raise
        finally:
            if not future.done():
                ticket.gone.set()
                future.cancel()  # one that has not started never will
            result.cancel()  # nobody waits any more: not for an error either

    async def wait(self, request: Request, result: asyncio.Future[T]) -> T:
        """Return the result of work that is done elsewhere, or cancel it; raises as `run`."""
        self.future = result
        try:
            return await self._first(request, result)
        finally:
            result.cancel()

    async def _first(self, request: Request, result: asyncio.Future[T]) -> T:
        left = asyncio.ensure_future(client_left(request.receive))
        try:
            both: set[asyncio.Future[Any]] = {result, left}
            await asyncio.wait(both, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if result.done():
                return result.result()
        except CancelledQueryError:
            raise ServiceError(503, "stopping", "the service is stopping", 5) from None
        finally:
            left.cancel()
        if left.done() and not left.cancelled():
            raise ServiceError(CLIENT_GONE, "client_gone", "the client has closed the connection")
        raise ServiceError(503, "timeout", f"no answer within {self._timeout_s:g} seconds", 5)


def _close(untaken: Future[Any]) -> None:
    """Close what a thread has opened for a request that nobody answers any more."""
    if not untaken.cancelled() and untaken.exception() is None:
        close = getattr(untaken.result(), "close", None)
        if close is not None:
            close()


async def client_left(receive: Receive) -> None:
    """Return when the connection closes, or when the client sends a body that it may not send."""
    with contextlib.suppress(RuntimeError, HTTPException):
        while (await receive())["type"] != "http.disconnect":
            pass
