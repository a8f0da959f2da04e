"""The collection as the service uses it: queries from decoded samples, assets by id.

A thin layer over seehear.Collection; everything that ranks, scores or stores lies below it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from seehear.cancellation import check_current
from seehear.collection import Collection
from seehear.config import Settings
from seehear.encoders.plain import try_encoder
from seehear.errors import UnknownFolderError, UsageError
from seehear.search import parse_where
from seehear.server.batching import BatchingModel
from seehear.server.folder_labels import FolderLabels
from seehear.types import Hit, Modality, Query

if TYPE_CHECKING:
    from seehear.encoders import Model
    from seehear.stores.catalog.filters import Filter


class ModelPool:
    """The models of one service, each loaded once and shared by queries and index jobs."""

    def __init__(
        self, device: str, on_batch: Callable[[Modality, int], None] | None = None
    ) -> None:
        self._device = device
        self._on_batch = on_batch
        self._loaded: dict[str, BatchingModel] = {}
        self._lock = threading.Lock()

    def batching(self, name: str) -> BatchingModel:
        """For queries: calls from many threads share the encoder. Raises ModelError."""
        from seehear.encoders import load_model

        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = BatchingModel(load_model(name, self._device), self._on_batch)
            return self._loaded[name]

    def plain(self, name: str) -> Model:
        """For index jobs, which make batches of their own."""
        return self.batching(name).inner

    def close(self) -> None:
        for model in self._loaded.values():
            model.close()


class ServedCollection(Collection):
    """A collection whose models are shared and whose queries come decoded."""

    def __init__(
        self,
        folder: Path | None,
        settings: Settings,
        models: ModelPool,
        *,
        indexing: bool = False,
        must_exist: bool = False,
    ) -> None:
        super().__init__(folder, settings, must_exist=must_exist)
        self._shared = models
        self._indexing = indexing

    def __enter__(self) -> Self:
        return self

    def warm_up_encoders(self) -> None:
        """Load the model and run each encoder once. Raises ModelError."""
        model = self.model()
        for modality in Modality:
            if model.spaces_of(modality):
                try_encoder(model, modality)

    def _load(self, name: str) -> Model:
        return self._shared.plain(name) if self._indexing else self._shared.batching(name)

    def _parse_filter(self, text: str) -> Filter | None:
        """Return the filter of a query, whose folders are named by label."""
        labels = FolderLabels(root.path for root in self.roots())
        return parse_where(text, labels.filter_by_label, self._catalog.items.fields)

    def ask(self, query: Query) -> list[Hit]:
        """As Collection's; raises CancelledQueryError when the client of the request has gone."""
        check_current()
        try:
            return super().run(query)
        except UnknownFolderError as error:
            folder_labels = FolderLabels(root.path for root in self.roots())
            raise UsageError(error.told(folder_labels.named)) from None

    def folder_names(self, folder_labels: FolderLabels, most: int) -> tuple[list[str], bool]:
        """Folders that hold files, by label, sorted; and whether that is all of them."""
        found: set[str] = set(folder_labels.labels)
        for path in self.folders():
            folder = folder_labels.folder_of(path / "file")
            while "/" in folder and folder not in found:
                found.add(folder)
                folder = folder.rpartition("/")[0]
            if len(found) > most:
                return sorted(found)[:most], False
        return sorted(found), True
