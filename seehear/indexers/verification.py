"""Check a collection against itself and its files, and rebuild what is only a cache.

catalog     its structure and its consistency ............... the only copy: reported, not changed
rows        vectors, passages and times, by checksum ........ marked; the next index run makes them
                                                              from their files again
derived     SQLite's indexes ................................ rebuilt
caches      indexes of vectors and words against the catalog, rebuilt; those of generations
            and what an engine has of it                      that were dropped are removed
files       content against the hashes (on request) ......... reported; altered files are read
                                                              again by the next index run
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seehear.errors import CollectionLockedError
from seehear.indexers.progress import Progress
from seehear.indexers.rehashing import RehashReport, rehash
from seehear.stores import Catalog, FaultKind, Generation, IntegrityIssue, VectorCache
from seehear.stores.catalog.catalog import CACHE_FOLDER
from seehear.stores.vectors.base import VectorIndex, VectorStore
from seehear.stores.vectors.engines import open_engine
from seehear.stores.vectors.milvus import MilvusVectors
from seehear.stores.vectors.pgvector import PgVectors
from seehear.types import EmbeddingSpace, Ids, Modality, Vectors

SAME = 0.9
"""Cosine above which a cached vector equals the catalog's one: rounding or a compressed index
changes it far less, and vectors of other items are far below."""
DAMAGED_NAMED = 20
"""Damaged files that are named."""
LOST_CHANGES = (
    "of the last changes are missing: the log beside catalog.db was deleted, or an older "
    "catalog.db was put in its place"
)
UNIT = 0.01
"""Largest difference from 1 of the length of a vector in the catalog."""


@dataclass(frozen=True, slots=True)
class IndexCheck:
    """One vector index, compared with the catalog."""

    generation: int
    space: str
    modality: Modality
    vectors: int
    agreed: bool
    """Whether it agreed before any repair."""
    bad: int
    """Number of invalid vectors in the catalog: all zero, or with NaN or infinite values."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked and found."""

    assets: int
    segments: int
    """Of the serving generation."""
    faults: tuple[IntegrityIssue, ...]
    """Inconsistencies in the catalog."""
    mended: bool
    """Whether the derived data among them was rebuilt."""
    loose_ends: tuple[IntegrityIssue, ...]
    """Work left for the next index run; not faults."""
    indexes: tuple[IndexCheck, ...]
    renewed_files: int
    """Cache files that were missing, damaged or out of date, and were written anew."""
    removed_files: int
    """Cache files of generations that were dropped."""
    caches_good: bool
    """Whether every index of vectors and words now agrees with the catalog."""
    unrepaired: str
    """Why nothing could be repaired; empty if it could."""
    hashes: RehashReport | None

    @property
    def lost(self) -> tuple[IntegrityIssue, ...]:
        """Return the faults in the catalog's own data: restore an export, or index again."""
        return tuple(fault for fault in self.faults if fault.kind is FaultKind.DATA_LOSS)

    @property
    def damaged(self) -> tuple[IntegrityIssue, ...]:
        """Return the faults in rows of files that the next index run encodes again."""
        return tuple(fault for fault in self.faults if fault.kind is FaultKind.DAMAGED)

    @property
    def good(self) -> bool:
        """Tell whether the collection can now be trusted, and its files are as indexed.

        Files that were changed or deleted in the ordinary way are not faults: the next index run
        notices them.
        """
        derived = len(self.faults) - len(self.lost) - len(self.damaged)
        ordinary = {"changed", "missing"}
        files = self.hashes.deviations if self.hashes is not None else ()
        return (
            not self.lost
            and not self.damaged
            and (self.mended or not derived)
            and self.caches_good
            and all(file.reason in ordinary for file in files)
        )


