"""Count what a collection contains: the values that `seehear status --json` prints."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from seehear.search import Engine
    from seehear.stores import Catalog


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """What a collection holds."""

    collection: str
    """Its folder."""
    model: str | None
    """The model that answers; None while nothing is indexed."""
    revision: str | None
    assets: int
    """Distinct contents, without `subtitles`."""
    segments: int
    by_modality: dict[str, int]
    """Assets of each kind."""
    subtitles: int
    """Subtitles beside videos and sounds."""
    locations: int
    """Files, and items."""
    items: int
    """What was added from memory."""
    files: dict[str, int]
    """Files that index runs met, by their state."""
    failures: int
    unsupported: dict[str, int]
    """Files of kinds that are not read, by suffix."""
    read: dict[str, dict[str, Any]]
    """How far each reader has come."""
    size_bytes: int
    index: str
    """The kinds of the vector indexes, in words."""
    roots: list[dict[str, Any]]
    """The folders that were indexed: `path`, `online`."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON, as `seehear status --json` prints it."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


def describe_collection(folder: Path, catalog: Catalog, engine: Engine | None) -> CollectionStatus:
    """Return the counts, the model and the roots. `engine` is None if nothing is indexed."""
    counts = catalog.counts()
    generation = catalog.generations.serving()
    roots = catalog.locations.roots()
    return CollectionStatus(
        collection=str(folder),
        model=generation.model if generation else None,
        revision=generation.revision if generation else None,
        assets=counts.assets - counts.subtitles,
        segments=counts.segments,
        by_modality={str(kind): n for kind, n in counts.by_modality.items()},
        subtitles=counts.subtitles,
        locations=counts.locations,
        items=catalog.items.count(),
        files={str(state): n for state, n in counts.files.items()},
        failures=counts.failures,
        unsupported=count_unsupported(catalog),
        read=describe_readings(catalog),
        size_bytes=counts.size_bytes,
        index=engine.describe_index() if engine is not None else "empty",
        roots=[{"path": str(root.path), "online": root.online} for root in roots],
    )


def describe_readings(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """Return how far each reader has come, by its name; none that was never wished."""
    wished = catalog.readings.remembered().get("read", [])
    return {
        str(reader): {
            "on": str(reader) in wished,
            "files": found.readable,
            "read": found.read,
            "found": found.done,
            "failed": found.failed,
            "passages": found.passages,
            "speech_s": round(found.passage_s, 1),
            "engines": list(found.engines),
        }
        for reader, found in catalog.readings.counts().items()
    }


def count_unsupported(catalog: Catalog) -> dict[str, int]:
    """Return the counts of files of kinds that are not read, by suffix, largest first."""
    from seehear.indexers.progress import most_common

    return most_common(catalog.locations.unsupported())
