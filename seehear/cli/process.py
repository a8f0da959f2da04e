"""How a command runs as a process: exit status, threads, Python's collector of cycles."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

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


def limit_blas_threads() -> None:
    """Set one thread for OpenBLAS, before numpy is loaded, in commands that answer queries.

    OpenBLAS shares each product of numpy among threads that wait for the next one by spinning: a
    query by words then takes a service four times the processor time, and clients that ask at once
    slow each other down. The threads of FAISS and torch wait asleep. Variables that are set stay.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
