"""What lasts: the catalog (the single truth) and vector indexes (caches of it)."""

from seehear.stores.catalog.batch import Batch
from seehear.stores.catalog.bulk import Content, Place
from seehear.stores.catalog.catalog import Catalog
from seehear.stores.catalog.checks import Fault
from seehear.stores.catalog.checks import Kind as FaultKind
from seehear.stores.catalog.database import FILE_NAME, is_collection
from seehear.stores.catalog.facets import Facet, FacetValue, FacetValues
from seehear.stores.catalog.known import KnownFile
from seehear.stores.catalog.pieces import Columns
from seehear.stores.catalog.records import (
    Counts,
    Failure,
    Found,
    Generation,
    Location,
    Pieces,
    Root,
    State,
)
from seehear.stores.vectors.base import VectorIndex
from seehear.stores.vectors.cache import VectorCache
from seehear.stores.vectors.flat import FlatIndex

__all__ = [
    "FILE_NAME",
    "Batch",
    "Catalog",
    "Columns",
    "Content",
    "Counts",
    "Facet",
    "FacetValue",
    "FacetValues",
    "Failure",
    "Fault",
    "FaultKind",
    "FlatIndex",
    "Found",
    "Generation",
    "KnownFile",
    "Location",
    "Pieces",
    "Place",
    "Root",
    "State",
    "VectorCache",
    "VectorIndex",
    "is_collection",
]
