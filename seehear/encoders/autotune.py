"""Find the fastest way to run a tower: measured on this machine, chosen, remembered.

What is fast differs between processors: bfloat16 doubles the speed of one and is ten times slower
on another. So the first large batches of real work are also a measurement. Each backend that the
machine can use runs the batch beside the plain tower. The fastest one whose vectors agree with the
plain vectors is used from then on, and noted in a small file in the user's cache folder.

    fused      convolution and activation in one step, with weights laid out for the processor
    bf16       matrix products in bfloat16, where the processor has units for it
    int8       linear layers in eight bits, where the processor has units for it
    openvino   the OpenVINO runtime, where it is installed (extra `openvino`)
    compiled   torch.compile on CUDA, after enough work to repay the compiling

A small batch, such as a query, always uses the plain tower: the same query gives the same vector
whatever was measured. docs/performance.md has figures for each backend.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seehear.config import default_cache
from seehear.encoders import backends
from seehear.encoders.torch_tools import LEAST_ROWS
from seehear.files import write_whole

if TYPE_CHECKING:
    import torch

    Tower = Callable[..., torch.Tensor]

LEAST_GAIN = 1.1
"""A backend is used if it is at least this many times as fast; less is noise."""

LEAST_COSINE = 0.999
"""Least cosine of every vector of a backend with the plain one."""

_REPEATS = 2
"""Timed runs of each backend after one warm-up run; the best one counts."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to run a tower.

    `usable` tells whether this machine can use it; `build` makes it from the plain tower;
    `after` is the number of rows after which trying it is worth its cost; `alone` tells whether
    the calling thread computes it, where torch has one thread.
    """

    name: str
    usable: Callable[[Any, torch.device], bool]
    build: Callable[[Any], Tower]
    after: int = 0
    alone: bool = True


def all_backends() -> tuple[Backend, ...]:
    """Return every known backend, cheapest to try first."""
    ways = backends
    return (
        Backend("fused", ways.can_fuse, ways.fused),
        Backend("bf16", ways.can_bf16, ways.bf16),
        Backend("int8", ways.can_int8, ways.int8),
        Backend("openvino", ways.can_openvino, ways.openvino, alone=False),
        Backend("compiled", ways.can_compile, ways.compiled, after=4_096),
    )


@dataclass(slots=True)
class Decision:
    """The result of a measurement: rows per second of every backend, and the chosen one."""

    backend: str = "plain"
    rows_per_s: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)


class AutotunedModule:
    """Run a tower by the backend that is fastest for large batches.

    `identity` names the tower and its weights. The plain tower is a torch module whose output is
    rows of vectors; all inputs are tensors with as many rows. Safe to call from several threads.
    """

    def __init__(
        self,
        plain: torch.nn.Module,
        identity: str,
        device: torch.device,
        *,
        notes: Path | None = None,
        ways: Sequence[Backend] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._plain = plain
        self._identity = identity
        self.device = device
        self._notes = TuningCache(notes)
        self._clock = clock
        known = all_backends() if ways is None else tuple(ways)
        self._ways = {way.name: way for way in known if way.usable(plain, device)}
        self._taken: Tower | None = None
        self._rows = 0
        self._deciding = threading.Lock()
        self.decision = Decision()

    @property
    def plain(self) -> torch.nn.Module:
        """The tower as it was given."""
        return self._plain

    def __call__(self, *batch: torch.Tensor) -> torch.Tensor:
        rows = len(batch[0])
        if rows < LEAST_ROWS or not self._ways:
            return self._plain(*batch)  # type: ignore[no-any-return]
        self._rows += rows
        if self._pending() and self._deciding.acquire(blocking=False):
            try:
                return self._decide(batch)
            finally:
                self._deciding.release()
        return (self._taken or self._plain)(*batch)

    def _pending(self) -> list[Backend]:
        tried = self.decision.tried
        return [w for w in self._ways.values() if w.name not in tried and w.after <= self._rows]

    def _key(self) -> str:
        import torch

        return "|".join(
            (
                self._identity,
                processor_name() if self.device.type == "cpu" else torch.cuda.get_device_name(),
                f"torch {torch.__version__}",
                f"{torch.get_num_threads()} threads",
                ",".join(self._ways),
            )
        )

    def _decide(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Encode a batch with the plain tower, and with untried backends unless one is noted."""
        noted = self._notes.read(self._key())
        repeats = _REPEATS if noted is None else 0  # what is noted is checked, not measured
        plain, seconds = self._timed(self._plain, batch, repeats)
        decision = self.decision
        rows_per_s = {**decision.rows_per_s, "plain": len(plain) / seconds}
        taken, way = self._taken, decision.backend
        for candidate in self._pending():
            decision.tried.append(candidate.name)
            if noted is not None and candidate.name != noted:
                continue
            outcome = self._try(candidate, batch, plain, repeats)
            if isinstance(outcome, str):
                decision.refused[candidate.name] = outcome
                continue
            tower, candidate_s = outcome
            rows_per_s[candidate.name] = len(plain) / candidate_s
            best = max(rows_per_s.get(way, 0.0), rows_per_s["plain"])
            if candidate.name == noted or rows_per_s[candidate.name] > LEAST_GAIN * best:
                taken, way = tower, candidate.name
        self._taken = taken
        self.decision = Decision(way, rows_per_s, decision.refused, decision.tried)
        if len(decision.tried) == len(self._ways):
            self._notes.write(self._key(), way)
        return plain

    def _try(
        self,
        way: Backend,
        batch: tuple[torch.Tensor, ...],
        plain: torch.Tensor,
        repeats: int,
    ) -> tuple[Tower, float] | str:
        """Return the built tower and its seconds, or why it cannot be used."""
        import torch

        try:
            tower = way.build(self._plain)
            out, seconds = self._timed(tower, batch, repeats)
        except Exception as error:  # a compiler or runtime may raise anything: skip this backend
            return f"{type(error).__name__}: {error}"[:200]
        cosine = torch.nn.functional.cosine_similarity(out.float(), plain.float()).min().item()
        if not cosine >= LEAST_COSINE:
            return f"its vectors differ: cosine {cosine:.4f}"
        return tower, seconds

    def _timed(
        self, tower: Tower, batch: tuple[torch.Tensor, ...], repeats: int
    ) -> tuple[torch.Tensor, float]:
        """Return the rows and the seconds: of the best of `repeats` runs after one more."""
        clock = self._clock or self._own_clock()
        seconds = []
        for _ in range(1 + repeats):
            self._settle()
            start = clock()
            out = tower(*batch)
            self._settle()
            seconds.append(clock() - start)
        return out, max(min(seconds[-repeats:]), 1e-9)

    def _own_clock(self) -> Callable[[], float]:
        """Return what measures work: processor time where this thread does all of it.

        Other programs on the same cores do not change that.
        """
        import torch

        alone = all(way.alone for way in self._ways.values())
        on_processor = self.device.type == "cpu" and torch.get_num_threads() == 1
        return time.thread_time if alone and on_processor else time.perf_counter

    def _settle(self) -> None:
        if self.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.device)


class TuningCache:
    """The backend chosen on this machine: a small JSON file that can be deleted at any time."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self, key: str) -> str | None:
        """Return the backend noted under that key, or None."""
        way = self._all().get(_digest(key))
        return way["way"] if isinstance(way, dict) and isinstance(way.get("way"), str) else None

    def write(self, key: str, way: str) -> None:
        """Note a backend; do nothing if the folder cannot be written."""
        path = self._where()
        notes = {**self._all(), _digest(key): {"way": way, "for": key}}
        with contextlib.suppress(OSError):
            write_whole(path, [json.dumps(notes, indent=1).encode("utf-8")])

    def _all(self) -> Mapping[str, Any]:
        try:
            notes = json.loads(self._where().read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}

    def _where(self) -> Path:
        return default_cache() / "ways.json" if self._path is None else self._path


def processor_name() -> str:
    """Return the processor's name, with the number of its cores."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {os.cpu_count()} cores"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:24]
