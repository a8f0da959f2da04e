"""What a collection opens to answer: models, and the engine of the generation that serves.

Each is opened when it is first needed, and kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from seehear.config import Settings
from seehear.errors import ModelError

if TYPE_CHECKING:
    from seehear.encoders import Model
    from seehear.search import Engine, Rerank
    from seehear.stores import Catalog


class Opened:
    """The models and the engine of one collection. Safe to use from several threads.

    `load` gives a model by name; `rerank` is the engine's.
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
        self._lock = threading.RLock()

    def model(self, name: str | None = None) -> Model:
        """The model of that name; else the one that serves, else the settings' one."""
        if name is None:
            serving = self._catalog.serving()
            name = serving.model if serving else self._settings.model
        with self._lock:
            if name not in self._models:
                self._models[name] = self._load(name)
            return self._models[name]

    def engine(self) -> Engine | None:
        """The engine of the serving generation; None while nothing is indexed.

        Raises ModelError where the model is not the one that the generation was made with.
        """
        from seehear.search import Engine
        from seehear.stores import VectorCache

        with self._lock:
            generation = self._catalog.serving()
            if generation is None:
                return None
            if self._engine is None or self._engine[0] != generation.id:
                model = self.model(generation.model)
                if model.revision != generation.revision:
                    raise ModelError(
                        f"the collection was indexed with {generation.model} {generation.revision}"
                        f", and this is {model.revision}; run `seehear index` on its folders once"
                    )
                device = self._settings.search_device or self._settings.device
                cache = VectorCache(self._catalog.folder, self._catalog, generation, device)
                self._engine = generation.id, Engine(self._catalog, cache, model, self._rerank)
            return self._engine[1]

    @contextmanager
    def put_away(self) -> Iterator[None]:
        """Let go of the engine; none is opened before the block ends."""
        with self._lock:
            self._engine = None
            yield
