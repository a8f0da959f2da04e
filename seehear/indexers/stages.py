"""Run stages in parallel, each in a thread, connected by bounded queues.

The first error of any stage ends all of them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

TICK_S = 0.05

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


class StopEvent(threading.Event):
    """Tells the stages to stop: set by an error, Ctrl-C, or the caller's own event."""

    def __init__(self, wish: threading.Event | None = None) -> None:
        super().__init__()
        self._wish = wish

    def is_set(self) -> bool:
        return super().is_set() or (self._wish is not None and self._wish.is_set())


def run_stages(
    stages: Mapping[str, Callable[[], None]],
    channels: Sequence[BoundedQueue[Any]],
    halt: threading.Event,
    tick: Callable[[], object],
) -> None:
    """Run named stages until all have ended; `tick` is called in this thread meanwhile.

    Where a stage raises, `halt` is set, the channels are aborted, and the error is raised here when
    the other stages have ended, too. KeyboardInterrupt in this thread sets `halt` and lets the
    stages end in order; a second one aborts the channels.
    """
    errors: list[BaseException] = []

    def guarded(stage: Callable[[], None]) -> None:
        try:
            stage()
        except QueueAborted:
            pass  # another stage has failed, and its error is raised
        except BaseException as error:
            errors.append(error)
            end_all()

    def end_all() -> None:
        halt.set()
        for channel in channels:
            channel.abort()

    threads = [
        threading.Thread(target=guarded, args=(stage,), name=f"seehear-{name}", daemon=True)
        for name, stage in stages.items()
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        try:
            for thread in threads:
                if thread.is_alive():
                    thread.join(TICK_S)
                    break
            tick()
        except KeyboardInterrupt:
            if halt.is_set():
                end_all()
            halt.set()
        except BaseException as error:  # the caller's progress function raised
            errors.append(error)
            end_all()
    if errors:
        raise errors[0]
