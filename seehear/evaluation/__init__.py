"""Measure the quality of a search on judged queries, with confidence intervals."""

from seehear.evaluation.evaluate import Evaluation, RouteResult, Search, evaluate, measure
from seehear.evaluation.measures import MeasuredValue
from seehear.evaluation.qrels import JudgedQuery, ScoredItem, read_qrels, read_run, write_run
from seehear.evaluation.runner import evaluate_collection

__all__ = [
    "Evaluation",
    "JudgedQuery",
    "MeasuredValue",
    "RouteResult",
    "ScoredItem",
    "Search",
    "evaluate",
    "evaluate_collection",
    "measure",
    "read_qrels",
    "read_run",
    "write_run",
]
