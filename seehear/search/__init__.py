"""Query -> ranked hits. Start with engine.py; each step has a module of its own.

| module | step |
| --- | --- |
| parts | the query's parts are checked and encoded |
| shelf | what search reads of the stores |
| retrieve, words | candidates: nearest neighbours, and the words as written |
| bank, calibrate, evidence | similarities become scores that compare |
| compose, rank | parts become one score, segments become assets |
| diversity | near-duplicates folded, hits spread |
| moments | windows merged |
| feedback | likes and dislikes become parts |
| where, compact | the filter language, and queries in one line |
| unknown | why a filter finds nothing: values that the collection does not have |
"""

from seehear.search.compact import Wish, is_compact, parse_compact, parts_from
from seehear.search.duplicates import DuplicateGroup, Likeness
from seehear.search.engine import Engine
from seehear.search.fields import facet_named
from seehear.search.parts import check as check_query
from seehear.search.rank import Rerank, Result
from seehear.search.where import parse_where

__all__ = [
    "DuplicateGroup",
    "Engine",
    "Likeness",
    "Rerank",
    "Result",
    "Wish",
    "check_query",
    "facet_named",
    "is_compact",
    "parse_compact",
    "parse_where",
    "parts_from",
]
