"""Find groups of copies and of bursts in a whole collection: `seehear duplicates`.

Files of the same bytes are one asset with several paths. Other copies are proposed by the sketches
of their fingerprints and decided by the fingerprints, as hits are (`dedup.collapse`); photos of one
burst by their times and vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seehear.media.fingerprints import Fingerprint, agreement
from seehear.search.dedup import BURST_S, Likeness, Proposals, is_burst
from seehear.search.snapshot import CollectionSnapshot
from seehear.stores.catalog.filters import Filter
from seehear.stores.catalog.records import NO_IDS
from seehear.types import Asset, Floats, Ids, Modality, Query

CHUNK = 1024
"""Assets between two reports of progress."""

_WHAT = {
    Modality.IMAGE: "picture",
    Modality.AUDIO: "recording",
    Modality.VIDEO: "film",
    Modality.TEXT: "text",
}


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Copies of one content, or photos of one burst; the largest file stands first.

    That says nothing of which one to keep: a copy may be cropped or cut, and a burst has different
    photos.
    """

    likeness: Likeness
    """COPIES where all have the same bytes, NEAR where any two do not, BURST for a burst alone."""
    modality: Modality
    paths: tuple[Path, ...]
    similarity: float
    """How well the worst member agrees, up to 1: by fingerprint, in a burst by cosine."""
    how: tuple[str, ...] = ()
    """What each file is of the first one, such as "same picture in another size"; "" for the first
    one itself."""


def groups(
    snapshot: CollectionSnapshot,
    query: Query,
    parse: Callable[[str], Filter | None],
    progress: Callable[[int, int], None] | None = None,
) -> list[DuplicateGroup]:
    """Return all groups of two files or more that meet a query's filters, by their first paths.

    `parse` reads the text of the query's filter. Copies that do not meet the filters are listed
    after one that does. `progress` is called with the number of assets compared and their total.
    Raises UsageError for a bad filter.
    """
    found: list[DuplicateGroup] = []
    snapshot = snapshot.restricted(query, parse)
    for modality in snapshot.allowed_modalities:
        ids, assets = _representatives(snapshot, modality)
        if not assets:
            continue
        together = _grouped(snapshot, modality, ids, assets, progress)
        paths = _paths(snapshot, {asset.id for asset in assets})
        told = (_told(group, assets, paths) for group in together)
        found += [group for group in told if group is not None]
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
    for chunk in _chunks(snapshot.allowed_ids(modality).tolist()):
        for found in snapshot.resolve(chunk):
            if found.asset.modality is modality and found.sidecar is None:
                firsts.setdefault(found.asset.id, (found.segment_id, found.asset))
    ids = np.array([id_ for id_, _ in firsts.values()], dtype=np.int64)
    return ids, [asset for _, asset in firsts.values()]


class _Group:
    """Positions of a group, its first member first, how the others joined, and how well."""

    def __init__(self, first: int) -> None:
        self.members = [first]
        self.bursts: set[int] = set()
        self.least = 1.0


def _grouped(
    snapshot: CollectionSnapshot,
    modality: Modality,
    ids: Ids,
    assets: list[Asset],
    progress: Callable[[int, int], None] | None,
) -> list[_Group]:
    """Return groups of positions; an asset may be alone.

    As with hits, an asset joins the first group whose first member it equals, so that a chain of
    small differences does not merge everything.
    """
    proposals = Proposals(
        print_
        for chunk in _chunks([asset.id for asset in assets])
        for print_ in map(snapshot.fingerprints(chunk).get, chunk)
    )
    bursts = _Bursts(snapshot, modality, ids, assets)
    groups: dict[int, _Group] = {}
    leads = np.zeros(len(assets), dtype=np.bool_)
    for position in range(len(assets)):
        met = np.union1d(proposals.find(position, leads), bursts.near(position, leads)).tolist()
        prints = _prints_of(snapshot, assets, [position, *met]) if met else {}
        joined = None
        for leader in met:
            agreed = agreement(prints.get(leader), prints.get(position))
            cosine = bursts.cosine(leader, position)
            if agreed or is_burst(assets[leader], assets[position], cosine):
                joined = groups[leader]
                joined.members.append(position)
                joined.least = min(joined.least, agreed or cosine)
                if not agreed:
                    joined.bursts.add(position)
                break
        if joined is None:
            groups[position] = _Group(position)
            leads[position] = True
        if progress is not None and ((position + 1) % CHUNK == 0 or position + 1 == len(assets)):
            progress(position + 1, len(assets))
    return list(groups.values())


