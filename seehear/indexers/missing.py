"""Locations whose file is gone, as numbers: 24 bytes each, whatever their paths.

A whole drive may be moved at once, so they are not held as objects. Their content may turn up at
another path in the same run: then the location that is gone is a move and not a removal.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

import numpy as np

from seehear.types import Ids


class MissingLocations:
    """Ids, assets and sizes of locations."""

    def __init__(self) -> None:
        self._ids, self._assets, self.sizes = array("q"), array("q"), array("q")

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id_: int, asset_id: int, size_bytes: int) -> None:
        self._ids.append(id_)
        self._assets.append(asset_id)
        self.sizes.append(size_bytes)

    def split(self, sizes: SizeSet) -> tuple[MissingLocations, MissingLocations]:
        """Those of one of the sizes, and the others, each in the order they were added."""
        having, others = MissingLocations(), MissingLocations()
        for row in zip(self._ids, self._assets, self.sizes, strict=True):
            (having if row[2] in sizes else others).add(*row)
        return having, others

    def ids(self) -> Ids:
        return np.array(self._ids, dtype=np.int64)

    def by_asset(self) -> MoveMatcher:
        return MoveMatcher(self.ids(), np.array(self._assets, dtype=np.int64))


class MoveMatcher:
    """Leaving locations, to be taken by the content that turned up elsewhere."""

    def __init__(self, ids: Ids, assets: Ids) -> None:
        order = np.argsort(assets, kind="stable")
        self._ids = ids[order]
        self._assets = array("q", assets[order].tobytes())
        self._taken = np.zeros(len(ids), dtype=np.bool_)
        self._used = array("q", bytes(8 * len(ids)))
        """How many of an asset are taken, at the place of its first one."""

    def take(self, asset_id: int) -> int | None:
        """A location where that asset lay, given out once; the one added last comes first."""
        first = bisect_left(self._assets, asset_id)
        stop = bisect_right(self._assets, asset_id, lo=first)
        if first == stop or self._used[first] == stop - first:
            return None
        at = stop - 1 - self._used[first]
        self._used[first] += 1
        self._taken[at] = True
        return int(self._ids[at])

    def left(self) -> Ids:
        """Ids of the locations that were not taken."""
        left: Ids = np.sort(self._ids[~self._taken])
        return left


class SizeSet:
    """A set of sizes, 8 bytes each."""

    def __init__(self, sizes: Iterable[int]) -> None:
        found = np.unique(np.fromiter(sizes, dtype=np.int64))
        self._sorted = array("q", found.tobytes())

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, size_bytes: int) -> bool:
        at = bisect_left(self._sorted, size_bytes)
        return at < len(self._sorted) and self._sorted[at] == size_bytes


class IdBitmap:
    """A set of ids of the catalog, one bit for each id up to the largest: they are dense."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, id_: int) -> None:
        byte, bit = id_ >> 3, 1 << (id_ & 7)
        if byte >= len(self._bits):
            self._bits.extend(bytes(byte + 1 - len(self._bits)))
        self._count += not self._bits[byte] & bit
        self._bits[byte] |= bit

    def __contains__(self, id_: int) -> bool:
        byte = id_ >> 3
        return byte < len(self._bits) and bool(self._bits[byte] & 1 << (id_ & 7))
