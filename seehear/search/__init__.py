"""Answer queries with ranked hits. Start with engine.py; each step has a module of its own.

| module | step |
| --- | --- |
| encode_query, feedback | check a query and encode its parts; turn likes and dislikes into parts |
| snapshot | read the stores as of one moment, restricted to what meets the filters |
| retrieve, lexical | collect candidates: nearest neighbours, and matches of the words |
| calibration, scoring | turn similarities into scores that compare across routes |
| composition, ranking | combine the scores of parts, rank files by their best segment |
| dedup | merge copies and bursts, spread hits over different things |
| moments, hits | merge overlapping segments of a file; make the hits that are shown |
| filter_text, filter_parser, fields | read the filter language |
| query_syntax | read a query in one line |
| unknown | explain why a filter finds nothing: values that the collection does not have |
| duplicates | find copies and bursts in the whole collection |
| localization | find where in a picture and when in a sound a text is met |
| typicality | find what stands apart in it, and what stands for the rest |
"""

from seehear.search.dedup import Likeness
from seehear.search.duplicates import DuplicateGroup
from seehear.search.encode_query import (
    check_embeddings,
    check_options,
    check_query,
    embed_each,
    encode_together,
    language_notes,
)
from seehear.search.engine import Engine
from seehear.search.fields import facet_named
from seehear.search.filter_text import parse_where
from seehear.search.query_syntax import QueryTerm, is_compact, parse_compact
from seehear.search.ranking import RankedAsset, Rerank
from seehear.search.typicality import TypicalFile, UnusualFile, typical_files, unusual_files
from seehear.search.unknown import check_values

__all__ = [
    "DuplicateGroup",
    "Engine",
    "Likeness",
    "QueryTerm",
    "RankedAsset",
    "Rerank",
    "TypicalFile",
    "UnusualFile",
    "check_embeddings",
    "check_options",
    "check_query",
    "check_values",
    "embed_each",
    "encode_together",
    "facet_named",
    "is_compact",
    "language_notes",
    "parse_compact",
    "parse_where",
    "typical_files",
    "unusual_files",
]
