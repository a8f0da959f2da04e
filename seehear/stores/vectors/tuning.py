"""Tune how far a search looks with some queries, and measure the recall with others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np

from seehear.stores import sorted_ids
from seehear.types import Ids, Vectors

RECALL_AIM = 0.99
MARGIN = 0.004
"""The measured recall must exceed the aim by this: two standard errors of the measurement."""
HELD_OUT = 3
"""One of this many queries measures the recall that tuning on the others has reached."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How far a search looks, and its measured agreement with exact search."""

    probes: int
    """Inverted lists to scan."""
    depth_10: int
    """Candidates to rerank for the 10 nearest."""
    depth_100: int
    """Candidates to rerank for the 100 nearest."""
    recall: float
    """ANN recall@10, measured on queries like those used for tuning, but not used for it."""
    measured_on: int
    """Number of vectors when it was measured."""

    def depth(self, k: int) -> int:
        """Return how many candidates to rerank for k: on the line through both depths."""
        slope = (self.depth_100 - self.depth_10) / 90
        return max(k, self.depth_10, round(self.depth_10 + slope * (k - 10)))


@dataclass(frozen=True, slots=True)
class HnswTuning:
    """How far a search looks in one graph, and its measured agreement with exact search."""

    ef: int
    recall: float
    measured_on: int
    """Number of vectors when it was measured."""

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes | None) -> HnswTuning | None:
        """Return what `to_bytes` wrote; None for anything else."""
        try:
            return None if data is None else cls(**json.loads(data))
        except (ValueError, TypeError):
            return None


def sums_of_three(rows: Vectors) -> Vectors:
    """Make queries that resemble people's: of 3 n vectors, n sums of length 1, float32 (n, dim).

    One vector alone, even slightly moved, finds its own kind: images of one moment, passages of one
    page. These are so much nearer than the rest that any search finds them, and a depth tuned on
    them is too small for a query from outside. Sums have no such neighbours, and need a slightly
    larger depth than queries from outside (measured with 1,000,000 vectors; docs/performance.md).
    """
    sums: Vectors = rows.reshape(3, len(rows) // 3, rows.shape[1]).sum(axis=0)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    np.divide(sums, norms, out=sums, where=norms > 0)
    return sums


Propose = Callable[[Vectors, int], tuple[Ids, Ids]]
"""Returns candidates for queries with a number of scanned lists: ids int64 (q, m), -1 for missing
ones, and the rank of each column, int64 (m,)."""

Ranks = Callable[[int], Ids]
"""Returns the rank of each true neighbour among the candidates with a number of scanned lists,
int64 (q, n), best first; a large number for a neighbour that is not a candidate."""


def tune(
    queries: Vectors, truth: Ids, propose: Propose, choose: Callable[[Ranks], Tuning]
) -> Tuning:
    """Return the tuning chosen on some of the queries, with the recall measured on the others.

    queries: float32 (q, dim), at least two; truth: int64 (q, n), their nearest ids by exact search.
    Every third query, beginning with the second, is used for measuring only.
    """
    measuring = np.arange(len(queries)) % HELD_OUT == 1

    def ranks_of(which: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Ranks:
        return lambda probes: _ranks(*propose(queries[which], probes), truth[which])

    tuning = choose(ranks_of(~measuring))
    reached = ranks_of(measuring)(tuning.probes)[:, :10] < tuning.depth_10
    return replace(tuning, recall=float(reached.mean()))


def depth_of(ranks: Ids, aim: float) -> int:
    """Return how many candidates contain a share of `aim` of the true neighbours."""
    reached = np.sort(ranks, axis=None)
    return int(reached[int(np.ceil(aim * len(reached))) - 1]) + 1 if len(reached) else 1


def _ranks(proposed: Ids, ranks: Ids, truth: Ids) -> Ids:
    found = np.full(truth.shape, np.iinfo(np.int64).max)
    for row, (near, wanted) in enumerate(zip(proposed, truth, strict=True)):
        order = np.argsort(near, kind="stable")
        positions = sorted_ids.positions_in(near[order], wanted)
        found[row, positions >= 0] = ranks[order[positions[positions >= 0]]]
    return found