def verify(
    catalog: Catalog,
    *,
    vectors: str = "local",
    hashes: bool = False,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> Verification:
    """Check a collection and repair its caches; see the module's docstring.

    `vectors` names the engine that holds vectors beside this process, as `Settings.vectors`.

    While another process writes to the collection, or if it is read-only, everything is checked and
    nothing is repaired.
    """
    try:
        if catalog.read_only:
            checked = _Check(catalog, vectors, "the collection is read-only")
        else:
            with catalog.write_lock():
                checked = _Check(catalog, vectors, "")
    except CollectionLockedError as error:
        checked = _Check(catalog, vectors, str(error))
    counts = catalog.counts() if not checked.broken else None
    return Verification(
        assets=counts.assets if counts else 0,
        segments=counts.segments if counts else 0,
        faults=tuple(checked.faults),
        mended=checked.mended,
        loose_ends=tuple(catalog.pending_work()) if counts else (),
        indexes=tuple(checked.indexes),
        renewed_files=checked.renewed_files,
        removed_files=checked.removed_files,
        caches_good=checked.caches_good,
        unrepaired=checked.unrepaired,
        hashes=rehash(catalog, repair=not catalog.read_only, progress=progress, stop=stop)
        if hashes and counts
        else None,
    )


class _Check:
    """Check the catalog and the caches; `unrepaired` is the reason why repairs are forbidden."""

    def __init__(self, catalog: Catalog, vectors: str, unrepaired: str) -> None:
        self.vectors = vectors
        self.unrepaired = unrepaired
        self.mended = False
        self.caches_good = True
        self.renewed_files = 0
        self.removed_files = 0
        self.indexes: list[IndexCheck] = []
        self.faults = catalog.integrity_issues()
        self.broken = any(fault.kind is FaultKind.DATA_LOSS for fault in self.faults)
        if self.broken:
            return  # caches built from a broken catalog would be broken, too
        if self.faults and not unrepaired:
            catalog.rebuild_derived()
            self.mended = True
        if damaged := catalog.damaged_encodings():
            names = sorted({encoding.name for encoding in damaged})
            self.faults.append(
                IntegrityIssue(
                    "files have damaged vectors, passages or times in the catalog",
                    len(names),
                    FaultKind.DAMAGED,
                    tuple(names[:DAMAGED_NAMED]),
                )
            )
            if not unrepaired:
                catalog.generations.mark_damaged(damaged)
        if unreadable := catalog.readings.damaged():
            self.faults.append(
                IntegrityIssue(
                    "readings are damaged; the next index run that reads makes them anew",
                    len(unreadable),
                    FaultKind.DAMAGED,
                )
            )
            if not unrepaired:
                catalog.readings.discard(unreadable)
        if lost := catalog.changes.lost():
            self.faults.append(IntegrityIssue(LOST_CHANGES, lost, FaultKind.DAMAGED))
            if not unrepaired:  # told once: the next index run compares all files anyway
                catalog.changes.accept_loss()
        self._caches(catalog)

    def _caches(self, catalog: Catalog) -> None:
        folder = catalog.folder / CACHE_FOLDER
        if not self.unrepaired:
            self.removed_files = _remove_leftovers(catalog, folder)
        before = _files(folder)
        self.indexes = _compare_all(catalog, self.vectors)
        bad = sum(found.bad for found in self.indexes)
        if bad:
            self.faults.append(IntegrityIssue("vectors are all zero or not finite", bad))
        wrong = not all(found.agreed for found in self.indexes)
        if wrong and not bad and not self.unrepaired:
            shutil.rmtree(folder, ignore_errors=True)
            for generation in catalog.generations.all():
                for engine in _engines(catalog, self.vectors, generation):
                    engine.rebuild()
        if not self.unrepaired and (wrong or before.keys() - _files(folder).keys()):
            # Opening a damaged cache has deleted it: open again, which builds it anew.
            wrong = not all(found.agreed for found in _compare_all(catalog, self.vectors))
        self.caches_good = not wrong
        # Damaged passages are made anew, and their words with them.
        if not any(fault.kind is FaultKind.DAMAGED for fault in self.faults):
            agreed = catalog.words.check(repair=not self.unrepaired)
            self.caches_good = self.caches_good and agreed
        after = _files(folder)
        self.renewed_files = sum(before.get(name) != state for name, state in after.items())


def _remove_leftovers(catalog: Catalog, folder: Path) -> int:
    """Remove cache files of generations that no longer exist; return their number."""
    known = {path.stem for path in catalog.words.files()} | {
        VectorCache(catalog.folder, catalog, generation).file_of(space, item).stem
        for generation in catalog.generations.all()
        for space in generation.spaces
        for item in Modality
    }
    ours = (".vectors", ".proposer", ".words")
    left = [
        folder / name
        for name in _files(folder)
        if name.endswith(ours) and name.partition(".")[0] not in known
    ]
    for path in left:
        with suppress(OSError):  # another process has removed it
            path.unlink()
    return len(left)


def _engines(
    catalog: Catalog, vectors: str, generation: Generation
) -> list[PgVectors | MilvusVectors]:
    """Return the engines that hold vectors of a generation: every writer writes pgvector's."""
    found: list[PgVectors | MilvusVectors] = []
    if catalog.has_halfvecs(generation):
        found.append(PgVectors(catalog, generation))
    engine = open_engine(vectors, catalog, generation)
    return [*found, engine] if isinstance(engine, MilvusVectors) else found


def _compare_all(catalog: Catalog, vectors: str) -> list[IndexCheck]:
    """Compare every index with the catalog."""
    found = []
    for generation in catalog.generations.all():
        stores: list[VectorStore] = [VectorCache(catalog.folder, catalog, generation)]
        stores += _engines(catalog, vectors, generation)
        for space in generation.spaces:
            for item in Modality:
                compared = _compare(catalog, stores, generation, space, item)
                if compared is not None:
                    found.append(compared)
    return found


def _compare(
    catalog: Catalog,
    stores: Sequence[VectorStore],
    generation: Generation,
    space: EmbeddingSpace,
    item: Modality,
) -> IndexCheck | None:
    """Compare the indexes of one modality with the catalog; None where all are empty."""
    indexes = [store.index(space, item) for store in stores]
    sizes = [len(index) for index in indexes]
    with catalog.changes.since(generation, space, item, 0) as written:
        if written.count == 0 and not any(sizes):
            return None
        agreed, intact, bad = True, 0, 0
        for ids, vectors in written.blocks:
            intact += len(ids)
            norms = np.linalg.norm(vectors, axis=1)
            bad += int((~(np.abs(norms - 1.0) < UNIT)).sum())  # counts NaN, too
            agreed = agreed and all(_agree(index, ids, vectors) for index in indexes)
    # A cache that was built before a row was damaged still has its vector.
    agreed = agreed and all(intact <= size <= written.count for size in sizes)
    return IndexCheck(generation.id, space.key, item, written.count, agreed, bad)


def _agree(index: VectorIndex, ids: Ids, vectors: Vectors) -> bool:
    there, cached = index.find(ids)
    if len(there) < len(ids):
        return False
    return bool((np.einsum("nd,nd->n", cached, vectors) > SAME).all())


def _files(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return the state of each cache file, which changes when the file is written anew."""
    found = {}
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file() and not entry.name.startswith("."):
                    status = entry.stat()
                    found[entry.name] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return found
