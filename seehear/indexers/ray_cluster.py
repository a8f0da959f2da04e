"""Connect to a Ray cluster, and choose how many encoders run on its machines.

Ray is imported by `connected` alone.
"""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from seehear.arguments import shown
from seehear.errors import EnvironmentFaultError, UsageError
from seehear.libraries import remedy
from seehear.processes.resources import usable_cores
from seehear.suggestions import did_you_mean

LOCAL, CLIENT = "local", "ray://"
NAMES = (LOCAL, "auto")
"""A Ray that is started here, and the one that this machine belongs to."""
PORT = 10_001
"""Ray's own port for its clients (`ray://`)."""
REACH_S = 10.0
"""Longest wait for the head to accept a connection."""
OBJECT_STORE_BYTES = 256 << 20
"""Of a local Ray: it holds results that are not written yet, which are small."""
_ADDRESS = re.compile(
    r"(?P<client>ray://)?(?P<host>\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+)(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Where to encode, and on how much of it: "local", "auto", "ray://HOST:PORT" or "HOST:PORT".

    The port may be left out after ray://. Raises UsageError for values that make no sense.
    """

    address: str
    encoders: int | None = None
    """None means one for each GPU, or else one for each machine."""
    gpus_per_encoder: float | None = None
    """None means 1 where the cluster has GPUs."""

    def __post_init__(self) -> None:
        if self.address not in NAMES:
            self._parse_address()
        if self.encoders is not None and self.encoders < 1:
            raise UsageError(f"--encoders must be at least 1, not {self.encoders}")
        if self.gpus_per_encoder is not None and not 0 <= self.gpus_per_encoder < math.inf:
            raise UsageError(f"--gpus-per-encoder must be at least 0, not {self.gpus_per_encoder}")

    def _parse_address(self) -> tuple[str, int]:
        """Return host and port of the address. Raises UsageError."""
        found = _ADDRESS.fullmatch(self.address)
        port = found and (found["port"] or (PORT if found["client"] else None))
        if not found or not port or not 0 < int(port) < 1 << 16:
            hint = did_you_mean(self.address, NAMES)
            if found and not port and not hint:
                hint = f" Did you mean {CLIENT}{found['host']}:{PORT}?"
            raise UsageError(
                "--on takes local, auto, ray://HOST:PORT or HOST:PORT, "
                f"not {shown(self.address)}.{hint}"
            )
        return found["host"], int(port)

    def check(self) -> None:
        """Find out early whether Ray is installed and its head answers.

        Raises EnvironmentFaultError.
        """
        if find_spec("ray") is None:
            raise EnvironmentFaultError(
                "--on needs the library ray, which is not installed; "
                + remedy("ray", missing=True),
                "ray",
            )
        if self.address in NAMES:
            return
        host, port = self._parse_address()
        try:
            socket.create_connection((host.strip("[]"), port), REACH_S).close()
        except (OSError, OverflowError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise self._unreachable(f"{reason.lower()}; start it with `ray start --head`") from None

    def _unreachable(self, reason: str) -> EnvironmentFaultError:
        return EnvironmentFaultError(f"cannot reach Ray at {self.address}: {reason}")


@contextmanager
def connected(options: RayOptions) -> Iterator[Any]:
    """Yield the module `ray`, connected; a local Ray is started, and ended afterwards.

    A program that is connected to Ray already stays so, and that connection is used. Raises
    EnvironmentFaultError.
    """
    _set_environment()
    import ray
    import ray.util.scheduling_strategies

    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    if options.address == LOCAL:
        quiet |= {
            "num_cpus": usable_cores(),
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    worker, logger = ray._private.worker, logging.getLogger("ray")
    prints, level = worker.print_to_stdstream, logger.level
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if is_main else None
    try:
        # What Ray prints of machines and actors that end is told here; no setting leaves it out.
        worker.print_to_stdstream = lambda *_, **__: None
        logger.setLevel(logging.CRITICAL)
        try:
            address = options.address
            if address.startswith(CLIENT):
                address = CLIENT + "{}:{}".format(*options._parse_address())
            ray.init(address=address, **quiet)
        except Exception as error:  # of many types: another version, a service that is not Ray
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise options._unreachable(reason) from None
        finally:
            if handler is not None:  # Ray sets its own
                signal.signal(signal.SIGTERM, handler)
        yield ray
    finally:
        ray.shutdown()
        worker.print_to_stdstream = prints
        logger.setLevel(level)


def _set_environment() -> None:
    """Keep Ray's statistics at home; it reads these variables when it is imported."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Without it, Ray warns about encoders without a GPU.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


@dataclass(frozen=True, slots=True)
class RayMachine:
    """One machine of a cluster, with what it has in all."""

    id: str
    name: str
    cpus: int
    gpus: float = 0.0

    def capacity(self, cpus: int, gpus: float) -> int:
        """Return how many encoders of that size fit."""
        fits = self.cpus // cpus
        return min(fits, math.floor(self.gpus / gpus + 1e-9)) if gpus else fits


def machines_of(ray: Any) -> list[RayMachine]:
    """Return the machines that are alive."""
    return [
        RayMachine(
            node["NodeID"],
            node.get("NodeName") or node["NodeManagerAddress"],
            int(node["Resources"].get("CPU", 0)),
            float(node["Resources"].get("GPU", 0)),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


@dataclass(frozen=True, slots=True)
class EncoderShare:
    """How many encoders there are, and what each one gets."""

    encoders: int
    cpus: int
    gpus: float


def share_out(
    machines: Sequence[RayMachine], options: RayOptions, *, use_gpus: bool
) -> EncoderShare:
    """Choose the number of encoders, and give each as many processors as fit.

    Raises UsageError where the cluster is too small.
    """
    gpus = options.gpus_per_encoder
    if gpus is None:
        gpus = 1.0 if use_gpus and any(machine.gpus >= 1 for machine in machines) else 0.0

    def room(cpus: int) -> int:
        return sum(machine.capacity(cpus, gpus) for machine in machines)

    wanted = options.encoders
    if wanted is None:
        wanted = room(1) if gpus else sum(machine.cpus > 0 for machine in machines)
    for cpus in range(max((machine.cpus for machine in machines), default=0), 0, -1):
        if wanted and room(cpus) >= wanted:
            return EncoderShare(wanted, cpus, gpus)
    has = f"{sum(machine.cpus for machine in machines)} processors"
    if gpus:
        has += f" and {sum(machine.gpus for machine in machines):g} GPUs"
    raise UsageError(
        f"the Ray cluster has {has}, too few for {max(1, wanted)} encoders"
        + (f" with {gpus:g} GPUs each" if gpus else "")
    )
