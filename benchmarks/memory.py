"""Measure the memory of this process: its own pages, and those of mapped files."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NamedTuple


class Resident(NamedTuple):
    """Bytes in memory. Pages of files can be taken back by the system at any time."""

    own: int
    files: int


def resident() -> Resident | None:
    """What this process has in memory; None where neither the system nor psutil says so.

    Linux tells a process's own pages from those of files. Elsewhere psutil gives one figure for
    both, which counts as the process's own.
    """
    try:
        lines = dict(
            line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines()
        )
        own, files, shared = (
            1024 * int(lines[name].split()[0]) for name in ("RssAnon", "RssFile", "RssShmem")
        )
        return Resident(own + shared, files)
    except (OSError, ValueError, KeyError):
        pass
    try:
        return Resident(int(import_module("psutil").Process().memory_info().rss), 0)
    except ImportError:
        return None


def give_back() -> None:
    """Give freed memory back to the system where the C library can, so that it is not used again
    unseen: what is opened next would seem smaller than it is."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
