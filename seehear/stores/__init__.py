"""Store a collection: the catalog (the only copy of its data) and vector indexes (caches)."""

from seehear.own_fields import OwnField
from seehear.stores.catalog.bulk_insert import NewContent
from seehear.stores.catalog.catalog import Catalog
from seehear.stores.catalog.database import FILE_NAME, is_collection
from seehear.stores.catalog.facets import Facet, FacetValue, FacetValues
from seehear.stores.catalog.integrity import IntegrityIssue
from seehear.stores.catalog.integrity import Severity as FaultKind
from seehear.stores.catalog.items import NewItem
from seehear.stores.catalog.jobs import JobRecord, JobTable
from seehear.stores.catalog.records import (
    RACY_INODE,
    STATES,
    Counts,
    Failure,
    FileRecord,
    FileTask,
    Generation,
    GenerationState,
    Item,
    Location,
    NewLocation,
    Page,
    ReadingCounts,
    ReadingState,
    Remark,
    Root,
    ScannedFile,
    SegmentColumns,
    SegmentRecord,
    StoredReading,
    ToRead,
)
from seehear.stores.catalog.scan_table import ScanTable
from seehear.stores.catalog.segment_table import SegmentTable
from seehear.stores.catalog.segments import SegmentFilter
from seehear.stores.catalog.writer import Batch
from seehear.stores.vectors.base import Passages, VectorIndex, VectorStore
from seehear.stores.vectors.cache import VectorCache
from seehear.stores.vectors.flat import FlatIndex

__all__ = [
    "FILE_NAME",
    "RACY_INODE",
    "STATES",
    "Batch",
    "Catalog",
    "Counts",
    "Facet",
    "FacetValue",
    "FacetValues",
    "Failure",
    "FaultKind",
    "FileRecord",
    "FileTask",
    "FlatIndex",
    "Generation",
    "GenerationState",
    "IntegrityIssue",
    "Item",
    "JobRecord",
    "JobTable",
    "Location",
    "NewContent",
    "NewItem",
    "NewLocation",
    "OwnField",
    "Page",
    "Passages",
    "ReadingCounts",
    "ReadingState",
    "Remark",
    "Root",
    "ScanTable",
    "ScannedFile",
    "SegmentColumns",
    "SegmentFilter",
    "SegmentRecord",
    "SegmentTable",
    "StoredReading",
    "ToRead",
    "VectorCache",
    "VectorIndex",
    "VectorStore",
    "is_collection",
]
