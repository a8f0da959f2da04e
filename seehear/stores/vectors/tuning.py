"""How far a search looks: set by queries, and the recall that it reaches measured by others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from seehear.stores import sorted_ids
from seehear.types import Ids, Vectors

RECALL_AIM = 0.99
MARGIN = 0.004
"""What is measured must lie this far above the aim: two standard errors of the measurement."""
HELD_OUT = 3
"""One of so many queries measures what tuning by the others has reached."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How far a search looks, and the agreement with exact search that was measured for it."""

    probes: int
    """Inverted lists that are scanned."""
    depth_10: int
    """Proposals that are reranked for the 10 nearest."""
    depth_100: int
    """Proposals that are reranked for the 100 nearest."""
    recall: float
    """ANN recall@10 of queries like those that it was tuned by, which had no part in that."""
    measured_on: int
    """Vectors that there were then."""

    def depth(self, k: int) -> int:
        """Proposals that are reranked for the k nearest: along the line through both."""
        slope = (self.depth_100 - self.depth_10) / 90
        return max(k, self.depth_10, round(self.depth_10 + slope * (k - 10)))


Propose = Callable[[Vectors, int], tuple[Ids, Ids]]
"""What is proposed for queries when so many lists are scanned: ids int64 (q, m), -1 for none, and
the rank that a column gives a proposal, int64 (m,)."""

Ranks = Callable[[int], Ids]
"""The rank of each true neighbour among what is proposed when so many lists are scanned, int64
(q, n), best first; a large one where it is not proposed."""


def tune(
    queries: Vectors, truth: Ids, propose: Propose, choose: Callable[[Ranks], Tuning]
) -> Tuning:
    """What is chosen by some of the queries, with the recall that the others measure.

    queries: float32 (q, dim), two at least; truth: int64 (q, n), their nearest ids by exact search.
    Every third query, the second at least, has no part in the choice: it says what was reached.
    """
    measuring = np.arange(len(queries)) % HELD_OUT == 1

    def ranks_of(which: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Ranks:
        return lambda probes: _ranks(*propose(queries[which], probes), truth[which])

    tuning = choose(ranks_of(~measuring))
    reached = ranks_of(measuring)(tuning.probes)[:, :10] < tuning.depth_10
    return replace(tuning, recall=float(reached.mean()))


def depth_of(ranks: Ids, aim: float) -> int:
    """How many proposals hold as large a share of the true neighbours as is aimed at."""
    reached = np.sort(ranks, axis=None)
    return int(reached[int(np.ceil(aim * len(reached))) - 1]) + 1 if len(reached) else 1


def _ranks(proposed: Ids, ranks: Ids, truth: Ids) -> Ids:
    found = np.full(truth.shape, np.iinfo(np.int64).max)
    for row, (near, wanted) in enumerate(zip(proposed, truth, strict=True)):
        order = np.argsort(near, kind="stable")
        positions = sorted_ids.positions_in(near[order], wanted)
        found[row, positions >= 0] = ranks[order[positions[positions >= 0]]]
    return found
