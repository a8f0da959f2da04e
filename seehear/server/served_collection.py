"""The collection as the service uses it: queries from decoded samples, assets by id.

A thin layer over seehear.Collection; everything that ranks, scores or stores lies below it.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from seehear.arguments import PathLike, as_folder
from seehear.cancellation import check_current
from seehear.collection import Collection
from seehear.collection_moments import FileT
from seehear.config import Settings
from seehear.encoders.plain import try_encoder
from seehear.errors import MediaError, UnknownFolderError, UsageError
from seehear.loaded_models import while_open
from seehear.search import check_values, parse_where
from seehear.server.batching import BatchingModel
from seehear.server.browsing import BrowseOrder, GroupBy, order
from seehear.server.folder_labels import FolderLabels
from seehear.server.sessions import visible_folder
from seehear.sources import stored_path
from seehear.stores import FacetValues
from seehear.stores.catalog.filters import And, Compare, Field, Not, Op
from seehear.types import Asset, Hit, Ids, Modality, Query, Segment, item_id

if TYPE_CHECKING:
    from datetime import datetime

    from seehear.encoders import Model
    from seehear.media.stored_file import StoredFile
    from seehear.search.snapshot import CollectionSnapshot
    from seehear.status import CollectionStatus
    from seehear.stores import Item, Location, Root
    from seehear.stores.catalog.filters import Filter


@dataclass(frozen=True, slots=True)
class BrowsedAsset:
    """A file that is looked at without a query, with the segment that it begins with."""

    asset: Asset
    path: Path
    segment_id: int | None
    segment: Segment | None


@dataclass(frozen=True, slots=True)
class KeptContent:
    """What is kept of an item: its name and bytes, both empty for nothing."""

    key: str
    name: str
    data: bytes


@contextmanager
def _naming_folders(folder_labels: Callable[[], FolderLabels]) -> Iterator[None]:
    """Name folders by label in the error for an unknown one."""
    try:
        yield
    except UnknownFolderError as error:
        raise UsageError(error.told(folder_labels().named)) from None


def _sees(path: Path) -> bool:
    """Return whether the request under way may see a file or a folder."""
    folder = visible_folder.get()
    return folder is None or path.is_relative_to(folder)


@contextmanager
def _narrowed(under: PathLike | None) -> Iterator[None]:
    """See only what is below a folder of the one that may be seen."""
    folder = as_folder(under)
    before = visible_folder.set(folder if folder is not None else visible_folder.get())
    try:
        yield
    finally:
        visible_folder.reset(before)


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
        """Return the filter of a query, whose folders are named by label.

        What a token of one folder asks has its folder in every filter.
        """
        folder = visible_folder.get()
        if folder is None:
            if not text.strip():
                return None
            return parse_where(text, self._labels().filter_by_label, self._catalog.items.fields)
        asked = parse_where(text, self._labels().filter_by_label)
        below = Compare(Field.FOLDER, Op.UNDER, folder)
        # Negated twice: what is not there is not explained by values of other folders.
        return below if asked is None else And((below, Not(Not(asked))))

    def _labels(self) -> FolderLabels:
        return FolderLabels(root.path for root in self.roots())

    def ask(self, query: Query) -> list[Hit]:
        """As Collection's; raises CancelledQueryError when the client of the request has gone."""
        check_current()
        with _naming_folders(self._labels):
            return self.run(query)

    def run(self, query: Query) -> list[Hit]:
        """Answer a query as Collection's; with what a token of one folder may see alone."""
        if visible_folder.get() is None:
            return super().run(query)
        liked = [*query.like, *query.unlike]
        resolved = self._catalog.segments.resolve(liked)
        known = {one.segment_id for one in resolved if any(map(_sees, one.paths))}
        if not known.issuperset(liked):
            raise UsageError("a hit in like or unlike is no longer in the collection; search again")
        with _narrowed(query.under):
            hits = super().run(dataclasses.replace(query, under=None))
        return [
            dataclasses.replace(hit, duplicates=tuple(filter(_sees, hit.duplicates)))
            for hit in hits
            if _sees(hit.path)
        ]

    @while_open
    def kept_content(self, asset_id: int) -> KeptContent | None:
        """Return what is kept of an item; None for an asset that is of files."""
        if (key := self._item_id(asset_id)) is None:
            return None
        name, data = self._catalog.items.content(asset_id) or ("", b"")
        return KeptContent(key, name, data)

    @while_open
    def changed_at(self, asset_id: int) -> datetime | None:
        """Return when an item was changed; None for an asset that is of files, which never is."""
        key = self._item_id(asset_id)
        item = None if key is None else self.get(key)
        return None if item is None else item.changed_at

    # As Collection's, but what a token of one folder may not see is not there.

    def roots(self) -> list[Root]:
        """Return the roots; for a token of one folder that folder as the only one."""
        found = super().roots()
        folder = visible_folder.get()
        if folder is None:
            return found
        above = [root for root in found if folder.is_relative_to(root.path)]
        return [dataclasses.replace(root, path=folder) for root in above[:1]]

    def folders(self) -> list[Path]:
        return [folder for folder in super().folders() if _sees(folder)]

    def locations(self, asset_id: int) -> list[Location]:
        return [location for location in super().locations(asset_id) if _sees(location.path)]

    def asset(self, asset_id: int) -> Asset | None:
        return super().asset(asset_id) if self._sees_asset(asset_id) else None

    def assets_by_id(self, asset_ids: Sequence[int]) -> dict[int, Asset]:
        return super().assets_by_id([one for one in asset_ids if self._sees_asset(one)])

    def segments(self, asset_id: int, limit: int) -> tuple[list[tuple[int, Segment]], int]:
        return super().segments(asset_id, limit) if self._sees_asset(asset_id) else ([], 0)

    def words(self, asset_id: int, limit: int) -> list[tuple[int, Segment]]:
        return super().words(asset_id, limit) if self._sees_asset(asset_id) else []

    def get(self, id: str) -> Item | None:  # noqa: A002 - as Collection's; items are in no folder
        return super().get(id) if visible_folder.get() is None else None

    def fields(self) -> dict[str, str]:
        return super().fields() if visible_folder.get() is None else {}

    def facets(self, field: str, *, top: int | None = None) -> FacetValues:
        if visible_folder.get() is None:
            return super().facets(field, top=top)
        return FacetValues(field, (), 0)

    def _looked_up(self) -> dict[tuple[str, str], Any]:
        return super()._looked_up() if visible_folder.get() is None else {}

    def hit_at(self, address: str) -> Hit:
        hit = super().hit_at(address)
        if not (lying := self.locations(hit.asset_id)):
            raise UsageError(f"{address} is not in the collection any more")
        return hit if _sees(hit.path) else dataclasses.replace(hit, path=lying[0].path)

    def stored_file(self, asset_id: int, first: Path | None = None) -> StoredFile:
        if visible_folder.get() is not None:
            lying = self.locations(asset_id)
            first = lying[0].path if lying else None
        found = super().stored_file(asset_id, first)
        if not _sees(stored_path(found.path)):
            raise MediaError("the file cannot be reached; connect its drive", stage="open")
        return found

    def _whole_kinds(
        self,
        find: Callable[[CollectionSnapshot, int], list[FileT]],
        k: int,
        modalities: str | Iterable[str] | None,
        under: PathLike | None,
        where: str,
    ) -> list[FileT]:
        if visible_folder.get() is None:
            return super()._whole_kinds(find, k, modalities, under, where)
        with _narrowed(under):
            return super()._whole_kinds(find, k, modalities, None, where)

    def status(self) -> CollectionStatus:
        """Return what the collection holds; for a token of one folder, what lies there."""
        whole = super().status()
        if visible_folder.get() is None:
            return whole
        listing = self._catalog.assets.listing(None, None, self._parse_filter(""))
        kinds, counts = np.unique(listing.kinds, return_counts=True)
        return dataclasses.replace(
            whole,
            assets=len(listing),
            locations=len(listing),
            by_modality=dict(zip(kinds.tolist(), counts.tolist(), strict=True)),
            segments=0,
            subtitles=0,
            items=0,
            failures=0,
            size_bytes=0,
            files={},
            unsupported={},
            read={},
            index="",
            roots=[],
        )

    def _sees_asset(self, asset_id: int) -> bool:
        return visible_folder.get() is None or bool(self.locations(asset_id))

    def _item_id(self, asset_id: int) -> str | None:
        lying = self.locations(asset_id)
        return item_id(lying[0].path) if lying else None

    @while_open
    def listing_mark(self) -> tuple[int, ...]:
        """Return numbers that change whenever `browse` may give another order."""
        return self._catalog.file_id + self._catalog.assets.listing_mark()

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
        if not len(listing) and visible_folder.get() is None:
            with _naming_folders(lambda: folder_labels):
                check_values(self._catalog, condition, folder)
        return order(listing, by, folder_labels)

    @while_open
    def browsed(self, asset_ids: Ids, location_ids: Ids) -> list[BrowsedAsset]:
        """Return assets at some of their locations, in this order; those that are gone are left
        out."""
        assets = self._catalog.assets.get_many(asset_ids.tolist())
        lying = self._catalog.locations.of_assets(asset_ids)
        paths = {
            location.id: location.path
            for found in lying.values()
            for location in found
            if _sees(location.path)
        }
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
