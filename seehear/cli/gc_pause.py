"""When Python looks for objects that hold each other: not while a command starts."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Leave Python's collector of cycles out for a while.

    Imports make a hundred thousand objects that stay, and the collector looks through them again
    and again. For a start, and for commands that answer and end.
    """
    at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if at_work:
            gc.enable()
