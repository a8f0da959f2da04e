"""Open a catalog in a process of its own: a module that imports little, because each loads it."""

from __future__ import annotations

from pathlib import Path

from seehear.stores import Catalog


def open_catalog(folder: Path, url: str | None = None) -> None:
    Catalog.open(folder, url=url).close()
