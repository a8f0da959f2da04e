"""The collection as the service uses it: queries from decoded samples, assets by id.

A thin layer over seehear.Collection; everything that ranks, scores or stores lies below it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from seehear.cancellation import check_current
from seehear.collection import Collection
from seehear.config import Settings
from seehear.encoders.plain import try_encoder
from seehear.errors import UnknownFolderError, UsageError
from seehear.loaded_models import while_open
from seehear.search import check_values, parse_where
from seehear.server.batching import BatchingModel
from seehear.server.browsing import BrowseOrder, GroupBy, order
from seehear.server.folder_labels import FolderLabels
from seehear.types import Asset, Hit, Ids, Modality, Query, Segment

if TYPE_CHECKING:
    from seehear.encoders import Model
    from seehear.stores.catalog.filters import Filter


@dataclass(frozen=True, slots=True)
class BrowsedAsset:
    """A file that is looked at without a query, with the segment that it begins with."""

    asset: Asset
    path: Path
    segment_id: int | None
    segment: Segment | None


@contextmanager
def _naming_folders(folder_labels: FolderLabels) -> Iterator[None]:
    """Name folders by label in the error for an unknown one."""
    try:
        yield
    except UnknownFolderError as error:
        raise UsageError(error.told(folder_labels.named)) from None


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
        with _naming_folders(FolderLabels(root.path for root in self.roots())):
            return super().run(query)

    @while_open
    def listing_mark(self) -> tuple[int, ...]:
        """Return numbers that change whenever `browse` may give another order."""
        return self._catalog.assets.listing_mark()

    @while_open
    def browse(
        self,
        by: GroupBy,
        kinds: Iterable[Modality] | None,
        under: str,
        where: str,
        folder_labels: FolderLabels,
    ) -> BrowseOrder:
        """Return all files that meet some filters, in groups; no `kinds` are all of them.

        Raises UsageError for a filter that cannot be read, and for one that asks for a folder,
        camera or the like that no file has.
        """
        folder = folder_labels.resolve(under) if under else None
        condition = self._parse_filter(where)
        chosen = None if kinds is None else frozenset(kinds)
        listing = self._catalog.assets.listing(chosen, folder, condition)
        if not len(listing):
            with _naming_folders(folder_labels):
                check_values(self._catalog, condition, folder)
        return order(listing, by, folder_labels)

    @while_open
    def browsed(self, asset_ids: Ids, location_ids: Ids) -> list[BrowsedAsset]:
        """Return assets at some of their locations, in this order; those that are gone are left
        out."""
        assets = self._catalog.assets.get_many(asset_ids.tolist())
        lying = self._catalog.locations.of_assets(asset_ids)
        paths = {location.id: location.path for found in lying.values() for location in found}
        generation = self._catalog.generations.serving()
        first: dict[int, int] = {}
        if generation is not None:
            first = self._catalog.assets.first_segments(asset_ids.tolist(), generation.id)
        segments = {
            one.segment_id: one.segment
            for one in self._catalog.segments.resolve(list(first.values()))
        }
        return [
            BrowsedAsset(
                assets[asset], paths[at], first.get(asset), segments.get(first.get(asset, 0))
            )
            for asset, at in zip(asset_ids.tolist(), location_ids.tolist(), strict=True)
            if asset in assets and at in paths
        ]

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
