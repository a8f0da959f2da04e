"""Measure a ranking: recall@k, success@k, MRR and nDCG@k by ir_measures, median rank here.

    recall@k    share of the relevant items that are among the first k
    success@k   1 where any relevant item is among the first k
    MRR         1 / rank of the first relevant item, 0 where none was found
    nDCG@k      gain of the grades, discounted by log2(rank + 1), over the best possible (Järvelin
                and Kekäläinen, 2002)
    median rank of the first relevant item; one past the last hit where none was found

Intervals are bootstrap percentiles over queries (Efron, 1979): how much the mean would change with
other queries of the same kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seehear.evaluation.qrels import JudgedQuery, ScoredItem
from seehear.libraries import naming_faults

RESAMPLES = 1_000
CONFIDENCE = 0.95
MEDIAN_RANK = "median rank"

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MeasuredValue:
    """A measure over some queries: its mean (or median) and its interval."""

    name: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def require() -> None:
    """Raise EnvironmentFaultError where the library ir_measures cannot be loaded."""
    # Its import looks for all its engines, which takes time: import it only to evaluate.
    with naming_faults():
        import ir_measures  # noqa: F401


def per_query(
    judged: Sequence[JudgedQuery], run: Mapping[str, Sequence[ScoredItem]], cutoffs: Sequence[int]
) -> dict[str, Values]:
    """Return the values of every measure by its name, one per query in order: float64 (queries,).

    Recall is undefined for a query without relevant items: leave such queries out. A path that a
    run has twice counts at its first rank.
    """
    require()
    import ir_measures
    from ir_measures import RR, Measure, R, Success, nDCG

    measures: dict[str, Measure] = {"MRR": RR}
    for k in cutoffs:
        measures |= {f"recall@{k}": R @ k, f"success@{k}": Success @ k, f"nDCG@{k}": nDCG @ k}
    qrels = [
        ir_measures.Qrel(str(number), _identifier(path), grade)
        for number, one in enumerate(judged)
        for path, grade in one.relevant.items()
    ]
    # Pass ranks, not scores: ir_measures would order equal scores by name.
    docs = [
        ir_measures.ScoredDoc(str(number), _identifier(path), -float(rank))
        for number, one in enumerate(judged)
        for rank, path in enumerate(_distinct(run.get(one.name, ())))
    ]
    names = {measure: name for name, measure in measures.items()}
    values = {name: np.zeros(len(judged)) for name in measures}
    for metric in ir_measures.iter_calc(list(measures.values()), qrels, docs):
        values[names[metric.measure]][int(metric.query_id)] = metric.value
    values[MEDIAN_RANK] = np.array([_first_rank(one, run.get(one.name, ())) for one in judged])
    return values


def summarise(values: Mapping[str, Values], seed: int = 0) -> list[MeasuredValue]:
    """Return each measure over all queries with its bootstrap interval; `seed` fixes the draws."""
    found = []
    for name, row in values.items():
        middle = np.median if name == MEDIAN_RANK else np.mean
        rng = np.random.default_rng(seed)
        draws = row[rng.integers(0, len(row), (RESAMPLES, len(row)))]
        edge = (1 - CONFIDENCE) / 2
        low, high = np.quantile(middle(draws, axis=1), [edge, 1 - edge])
        found.append(MeasuredValue(name, float(middle(row)), float(low), float(high)))
    return found


def _distinct(answers: Sequence[ScoredItem]) -> list[str]:
    return list(dict.fromkeys(answer.path for answer in answers))


def _identifier(path: str) -> str:
    """Return a path as hex: trec_eval ends the process at a name that is not UTF-8."""
    return path.encode("utf-8", "surrogatepass").hex()


def _first_rank(one: JudgedQuery, answers: Sequence[ScoredItem]) -> float:
    paths = _distinct(answers)
    ranks = [rank for rank, path in enumerate(paths, 1) if path in one.relevant]
    return float(min(ranks, default=len(paths) + 1))
