"""Make passages of readings: cut their lines, and encode them with the model of a generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from seehear.config import Settings
from seehear.encoders import Model
from seehear.encoders.base import LEAST_KNOWN, known_shares
from seehear.encoders.plain import try_encoder
from seehear.indexers.progress import ProgressTracker, Stage
from seehear.libraries import fault_of
from seehear.readers import encoded_passages
from seehear.readers.records import unpack_reading
from seehear.stores import Catalog
from seehear.types import EmbeddingSpace, Modality, Origin, Reading, Segment, Vectors

_FOREIGN = "Сломанная лодыжка заживает не меньше шести недель"
"""A text that a model of English does not know."""


def reads_english_only(model: Model) -> bool:
    """Tell whether a model gives vectors to English texts alone."""
    return known_shares(model, [_FOREIGN])[0] <= LEAST_KNOWN


PassageVectors = dict[EmbeddingSpace, tuple[list[int], Vectors]]


def cut_passages(
    model: Model, reading: Reading, origin: Origin, batch_size: int
) -> tuple[list[Segment], PassageVectors]:
    """Return the passages of a reading, and the rows that a model gives them in each space.

    A model that reads English alone encodes the translation of a passage, where there is one. A
    passage that the model cannot encode is found by its words. Raises EnvironmentFaultError, and
    ModelError where the model encodes nothing.
    """
    found = encoded_passages(reading, origin)
    segments = [segment for segment, _ in found]
    english = bool(found) and reads_english_only(model)
    texts = [text if english else segment.text or "" for segment, text in found]
    rows: dict[EmbeddingSpace, list[tuple[int, Any]]] = {}
    for start in range(0, len(texts) if model.spaces_of(Modality.TEXT) else 0, batch_size):
        for at, vectors in _encoded(
            model, texts, range(start, min(start + batch_size, len(texts)))
        ):
            for space, matrix in vectors.items():
                rows.setdefault(space, []).extend(
                    (at + i, row) for i, row in enumerate(matrix) if row.any()
                )
    return segments, {
        space: ([at for at, _ in given], np.stack([row for _, row in given]))
        for space, given in rows.items()
        if given
    }


def _encoded(
    model: Model, texts: Sequence[str], wanted: range
) -> Iterator[tuple[int, Mapping[EmbeddingSpace, Vectors]]]:
    """Encode some texts: yield where each batch begins, and its rows. Halve one that fails."""
    try:
        yield wanted.start, model.encode(Modality.TEXT, [texts[at] for at in wanted])
    except Exception as error:  # caused by these texts, unless the encoder is broken
        if (fault := fault_of(error)) is not None:
            raise fault from error
        if len(wanted) == 1:
            try_encoder(model, Modality.TEXT)
            return
        middle = wanted.start + len(wanted) // 2
        yield from _encoded(model, texts, range(wanted.start, middle))
        yield from _encoded(model, texts, range(middle, wanted.stop))


def cut_stored(
    catalog: Catalog,
    model: Model,
    generation_id: int,
    settings: Settings,
    tally: ProgressTracker,
    is_stopped: Callable[[], bool],
) -> None:
    """Make the passages that a generation lacks of stored readings; nothing is read again."""
    uncut = catalog.readings.uncut(generation_id)
    if not uncut:
        return
    tally.begin(Stage.CUT, len(uncut), 0)
    for asset_id, reader in uncut:
        if is_stopped():
            return
        stored = catalog.readings.get(asset_id, reader)
        if stored is None:
            catalog.readings.discard([(asset_id, reader)])  # damaged: it is read anew
            continue
        try:
            reading = unpack_reading({"language": stored.language, "lines": stored.lines})
        except Exception:  # lines of another form
            catalog.readings.discard([(asset_id, reader)])
            continue
        segments, vectors = cut_passages(model, reading, reader, settings.batch_size)
        catalog.readings.append(generation_id, asset_id, segments, vectors)
        tally.done(0)
        tally.report()
