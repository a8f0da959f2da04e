"""Bound the connections of uvicorn, which waits for ever for what a client does not send.

uvicorn's keep-alive timer starts with the first answer and ends with the next byte. Its protocol
gets a deadline for each request's line and headers, one for a client that stops reading an answer,
and a bound on open connections. The bodies of requests are bounded in security.py.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from seehear.limits import ServiceLimits

HEADER_BYTES = 16 << 10
"""A request's line and headers."""

_DROP = struct.pack("ii", 1, 0)
"""For SO_LINGER: what is not sent when a socket closes is dropped."""
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def bounded_protocol(limits: ServiceLimits) -> type[H11Protocol]:
    """Return uvicorn's protocol for HTTP/1.1 with the limits of a service."""

    class BoundedProtocol(_BoundedProtocol):
        header_s = limits.header_s
        reading_s = limits.reading_s
        most = limits.connections

    return BoundedProtocol


class _BoundedProtocol(H11Protocol):
    """Serve one connection; the event loop calls its methods."""

    header_s: float
    reading_s: float
    most: int
    _deadline: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """True while the client owes a request: none has begun, or the last one is answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()
        if len(self.connections) > self.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_deadline(None)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._expect_request()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self._set_deadline(self.reading_s)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._set_deadline(None)
        super().resume_writing()
        if self.idle:
            self._expect_request()

    def _expect_request(self) -> None:
        """Give the client until the deadline to send a request, however slowly it sends it.

        What it still sends of a body that was refused is read and dropped until then.
        """
        if not self.flow.write_paused:  # it is still reading the last answer
            self._set_deadline(self.header_s)

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = seconds and self.loop.call_later(seconds, self._expire)  # type: ignore[assignment]

    def _expire(self) -> None:
        if self.flow.write_paused or self.transport.is_closing():
            # `close` would wait for what the client does not read; so would the kernel.
            opened = self.transport.get_extra_info("socket")
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP)
            self.transport.abort()
        elif self.idle:
            # The end of the answer may still wait in the kernel for a client that reads slowly.
            self._set_deadline(self.reading_s)
            self.transport.close()

    def _make_room(self) -> None:
        """Close the connection that has been idle the longest; refuse this one if all work."""
        # One that was aborted a moment ago is still among the connections.
        open_ = [
            one
            for one in self.connections
            if isinstance(one, _BoundedProtocol) and not one.transport.is_closing()
        ]
        if len(open_) <= self.most:
            return
        idle = [one for one in open_ if one.idle and one is not self]
        if idle:
            min(idle, key=lambda one: one._due).transport.abort()
            return
        self.transport.write(_FULL)
        self.transport.close()

    @property
    def _due(self) -> float:
        return self._deadline.when() if self._deadline is not None else 0.0
