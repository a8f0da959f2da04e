"""Look through a collection without a query: its files by day, by folder or by kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seehear.server.folder_labels import FolderLabels, printable
from seehear.sources import stored_path
from seehear.types import Hit, Ids, Modality

if TYPE_CHECKING:
    from seehear.stores.catalog.listing import AssetListing

KINDS = [str(kind) for kind in (Modality.IMAGE, Modality.VIDEO, Modality.AUDIO, Modality.TEXT)]
"""In the order of the page."""
KEPT_ORDERS = 8
"""Those of the filters that people use at the same time. 16 bytes an asset each."""


class GroupBy(StrEnum):
    """What the files of one group have in common."""

    DAY = "day"
    FOLDER = "folder"
    KIND = "kind"


@dataclass(frozen=True, slots=True, eq=False)
class BrowseOrder:
    """All assets of a listing in the order that they are looked through, and their groups."""

    asset_ids: Ids
    """int64 (n,)"""
    location_ids: Ids
    """int64 (n,): where each asset is shown."""
    groups: list[tuple[str, int]]
    """Key and number of assets, in order; the numbers add up to n."""


def order(listing: AssetListing, by: GroupBy, folder_labels: FolderLabels) -> BrowseOrder:
    """Sort a listing by groups, days with the newest first, and in each group the newest first."""
    keys: NDArray[Any]
    if by is GroupBy.DAY:
        # "2024", which is known to no day, is a group of its own after the days of its first one.
        keys = listing.days
        day = listing.times.astype("datetime64[D]").astype(np.int64)
        ranks = -(day * 16 + np.char.str_len(keys))
    else:
        if by is GroupBy.KIND:
            keys, wanted = listing.kinds, KINDS
        else:
            names = {one: folder_labels.named(stored_path(one)) for one in set(listing.folders)}
            keys = np.array([names[folder] for folder in listing.folders], dtype=np.object_)
            wanted = sorted(set(keys), key=lambda name: (name.casefold().split("/"), name))
        ranks = _ranks(keys, wanted)
    ranking = np.lexsort((-listing.ids, -listing.times.astype(np.int64), ranks))
    return BrowseOrder(listing.ids[ranking], listing.location_ids[ranking], _groups(keys[ranking]))


def _ranks(keys: NDArray[Any], wanted: Sequence[str]) -> NDArray[np.int64]:
    number = {key: rank for rank, key in enumerate(wanted)}
    return np.array([number[key] for key in keys], dtype=np.int64)


def _groups(keys: NDArray[Any]) -> list[tuple[str, int]]:
    if not len(keys):
        return []
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    counts = np.diff(np.append(starts, len(keys)))
    return [(printable(str(keys[at])), int(n)) for at, n in zip(starts, counts, strict=True)]


_EVERYDAY = {
    Modality.IMAGE: ("a cat", "a dog", "the sea", "a mountain", "flowers", "food on a plate",
                     "people smiling", "a sunset"),
    Modality.AUDIO: ("birdsong", "rain falling", "a siren", "church bells ringing",
                     "somebody laughing", "an engine", "a piano", "waves at the sea"),
    Modality.VIDEO: ("children playing", "a train", "somebody dancing", "a motorcycle", "cooking",
                     "fireworks", "a football match", "a crowd"),
}  # fmt: skip
"""What people look for; the page offers those that a collection has an answer to."""


def suggest(search: Callable[..., Sequence[Hit]]) -> list[str]:
    """Return an example query for each kind of which files are there, the ones that fit best.

    Where nothing fits, a text or another kind is asked for by words of a file's name.
    """
    found = []
    for kind, queries in _EVERYDAY.items():
        best = [(hits[0], one) for one in queries if (hits := search(one, modalities=[kind], k=1))]
        fitting = [(hit.score, one) for hit, one in best if not hit.weak and one not in found]
        if fitting:
            found.append(max(fitting)[1])
        elif best:
            found.append(" ".join(re.findall(r"[^\W\d_]+", best[0][0].path.stem))[:40])
    return [one for one in dict.fromkeys(found) if one]
