"""The collection that bench_ranking.py asks, filled through the stores and the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.ranking_data import Item, Remembered
from seehear.search import Engine
from seehear.search.snapshot import CollectionSnapshot
from seehear.stores import Catalog, NewContent, NewLocation, VectorCache
from seehear.types import (
    EmbeddingSpace,
    Ids,
    MediaInfo,
    Modality,
    Sample,
    Segment,
    Vectors,
    modality_of,
)


@dataclass(slots=True)
class World:
    """The collection, filled once, with every vector at hand."""

    items: list[Item]
    model: Remembered
    engine: Engine
    shelf: CollectionSnapshot
    position: dict[int, int]
    """Of an asset id among the items."""
    owners: dict[Modality, Ids]
    """Position of the item that each segment of a modality belongs to."""
    vectors: dict[tuple[EmbeddingSpace, Modality], Vectors] = field(default_factory=dict)

    def segments(self, space: EmbeddingSpace, kind: Modality) -> Vectors:
        """Vectors of all segments of a modality, in the order of `owners`."""
        if (space, kind) not in self.vectors:
            rows = [s for item in self.items for s in item.samples if modality_of(s) is kind]
            encoded = self.model.encode(kind, rows) if rows else {}
            self.vectors[space, kind] = encoded.get(space, np.zeros((0, space.dim), np.float32))
        return self.vectors[space, kind]

    def encoded(self, sample: Sample, space: EmbeddingSpace) -> NDArray[np.float32]:
        return np.asarray(self.model.encode(modality_of(sample), [sample])[space][0])


def build(items: Sequence[Item], model: Remembered, folder: Path) -> World:
    """A collection of the items, through the stores and the engine that everyone uses."""
    catalog = Catalog.open(folder)
    root = catalog.locations.add_root(folder / "media")
    spaces = list(dict.fromkeys(space for kind in Modality for space in model.spaces_of(kind)))
    generation = catalog.generations.create(model.name, model.revision, spaces)
    catalog.generations.promote(generation.id)
    position = {}
    for kind in Modality:  # encoded in batches, and remembered
        rows = [s for item in items for s in item.samples if modality_of(s) is kind]
        if rows:
            model.encode(kind, rows)
    with catalog.batch() as batch:
        for number, item in enumerate(items):
            info = MediaInfo(item.modality, "made")
            times = (0.0, 5.0) if item.modality is Modality.VIDEO else (None, None)
            segments = [Segment(modality_of(s), *times) for s in item.samples]
            rows_of: dict[EmbeddingSpace, tuple[list[int], list[Vectors]]] = {}
            for place, sample in enumerate(item.samples):
                for space, vectors in model.encode(modality_of(sample), [sample]).items():
                    places, kept = rows_of.setdefault(space, ([], []))
                    places.append(place)
                    kept.append(vectors)
            stacked = {space: (p, np.concatenate(v)) for space, (p, v) in rows_of.items()}
            content = NewContent(f"{number:064x}", 1, info, segments, stacked)
            lies_at = NewLocation(root.id, root.path / f"{number}", 1, 1, number + 1)
            (asset_id,) = batch.put_contents(generation.id, [content], [[lies_at]])
            position[asset_id] = number
    serving = catalog.generations.serving()
    assert serving is not None
    cache = VectorCache(folder, catalog, serving)
    owners = {
        kind: np.array(
            [n for n, item in enumerate(items) for s in item.samples if modality_of(s) is kind],
            dtype=np.int64,
        )
        for kind in Modality
    }
    engine = Engine(catalog, cache, model)
    catalog.generations.put_blobs(serving.id, engine.missing_calibration())
    shelf = CollectionSnapshot(catalog, cache, serving, model)
    return World(list(items), model, engine, shelf, position, owners)
