"""Stop work that nobody waits for any more.

Whoever works for a client sets `current_token`; what may take long calls `check_current` between
its steps. Outside of such work the check does nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


class CancelledQueryError(Exception):
    """The client has gone: whatever works for it may stop."""


@dataclass(slots=True)
class CancelToken:
    """One request's right to go on."""

    gone: threading.Event

    def check(self) -> None:
        """Raise CancelledQueryError once the client has gone."""
        if self.gone.is_set():
            raise CancelledQueryError


current_token: ContextVar[CancelToken | None] = ContextVar("current_token", default=None)
"""The request that the running code works for; None outside of requests."""
_interruptible: ContextVar[bool] = ContextVar("interruptible", default=False)


def check_current() -> None:
    """Raise CancelledQueryError if the client of the running request has gone."""
    if (ticket := current_token.get()) is not None:
        ticket.check()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the database interrupt what is read in the block once the client has gone.

    Only for work that no other request shares: a cache that is refreshed goes on to its end.
    """
    before = _interruptible.set(True)
    try:
        yield
    finally:
        _interruptible.reset(before)


def is_interrupted() -> bool:
    """Return whether to interrupt: the client has gone, and the running code is interruptible."""
    ticket = current_token.get()
    return ticket is not None and ticket.gone.is_set() and _interruptible.get()