def _prints_of(
    snapshot: CollectionSnapshot, assets: Sequence[Asset], positions: Sequence[int]
) -> dict[int, Fingerprint]:
    found = snapshot.fingerprints([assets[position].id for position in positions])
    return {p: found[assets[p].id] for p in positions if assets[p].id in found}


class _Bursts:
    """The photos with a time, and their vectors."""

    def __init__(
        self, snapshot: CollectionSnapshot, modality: Modality, ids: Ids, assets: Sequence[Asset]
    ) -> None:
        self._times = np.array(
            [np.nan if a.taken_at is None else a.taken_at.timestamp() for a in assets]
        )
        self._order = np.argsort(self._times)
        self._vectors: dict[int, Floats] = {}
        timed = np.flatnonzero(np.isfinite(self._times))
        if modality is Modality.IMAGE and len(timed):
            space = snapshot.route(modality, modality).space
            kept, vectors = snapshot.vectors(ids[timed], space, modality)
            at = dict(zip(ids[timed].tolist(), timed.tolist(), strict=True))
            self._vectors = {at[id_]: row for id_, row in zip(kept.tolist(), vectors, strict=True)}

    def near(self, position: int, allowed: NDArray[np.bool_]) -> Ids:
        """Return which of the allowed positions were taken at about the same time."""
        if position not in self._vectors:
            return NO_IDS
        at = self._times[position]
        ends = np.searchsorted(self._times, [at - BURST_S, at + BURST_S], sorter=self._order)
        near = self._order[ends[0] : ends[1] + 1]
        return near[allowed[near]]

    def cosine(self, one: int, other: int) -> float:
        a, b = self._vectors.get(one), self._vectors.get(other)
        return -1.0 if a is None or b is None else float(a @ b)


def _told(
    group: _Group, assets: Sequence[Asset], paths: Mapping[int, Sequence[Path]]
) -> DuplicateGroup | None:
    """Return a group as it is told, or None if it has a single file."""
    members = sorted(group.members, key=lambda at: _largest_first(assets[at]))
    files = [(path, at) for at in members for path in paths.get(assets[at].id, ())]
    if len(files) < 2:
        return None
    first = files[0][1]
    how = [""]
    for _, at in files[1:]:
        is_shot = at != first and bool({at, first} & group.bursts)
        how.append("burst" if is_shot else _relation(assets[first], assets[at]))
    likeness = Likeness.COPIES if len(members) == 1 else Likeness.NEAR
    if group.bursts and len(group.bursts) == len(members) - 1:
        likeness = Likeness.BURST
    return DuplicateGroup(
        likeness,
        assets[first].modality,
        tuple(path for path, _ in files),
        group.least,
        tuple(how),
    )


def _relation(first: Asset, other: Asset) -> str:
    """Return what a copy is of the first one, in words."""
    if first.id == other.id:
        return "identical"
    what = f"same {_WHAT[first.modality]}"
    if (first.width_px, first.height_px) != (other.width_px, other.height_px):
        return f"{what} in another size"
    if first.format != other.format:
        return f"{what} in another format"
    if abs((first.duration_s or 0.0) - (other.duration_s or 0.0)) >= 0.5:
        return f"{what} in another length"
    return f"{what} in other bytes"


def _largest_first(asset: Asset) -> tuple[int, int, int]:
    return -(asset.width_px or 0) * (asset.height_px or 0), -asset.size_bytes, asset.id


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), 10 * CHUNK):
        yield ids[start : start + 10 * CHUNK]
