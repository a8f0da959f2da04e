"""Keep the indexes of one generation up to date with the catalog that they are a cache of."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seehear.stores import sorted_ids
from seehear.stores.catalog.catalog import CACHE_FOLDER, Catalog
from seehear.stores.catalog.change_log import Changes
from seehear.stores.catalog.records import Generation
from seehear.stores.catalog.segment_table import NO_COLUMNS, SegmentTable
from seehear.stores.vectors import files, segment_file
from seehear.stores.vectors.base import LocalIndex, check_space, describe_indexes
from seehear.stores.vectors.flat import FlatIndex
from seehear.stores.vectors.gpu_index import GpuIndex, placed
from seehear.stores.vectors.ivf_pq_refine import IvfPqRefineIndex
from seehear.stores.vectors.pq_index import CompressedIndex
from seehear.stores.vectors.vector_file import RowSource, VectorFile, to_float16
from seehear.types import EmbeddingSpace, Ids, Modality, Vectors

SAVED_EVERY = 0.02
"""Share of an index that may have changed before its file is written again: reading a small change
from the catalog again costs less than writing a large file."""
TWO_TIER_ABOVE_BYTES = 64 << 20
"""Size of the float32 vectors above which two tiers replace exact search: 43,000 vectors of 384
numbers. Two tiers are faster from 32 MiB on, and at 64 MiB need less than half the time
(benchmarks/bench_crossover.py) and a fifth of the memory. Below, exact search takes less than 2 ms
on the CPU, and misses nothing."""


@dataclass(frozen=True, slots=True)
class _Entry:
    index: LocalIndex
    change: int
    unsaved: int = 0


class VectorCache:
    """One index per space and item modality of a generation. Safe from several threads.

    Files are in the collection's "cache" folder; they may be deleted or damaged at any moment.
    `device` is the user's setting: large indexes are kept on the GPUs that it names ("auto" and
    "cuda" name all), and on the CPU where no named GPU has enough memory.
    """

    most_ids: int | None = None
    """Longest list of ids that a search is limited to; None for any."""

    def __init__(
        self, folder: Path, catalog: Catalog, generation: Generation, device: str = "cpu"
    ) -> None:
        self._folder = folder / CACHE_FOLDER
        self._catalog = catalog
        self._generation = generation
        self._device = device
        self._table: SegmentTable | None = None
        """What the file of segments holds."""
        self._entries: dict[tuple[EmbeddingSpace, Modality], _Entry] = {}
        self._lock = threading.RLock()

    def index(self, space: EmbeddingSpace, item: Modality) -> LocalIndex:
        """Return the index of one modality's items in one space, as of the last `refresh`.

        Raises SpaceMismatchError for a space that the generation does not have.
        """
        check_space(self._generation, space)
        with self._lock:
            entry = self._entries.get((space, item))
            if entry is None:
                entry = self._open(space, item)
                self._entries[space, item] = entry
            return entry.index

    def refresh(self) -> bool:
        """Update every open index from the catalog; return whether anything changed."""
        with self._lock:
            last = self._catalog.changes.last()
            behind = [key for key, entry in self._entries.items() if entry.change < last]
            for key in behind:
                self._entries[key] = self._caught_up(self._entries[key], *key)
            return bool(behind)

    def prepare(self) -> None:
        """Do nothing: indexes are made when they are opened."""

    def segment_table(self, known: SegmentTable | None = None) -> SegmentTable:
        """Return the columns of all segments, as of now; `known` is an earlier result to extend.

        A table that differs much from its file is written, and mapped from there.
        """
        identity = f"{self._catalog.changes.identity()}/{self._generation.id}"
        name = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
        path = self._folder / f"{name}.segments"
        with self._lock:
            if self._table is None:
                self._table = segment_file.load(path, identity) or NO_COLUMNS
            found = self._catalog.segments.table(self._generation.id, known or self._table)
            ids, filed = found.segment_columns.ids, self._table
            kept = int(np.searchsorted(ids, filed.newest, "right"))
            changed = len(ids) - kept + len(filed.own) - kept
            moved = known is None and found.moves != filed.moves
            if self._catalog.read_only or not (changed > SAVED_EVERY * len(ids) or moved):
                return found
            if segment_file.save(found, path, identity):
                self._table = segment_file.load(path, identity) or found
                return self._table
            return found

    def describe(self) -> str:
        """Describe the kinds of the generation's indexes and their sizes, for a person."""
        return describe_indexes(self.index, self._generation)

    def file_of(self, space: EmbeddingSpace, item: Modality) -> Path:
        """Return the path of an index's vectors; its other files begin with the same name."""
        name = hashlib.blake2b(self._identity(space, item).encode(), digest_size=8).hexdigest()
        return self._folder / f"{name}.vectors"

    def _open(self, space: EmbeddingSpace, item: Modality) -> _Entry:
        path, identity = self.file_of(space, item), self._identity(space, item)

        loaded = VectorFile.load(path, identity, space.dim, self._source(path, space))
        # A cache that is newer than the catalog belongs to another state of the catalog.
        if loaded is None or loaded[1] > self._catalog.changes.last():
            return self._caught_up(_Entry(FlatIndex(VectorFile.empty(space.dim)), 0), space, item)
        matrix, change = loaded
        if (on_gpus := placed(matrix, self._device)) is not None:
            return self._caught_up(_Entry(on_gpus, change), space, item)
        if not _is_large(matrix):
            return self._caught_up(_Entry(FlatIndex(matrix), change), space, item)
        proposer = CompressedIndex.load(self._proposer_path(space, item, change), identity, change)
        if proposer is None or len(proposer) != len(matrix):
            built = _Entry(IvfPqRefineIndex.build(matrix), change)
            return self._caught_up(self._save(built, space, item), space, item)
        return self._caught_up(_Entry(IvfPqRefineIndex(matrix, proposer), change), space, item)

    def _caught_up(self, entry: _Entry, space: EmbeddingSpace, item: Modality) -> _Entry:
        index = entry.index
        with self._catalog.changes.since(self._generation, space, item, entry.change) as changes:
            before = index.ids[sorted_ids.positions_in(changes.removed, index.ids) < 0]
            ids, numbers = self._gathered(changes, before, space.dim)
        gone = len(index) - len(before)
        if gone or len(ids):
            index = index.updated(changes.removed, ids, numbers)
        caught = _Entry(self._suited(index), changes.last, entry.unsaved + len(ids) + gone)
        if caught.unsaved > SAVED_EVERY * len(index):
            return self._save(caught, space, item)
        return caught

    def _suited(self, index: LocalIndex) -> LocalIndex:
        """Return the same vectors in the kind of index that suits their number."""
        if isinstance(index, GpuIndex) and not index.needs_rebuild:
            return index
        on_gpus = placed(index.matrix, self._device)
        if on_gpus is None and isinstance(index, GpuIndex):
            index.held.release()  # the new index may only fit in place of the old one
            on_gpus = placed(index.matrix, self._device)
        if on_gpus is not None:
            return on_gpus
        if _is_large(index.matrix):
            return (
                index
                if isinstance(index, IvfPqRefineIndex)
                else IvfPqRefineIndex.build(index.matrix)
            )
        return index if isinstance(index, FlatIndex) else FlatIndex(index.matrix)

    def _gathered(self, changes: Changes, before: Ids, dim: int) -> tuple[Ids, NDArray[Any]]:
        """Return written vectors that are not in the index: int64 (n,) and float16 (n, dim)."""
        ids = np.empty(changes.count, dtype=np.int64)
        numbers = files.alloc_float16((changes.count, dim), self._catalog.folder)
        end = 0
        for some, vectors in changes.blocks:
            # Skip what the cache has already seen: it was written in the same change.
            new = sorted_ids.positions_in(before, some) < 0
            start, end = end, end + int(new.sum())
            ids[start:end], numbers[start:end] = some[new], to_float16(vectors[new])
        return ids[:end], numbers[:end]

    def _save(self, entry: _Entry, space: EmbeddingSpace, item: Modality) -> _Entry:
        """Write an index to its files if possible; return its entry with nothing left to save.

        The vector file is written last: it determines which proposer file belongs to it.
        """
        if self._catalog.read_only:
            return entry
        path, identity = self.file_of(space, item), self._identity(space, item)
        index = entry.index
        if isinstance(index, IvfPqRefineIndex):
            proposer = self._proposer_path(space, item, entry.change)
            if not index.proposer.save(proposer, identity, entry.change):
                return entry
        if not index.matrix.save(path, identity, entry.change):
            return entry
        for other in self._folder.glob(f"{path.stem}.*.proposer"):
            if other != self._proposer_path(space, item, entry.change):
                other.unlink(missing_ok=True)
        loaded = VectorFile.load(path, identity, space.dim, self._source(path, space))
        if isinstance(index, IvfPqRefineIndex) and loaded is not None:
            index = IvfPqRefineIndex(loaded[0], index.proposer)  # frees the copy in memory
        if isinstance(index, GpuIndex) and loaded is not None:
            index = GpuIndex(loaded[0], index.held, index.tuning)
        return _Entry(index, entry.change)

    def _source(self, path: Path, space: EmbeddingSpace) -> RowSource:
        """Return a function that deletes a damaged file and reads its rows from the catalog."""

        def source(ids: Ids) -> Vectors:
            path.unlink(missing_ok=True)
            return self._catalog.segments.vectors(ids, self._generation, space)

        return source

    def _identity(self, space: EmbeddingSpace, item: Modality) -> str:
        return f"{self._catalog.changes.identity()}/{self._generation.id}/{space.key}/{item.value}"

    def _proposer_path(self, space: EmbeddingSpace, item: Modality, change: int) -> Path:
        return self.file_of(space, item).with_suffix(f".{change}.proposer")


def _is_large(matrix: VectorFile) -> bool:
    return 4 * len(matrix) * matrix.dim > TWO_TIER_ABOVE_BYTES
