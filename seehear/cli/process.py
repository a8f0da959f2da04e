"""How a command runs as a process: exit status, threads, Python's collector of cycles."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

from seehear.processes.resources import usable_cores

EXIT_ERROR, EXIT_USAGE, EXIT_FAILED_FILES, EXIT_INTERRUPTED = 1, 2, 3, 130
"""Exit statuses beside 0 for done."""


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause Python's collector of cycles, for a start and for commands that answer and end.

    Imports make a hundred thousand objects that stay, and the collector looks through them again
    and again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def limit_threads() -> None:
    """Share the cores by count, before any library is loaded. Variables that are set stay.

    OpenMP (torch, FAISS): as many threads as this process may use cores, and they wait asleep.
    By default they spin, beside decode workers and other programs that need the core meanwhile.

    OpenBLAS (numpy): one thread. Its threads always spin: a query by words then takes a service
    four times the processor time, and clients that ask at once slow each other down.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
