"""Find what stands apart in a collection, and what stands for the rest, by its neighbours.

A file is the mean of its segments' vectors in the space of its own kind; kinds are never mixed.

    unusual    the mean cosine to its NEIGHBOURS nearest files is lowest: nothing here is like it
    typical    files chosen one after another so that the cosine of every file to the nearest chosen
               one is highest (facility location, which the greedy choice meets to 63 %: Nemhauser,
               Wolsey and Fisher, 1978). The first is the medoid; each further one stands for what
               those before it do not, so that they differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seehear.address import Address
from seehear.search.snapshot import CollectionSnapshot
from seehear.stores import SegmentColumns
from seehear.types import Asset, Floats, Modality, Vectors

LEAST_SPREAD = 0.01
"""Of cosines: two or three files, equally far from each other, have no spread of their own."""
NEIGHBOURS = 10
"""Neighbours that a file is compared with: more than a burst of photos has, fewer than a theme."""
MOST_COMPARED = 20_000
"""Files of one kind among which neighbours are looked for; of more, as many are spread evenly."""
MOST_CHOSEN_FROM = 4_096
"""The same for typical files, whose cosines are all held in memory: 64 MB."""
SEGMENTS = 32
"""Segments of a file that count: those of a long film say no more than its first ones."""
_ROWS = 2_048


@dataclass(frozen=True, slots=True)
class UnusualFile:
    """A file that little else is like."""

    path: Path
    modality: Modality
    asset_id: int
    similarity: float
    """Mean cosine to its nearest neighbours."""
    apart: float
    """How far that is below the median of its kind, in robust standard deviations (1.4826 times
    the median deviation): about 0 for most files, above 3 hardly by chance."""
    nearest: Path
    """The file that is most like it."""
    address: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        numbers = {"similarity": round(self.similarity, 4), "apart": round(self.apart, 2)}
        return _told(self) | numbers | {"nearest": str(self.nearest)}


@dataclass(frozen=True, slots=True)
class TypicalFile:
    """A file that stands for others."""

    path: Path
    modality: Modality
    asset_id: int
    stands_for: int
    """Files of its kind that are nearer to it than to any other typical file, itself included."""
    share: float
    """The same as a share of the files of its kind."""
    similarity: float
    """Mean cosine of those files to it."""
    address: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        numbers = {"share": round(self.share, 4), "similarity": round(self.similarity, 4)}
        return _told(self) | {"stands_for": self.stands_for} | numbers


def _told(found: UnusualFile | TypicalFile) -> dict[str, Any]:
    return {
        "path": str(found.path),
        "modality": str(found.modality),
        "asset_id": found.asset_id,
        "address": found.address,
    }


def unusual_files(snapshot: CollectionSnapshot, k: int) -> list[UnusualFile]:
    """Return the most unusual files of a restricted snapshot, `k` of each kind."""
    found: list[UnusualFile] = []
    for modality, files, vectors in _kinds(snapshot):
        if len(files) < 3:  # of two, neither is more unusual than the other
            continue
        near, nearest = _neighbours(vectors)
        middle = float(np.median(near))
        spread = max(LEAST_SPREAD, 1.4826 * float(np.median(np.abs(near - middle))))
        for row in np.argsort(near, kind="stable")[:k].tolist():
            asset, path = files[row]
            found.append(
                UnusualFile(
                    path,
                    modality,
                    asset.id,
                    float(near[row]),
                    (middle - float(near[row])) / spread,
                    files[int(nearest[row])][1],
                    str(Address(snapshot.collection, asset.id)),
                )
            )
    return found


def typical_files(snapshot: CollectionSnapshot, k: int) -> list[TypicalFile]:
    """Return the most typical files of a restricted snapshot, `k` of each kind.

    Those that stand for the most come first.
    """
    found: list[TypicalFile] = []
    for modality, files, vectors in _kinds(snapshot):
        sample = spread_rows(len(files), MOST_CHOSEN_FROM)
        chosen = sample[choose_typical(vectors[sample], k)]
        cosines = vectors @ vectors[chosen].T
        own = np.argmax(cosines, axis=1)
        own[chosen] = np.arange(len(chosen))  # a copy of it would be as near
        counts = np.bincount(own, minlength=len(chosen))
        for number in np.argsort(-counts, kind="stable").tolist():
            asset, path = files[int(chosen[number])]
            found.append(
                TypicalFile(
                    path,
                    modality,
                    asset.id,
                    int(counts[number]),
                    float(counts[number] / len(files)),
                    float(cosines[own == number, number].mean()),
                    str(Address(snapshot.collection, asset.id)),
                )
            )
    return found


def choose_typical(vectors: Vectors, k: int) -> NDArray[np.int64]:
    """Return the rows that stand for all rows of float32 (n, dim), in the order of the choice."""
    cosines = vectors @ vectors.T
    covered = np.full(len(vectors), -1.0, dtype=np.float32)
    chosen: list[int] = []
    for _ in range(min(k, len(vectors))):
        gains = np.maximum(cosines - covered, 0.0).sum(axis=1)
        gains[chosen] = -1.0
        best = int(np.argmax(gains))
        chosen.append(best)
        covered = np.maximum(covered, cosines[best])
    return np.array(chosen, dtype=np.int64)


def spread_rows(count: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` of `count` rows, evenly spread."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    return np.linspace(0, count - 1, most).astype(np.int64)


def _neighbours(vectors: Vectors) -> tuple[Floats, NDArray[np.int64]]:
    """Return the mean cosine of each row to its nearest other rows, and the nearest one."""
    others = spread_rows(len(vectors), MOST_COMPARED)
    count = min(NEIGHBOURS, max(1, (len(vectors) - 1) // 2), len(others) - 1)
    means = np.empty(len(vectors), dtype=np.float32)
    nearest = np.empty(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(vectors)))
        cosines = vectors[rows] @ vectors[others].T
        cosines[rows[:, None] == others[None, :]] = -2.0  # itself
        best = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        means[rows] = np.take_along_axis(cosines, best, axis=1).mean(axis=1)
        nearest[rows] = others[np.argmax(cosines, axis=1)]
    return means, nearest


def _kinds(
    snapshot: CollectionSnapshot,
) -> Iterator[tuple[Modality, Sequence[tuple[Asset, Path]], Vectors]]:
    """Yield each kind of file with its files and a vector for each, float32 (n, dim)."""
    for modality in snapshot.allowed_modalities:
        space = snapshot.route(modality, modality).space
        columns = _some_of_each(snapshot, modality)
        ids, rows = snapshot.vectors(columns.ids, space, modality)
        owners = columns.assets[np.searchsorted(columns.ids, ids)]
        known, firsts = np.unique(owners, return_index=True)
        records = {
            record.asset.id: (record.asset, record.path)
            for start in range(0, len(firsts), _ROWS)
            for record in snapshot.resolve(ids[firsts[start : start + _ROWS]])
            if record.asset.modality is modality and record.sidecar is None
        }
        kept = np.isin(owners, np.array(sorted(records), dtype=np.int64))
        if not kept.any():
            continue
        known, owned = np.unique(owners[kept], return_inverse=True)
        sums = np.zeros((len(known), space.dim), dtype=np.float32)
        np.add.at(sums, owned, rows[kept])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        fitting = snapshot.matching_paths(known.tolist())
        files = [
            (asset, fitting.get(asset.id, [path])[0])
            for asset, path in map(records.__getitem__, known.tolist())
        ]
        yield modality, files, sums / np.maximum(lengths, 1e-12)


def _some_of_each(snapshot: CollectionSnapshot, modality: Modality) -> SegmentColumns:
    """Return the first segments of each file, by ascending id."""
    columns = snapshot.segment_columns(snapshot.allowed_ids(modality))
    order = np.argsort(columns.assets, kind="stable")
    owners = columns.assets[order]
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    position = np.arange(len(owners)) - np.repeat(starts, np.diff([*starts, len(owners)]))
    return columns.at(np.sort(order[position < SEGMENTS]))
