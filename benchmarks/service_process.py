"""Run `seehear serve` for a measurement, and measure all of its processes."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen


@contextlib.contextmanager
def serving(
    collection: Path,
    model: str,
    *options: str,
    token: str | None = None,
    checkout: Path | None = None,
) -> Iterator[tuple[int, int]]:
    """`seehear serve` as a process of its own; gives its port and its id once it is ready.

    `checkout` has the program to run, if it is not this one.
    """
    environment = {**os.environ, "SEEHEAR_MODEL": model}
    if token is not None:
        environment["SEEHEAR_TOKEN"] = token
    if checkout is not None:
        environment["PYTHONPATH"] = str(checkout)
    command = [sys.executable, "-m", "seehear", "serve", "--port", "0", "--no-browser"]
    process = subprocess.Popen(
        [*command, *options, "--name", "localhost", "--collection", str(collection)],
        cwd=checkout,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr is not None
    reader = None
    try:
        announced = re.search(r":(\d+)\b", process.stderr.readline())
        if announced is None:
            raise SystemExit(f"the service did not start: {process.stderr.read()}")
        port = int(announced[1])
        reader = threading.Thread(target=process.stderr.read, daemon=True)
        reader.start()
        for _ in range(1200):
            with contextlib.suppress(URLError), urlopen(f"http://127.0.0.1:{port}/readyz"):
                break
            time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()
        if reader is not None:
            reader.join()
        process.stderr.close()


def processes_of(service: int) -> list[int]:
    """A process and all that it has started, and those in turn."""
    found = [service]
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    for process in found:
        found += children.get(process, [])
    return found


def memory_mib(service: int) -> float:
    """Memory of a service: the sum of the PSS of its processes; NaN where /proc does not say."""
    total = 0
    for process in processes_of(service):
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            return float("nan")
        total += int(text.partition("\nPss:")[2].split()[0])
    return total / 1024


def processor_s(service: int) -> float:
    """Seconds that a service has computed so far, in all of its processes; NaN where /proc does not
    say."""
    total = 0
    for process in processes_of(service):
        try:
            stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        total += sum(map(int, stat[11:15]))  # with those of its children that have ended
    return total / os.sysconf("SC_CLK_TCK")
