"""Groups of files that are nearly the same, over a whole collection: `seehear duplicates`.

Each asset is stood for by its first segment of its own modality, compared with its nearest
neighbours by the same rule that folds hits (diversity.same). Copies of one content are found
without any vector: they are one asset at several paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from seehear.search.dedup import ResultView, is_near_duplicate
from seehear.search.snapshot import CollectionSnapshot, IdFilter
from seehear.stores import VectorIndex
from seehear.types import Asset, Ids, Modality, Query, Vectors

NEIGHBOURS = 32
"""Neighbours of each asset that are compared; a larger group is still found through its first."""
CHUNK = 1024
"""Assets compared at once."""


class Likeness(StrEnum):
    """How the files of a group are alike."""

    COPIES = "copies"
    """The same bytes."""
    NEAR = "near"
    """Other bytes, nearly the same content; or a burst."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Files that are nearly the same, the largest first: the one to keep, as a rule."""

    likeness: Likeness
    modality: Modality
    paths: tuple[Path, ...]
    similarity: float
    """Least cosine between the first asset and another of the group; 1 for copies."""


def groups(
    snapshot: CollectionSnapshot, query: Query, progress: Callable[[int, int], None] | None = None
) -> list[DuplicateGroup]:
    """All groups of two files or more that meet a query's filters, by their first paths.

    Copies that do not meet them are named too, after one that does. `progress` is called with the
    number of assets compared and their total.
    """
    found: list[DuplicateGroup] = []
    allowed = snapshot.id_filter(query)
    for modality in allowed.modalities:
        ids, assets = _representatives(snapshot, modality, allowed)
        together = _near(snapshot, modality, ids, assets, progress) if len(ids) else []
        paths = _paths(snapshot, {asset.id for asset in assets}, query)
        found += [
            group
            for members, similarity in together
            if (group := _group([assets[i] for i in members], similarity, paths)) is not None
        ]
    return sorted(found, key=lambda group: group.paths)


def _paths(snapshot: CollectionSnapshot, assets: set[int], query: Query) -> dict[int, list[Path]]:
    """Every path of assets, those that meet the query's filters first."""
    fitting = {path for paths in snapshot.matching_paths(assets, query).values() for path in paths}
    return {
        asset: sorted(paths, key=lambda path: (path not in fitting, path))
        for asset, paths in snapshot.paths_of(assets).items()
    }


def _representatives(
    snapshot: CollectionSnapshot, modality: Modality, allowed: IdFilter
) -> tuple[Ids, list[Asset]]:
    """First segment and asset of each asset of one modality, in the order of segment ids."""
    firsts: dict[int, tuple[int, Asset]] = {}
    for chunk in _chunks(snapshot.ids(modality, allowed)):
        for found in snapshot.resolve(chunk):
            if found.asset.modality is modality and found.sidecar is None:
                firsts.setdefault(found.asset.id, (found.segment_id, found.asset))
    ids = np.array([id_ for id_, _ in firsts.values()], dtype=np.int64)
    return ids, [asset for _, asset in firsts.values()]


def _near(
    snapshot: CollectionSnapshot,
    modality: Modality,
    ids: Ids,
    assets: list[Asset],
    progress: Callable[[int, int], None] | None,
) -> list[tuple[list[int], float]]:
    """Groups of positions with the least cosine to their first; alone ones included.

    As with hits, an asset joins the first group whose first member it equals, so that a chain of
    small differences does not make one group of everything.
    """
    space = snapshot.route(modality, modality).space
    index = snapshot.index(space, modality)
    kept, vectors = snapshot.vectors([int(id_) for id_ in ids], space, modality)
    row_of = {int(id_): row for row, id_ in enumerate(kept)}
    position_of = {int(id_): position for position, id_ in enumerate(ids)}
    home: dict[int, int] = {}
    members: dict[int, list[int]] = {}
    least: dict[int, float] = {}

    def shown(position: int) -> ResultView:
        row = row_of.get(int(ids[position]))
        return ResultView(assets[position], modality, None if row is None else vectors[row])

    for start in range(0, len(ids), CHUNK):
        here = np.isin(kept, ids[start : start + CHUNK])
        near = _neighbours(kept[here], vectors[here], index, ids)
        for position in range(start, min(start + CHUNK, len(ids))):
            me = shown(position)
            others = sorted(position_of[i] for i in near.get(int(ids[position]), ()))
            leaders = [p for p in others if p < position and home.get(p) == p]
            leader = next((p for p in leaders if is_near_duplicate(shown(p), me)), position)
            home[position] = leader
            members.setdefault(leader, []).append(position)
            if leader != position:
                first = shown(leader).vector
                if first is not None and me.vector is not None:
                    least[leader] = min(least.get(leader, 1.0), float(first @ me.vector))
        if progress is not None:
            progress(min(start + CHUNK, len(ids)), len(ids))
    return [(group, least.get(leader, 1.0)) for leader, group in members.items()]


def _neighbours(
    ids: Ids, vectors: Vectors, index: VectorIndex, allowed: Ids
) -> dict[int, list[int]]:
    if not len(ids):
        return {}
    _, near = index.search(vectors, NEIGHBOURS, allowed)
    return {int(id_): [int(n) for n in row if n >= 0] for id_, row in zip(ids, near, strict=True)}


def _group(
    assets: list[Asset], similarity: float, paths: dict[int, list[Path]]
) -> DuplicateGroup | None:
    largest_first = sorted(assets, key=lambda a: (-_pixels(a), -a.size_bytes, a.id))
    files = [path for asset in largest_first for path in paths.get(asset.id, ())]
    if len(files) < 2:
        return None
    likeness = Likeness.COPIES if len(assets) == 1 else Likeness.NEAR
    return DuplicateGroup(likeness, assets[0].modality, tuple(files), similarity)


def _pixels(asset: Asset) -> int:
    return (asset.width_px or 0) * (asset.height_px or 0)


def _chunks(ids: Ids) -> Iterator[Ids]:
    for start in range(0, len(ids), 10 * CHUNK):
        yield ids[start : start + 10 * CHUNK]
