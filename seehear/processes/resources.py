"""Tell how many cores a process may use; limit the memory and the time that a child takes."""

from __future__ import annotations

import math
import os
import sys
from contextlib import suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return how many cores this process may use: those that it may run on, within its quota.

    A container's quota is time on any of the machine's cores: as many threads as there are cores
    would use it up at once and then stand still.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota(Path("/proc/self/cgroup"), _CGROUPS))))


def _quota(memberships: Path, top: Path) -> float:
    """Return the cores that the quotas of this process's control groups allow; inf without one."""
    try:
        groups = [line.split(":", 2) for line in memberships.read_text("utf-8").splitlines()]
    except (OSError, ValueError):
        return math.inf
    least = math.inf
    for _, controllers, path in (group for group in groups if len(group) == 3):
        # Version 2 has one tree, version 1 one for each controller. A quota holds for all below.
        if controllers and "cpu" not in controllers.split(","):
            continue
        tree = top / "cpu" if controllers else top
        inner = Path(path.lstrip("/"))
        for group in (inner, *inner.parents):
            least = min(least, _quota_of(tree / group))
    return least


def _quota_of(group: Path) -> float:
    with suppress(OSError, ValueError):
        if (stated := group / "cpu.max").exists():
            quota, period = stated.read_text("ascii").split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text("ascii")
            period = (group / "cpu.cfs_period_us").read_text("ascii")
        if quota.strip() != "max" and float(quota) > 0 and float(period) > 0:
            return float(quota) / float(period)
    return math.inf


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
