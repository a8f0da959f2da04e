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

from seehear.search.duplicates import DuplicateGroup, Likeness
from seehear.search.encode_query import check_options, check_query
from seehear.search.engine import Engine
from seehear.search.fields import facet_named
from seehear.search.filter_text import parse_where, replace_folders
from seehear.search.query_syntax import QueryTerm, is_compact, parse_compact
from seehear.search.ranking import RankedAsset, Rerank

__all__ = [
    "DuplicateGroup",
    "Engine",
    "Likeness",
    "QueryTerm",
    "RankedAsset",
    "Rerank",
    "check_options",
    "check_query",
    "facet_named",
    "is_compact",
    "parse_compact",
    "parse_where",
    "replace_folders",
]
