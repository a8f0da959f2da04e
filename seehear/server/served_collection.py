"""The collection as the service uses it: queries from decoded samples, assets by id.

A thin layer over seehear.Collection; everything that ranks, scores or stores lies below it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from seehear.collection import Collection
from seehear.config import Settings
from seehear.errors import UnknownFolderError, UsageError
from seehear.search import parse_where
from seehear.server.batching import BatchingModel, check_current
from seehear.server.folder_labels import FolderLabels
from seehear.types import Asset, Hit, Modality, Query, Segment

if TYPE_CHECKING:
    from seehear.encoders import Model
    from seehear.stores import Location
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

    def _load(self, name: str) -> Model:
        return self._shared.plain(name) if self._indexing else self._shared.batching(name)

    def model(self) -> Model:
        """The serving generation's model, or the settings' while nothing is indexed."""
        return self._opened.model()

    def _parse_filter(self, text: str) -> Filter | None:
        """Return the filter of a query, whose folders are named by label."""
        labels = FolderLabels(root.path for root in self.roots())
        return parse_where(text, labels.filter_by_label)

    def ask(self, query: Query) -> list[Hit]:
        """As Collection's; raises CancelledQueryError when the client of the request has gone."""
        check_current()
        try:
            return super().run(query)
        except UnknownFolderError as error:
            folder_labels = FolderLabels(root.path for root in self.roots())
            raise UsageError(error.told(folder_labels.named)) from None

    def asset(self, asset_id: int) -> Asset | None:
        return self._catalog.asset(asset_id)

    def locations(self, asset_ids: Sequence[int]) -> dict[int, list[Location]]:
        """Where assets lie, by id."""
        return dict(self._catalog.locations_of(asset_ids))

    def file_of(self, asset_id: int) -> Path | None:
        """A file with the content of the asset that is there now; None while it is offline."""
        for location in self.locations([asset_id]).get(asset_id, []):
            path = Path(location.path)
            if path.is_file():
                return path
        return None

    def assets_of(self, hits: Sequence[Hit]) -> dict[int, Asset]:
        """The assets of hits, by id."""
        return self._catalog.assets_of([hit.asset_id for hit in hits])

    def segments(self, asset_id: int, most: int) -> tuple[list[tuple[int, Segment]], int]:
        """The asset's first segments in the serving generation, (id, segment); and how many."""
        generation = self._catalog.serving()
        if generation is None:
            return [], 0
        ids = self._catalog.segments_of([asset_id], generation.id)
        found = self._catalog.resolve(ids[:most])
        return [(one.segment_id, one.segment) for one in found], len(ids)

    def folders(self, folder_labels: FolderLabels, most: int) -> tuple[list[str], bool]:
        """Folders that hold files, by label, sorted; and whether that is all of them."""
        found: set[str] = set(folder_labels.labels)
        for root in self.roots():
            for location in self._catalog.locations(root.id):
                folder = folder_labels.folder_of(Path(location.path))
                while "/" in folder and folder not in found:
                    found.add(folder)
                    folder = folder.rpartition("/")[0]
                if len(found) > most:
                    return sorted(found)[:most], False
        return sorted(found), True
