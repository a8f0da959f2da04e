"""Load what a collection needs to answer: models, the engine, a worker that decodes query files.

Each is loaded when it is first needed, and kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from seehear.argument_types import take_arguments
from seehear.arguments import OTHER_WORDS, in_own_words
from seehear.config import Settings
from seehear.errors import CollectionClosedError, ModelError
from seehear.libraries import naming_faults
from seehear.processes.resources import usable_cores

if TYPE_CHECKING:
    from seehear.encoders import Model
    from seehear.media.workers.pool import DecodePool
    from seehear.readers.process import ReaderProcess
    from seehear.search import Engine, Rerank
    from seehear.stores import Catalog, Generation, VectorStore
    from seehear.types import SampleSpec


READER_THREADS = 4
"""Threads that hear a spoken question; more gain little."""

_OTHER = frozenset(word for words in OTHER_WORDS.values() for word in words)

P = ParamSpec("P")
T = TypeVar("T")


class _Holder(Protocol):
    _opened: LoadedModels


H = TypeVar("H", bound=_Holder)


def while_open(method: Callable[Concatenate[H, P], T]) -> Callable[Concatenate[H, P], T]:
    """Wrap a method of a collection: refuse it after `close`, and name libraries that do not load.

    Its arguments may have the names of the other interfaces, such as `kinds` for `modalities`, and
    are checked by their annotations.

    Raises UsageError, CollectionClosedError, EnvironmentFaultError.
    """

    @wraps(method)
    def guarded(self: H, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._opened.in_use(), naming_faults():
            named = kwargs if _OTHER.isdisjoint(kwargs) else in_own_words(method, kwargs)
            (_, *own), named = take_arguments(method, (self, *args), named)
            return method(self, *own, **named)

    return guarded


class LoadedModels:
    """The models and the engine of one collection. Safe to use from several threads.

    `load` returns a model by name; `rerank` is passed to the engine.
    """

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        load: Callable[[str], Model],
        rerank: Rerank | None = None,
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._load = load
        self._rerank = rerank
        self._models: dict[str, Model] = {}
        self._engine: tuple[int, Engine] | None = None
        self._decoder: DecodePool | None = None
        self._reader: ReaderProcess | None = None
        self._reading = threading.Lock()
        self._lock = threading.RLock()
        self._closed = False
        self._calls = 0
        self._counting = threading.Lock()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Count a call that uses the collection. Raises CollectionClosedError after `close`."""
        with self._counting:
            if self._closed:
                raise CollectionClosedError(
                    f"the collection in {self._catalog.folder} is closed; open it again"
                )
            self._calls += 1
        try:
            yield
        finally:
            with self._counting:
                self._calls -= 1
            self._let_go_when_closed()

    def close(self) -> None:
        """Refuse new calls and release everything; running calls finish first.

        Closing again does nothing.
        """
        with self._counting:
            if self._closed:
                return
            self._closed = True
        self._let_go_when_closed()

    def _let_go_when_closed(self) -> None:
        with self._counting:
            if self._calls or not self._closed:
                return
        with self._lock:
            self._engine = None
            self._models.clear()
            self._catalog.close()
            decoder, self._decoder = self._decoder, None
            reader, self._reader = self._reader, None
        for pool in (decoder, reader):
            if pool is not None:
                pool.close()

    def model(self, name: str | None = None) -> Model:
        """Return the model of that name; without a name the serving one, else the settings' one.

        Only a model that the user names is fetched, not one that only the collection names. Raises
        ModelError.
        """
        if name is not None:
            return self._loaded(name)
        serving = self._catalog.generations.serving()
        return self._loaded(self._settings.model) if serving is None else self._serving(serving)

    def _serving(self, generation: Generation) -> Model:
        from seehear.hub import without_fetching

        if generation.model == self._settings.model:
            return self._loaded(generation.model)
        with without_fetching():
            return self._loaded(generation.model)

    def _loaded(self, name: str) -> Model:
        with self._lock:
            if name not in self._models:
                self._models[name] = self._load(name)
            return self._models[name]

    def spec(self) -> SampleSpec:
        """Return how the model that answers queries needs media cut."""
        return self.model().spec

    def decoder(self) -> DecodePool:
        """Return the worker that decodes query files and draws pictures of hits."""
        from seehear.media.workers.pool import DecodePool

        with self._lock:
            if self._decoder is None:
                self._decoder = DecodePool(
                    1, self._settings.decode_memory_bytes, self._settings.decode_timeout_s
                )
            return self._decoder

    @contextmanager
    def speech_reader(self) -> Iterator[ReaderProcess]:
        """Lend the process that hears speech, to one caller at a time.

        Raises ModelError, EnvironmentFaultError.
        """
        from seehear.readers.process import ReaderProcess

        with self._reading:
            if self._reader is None:
                threads = min(READER_THREADS, usable_cores())
                model = self._settings.speech_model
                model = model or self._catalog.readings.remembered().get("speech_model")
                self._reader = ReaderProcess("speech", model, threads)
            yield self._reader

    def engine(self) -> Engine | None:
        """Return the engine of the serving generation, or None while nothing is indexed.

        Raises ModelError if the model is not the one that encoded the generation.
        """
        from seehear.search import Engine
        from seehear.stores import VectorCache

        with self._lock:
            generation = self._catalog.generations.serving()
            if generation is None:
                return None
            if self._engine is None or self._engine[0] != generation.id:
                model = self._serving(generation)
                if model.revision != generation.revision:
                    raise ModelError(
                        f"the collection was indexed with {generation.model} {generation.revision}"
                        f", and this is {model.revision}; run `seehear index` on its folders once"
                    )
                device = self._settings.search_device or self._settings.device
                store: VectorStore | None = None
                if self._settings.vectors != "local":
                    from seehear.stores.vectors.engines import open_engine

                    store = open_engine(self._settings.vectors, self._catalog, generation)
                if store is None:
                    store = VectorCache(self._catalog.folder, self._catalog, generation, device)
                self._engine = generation.id, Engine(self._catalog, store, model, self._rerank)
            return self._engine[1]

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Release the engine; no engine is opened before the block ends."""
        with self._lock:
            self._engine = None
            yield
