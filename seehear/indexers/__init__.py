"""Bring a collection up to date with folders: scan, diff, decode, encode, write.

`index` brings a collection up to date, `watch` keeps it up to date, `verify` checks it, and
`rehash` reads all files again and compares. They are imported when first used, so that importing
this package loads neither the stores nor the decoders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seehear.indexers.progress import (
    FailedFile,
    IndexReport,
    OfflineRoot,
    Progress,
    ReaderReport,
    ReadReport,
    Stage,
)

if TYPE_CHECKING:
    from seehear.indexers.change import ModelChange, model_change
    from seehear.indexers.pipeline import index
    from seehear.indexers.rehashing import FileMismatch, RehashReport, rehash
    from seehear.indexers.verification import IndexCheck, Verification, verify
    from seehear.indexers.watcher import watch

__all__ = [
    "FailedFile",
    "FileMismatch",
    "IndexCheck",
    "IndexReport",
    "ModelChange",
    "OfflineRoot",
    "Progress",
    "ReadReport",
    "ReaderReport",
    "RehashReport",
    "Stage",
    "Verification",
    "index",
    "model_change",
    "rehash",
    "verify",
    "watch",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    homes = {
        "index": "pipeline",
        "model_change": "change",
        "rehash": "rehashing",
        "verify": "verification",
        "watch": "watcher",
        "FileMismatch": "rehashing",
        "ModelChange": "change",
        "IndexCheck": "verification",
        "RehashReport": "rehashing",
        "Verification": "verification",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"seehear.indexers.{homes[name]}"), name)
