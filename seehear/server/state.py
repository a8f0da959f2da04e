"""The service behind the endpoints: what it was started with, what it holds open, its readiness."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from seehear.cancellation import check_current
from seehear.collection import Collection
from seehear.config import Settings, default_collection
from seehear.errors import (
    CollectionReplacedError,
    EnvironmentFaultError,
    SeehearError,
    UsageError,
)
from seehear.limits import ServiceLimits
from seehear.media.workers.pool import DecodePool
from seehear.server.folder_labels import FolderLabels
from seehear.server.jobs import JobRunner
from seehear.server.metrics import Metrics, ResourceMetrics
from seehear.server.problems import ServiceError, problem_of
from seehear.server.request_queue import RequestQueue
from seehear.server.security import ReceivedBytes
from seehear.server.served_collection import ModelPool, ServedCollection
from seehear.server.sessions import visible_folder
from seehear.server.workers.pool import WorkerPool, can_share
from seehear.server.workers.shared import WorkerOptions
from seehear.sources import is_remote, path_of
from seehear.stores.catalog.database import name_connections

log = logging.getLogger("seehear.server")
Kept = TypeVar("Kept")

_RETRY_S = 10.0
"""Pause before another try to open a collection that could not be opened."""
_LOOK_S = 1.0
"""Between two looks at whether the collection is still the one that was opened."""


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What a service is started with. `roots` are the only folders that it may index."""

    collection: Path | None = None
    name: str = ""
    """The collection's name among several in one application."""
    settings: Settings = field(default_factory=Settings)
    roots: tuple[Path, ...] = ()
    limits: ServiceLimits = field(default_factory=ServiceLimits)
    workers: int = 1
    """Processes that answer searches; 1 stands for no process but the service's own."""

    def __post_init__(self) -> None:
        for root in self.roots:
            if not (is_remote(path_of(root)) or root.is_dir()):
                raise UsageError(f"the root {root} is not a folder")


class RecentCache(Generic[Kept]):
    """What was asked for last, the least recently used dropped first. Safe from several threads.

    `size_of` says how much one takes of `most`.
    """

    def __init__(self, most: int, size_of: Callable[[Kept], int] = lambda _: 1) -> None:
        self._most, self._size_of = most, size_of
        self._size = 0
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Kept | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, made: Kept) -> None:
        with self._lock:
            if (old := self._kept.pop(key, None)) is not None:
                self._size -= self._size_of(old)
            self._kept[key] = made
            self._size += self._size_of(made)
            while self._size > self._most:
                _, dropped = self._kept.popitem(last=False)
                self._size -= self._size_of(dropped)


class Resources:
    """What all collections of an application use: threads, decoders, models, drawn pictures.

    Another collection takes no more of them, and one alone may use all: what they bound is the
    machine's.
    """

    def __init__(self, limits: ServiceLimits, device: str) -> None:
        timeout_s = limits.query_timeout_s
        # Each kind of work has a queue of its own, so that none can take the others' threads.
        self.queries = RequestQueue(limits.running, limits.queue, timeout_s)
        self.uploads = RequestQueue(limits.decode_workers, limits.uploads, timeout_s)
        self.drawing = RequestQueue(limits.decode_workers, 4 * limits.queue, timeout_s)
        self.listing = RequestQueue(limits.listing, limits.queue, timeout_s)
        self.queues = (self.queries, self.uploads, self.drawing, self.listing)
        asked = (self.queries, self.uploads)
        self.metrics = ResourceMetrics(
            lambda: sum(queue.waiting for queue in asked),
            lambda: sum(queue.running for queue in asked),
        )
        self.models = ModelPool(device, self.metrics.on_batch)
        self.decoder = DecodePool(
            limits.decode_workers,
            limits.decode_memory_bytes,
            limits.decode_timeout_s,
            check_current,
        )
        self.images = RecentCache[tuple[bytes, str]](
            limits.image_cache_bytes, lambda drawn: len(drawn[0])
        )
        self.received = ReceivedBytes()
        self.jobs: list[JobRunner] = []
        self._warming = threading.Lock()

    def warm_decoder(self) -> None:
        """Start the decoders. Raises EnvironmentFaultError where that is not possible."""
        with self._warming:  # two that each wait for all of the decoders would wait for ever
            self.decoder.warm()

    def close(self) -> None:
        """End the models, the decoders and the threads."""
        self.models.close()
        self.decoder.close()
        for queue in self.queues:
            queue.close()


