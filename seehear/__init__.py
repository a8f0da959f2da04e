"""seehear finds any image, sound, moment of a video or passage of text in folders of media.

    import seehear

    library = seehear.open("~/seehear")
    library.index("~/Pictures")
    for hit in library.search("a dog on a beach", k=10):
        print(hit.score, hit.path, hit.moment)

Public names are loaded when they are first used (PEP 562), so that `seehear --help` loads neither
numpy nor torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seehear.async_collection import AsyncCollection as AsyncCollection
    from seehear.async_collection import open_async as aopen
    from seehear.clips import Clip as Clip
    from seehear.clips import CutReport as CutReport
    from seehear.collection import Collection as Collection
    from seehear.collection import open_collection as open  # noqa: A004 - reads as seehear.open
    from seehear.config import Settings as Settings
    from seehear.errors import BrokenMediaError as BrokenMediaError
    from seehear.errors import CollectionClosedError as CollectionClosedError
    from seehear.errors import CollectionLockedError as CollectionLockedError
    from seehear.errors import CollectionReplacedError as CollectionReplacedError
    from seehear.errors import ContentChangedError as ContentChangedError
    from seehear.errors import EnvironmentFaultError as EnvironmentFaultError
    from seehear.errors import MediaError as MediaError
    from seehear.errors import MediaLimitError as MediaLimitError
    from seehear.errors import ModelError as ModelError
    from seehear.errors import ModelIntegrityError as ModelIntegrityError
    from seehear.errors import ModelUnavailableError as ModelUnavailableError
    from seehear.errors import ReaderFailedError as ReaderFailedError
    from seehear.errors import SchemaVersionError as SchemaVersionError
    from seehear.errors import SeehearError as SeehearError
    from seehear.errors import SpaceMismatchError as SpaceMismatchError
    from seehear.errors import StorageFullError as StorageFullError
    from seehear.errors import StoreError as StoreError
    from seehear.errors import StoreUnreachableError as StoreUnreachableError
    from seehear.errors import UnknownFolderError as UnknownFolderError
    from seehear.errors import UnknownItemError as UnknownItemError
    from seehear.errors import UnknownModelError as UnknownModelError
    from seehear.errors import UnsupportedMediaError as UnsupportedMediaError
    from seehear.errors import UsageError as UsageError
    from seehear.indexers.change import ModelChange as ModelChange
    from seehear.indexers.progress import FailedFile as FailedFile
    from seehear.indexers.progress import IndexReport as IndexReport
    from seehear.indexers.progress import OfflineRoot as OfflineRoot
    from seehear.indexers.progress import Progress as Progress
    from seehear.indexers.progress import ReaderReport as ReaderReport
    from seehear.indexers.progress import ReadReport as ReadReport
    from seehear.indexers.progress import Stage as Stage
    from seehear.indexers.verification import Verification as Verification
    from seehear.search.duplicates import DuplicateGroup as DuplicateGroup
    from seehear.search.interpretation import FoundFilter as FoundFilter
    from seehear.search.interpretation import Interpretation as Interpretation
    from seehear.search.typicality import TypicalFile as TypicalFile
    from seehear.search.typicality import UnusualFile as UnusualFile
    from seehear.status import CollectionStatus as CollectionStatus
    from seehear.stores.archive import Manifest as Manifest
    from seehear.stores.catalog.facets import FacetValue as FacetValue
    from seehear.stores.catalog.facets import FacetValues as FacetValues
    from seehear.stores.catalog.records import Failure as Failure
    from seehear.stores.catalog.records import FileRecord as FileRecord
    from seehear.stores.catalog.records import Generation as Generation
    from seehear.stores.catalog.records import Item as Item
    from seehear.stores.catalog.records import Location as Location
    from seehear.stores.catalog.records import Page as Page
    from seehear.stores.catalog.records import Root as Root
    from seehear.tables import to_arrow as to_arrow
    from seehear.tables import to_pandas as to_pandas
    from seehear.types import Asset as Asset
    from seehear.types import Embeddings as Embeddings
    from seehear.types import EmbeddingSpace as EmbeddingSpace
    from seehear.types import FileState as FileState
    from seehear.types import Hit as Hit
    from seehear.types import Line as Line
    from seehear.types import Modality as Modality
    from seehear.types import Mode as Mode
    from seehear.types import Moment as Moment
    from seehear.types import PartExplanation as PartExplanation
    from seehear.types import Query as Query
    from seehear.types import QueryPart as QueryPart
    from seehear.types import Reading as Reading
    from seehear.types import Segment as Segment

__version__ = "0.1.0"

_HOMES = {
    "clips": "Clip CutReport",
    "collection": "Collection",
    "config": "Settings",
    "errors": (
        "BrokenMediaError CollectionClosedError CollectionLockedError CollectionReplacedError "
        "ContentChangedError "
        "EnvironmentFaultError MediaError MediaLimitError ModelError "
        "ModelIntegrityError ModelUnavailableError ReaderFailedError SchemaVersionError "
        "SeehearError SpaceMismatchError StorageFullError StoreError StoreUnreachableError "
        "UnknownFolderError UnknownItemError UnknownModelError UnsupportedMediaError "
        "UsageError"
    ),
    "search.interpretation": "FoundFilter Interpretation",
    "search.typicality": "TypicalFile UnusualFile",
    "indexers.progress": (
        "FailedFile IndexReport OfflineRoot Progress ReadReport ReaderReport Stage"
    ),
    "indexers.change": "ModelChange",
    "indexers.verification": "Verification",
    "async_collection": "AsyncCollection",
    "search.duplicates": "DuplicateGroup",
    "stores.archive": "Manifest",
    "stores.catalog.facets": "FacetValue FacetValues",
    "stores.catalog.records": "Failure FileRecord Generation Item Location Page Root",
    "status": "CollectionStatus",
    "tables": "to_arrow to_pandas",
    "types": (
        "Asset EmbeddingSpace Embeddings FileState Hit Line Modality Mode Moment "
        "PartExplanation Query QueryPart Reading Segment"
    ),
}
"""The public names, by the module below this package that has them."""
_HOME_OF = {name: f"seehear.{module}" for module, names in _HOMES.items() for name in names.split()}

_RENAMED = {
    "aopen": ("seehear.async_collection", "open_async"),
    "open": ("seehear.collection", "open_collection"),
}

__all__ = ["aopen", "open", *sorted(_HOME_OF)]  # noqa: PLE0604 - strings all


if not TYPE_CHECKING:  # type checkers know the names above, and no others

    def __getattr__(name):
        from seehear.libraries import naming_faults

        home, there = _RENAMED.get(name) or (_HOME_OF.get(name), name)
        if home is None:
            raise AttributeError(f"module 'seehear' has no attribute {name!r}")
        with naming_faults():
            return getattr(importlib.import_module(home), there)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
