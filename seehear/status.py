"""Count what a collection contains: the values that `seehear status --json` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from seehear.search import Engine
    from seehear.stores import Catalog


def describe_collection(folder: Path, catalog: Catalog, engine: Engine | None) -> dict[str, Any]:
    """Return the counts, the model and the roots as plain values.

    `engine` is None if nothing is indexed.
    """
    counts = catalog.counts()
    generation = catalog.generations.serving()
    roots = catalog.locations.roots()
    return {
        "collection": str(folder),
        "model": generation.model if generation else None,
        "revision": generation.revision if generation else None,
        "assets": counts.assets - counts.subtitles,
        "segments": counts.segments,
        "by_modality": {str(kind): n for kind, n in counts.by_modality.items()},
        "subtitles": counts.subtitles,
        "locations": counts.locations,
        "files": {str(state): n for state, n in counts.files.items()},
        "failures": counts.failures,
        "unsupported": count_unsupported(catalog),
        "read": describe_readings(catalog),
        "size_bytes": counts.size_bytes,
        "index": engine.describe_index() if engine is not None else "empty",
        "roots": [{"path": str(root.path), "online": root.online} for root in roots],
    }


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
