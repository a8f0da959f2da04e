"""The indexes of one generation, kept current with the catalog they are a cache of."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seehear.errors import SpaceMismatchError
from seehear.stores.catalog.catalog import Catalog
from seehear.stores.catalog.records import Generation
from seehear.stores.vectors import files
from seehear.stores.vectors.base import VectorIndex
from seehear.stores.vectors.flat import FlatIndex
from seehear.types import EmbeddingSpace, Modality

FOLDER = "cache"
SAVED_EVERY = 0.02
"""Share of an index that may have changed before its file is written anew: a small change is
cheaper to read from the catalog again than a large file is to write."""


@dataclass(slots=True)
class _Entry:
    index: FlatIndex
    change: int
    unsaved: int = 0


class VectorCache:
    """One index per space and item modality of a generation. Safe from several threads.

    Files lie in the collection's "cache" folder; they may be deleted or damaged at any moment.
    """

    def __init__(self, folder: Path, catalog: Catalog, generation: Generation) -> None:
        self._folder = folder / FOLDER
        self._catalog = catalog
        self._generation = generation
        self._entries: dict[tuple[EmbeddingSpace, Modality], _Entry] = {}
        self._lock = threading.RLock()

    def index(self, space: EmbeddingSpace, item: Modality) -> VectorIndex:
        """The index of one modality's items in one space, as of the last `refresh`.

        Raises SpaceMismatchError for a space that the generation does not have.
        """
        if space not in self._generation.spaces:
            raise SpaceMismatchError(
                f"the collection has no vectors in {space.key}; run `seehear index` with its model"
            )
        with self._lock:
            entry = self._entries.get((space, item))
            if entry is None:
                entry = self._open(space, item)
                self._entries[space, item] = entry
            return entry.index

    def refresh(self) -> bool:
        """Catch every open index up with the catalog; returns whether anything changed."""
        with self._lock:
            last = self._catalog.change()
            behind = [key for key, entry in self._entries.items() if entry.change < last]
            for space, item in behind:
                # A copy, so that a search under way on another thread keeps what it had.
                old = self._entries[space, item]
                entry = _Entry(old.index.copy(), old.change, old.unsaved)
                self._catch_up(entry, space, item)
                self._entries[space, item] = entry
            return bool(behind)

    def _open(self, space: EmbeddingSpace, item: Modality) -> _Entry:
        index = FlatIndex(space.dim)
        saved = files.load(self._path(space, item), self._identity(space, item), space.dim)
        entry = _Entry(index, 0)
        # A cache that has seen more than the catalog is of another catalog's future.
        if saved is not None and saved.change <= self._catalog.change():
            try:
                index.add(saved.ids, saved.vectors)
                entry.change = saved.change
            except ValueError:
                entry = _Entry(FlatIndex(space.dim), 0)
        self._catch_up(entry, space, item)
        return entry

    def _catch_up(self, entry: _Entry, space: EmbeddingSpace, item: Modality) -> None:
        ids, vectors, removed, last = self._catalog.vectors_since(
            self._generation, space, item, entry.change
        )
        before = len(entry.index)
        entry.index.remove(removed)
        # What is there already was seen before the cache was written, in the same change.
        new = ~np.isin(ids, entry.index.ids)
        entry.index.add(ids[new], vectors[new])
        entry.unsaved += int(new.sum()) + before - (len(entry.index) - int(new.sum()))
        entry.change = last
        if entry.unsaved > SAVED_EVERY * len(entry.index):
            saved = files.Saved(entry.index.ids, entry.index.vectors(entry.index.ids), entry.change)
            if not self._catalog.read_only and files.save(
                self._path(space, item), self._identity(space, item), saved
            ):
                entry.unsaved = 0

    def _identity(self, space: EmbeddingSpace, item: Modality) -> str:
        return f"{self._catalog.identity}/{self._generation.id}/{space.key}/{item.value}"

    def _path(self, space: EmbeddingSpace, item: Modality) -> Path:
        name = hashlib.blake2b(self._identity(space, item).encode(), digest_size=8).hexdigest()
        return self._folder / f"{name}.vectors"
