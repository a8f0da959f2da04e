"""A bounded channel between two stages, which an error in any stage can break."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class QueueAborted(Exception):  # noqa: N818 - a signal between threads, never seen outside
    """Another stage failed: there is nobody at the other end any more."""


class BoundedQueue(Generic[T]):
    """First in, first out; holds items up to a total cost (bytes, say), or one that costs more.

    The sender closes it after the last item. `break_off` wakes both ends with ChannelBroken.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[tuple[T, int]] = deque()
        self._cost = 0
        self._closed = self._broken = False
        self._changed = threading.Condition()

    def put(self, item: T, cost: int = 1) -> None:
        """Wait for room and append. Raises ChannelBroken."""
        with self._changed:
            while not self._broken and self._items and self._cost + cost > self._capacity:
                self._changed.wait()
            if self._broken:
                raise QueueAborted
            self._items.append((item, cost))
            self._cost += cost
            self._changed.notify_all()

    def get(self, timeout_s: float | None = None) -> T | None:
        """The next item, or None after `timeout_s` or at the end (see `ended`).

        Raises ChannelBroken.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._items or self._closed or self._broken, timeout=timeout_s
            )
            if self._broken:
                raise QueueAborted
            if not self._items:
                return None
            item, cost = self._items.popleft()
            self._cost -= cost
            self._changed.notify_all()
            return item

    @property
    def ended(self) -> bool:
        """Closed by the sender, and every item taken."""
        with self._changed:
            return self._closed and not self._items

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> None:
        with self._changed:
            self._broken = True
            self._items.clear()
            self._cost = 0
            self._changed.notify_all()
