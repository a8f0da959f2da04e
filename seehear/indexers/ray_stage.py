"""Encode on the machines of a Ray cluster: an actor pool in the place of two local stages.

    tasks ─► chunks ─► EncoderActor, at most two chunks each ─► results ─► write
             driver    read, decode, encode: many machines      driver     driver

The driver scans, compares, claims and writes, as in a local run. A chunk may be encoded twice (its
machine is gone, or copies are in two chunks at once), and is written once: the first result claims
its content. A chunk whose encoder dies is tried again alone, then halved, down to one file.
"""

from __future__ import annotations

import os
import pickle
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from threading import Event
from typing import Any

from seehear.config import Settings
from seehear.encoders import Model, load_model
from seehear.errors import EnvironmentFaultError, ModelError, one_line
from seehear.indexers import ray_actor
from seehear.indexers.dedup import IndexFailure, InFlightContents, KnownContents
from seehear.indexers.encode import MAX_CONSECUTIVE_FAILURES
from seehear.indexers.encoding import EncodeChunk, EncodedChunk, EncoderSetup
from seehear.indexers.progress import ProgressTracker
from seehear.indexers.ray_cluster import (
    EncoderShare,
    RayMachine,
    RayOptions,
    machines_of,
    share_out,
)
from seehear.indexers.stages import BoundedQueue
from seehear.indexers.write import ContentKnown, FileEncoded, FileFailed, WriteMessage, follow
from seehear.media.fingerprints import VERSION
from seehear.stores import RACY_INODE, Catalog, FileTask, Generation, ScanTable
from seehear.types import Modality

CHUNK_FILES = 64
CHUNK_BYTES = 64 << 20
"""A chunk is what is lost when its machine is, and what the progress waits for."""
IN_FLIGHT = 2
"""Chunks of one encoder: while it encodes the last samples of one, it decodes the next."""
MOST_DEATHS = 3
"""Encoders that one chunk may end before it is halved, or its only file fails."""
TICK_S = 0.2
LOOK_S, REST_S = 1.0, 3.0
"""Between two looks for room for encoders that were lost; times the square of how often one has
died there as it started, because Ray takes seconds to notice that a machine is gone."""
WAIT_S, START_S = 60.0, 600.0
"""Longest wait for a machine, and for an encoder that starts there: it may load a large model."""
STOP_S = 10.0
"""How long a run that is stopped waits for what its encoders have decoded."""


@dataclass(eq=False, slots=True)
class _Job:
    tasks: tuple[FileTask, ...]
    deaths: int = 0
    """Encoders that died with it; from the first on, it runs alone."""


@dataclass(eq=False, slots=True)
class _Encoder:
    actor: Any
    name: str
    machine: RayMachine
    starting: Any
    """What `prepare` will return, and None afterwards."""
    running: dict[Any, _Job] = field(default_factory=dict)


