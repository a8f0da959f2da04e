"""Connect two stages by a bounded queue, which an error in any stage can abort."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class QueueAborted(Exception):  # noqa: N818 - a signal between threads, never seen outside
    """Raised at both ends of a queue when another stage failed."""


class BoundedQueue(Generic[T]):
    """First in, first out; holds items up to a total cost (in bytes, for example).

    A single item may cost more than the capacity. The sender closes the queue after the last item.
    `abort` wakes both ends with QueueAborted.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[tuple[T, int]] = deque()
        self._cost = 0
        self._closed = self._broken = False
        self._changed = threading.Condition()

    def put(self, item: T, cost: int = 1) -> None:
        """Wait for room and append. Raises QueueAborted."""
        with self._changed:
            while not self._broken and self._items and self._cost + cost > self._capacity:
                self._changed.wait()
            if self._broken:
                raise QueueAborted
            self._items.append((item, cost))
            self._cost += cost
            self._changed.notify_all()

    def get(self, timeout_s: float | None = None) -> T | None:
        """Return the next item, or None after `timeout_s` or at the end (see `ended`).

        Raises QueueAborted.
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
        """Tell whether the sender has closed the queue and every item is taken."""
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
