"""Limit what a child process takes: address space, processor time, and how much it has taken."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path


def limit_memory(most_bytes: int) -> None:
    """Limit the address space of this process, where the system can."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))


def limit_cpu(seconds: float) -> None:
    """Ask the system to end this process after so many more seconds of CPU time.

    Its parent ends a child that hangs; this limit is for the case that the parent has ended.
    """
    try:
        from signal import ITIMER_PROF, SIG_DFL, SIGPROF, setitimer, signal
    except ImportError:
        return
    signal(SIGPROF, SIG_DFL)
    setitimer(ITIMER_PROF, seconds)


def peak_bytes() -> int:
    """Return the peak memory of this process in bytes; 0 where it is unknown."""
    # Not getrusage on Linux: there a process starts with the peak of its parent, and a worker of a
    # large program would be recycled before its first file.
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
