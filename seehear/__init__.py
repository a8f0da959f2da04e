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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seehear.clips import Clip as Clip
    from seehear.clips import CutReport as CutReport
    from seehear.collection import Collection as Collection
    from seehear.collection import open_collection as open  # noqa: A004 - reads as seehear.open
    from seehear.config import Settings as Settings
    from seehear.errors import BrokenMediaError as BrokenMediaError
    from seehear.errors import CollectionClosedError as CollectionClosedError
    from seehear.errors import CollectionLockedError as CollectionLockedError
    from seehear.errors import ContentChangedError as ContentChangedError
    from seehear.errors import EnvironmentFaultError as EnvironmentFaultError
    from seehear.errors import InterruptedIndexError as InterruptedIndexError
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
    from seehear.errors import UnknownFolderError as UnknownFolderError
    from seehear.errors import UnknownItemError as UnknownItemError
    from seehear.errors import UnknownModelError as UnknownModelError
    from seehear.errors import UnsupportedMediaError as UnsupportedMediaError
    from seehear.errors import UsageError as UsageError
    from seehear.search.typicality import TypicalFile as TypicalFile
    from seehear.search.typicality import UnusualFile as UnusualFile
    from seehear.stores.catalog.records import Item as Item
    from seehear.stores.catalog.records import Page as Page
    from seehear.types import Embeddings as Embeddings
    from seehear.types import EmbeddingSpace as EmbeddingSpace
    from seehear.types import Hit as Hit
    from seehear.types import Line as Line
    from seehear.types import Modality as Modality
    from seehear.types import Query as Query
    from seehear.types import QueryPart as QueryPart
    from seehear.types import Reading as Reading

__version__ = "0.1.0"

_HOMES = {
    "seehear.clips": ("Clip", "CutReport"),
    "seehear.collection": ("Collection",),
    "seehear.config": ("Settings",),
    "seehear.errors": (
        "BrokenMediaError",
        "CollectionClosedError",
        "CollectionLockedError",
        "ContentChangedError",
        "EnvironmentFaultError",
        "InterruptedIndexError",
        "MediaError",
        "MediaLimitError",
        "ModelError",
        "ModelIntegrityError",
        "ModelUnavailableError",
        "ReaderFailedError",
        "SchemaVersionError",
        "SeehearError",
        "SpaceMismatchError",
        "StorageFullError",
        "StoreError",
        "UnknownFolderError",
        "UnknownItemError",
        "UnknownModelError",
        "UnsupportedMediaError",
        "UsageError",
    ),
    "seehear.search.typicality": ("TypicalFile", "UnusualFile"),
    "seehear.stores.catalog.records": ("Item", "Page"),
    "seehear.types": (
        "EmbeddingSpace",
        "Embeddings",
        "Hit",
        "Line",
        "Modality",
        "Query",
        "QueryPart",
        "Reading",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["open", *sorted(_HOME_OF)]  # noqa: PLE0604 - strings all


def __getattr__(name: str) -> Any:
    from seehear.libraries import naming_faults

    with naming_faults():
        if name == "open":
            return importlib.import_module("seehear.collection").open_collection
        if name in _HOME_OF:
            return getattr(importlib.import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'seehear' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
