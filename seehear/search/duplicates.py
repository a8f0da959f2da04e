"""Find groups of near-identical files in a whole collection: `seehear duplicates`.

The first segment of each asset's own modality is compared with its nearest neighbours, by the
rule that merges hits (`dedup.is_near_duplicate`). Copies of one content need no vector: they are
one asset with several paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from seehear.search.dedup import is_near_duplicate
from seehear.search.snapshot import CollectionSnapshot
from seehear.stores import VectorIndex
from seehear.types import Asset, Ids, Modality, Query, Vectors

NEIGHBOURS = 32
"""Neighbours to compare with each asset; the members of a larger group all meet its first one."""
CHUNK = 1024
"""Assets to compare at once."""


class Likeness(StrEnum):
    """How the files of a group are alike."""

    COPIES = "copies"
    """The same bytes."""
    NEAR = "near"
    """Different bytes with nearly the same content, or photos of one burst."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Near-identical files, the largest first: usually the one to keep."""

    likeness: Likeness
    modality: Modality
    paths: tuple[Path, ...]
    similarity: float
    """Least cosine between the first asset and another of the group, in [-1, 1]; 1 for copies."""


def groups(
    snapshot: CollectionSnapshot, query: Query, progress: Callable[[int, int], None] | None = None
) -> list[DuplicateGroup]:
    """Return all groups of two files or more that meet a query's filters, by their first paths.

    Copies that do not meet the filters are listed after one that does. `progress` is called with
    the number of assets compared and their total. Raises UsageError for a bad filter.
    """
    found: list[DuplicateGroup] = []
    snapshot = snapshot.restricted(query)
    for modality in snapshot.allowed_modalities:
        ids, assets = _representatives(snapshot, modality)
        together = _near(snapshot, modality, ids, assets, progress) if len(ids) else []
        paths = _paths(snapshot, {asset.id for asset in assets})
        found += [
            group
            for members, similarity in together
            if (group := _group([assets[i] for i in members], similarity, paths)) is not None
        ]
    return sorted(found, key=lambda group: group.paths)


def _paths(snapshot: CollectionSnapshot, assets: set[int]) -> dict[int, list[Path]]:
    """Return every path of assets, those that meet the filters first."""
    fitting = {path for paths in snapshot.matching_paths(assets).values() for path in paths}
    return {
        asset: sorted(paths, key=lambda path: (path not in fitting, path))
        for asset, paths in snapshot.paths_of(assets).items()
    }


def _representatives(snapshot: CollectionSnapshot, modality: Modality) -> tuple[Ids, list[Asset]]:
    """Return the assets of one modality and the first segment of each, by ascending segment id."""
    firsts: dict[int, tuple[int, Asset]] = {}
    for chunk in _chunks(snapshot.allowed_ids(modality)):
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
    """Return groups of positions with the least cosine to their first; an asset may be alone.

    As with hits, an asset joins the first group whose first member it equals, so that a chain of
    small differences does not merge everything.
    """
    space = snapshot.route(modality, modality).space
    kept, vectors = snapshot.vectors([int(id_) for id_ in ids], space, modality)
    vector_of = dict(zip(kept.tolist(), vectors, strict=True))
    position_of = {int(id_): position for position, id_ in enumerate(ids)}
    home: dict[int, int] = {}
    members: dict[int, list[int]] = {}
    least: dict[int, float] = {}

    def cosine(leader: int, position: int) -> float:
        one, other = vector_of.get(int(ids[leader])), vector_of.get(int(ids[position]))
        return -1.0 if one is None or other is None else float(one @ other)

    for start in range(0, len(ids), CHUNK):
        here = np.isin(kept, ids[start : start + CHUNK])
        near = _neighbours(kept[here], vectors[here], snapshot.index(space, modality), ids)
        for position in range(start, min(start + CHUNK, len(ids))):
            others = sorted(position_of[i] for i in near.get(int(ids[position]), ()))
            leaders = [p for p in others if p < position and home.get(p) == p]
            leader = next(
                (
                    p
                    for p in leaders
                    if is_near_duplicate(assets[p], assets[position], cosine(p, position))
                ),
                position,
            )
            home[position] = leader
            members.setdefault(leader, []).append(position)
            if leader != position:
                least[leader] = min(least.get(leader, 1.0), cosine(leader, position))
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
