"""Run stages in parallel: each in a thread, all ended by the first error of any stage."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seehear.indexers.bounded_queue import BoundedQueue, QueueAborted

TICK_S = 0.05


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
