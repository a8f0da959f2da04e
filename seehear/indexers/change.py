"""Estimate what indexing with another model than the serving one will cost, before it begins."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from seehear import media
from seehear.config import Settings
from seehear.encoders import Model
from seehear.errors import MediaError
from seehear.indexers.generation import generations_of
from seehear.stores import Catalog, Counts
from seehear.types import Modality

TRIED_S = 5.0
"""Most seconds spent on measuring: a person waits for the answer."""

TRIED_FILES = 3
"""Files of each modality that are measured."""

LOOKED_AT = 500
"""The measured files are chosen among this many files of each root."""


@dataclass(frozen=True, slots=True)
class ModelChange:
    """The effect of a run with another model on a collection."""

    serving: str
    """The model that answers queries until the other one is complete."""
    model: str
    files: int
    """Indexed assets that the other model has not encoded yet."""
    seconds: float | None
    """Estimated from a few files of the collection; None where the model is not installed yet."""


def model_change(
    catalog: Catalog, name: str, load: Callable[[], Model] | None, settings: Settings
) -> ModelChange | None:
    """Return what a run with the model `name` would encode again, or None for nothing.

    `load` returns the model; without it nothing is measured. Nothing is encoded again where the
    model serves already, or has encoded everything that is indexed.
    """
    serving = catalog.generations.serving()
    counts = catalog.counts()
    if serving is None or serving.model == name or not counts.assets:
        return None
    files, model = counts.assets, load() if load is not None else None
    if model is not None:
        for generation in generations_of(catalog, model):
            files = min(files, len(catalog.generations.unencoded(generation.id)))
    if not files:
        return None
    seconds = None
    if model is not None:
        whole_s = measured_s(catalog, model, counts, settings)
        seconds = None if whole_s is None else whole_s * files / counts.assets
    return ModelChange(serving.model, name, files, seconds)


def measured_s(catalog: Catalog, model: Model, counts: Counts, settings: Settings) -> float | None:
    """Estimate the seconds that a model takes for all segments of the serving generation.

    Decodes and encodes some files, for about `TRIED_S` at most. None where no file can be encoded.
    """
    paths = _some_files(catalog)
    if not paths:
        return None
    spent, segments = defaultdict[Modality, float](float), Counter[Modality]()
    warm: set[Modality] = set()
    began = since = time.monotonic()
    with closing(media.decode_all(paths, model.spec, settings)) as decoded:
        for file in decoded:
            try:
                for segment, sample in file:
                    kind = segment.modality
                    if model.spaces_of(kind):
                        model.encode(kind, [sample])
                    if kind in warm:
                        spent[kind] += time.monotonic() - since
                        segments[kind] += 1
                    warm.add(kind)  # the first sample of a modality pays for loading the encoder
                    since = time.monotonic()
                    if since - began > TRIED_S:
                        break
            except MediaError:
                continue
            if since - began > TRIED_S:
                break
    if not segments:
        return None
    common = sum(spent.values()) / sum(segments.values())
    return sum(
        count * (spent[kind] / segments[kind] if segments[kind] else common)
        for kind, count in counts.segments_by_modality.items()
    )


def _some_files(catalog: Catalog) -> list[Path]:
    """Choose a few existing files of each modality, the modalities in turn."""
    found: dict[Modality, list[Path]] = {}
    for root in catalog.locations.roots():
        some = catalog.locations.in_root(root.id, most=LOOKED_AT)
        assets = catalog.assets.get_many([location.asset_id for location in some])
        for location in some:
            asset = assets.get(location.asset_id)
            if asset is None or not os.path.isfile(location.path):
                continue
            same = found.setdefault(asset.modality, [])
            if len(same) <= TRIED_FILES:  # one more than measured: the first one warms up
                same.append(location.path)
    turns = range(TRIED_FILES + 1)
    return [paths[turn] for turn in turns for paths in found.values() if turn < len(paths)]
