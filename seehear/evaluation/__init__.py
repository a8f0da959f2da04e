"""How good a search is: judged queries in, measures with intervals out."""

from seehear.evaluation.asking import evaluate_collection
from seehear.evaluation.evaluate import Evaluation, RouteResult, Search, evaluate, measure
from seehear.evaluation.measures import Measured
from seehear.evaluation.qrels import Answer, Judged, read_qrels, read_run, write_run

__all__ = [
    "Answer",
    "Evaluation",
    "Judged",
    "Measured",
    "RouteResult",
    "Search",
    "evaluate",
    "evaluate_collection",
    "measure",
    "read_qrels",
    "read_run",
    "write_run",
]