class RayStage:
    """Encode the tasks of `table` by Ray, and put the results into `results`; runs in one thread.

    `load` returns a model on a machine, by name and device. Machines that cannot be used are named
    in `notes`. Raises UsageError for a cluster that is too small, EnvironmentFaultError where no
    machine can encode or the cluster is gone, ModelError where encoders keep dying.
    """

    def __init__(
        self,
        ray: Any,
        options: RayOptions,
        model: Model,
        settings: Settings,
        *,
        catalog: Catalog,
        generation: Generation,
        table: ScanTable,
        claims: InFlightContents,
        tally: ProgressTracker,
        results: BoundedQueue[WriteMessage],
        stop: Event,
        expected: Iterable[Modality] = (),
        load: Any = load_model,
    ) -> None:
        self.notes: list[str] = []
        self._ray, self._options, self._model, self._settings = ray, options, model, settings
        self._catalog, self._generation, self._table = catalog, generation, table
        self._claims, self._tally, self._results = claims, tally, results
        self._stop, self._expected, self._load = stop, tuple(expected), load
        self._encoders: list[_Encoder] = []
        self._numbers = 0
        self._namespace = f"seehear-{uuid.uuid4().hex}"
        self._refused: dict[str, str] = {}
        """Why machines are left out, by their id."""
        self._start_deaths: Counter[str] = Counter()
        self._rests: dict[str, float] = {}
        self._again: deque[_Job] = deque()
        self._suspects: deque[_Job] = deque()
        """Jobs whose encoder died: each runs alone, so that no other is blamed for it."""
        self._failed_in_a_row = 0
        self._looked = self._ready_at = self._room_at = time.monotonic()

    def run(self) -> None:
        self._known = KnownContents(self._table.known_contents(self._generation.id))
        self._fresh = self._jobs()
        self._next = next(self._fresh, None)
        try:
            self._work()
        except ConnectionError as error:
            raise EnvironmentFaultError(
                f"Ray at {self._options.address} is gone ({one_line(error)}); what was indexed is "
                "kept, run the command again to continue"
            ) from None
        finally:
            for encoder in self._encoders:
                self._end(encoder)
            self._known.close()
        self._results.close()

    def _work(self) -> None:
        machines = machines_of(self._ray)
        share = share_out(machines, self._options, use_gpus=self._settings.device != "cpu")
        setup = pickle.dumps(self._setup(share))
        self._ready_at = self._room_at = time.monotonic()
        self._start_encoders(machines, share, setup)
        stopped_at = None
        while True:
            if not self._stop.is_set():
                if (
                    time.monotonic() - self._looked > LOOK_S
                    and len(self._encoders) < share.encoders
                ):
                    self._start_encoders(machines_of(self._ray), share, setup)
                self._submit()
                if not (self._is_running() or self._next or self._again or self._suspects):
                    return
                self._check_waits()
            elif stopped_at is None:
                stopped_at = time.monotonic()
                for encoder in self._encoders:
                    if encoder.running:
                        encoder.actor.stop.remote()
            elif not self._is_running() or time.monotonic() - stopped_at > STOP_S:
                return
            self._settle_next()

    def _setup(self, share: EncoderShare) -> EncoderSetup:
        device = self._settings.device
        if device == "auto" or device.startswith("cuda"):
            device = "cuda" if share.gpus else "cpu"  # Ray shows an encoder its own cards alone
        settings = replace(
            self._settings,
            database=None,
            device=device,
            decode_workers=self._settings.decode_workers or share.cpus,
        )
        roots = {root.id: str(root.path) for root in self._catalog.locations.roots()}
        name, revision = self._model.name, self._model.revision
        return EncoderSetup(name, revision, settings, self._expected, roots, share.cpus, self._load)

    # Encoders

    def _start_encoders(
        self, machines: Iterable[RayMachine], share: EncoderShare, setup: bytes
    ) -> None:
        """Start the encoders that are missing, where there is room for them."""
        self._looked = time.monotonic()
        usable = [machine for machine in machines if machine.id not in self._refused]
        rested = [m for m in usable if self._rests.get(m.id, 0.0) <= self._looked]
        while len(self._encoders) < share.encoders:
            ours = Counter(encoder.machine.id for encoder in self._encoders)
            free = [m for m in rested if ours[m.id] < m.capacity(share.cpus, share.gpus)]
            if not free:
                break
            machine = min(free, key=lambda m: ours[m.id])
            self._encoders.append(self._start(machine, share, setup))
        if self._encoders:
            self._room_at = time.monotonic()
        elif self._refused and not usable:
            self._raise_refused()

    def _start(self, machine: RayMachine, share: EncoderShare, setup: bytes) -> _Encoder:
        self._numbers += 1
        version = import_module("seehear").__version__  # `import seehear` would reach upwards
        name = f"seehear-encoder-{self._numbers}"
        self._ray.cloudpickle.register_pickle_by_value(ray_actor)
        kind, strategies = (
            self._ray.remote(ray_actor.EncoderActor),
            self._ray.util.scheduling_strategies,
        )
        actor = kind.options(
            name=name,
            namespace=self._namespace,
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            max_concurrency=IN_FLIGHT + 1,  # and `stop`
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(machine.id, soft=False),
        ).remote()
        prepared = actor.prepare.options(name=f"{name}.prepare").remote(version, setup)
        return _Encoder(actor, name, machine, prepared)

    def _end(self, encoder: _Encoder) -> None:
        with suppress(Exception):  # it is gone, or Ray is
            self._ray.kill(encoder.actor)

    def _check_waits(self) -> None:
        """Raise EnvironmentFaultError after a long wait for a machine or an encoder."""
        now = time.monotonic()
        if any(encoder.starting is None for encoder in self._encoders):
            self._ready_at = now
        if not self._encoders and now - self._room_at > WAIT_S:
            if self._refused:
                self._raise_refused()
            raise EnvironmentFaultError(
                f"Ray at {self._options.address} has no machine left for an encoder"
            )
        if now - self._ready_at > START_S:
            raise EnvironmentFaultError(
                f"no encoder has started at {self._options.address} within {START_S:g} s; its "
                "processors may be in use: see `ray status`"
            )

    def _raise_refused(self) -> None:
        raise EnvironmentFaultError(
            f"no machine of Ray at {self._options.address} can encode: "
            + "; ".join(sorted(set(self._refused.values())))
        )

    def _refuse(self, machine: RayMachine, reason: str) -> None:
        """Use a machine no more; what its encoders work at is given to others."""
        if machine.id not in self._refused:
            self._refused[machine.id] = f"machine {machine.name}: {reason}"
            self.notes.append(f"machine {machine.name} is left out: {reason}")
        for encoder in [one for one in self._encoders if one.machine.id == machine.id]:
            self._encoders.remove(encoder)
            self._end(encoder)
            self._again += encoder.running.values()

    def _lose(self, encoder: _Encoder, jobs: Iterable[_Job]) -> None:
        """Go on without an encoder that has died, or whose machine has."""
        self._end(encoder)
        if encoder in self._encoders:
            self._encoders.remove(encoder)
        if encoder.starting is not None:
            machine = encoder.machine
            self._start_deaths[machine.id] += 1
            deaths = self._start_deaths[machine.id]
            self._rests[machine.id] = time.monotonic() + REST_S * deaths**2
            if deaths >= MOST_DEATHS:
                self._refuse(machine, "its encoders die while they start")
        for job in jobs:
            self._blame(job)

    def _blame(self, job: _Job) -> None:
        job.deaths += 1
        file = job.tasks[0]
        if job.deaths < MOST_DEATHS:
            self._suspects.append(job)
        elif len(job.tasks) > 1:
            middle = len(job.tasks) // 2
            for half in (job.tasks[:middle], job.tasks[middle:]):
                # The next death halves it again; a single file has to end several encoders itself.
                self._suspects.append(_Job(half, MOST_DEATHS - 1 if len(half) > 1 else 1))
        else:
            reason = f"encoding it ended {MOST_DEATHS} encoders"
            failure = IndexFailure("encode", reason, permanent=False)
            self._results.put(FileFailed(file, failure))
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= MAX_CONSECUTIVE_FAILURES:
                raise ModelError(
                    f"encoders died on {self._failed_in_a_row} files in a row, last on "
                    f"{file.path}; what was indexed before is kept"
                )

    # Chunks

    def _jobs(self) -> Iterator[_Job]:
        tasks: list[FileTask] = []
        size, most = 0, max(CHUNK_FILES, 2 * self._settings.batch_size)
        for task in self._table.tasks():
            tasks.append(task)
            size += task.size_bytes
            if len(tasks) >= most or size >= CHUNK_BYTES:
                yield _Job(tuple(tasks))
                tasks, size = [], 0
        if tasks:
            yield _Job(tuple(tasks))

    def _is_running(self) -> bool:
        return any(encoder.running for encoder in self._encoders)

    def _submit(self) -> None:
        """Give encoders work, each one chunk before any gets a second one."""
        # An encoder must become free for a suspect.
        for taken in range(1 if self._suspects else IN_FLIGHT):
            for encoder in self._encoders:
                if (
                    encoder.starting is None
                    and len(encoder.running) == taken
                    and not any(job.deaths for job in encoder.running.values())
                    and (job := self._take_job(alone=not taken)) is not None
                ):
                    method = encoder.actor.encode.options(name=f"{encoder.name}.encode")
                    encoder.running[method.remote(self._chunk(job))] = job

    def _take_job(self, *, alone: bool) -> _Job | None:
        if alone and self._suspects:
            return self._suspects.popleft()
        if self._again:
            return self._again.popleft()
        job = self._next
        if job is not None:
            self._next = next(self._fresh, None)
        return job

    def _chunk(self, job: _Job) -> EncodeChunk:
        ids = [task.asset_id for task in job.tasks if task.asset_id is not None]
        marks = self._catalog.assets.fingerprints(ids)
        marked = [id_ for id_ in ids if marks.get(id_, b"")[:1] == bytes([VERSION])]
        assets = self._catalog.assets.get_many(marked)
        return EncodeChunk(
            job.tasks,
            self._known.of_sizes({task.size_bytes for task in job.tasks}),
            frozenset(asset.content_hash for asset in assets.values()),
        )

    def _settle_next(self) -> None:
        """Wait a moment for what an encoder sends, and take it."""
        owners = {
            ref: encoder
            for encoder in self._encoders
            for ref in (*encoder.running, *([] if encoder.starting is None else [encoder.starting]))
        }
        if not owners:
            time.sleep(TICK_S)
            return
        done, _ = self._ray.wait(list(owners), num_returns=1, timeout=TICK_S)
        for ref in done:
            self._settle(owners[ref], ref)

    def _settle(self, encoder: _Encoder, ref: Any) -> None:
        errors = self._ray.exceptions
        try:
            sent = self._ray.get(ref)
        except errors.RayTaskError as error:
            self._refuse(encoder.machine, one_line(getattr(error, "cause", error)))
            return
        except errors.RayError:
            jobs = list(encoder.running.values())
            self._lose(encoder, jobs)
            return
        if ref == encoder.starting:
            encoder.starting = None
            if sent is not None:
                self._refuse(encoder.machine, sent)
            return
        self._accept(encoder, encoder.running.pop(ref), sent)

    def _accept(self, encoder: _Encoder, job: _Job, encoded: EncodedChunk) -> None:
        """Pass on what came of a chunk, unless its machine cannot read what this one can."""
        hidden = [path for path in encoded.unreadable if os.access(path, os.R_OK)]
        if hidden:
            self._again.append(job)
            self._refuse(
                encoder.machine, f"it cannot read {hidden[0]}; mount that folder there, too"
            )
            return
        before = {task.path: task for task in job.tasks}
        for result in encoded.results:
            self._tally.working_on(result.file.path)
            file = _seen_from_here(result.file, before[result.file.path])
            self._pass_on(replace(result, file=file))
        if encoded.results:
            self._failed_in_a_row = 0

    def _pass_on(self, result: WriteMessage) -> None:
        if isinstance(result, FileEncoded):
            content = result.content
            if self._claims.try_claim(content.content_hash):
                self._claims.confirm(content.content_hash)
                self._known.add(content.size_bytes, content.content_hash)
                self._results.put(result)
                return
            result = ContentKnown(content.content_hash, result.file)
        if isinstance(result, ContentKnown):
            follow(result.content_hash, result.file, self._claims, self._results)
        else:
            self._results.put(result)


def _seen_from_here(file: FileTask, task: FileTask) -> FileTask:
    """Return what a machine read of a file, with the inode that this machine knows it by.

    The inode of a file may differ by machine, where it is mounted; the next scan happens here.
    """
    same = (file.size_bytes, file.modified_ns) == (task.size_bytes, task.modified_ns)
    trusted = same and file.inode != RACY_INODE
    return replace(file, inode=task.inode if trusted else RACY_INODE)
