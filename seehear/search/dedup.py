"""Merge copies of one content into one hit, or spread hits over different things.

Copies are told by their fingerprints (`media/fingerprints.py`), never by the model's space: there
two dogs that bark alike are as near to each other as a recording is to its copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from seehear.cancellation import check_current
from seehear.media.fingerprints import (
    FLIPS,
    HEARD_BITS,
    SEEN_ALIKE,
    SEEN_BITS,
    Fingerprint,
    agreement,
    keys_of,
)
from seehear.stores import SegmentRecord
from seehear.stores.catalog.records import NO_IDS
from seehear.types import Asset, Floats, Ids, Modality

BURST = 0.90
"""Cosine of two photos, taken within BURST_S of each other, from which they are a burst."""
BURST_S = 10.0
"""In seconds."""
AT_ONCE = 256
"""Results that are compared with all at once."""
RELEVANCE_SHARE = 0.7
"""Weight of the score against novelty in maximal marginal relevance."""

_NOTHING = Fingerprint()


class Likeness(StrEnum):
    """How files are alike."""

    COPIES = "copies"
    """The same bytes."""
    NEAR = "near"
    """The same picture, recording, film or text in other bytes."""
    BURST = "burst"
    """Photos taken within ten seconds of each other that look alike."""


def is_burst(one: Asset, other: Asset, cosine: float) -> bool:
    """Return whether two photos belong to one burst, by time and by the cosine of the pictures."""
    return (
        one.modality is other.modality is Modality.IMAGE
        and cosine >= BURST
        and _taken_together(one, other)
    )


class Proposals:
    """What may be copies, among n contents: by their sketches, and without comparing all with all
    by keys that copies share."""

    def __init__(self, prints: Iterable[Fingerprint | None]) -> None:
        sketches, least, self._runs = (
            list[Floats](),
            list[float](),
            list[NDArray[np.uint64] | None](),
        )
        for told in (print_ or _NOTHING for print_ in prints):
            sketches.append(told.sketches)
            least.append(told.least_cosine)
            self._runs.append(told.runs)
        self._sketches = np.stack([*sketches, _NOTHING.sketches])
        self._least = np.array(least)

    @cached_property
    def _index(self) -> tuple[NDArray[np.uint64], Ids]:
        """Keys in ascending order, and the positions that have them."""
        keys = [self._keys(at, 0) for at in range(len(self._runs))]
        owners = np.repeat(np.arange(len(keys)), list(map(len, keys)))
        joined = np.concatenate([np.zeros(0, np.uint64), *keys])
        order = np.argsort(joined, kind="stable")
        return joined[order], owners[order]

    def _keys(self, position: int, flips: int) -> NDArray[np.uint64]:
        if (runs := self._runs[position]) is not None:
            return runs
        bits = SEEN_BITS if self._least[position] == SEEN_ALIKE else HEARD_BITS
        return keys_of(self._sketches[position], bits, flips)

    def among(self, position: int, others: Ids) -> Ids:
        """Return which of some positions may be copies of one, by their sketches."""
        cosines = self._sketches[others] @ self._sketches[position].T
        least = np.maximum(self._least[others], self._least[position])
        alike: Ids = others[cosines.max(axis=(1, 2)) >= least]
        return alike

    def alike(self, some: slice) -> NDArray[np.bool_]:
        """Return which of all may be copies of some positions, by their sketches: bool (m, n)."""
        flat = self._sketches[:-1].reshape(-1, self._sketches.shape[-1])
        sketches = self._sketches[:-1][some]
        cosines = sketches.reshape(-1, flat.shape[1]) @ flat.T
        best = cosines.reshape(*sketches.shape[:2], -1, sketches.shape[1]).max(axis=(1, 3))
        return np.asarray(best >= np.maximum(self._least[some, None], self._least))

    def find(self, position: int, allowed: NDArray[np.bool_]) -> Ids:
        """Return which positions, of those allowed (n,), may be copies of one, ascending."""
        keys, owners = self._index
        probes = self._keys(position, FLIPS)
        starts, stops = (np.searchsorted(keys, probes, side) for side in ("left", "right"))
        met = [owners[starts[at] : stops[at]] for at in np.flatnonzero(starts < stops)]
        found = np.unique(np.concatenate([NO_IDS, *met]))
        return self.among(position, found[allowed[found]])


def collapse(
    results: Sequence[SegmentRecord],
    vectors: Callable[[], Sequence[Floats | None]],
    prints: Sequence[Fingerprint | None],
    most: int,
) -> list[list[int]]:
    """Group copies and bursts: return positions in `results` (best first), at most `most` groups.

    `vectors` returns those of the results in the space of their own modality, float32 (dim,), or
    None; `prints` are the fingerprints of their assets. Each result joins the first group whose
    best member it equals, so that a chain of small differences does not merge everything.
    """
    bursts = _may_be_bursts([result.asset for result in results])
    if not bursts and not any(prints):
        return [[position] for position in range(min(most, len(results)))]
    timed = np.array([result.asset.taken_at is not None for result in results], dtype=np.bool_)
    proposals, cosines_of = Proposals(prints), _cosines(results, vectors() if bursts else ())
    groups: list[list[int]] = []
    led: dict[int, list[int]] = {}
    for start in range(0, len(results), AT_ONCE):
        check_current()
        some = slice(start, start + AT_ONCE)
        cosines = cosines_of(some)
        near = proposals.alike(some) | ((cosines >= BURST) & timed[some, None])
        near[:, [at for at in range(start) if at not in led]] = False
        earlier: list[list[int]] = [[] for _ in range(len(near))]
        for row, other in np.argwhere(np.tril(near, start - 1)).tolist():
            earlier[row].append(other)
        for row, others in enumerate(earlier):
            position = start + row
            for leader in others:
                if leader in led and (
                    is_burst(
                        results[leader].asset, results[position].asset, float(cosines[row, leader])
                    )
                    or agreement(prints[leader], prints[position])
                ):
                    led[leader].append(position)
                    break
            else:
                if len(groups) < most:
                    led[position] = [position]
                    groups.append(led[position])
    return groups


def mmr(
    results: Sequence[SegmentRecord],
    vectors: Sequence[Floats | None],
    scores: Sequence[float],
    most: int,
) -> list[int]:
    """Return positions by maximal marginal relevance (Carbonell and Goldstein, 1998).

    Each step takes the result with the best score less its likeness to those taken before, at most
    `most`. Results of two modalities are not alike. `vectors` are as in `collapse`.
    """
    cosines_of = _cosines(results, vectors)
    gains = RELEVANCE_SHARE * np.array(scores, dtype=np.float64)
    likeness = np.zeros(len(results), dtype=np.float32)
    taken: list[int] = []
    while len(taken) < min(most, len(results)):
        check_current()
        chosen = int(np.argmax(gains - (1 - RELEVANCE_SHARE) * likeness))
        taken.append(chosen)
        gains[chosen] = -np.inf
        likeness = np.maximum(likeness, cosines_of(slice(chosen, chosen + 1))[0])
    return taken


def _cosines(
    results: Sequence[SegmentRecord], vectors: Sequence[Floats | None]
) -> Callable[[slice], Floats]:
    """Return what gives the cosines of some of n results with all: float32 (m, n).

    They are -1 for another modality, and without vectors.
    """
    codes = np.full(len(results), -1, dtype=np.int64)
    rows: dict[Modality, list[int]] = {}
    for position, vector in enumerate(vectors):
        if vector is not None:
            rows.setdefault(results[position].segment.modality, []).append(position)
    stacked = []
    for code, found in enumerate(rows.values()):
        codes[found] = code
        stacked.append(np.stack([vector for i in found if (vector := vectors[i]) is not None]))

    def cosines_of(some: slice) -> Floats:
        own = codes[some]
        cosines = np.full((len(own), len(codes)), -1.0, dtype=np.float32)
        for code, (found, rows_of_kind) in enumerate(zip(rows.values(), stacked, strict=True)):
            asked = np.flatnonzero(own == code)
            if len(asked):
                first = some.start + asked
                at = np.searchsorted(found, first)
                cosines[asked[:, None], np.array(found)] = rows_of_kind[at] @ rows_of_kind.T
        return cosines

    return cosines_of


def _may_be_bursts(assets: Sequence[Asset]) -> bool:
    """Return whether any two of some assets are photos that were taken together."""
    times = sorted(
        taken_at
        for one in assets
        if one.modality is Modality.IMAGE and (taken_at := _moment_of(one)) is not None
    )
    return any((late - early).total_seconds() <= BURST_S for early, late in pairwise(times))


def _taken_together(one: Asset, other: Asset) -> bool:
    first, second = _moment_of(one), _moment_of(other)
    if first is None or second is None:
        return False
    return abs((first - second).total_seconds()) <= BURST_S


def _moment_of(asset: Asset) -> datetime | None:
    """Return when a photo was taken; None where no more than the day is known."""
    return None if "date_precision" in asset.details else asset.taken_at