class Service:
    """One collection as long as its application lives; `start` and `stop_all` frame its life."""

    def __init__(self, options: ServiceOptions, resources: Resources) -> None:
        self.options = options
        self.limits = options.limits
        self.name = options.name
        self.folder = options.collection or default_collection()
        self.resources = resources
        self.queries, self.uploads, self.drawing, self.listing = resources.queues
        self.models, self.images = resources.models, resources.images
        self.metrics = Metrics()
        self.roots = tuple(path_of(root).expanduser().absolute() for root in options.roots)
        self.private = [str(self.folder), str(Path.home()), *map(str, self.roots)]
        self._pool = self._new_pool() if options.workers > 1 and can_share() else None
        self.jobs = JobRunner(
            lambda: self.library._catalog.jobs,
            self._open_for_index,
            self.roots,
            self.private,
            self.limits.job_lease_s,
            lambda: any(jobs.running for jobs in resources.jobs if jobs is not self.jobs),
        )
        resources.jobs.append(self.jobs)
        self.trouble = "the model is loading"
        self.fault: EnvironmentFaultError | None = None
        """A library that cannot be loaded: the service will never be ready."""
        self.on_fault: Callable[[], None] = lambda: log.error("not ready: %s", self.fault)
        """Called once when there is one; whoever runs the service may end it instead."""
        self._library: ServedCollection | None = None
        self._must_exist = False
        """One that was there and is gone is not begun anew."""
        self._loop: asyncio.AbstractEventLoop
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._warm_up, name="seehear-warm-up", daemon=True)

    @property
    def decoder(self) -> DecodePool:
        return self.resources.decoder

    @property
    def unready(self) -> str:
        """How the log says that it is not ready."""
        return f"{self.name} is not ready" if self.name else "not ready"

    @property
    def library(self) -> ServedCollection:
        """The open collection.

        Raises ServiceError 503 before the service is ready, and 403 for a token of one folder if
        another collection has it.
        """
        if self._library is None:
            raise ServiceError(503, "not_ready", self.trouble, 2)
        folder = visible_folder.get()
        if folder is not None and self.name:
            roots = [root.path for root in Collection.roots(self._library)]
            if not any(folder.is_relative_to(one) or one.is_relative_to(folder) for one in roots):
                raise ServiceError(
                    403, "not_here", "this token sees a folder that this collection does not have"
                )
        return self._library

    @property
    def workers(self) -> WorkerPool | None:
        """The processes that answer searches; None where the service answers by itself.

        They know nothing of tokens: what may see one folder alone is answered here.

        Raises ServiceError 503 before the service is ready.
        """
        if visible_folder.get() is not None:
            return None
        return self._pool if self.library and self._pool and self._pool.usable else None

    @property
    def ready(self) -> bool:
        return self._library is not None

    def start(self) -> None:
        """Load and warm up in the background; `ready` tells when that is done.

        With several workers, call it in the event loop of the service.
        """
        if self._pool is not None:
            self._loop = asyncio.get_running_loop()
        self._thread.start()

    def end_work(self) -> None:
        """End the warm-up, the workers and the index run."""
        self._stopping.set()
        self._thread.join()
        if self._pool is not None:
            self._pool.stop()
        self.jobs.close()

    def close(self) -> None:
        """Let go of the collection, when nothing uses it any more."""
        if self._library is not None:
            self._library.close()
            self._library = None

    def counted(self) -> Metrics:
        """Return the metrics, with what is counted when they are read."""
        self.metrics.indexing.set(self.jobs.running)
        workers = self.workers if self.ready else None
        self.metrics.workers.set(len(workers.processes) if workers else 0)
        return self.metrics

    def folder_labels(self) -> FolderLabels:
        """Labels of the collection's roots, and of those that may be indexed; for a token of one
        folder that folder's."""
        if (folder := visible_folder.get()) is not None:
            return FolderLabels([folder])
        known = [root.path for root in self.library.roots()]
        return FolderLabels([*known, *(root for root in self.roots if root not in known)])

    def _new_pool(self) -> WorkerPool:
        options = self.options
        told = WorkerOptions(
            collection=self.folder,
            settings=options.settings,
            limits=self.limits,
            roots=self.roots,
            private=tuple(self.private),
            count=options.workers,
        )
        return WorkerPool(told, self.resources.metrics.on_batch)

    def _open_for_index(self, connection_name: str) -> ServedCollection:
        settings = self.options.settings
        if settings.database is not None:
            database = name_connections(settings.database, connection_name)
            settings = replace(settings, database=database)
        return ServedCollection(self.folder, settings, self.models, indexing=True)

    def _warm_up(self) -> None:
        """Open the collection, and whatever lies there later."""
        while not self._stopping.is_set():
            try:
                self._library = self._opened()
            except EnvironmentFaultError as fault:
                self.trouble, self.fault = problem_of(fault, self.private).message, fault
                if self.name:  # the others may go on
                    log.warning("%s: %s", self.unready, fault)
                self.on_fault()
                return
            except SeehearError as error:
                self.trouble = problem_of(error, self.private).message
                log.warning("%s: %s", self.unready, error)
                self._stopping.wait(_RETRY_S)
            except Exception:
                self.trouble = "the service failed to start; see its log"
                log.exception(self.unready)
                return
            else:
                self.metrics.ready.set(1)
                log.info("ready")
                self.jobs.watch()
                self._must_exist = True
                self._wait_until_replaced(self._library)

    def _wait_until_replaced(self, library: ServedCollection) -> None:
        """Wait until the service ends, or its collection was deleted or replaced: let go of it."""
        while not self._stopping.wait(_LOOK_S):
            try:
                library._catalog.check_file()
            except CollectionReplacedError as error:
                self.trouble = problem_of(error, self.private).message
                log.warning("%s: %s", self.unready, error)
                self.metrics.ready.set(0)
                self._library = None
                library.close()
                if self._pool is not None:
                    self._loop.call_soon_threadsafe(self._pool.stop)
                    self._pool = self._new_pool()
                return

    def _opened(self) -> ServedCollection:
        """The library with its model loaded, its kernels compiled and its index in memory."""
        library = ServedCollection(
            self.folder, self.options.settings, self.models, must_exist=self._must_exist
        )
        try:
            library.warm_up_encoders()
            self.resources.warm_decoder()
            if not (self._pool and self._pool.wait_ready(self._loop, self._stopping)):
                library.warm_up()
        except BaseException:
            library.close()
            raise
        return library


def stop_all(services: Sequence[Service], resources: Resources) -> None:
    """End the work of all collections, then let go of what they share, then of them."""
    for service in services:
        service.end_work()
    resources.close()
    for service in services:
        service.close()
