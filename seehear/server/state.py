"""The service behind the endpoints: what it was started with, what it holds open, its readiness."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path

from seehear.cancellation import check_current
from seehear.config import Settings, default_collection
from seehear.errors import EnvironmentFaultError, SeehearError, UsageError
from seehear.limits import ServiceLimits
from seehear.media.workers.pool import DecodePool
from seehear.server.folder_labels import FolderLabels
from seehear.server.jobs import JobRunner
from seehear.server.metrics import Metrics
from seehear.server.problems import ServiceError, problem_of
from seehear.server.request_queue import RequestQueue
from seehear.server.served_collection import ModelPool, ServedCollection
from seehear.server.workers.pool import WorkerPool, can_share
from seehear.server.workers.shared import WorkerOptions

log = logging.getLogger("seehear.server")

_RETRY_S = 10.0
"""Pause before another try to open a collection that could not be opened."""


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What a service is started with. `roots` are the only folders that it may index."""

    collection: Path | None = None
    settings: Settings = field(default_factory=Settings)
    roots: tuple[Path, ...] = ()
    limits: ServiceLimits = field(default_factory=ServiceLimits)
    workers: int = 1
    """Processes that answer searches; 1 stands for no process but the service's own."""

    def __post_init__(self) -> None:
        for root in self.roots:
            if not root.is_dir():
                raise UsageError(f"the root {root} is not a folder")


class ImageCache:
    """Drawn pictures, the least recently used dropped first; bounded in bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._size = 0
        self._kept: OrderedDict[Hashable, tuple[bytes, str]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> tuple[bytes, str] | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, image: tuple[bytes, str]) -> None:
        with self._lock:
            if (old := self._kept.pop(key, None)) is not None:
                self._size -= len(old[0])
            self._kept[key] = image
            self._size += len(image[0])
            while self._size > self._most_bytes and self._kept:
                _, (dropped, _) = self._kept.popitem(last=False)
                self._size -= len(dropped)


class Service:
    """Everything that lives as long as the application; `start` and `stop` frame its life."""

    def __init__(self, options: ServiceOptions) -> None:
        limits = options.limits
        self.options = options
        self.limits = limits
        self.folder = options.collection or default_collection()
        timeout_s = limits.query_timeout_s
        # Each kind of work has a queue of its own, so that none can take the others' threads.
        self.queries = RequestQueue(limits.running, limits.queue, timeout_s)
        self.uploads = RequestQueue(limits.decode_workers, limits.uploads, timeout_s)
        self.drawing = RequestQueue(limits.decode_workers, 4 * limits.queue, timeout_s)
        self.listing = RequestQueue(limits.listing, limits.queue, timeout_s)
        self.queues = (self.queries, self.uploads, self.drawing, self.listing)
        asked = (self.queries, self.uploads)
        self.metrics = Metrics(
            lambda: sum(queue.waiting for queue in asked),
            lambda: sum(queue.running for queue in asked),
        )
        self.models = ModelPool(options.settings.device, self.metrics.on_batch)
        self.decoder = DecodePool(
            limits.decode_workers,
            limits.decode_memory_bytes,
            limits.decode_timeout_s,
            check_current,
        )
        self.images = ImageCache(limits.image_cache_bytes)
        self.roots = tuple(root.expanduser().absolute() for root in options.roots)
        self.private = [str(self.folder), str(Path.home()), *map(str, self.roots)]
        self._pool = self._new_pool() if options.workers > 1 and can_share() else None
        self.jobs = JobRunner(self._open_for_index, self.private)
        self.trouble = "the model is loading"
        self.fault: EnvironmentFaultError | None = None
        """A library that cannot be loaded: the service will never be ready."""
        self.on_fault: Callable[[], None] = lambda: log.error("not ready: %s", self.fault)
        """Called once when there is one; whoever runs the service may end it instead."""
        self._library: ServedCollection | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._warm_up, name="seehear-warm-up", daemon=True)

    @property
    def library(self) -> ServedCollection:
        """The open collection. Raises ServiceError 503 before the service is ready."""
        if self._library is None:
            raise ServiceError(503, "not_ready", self.trouble, 2)
        return self._library

    @property
    def workers(self) -> WorkerPool | None:
        """The processes that answer searches; None where the service answers by itself.

        Raises ServiceError 503 before the service is ready.
        """
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

    def stop(self) -> None:
        """End the work and let go of everything."""
        self._stopping.set()
        self._thread.join()
        if self._pool is not None:
            self._pool.stop()
        self.jobs.close()
        self.models.close()
        self.decoder.close()
        for queue in self.queues:
            queue.close()
        if self._library is not None:
            self._library.close()
            self._library = None

    def folder_labels(self) -> FolderLabels:
        """Labels of the collection's roots, and of those that may be indexed."""
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
        return WorkerPool(told, self.metrics.on_batch)

    def _open_for_index(self) -> ServedCollection:
        return ServedCollection(self.folder, self.options.settings, self.models, indexing=True)

    def _warm_up(self) -> None:
        while not self._stopping.is_set():
            try:
                self._library = self._opened()
            except EnvironmentFaultError as fault:
                self.trouble, self.fault = problem_of(fault, self.private).message, fault
                self.on_fault()
                return
            except SeehearError as error:
                self.trouble = problem_of(error, self.private).message
                log.warning("not ready: %s", error)
                self._stopping.wait(_RETRY_S)
            except Exception:
                self.trouble = "the service failed to start; see its log"
                log.exception("not ready")
                return
            else:
                self.metrics.ready.set(1)
                log.info("ready")
                return

    def _opened(self) -> ServedCollection:
        """The library with its model loaded, its kernels compiled and its index in memory."""
        library = ServedCollection(self.folder, self.options.settings, self.models)
        try:
            library.warm_up_encoders()
            self.decoder.warm()
            if not (self._pool and self._pool.wait_ready(self._loop, self._stopping)):
                library.warm_up()
        except BaseException:
            library.close()
            raise
        return library
