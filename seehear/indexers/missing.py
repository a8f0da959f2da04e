"""Keep locations whose file is gone, as numbers: 24 bytes each, however long their paths.

A whole drive may be moved at once, so these locations are not kept as objects. Their content may
appear at another path in the same run: then the location was moved, not removed.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

import numpy as np

from seehear.types import Ids


class MissingLocations:
    """Ids, assets and sizes of locations whose file is gone."""

    def __init__(self) -> None:
        self._ids, self._assets, self.sizes = array("q"), array("q"), array("q")

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id_: int, asset_id: int, size_bytes: int) -> None:
        self._ids.append(id_)
        self._assets.append(asset_id)
        self.sizes.append(size_bytes)

    def split(self, sizes: SizeSet) -> tuple[MissingLocations, MissingLocations]:
        """Split into locations with one of the sizes and the others, each in the order added."""
        having, others = MissingLocations(), MissingLocations()
        for row in zip(self._ids, self._assets, self.sizes, strict=True):
            (having if row[2] in sizes else others).add(*row)
        return having, others

    def ids(self) -> Ids:
        return np.array(self._ids, dtype=np.int64)

    def by_asset(self) -> MoveMatcher:
        return MoveMatcher(self.ids(), np.array(self._assets, dtype=np.int64))


class MoveMatcher:
    """Missing locations, to be matched with the same content at a new path."""

    def __init__(self, ids: Ids, assets: Ids) -> None:
        order = np.argsort(assets, kind="stable")
        self._ids = ids[order]
        self._assets = array("q", assets[order].tobytes())
        self._taken = np.zeros(len(ids), dtype=np.bool_)
        self._used = array("q", bytes(8 * len(ids)))
        """How many locations of an asset are taken, at the position of its first one."""

    def take(self, asset_id: int) -> int | None:
        """Take a location of that asset, the last added first; None when none is left."""
        first = bisect_left(self._assets, asset_id)
        stop = bisect_right(self._assets, asset_id, lo=first)
        if first == stop or self._used[first] == stop - first:
            return None
        at = stop - 1 - self._used[first]
        self._used[first] += 1
        self._taken[at] = True
        return int(self._ids[at])

    def left(self) -> Ids:
        """Return the sorted ids of the locations that were not taken, int64 (n,)."""
        left: Ids = np.sort(self._ids[~self._taken])
        return left


class SizeSet:
    """A set of file sizes, 8 bytes each."""

    def __init__(self, sizes: Iterable[int]) -> None:
        found = np.unique(np.fromiter(sizes, dtype=np.int64))
        self._sorted = array("q", found.tobytes())

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, size_bytes: int) -> bool:
        at = bisect_left(self._sorted, size_bytes)
        return at < len(self._sorted) and self._sorted[at] == size_bytes


class IdBitmap:
    """A set of catalog ids, one bit for each id up to the largest: ids are dense."""

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
