"""Run judged queries and measure the answers, per route and together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seehear.evaluation.measures import MEDIAN_RANK, MeasuredValue, per_query, summarise
from seehear.evaluation.qrels import JudgedQuery, ScoredItem
from seehear.types import Hit

CUTOFFS = (1, 5, 10)
DEPTH = 100
"""Hits requested for each query: the depth to which ranks are known."""
ALL = "all"

Search = Callable[[JudgedQuery, int], Iterable[Hit]]
"""Answers a judged query with its first k hits, best first."""


@dataclass(frozen=True, slots=True)
class RouteResult:
    """The measures of one group of queries."""

    route: str
    queries: int
    measures: tuple[MeasuredValue, ...]

    def __getitem__(self, name: str) -> MeasuredValue:
        """Return one measure by its name, such as "nDCG@10". Raises KeyError."""
        for measured in self.measures:
            if measured.name == name:
                return measured
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The quality of the answers to a set of queries."""

    routes: tuple[RouteResult, ...]
    """One result per route in the order of the qrels, and last one for all queries together."""
    unanswerable: int
    """Number of queries without relevant items."""
    false_alarms: float | None
    """Share of those queries that still got a hit that is not weak; None without such queries."""
    run: Mapping[str, Sequence[ScoredItem]]

    def as_json(self) -> dict[str, Any]:
        """Return measures with intervals by route, as plain values."""
        return {
            "routes": {
                result.route: {
                    "queries": result.queries,
                    "measures": {
                        m.name: {"value": m.value, "low": m.low, "high": m.high}
                        for m in result.measures
                    },
                }
                for result in self.routes
            },
            "unanswerable": self.unanswerable,
            "false_alarms": self.false_alarms,
        }

    def table(self) -> str:
        """Return a Markdown table: one row per measure, one column per route."""
        lines = self._rows() if self.routes else ["no query has a relevant item"]
        if self.unanswerable:
            lines += ["", f"false alarms: {self.false_alarms:.3f} of {self.unanswerable} queries"]
        return "\n".join(lines)

    def _rows(self) -> list[str]:
        rows = [
            ["route", *(result.route for result in self.routes)],
            ["queries", *(str(result.queries) for result in self.routes)],
        ]
        for measured in zip(*(result.measures for result in self.routes), strict=True):
            shown = [
                f"{m.value:.4g} [{m.low:.4g}, {m.high:.4g}]" if m.name == MEDIAN_RANK else str(m)
                for m in measured
            ]
            rows.append([measured[0].name, *shown])
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
            for row in rows
        ]
        lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
        return lines


def evaluate(
    search: Search,
    judged: Sequence[JudgedQuery],
    *,
    cutoffs: Sequence[int] = CUTOFFS,
    depth: int = DEPTH,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run every query and measure the answers.

    `search` gets a judged query and the number of hits. Queries without relevant items only count
    as false alarms. `progress` gets the queries done and the queries in all.
    Raises EnvironmentFaultError where ir_measures cannot be loaded.
    """
    run: dict[str, list[ScoredItem]] = {}
    alarms = []
    for number, one in enumerate(judged, 1):
        hits = list(search(one, max(depth, *cutoffs)))
        # A relevant file also counts as found if it was merged into its near-duplicate.
        run[one.name] = [ScoredItem(str(_judged_path(hit, one)), hit.score) for hit in hits]
        if not one.relevant:
            alarms.append(any(not hit.weak for hit in hits))
        if progress is not None:
            progress(number, len(judged))
    return Evaluation(
        routes=measure(judged, run, cutoffs=cutoffs),
        unanswerable=len(alarms),
        false_alarms=sum(alarms) / len(alarms) if alarms else None,
        run=run,
    )


def measure(
    judged: Sequence[JudgedQuery],
    run: Mapping[str, Sequence[ScoredItem]],
    *,
    cutoffs: Sequence[int] = CUTOFFS,
) -> tuple[RouteResult, ...]:
    """Measure a run that was made earlier, per route and last all queries together."""
    answerable = [one for one in judged if one.relevant]
    groups: dict[str, list[JudgedQuery]] = {}
    for one in answerable:
        groups.setdefault(one.route, []).append(one)
    if len(groups) != 1 and answerable:
        groups[ALL] = answerable
    return tuple(
        RouteResult(route, len(group), tuple(summarise(per_query(group, run, cutoffs))))
        for route, group in groups.items()
    )


def _judged_path(hit: Hit, one: JudgedQuery) -> object:
    for path in (hit.path, *hit.duplicates):
        if str(path) in one.relevant:
            return path
    return hit.path
