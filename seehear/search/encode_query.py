"""From what a query asks to vectors: every sample encoded, and told which items it may meet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seehear.encoders.base import Model
from seehear.encoders.plain import encoder_errors
from seehear.errors import UsageError
from seehear.limits import QueryLimits
from seehear.types import EmbeddingSpace, Floats, Modality, Mode, Query, QueryPart, modality_of

VISION = frozenset({Modality.IMAGE, Modality.VIDEO})
MAX_WRITTEN = 32
"""Words of a part that are also looked for as they are written."""
QUERY_LIMITS = QueryLimits()
SAME_QUERY_VECTOR = 0.98
"""Samples of one part nearer to each other than this are asked once: a long shot cut in pieces,
a steady sound."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryVector:
    """One encoded sample of a part."""

    modality: Modality
    vectors: Mapping[EmbeddingSpace, Floats]
    """In each space of the modality: float32 (dim,), L2-normalised."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPart:
    """A part of the query, encoded."""

    label: str
    weight: float
    exclude: bool
    query_vectors: tuple[QueryVector, ...]
    text: str = ""
    """The words as they were written, where the part is text that a person typed."""

    def vectors_for(self, item: Modality) -> tuple[QueryVector, ...]:
        """The probes that items of one modality are compared with.

        A clip has shots and a sound track: sight meets sight and sound meets sound. A part that
        lacks the kind meets every item with what it has.
        """
        if item in VISION:
            fitting = tuple(probe for probe in self.query_vectors if probe.modality in VISION)
        elif item is Modality.AUDIO:
            fitting = tuple(
                probe for probe in self.query_vectors if probe.modality is Modality.AUDIO
            )
        else:
            fitting = ()
        return fitting or self.query_vectors


def check_options(query: Query, limits: QueryLimits = QUERY_LIMITS) -> None:
    """Check everything in a query but its parts. Raises UsageError, one line."""
    if not 1 <= query.k <= limits.k:
        raise UsageError(f"The number of hits (k) must be from 1 to {limits.k}, not {query.k}")
    if not 0.0 <= query.min_score <= 1.0:
        raise UsageError(f"The minimum score must be from 0 to 1, not {query.min_score}")
    if not 1 <= query.moments <= limits.moments:
        raise UsageError(
            f"The number of moments must be from 1 to {limits.moments}, not {query.moments}"
        )
    if query.modalities is not None and not query.modalities:
        raise UsageError(f"Choose at least one type: {', '.join(Modality)}")
    for name, hits in (("like", query.like), ("unlike", query.unlike)):
        if len(hits) > limits.likes:
            raise UsageError(f"`{name}` can have at most {limits.likes} hits, not {len(hits)}")


def check_query(query: Query, limits: QueryLimits = QUERY_LIMITS) -> None:
    """Raises UsageError, one line, for a query that makes no sense or exceeds the limits."""
    check_options(query, limits)
    if not query.parts and not query.like:
        raise UsageError("Say what to look for: words, or a photo, sound or clip")
    if len(query.parts) > limits.parts:
        raise UsageError(f"A query can have at most {limits.parts} parts, not {len(query.parts)}")
    for part in query.parts:
        if not (math.isfinite(part.weight) and 0 < part.weight <= limits.weight):
            raise UsageError(
                f"The weight of {_named(part)} must be above 0 and at most {limits.weight:g}, "
                f"not {part.weight:g}. To leave something out use --not (in Python: without)"
            )
        if any(isinstance(s, str) and len(s) > limits.text_characters for s in part.samples):
            raise UsageError(
                f"Each text of a query can have at most {limits.text_characters} characters"
            )
    wanted = [part for part in query.parts if not part.exclude]
    if not wanted and not query.like:
        raise UsageError("Say what to look for, not only what to exclude")
    for part in query.parts:
        twin = next((w for w in wanted if part.exclude and _asks_same(w, part)), None)
        if twin is not None and twin.weight <= part.weight:
            raise UsageError(
                f"{_named(part)} is both searched for and excluded. Remove one of them"
            )
        _check_content(part, query.mode)


def _check_content(part: QueryPart, mode: Mode) -> None:
    texts = [sample for sample in part.samples if isinstance(sample, str)]
    if not part.samples or (texts and not any(text.strip() for text in texts)):
        raise UsageError(f"{_named(part)} is empty. Say what to look for")
    if mode is Mode.WORDS and not _written(part):
        raise UsageError(
            f"{_named(part)} is not words, and --mode words searches by words only. Use --mode auto"
        )


def encode_query(query: Query, model: Model) -> list[EncodedPart]:
    """The parts of a query that was checked, with their vectors. Raises UsageError for a part
    that the model finds nothing in."""
    return [_encode_part(part, query.mode, model) for part in query.parts]


def _written(part: QueryPart) -> str:
    """The words of a part to look for as they are written; none for a file of media."""
    texts = [sample for sample in part.samples if isinstance(sample, str)]
    text = " ".join(texts).strip() if len(texts) == len(part.samples) else ""
    # Nothing else holds all words of a whole text file.
    return text if len(text.split()) <= MAX_WRITTEN else ""


def _encode_part(part: QueryPart, mode: Mode, model: Model) -> EncodedPart:
    text = _written(part)
    probes = () if mode is Mode.WORDS else _probes(part, model)
    if not probes and not (text and mode is not Mode.SEMANTIC):
        raise UsageError(f"{_named(part)} has nothing to search for (it is silent or empty)")
    return EncodedPart(part.label or text, part.weight, part.exclude, probes, text)


def _probes(part: QueryPart, model: Model) -> tuple[QueryVector, ...]:
    probes: list[QueryVector] = []
    for modality in Modality:
        samples = [sample for sample in part.samples if modality_of(sample) is modality]
        if not samples:
            continue
        with encoder_errors(model, modality):
            encoded = model.encode(modality, samples)
        kept: list[QueryVector] = []
        for row in range(len(samples)):
            probe = QueryVector(
                modality, {space: vectors[row] for space, vectors in encoded.items()}
            )
            if any(np.any(vector) for vector in probe.vectors.values()) and not any(
                _same(probe, other) for other in kept
            ):
                kept.append(probe)
        probes += kept
    return tuple(probes)


def _same(one: QueryVector, other: QueryVector) -> bool:
    return all(
        float(vector @ other.vectors[space]) > SAME_QUERY_VECTOR
        for space, vector in one.vectors.items()
    )


def _asks_same(one: QueryPart, other: QueryPart) -> bool:
    # Samples that are arrays are compared by identity: equal media come as the same object.
    return len(one.samples) == len(other.samples) and all(
        a is b or (isinstance(a, str) and isinstance(b, str) and a == b)
        for a, b in zip(one.samples, other.samples, strict=True)
    )


def _named(part: QueryPart) -> str:
    return f'"{part.label}"' if part.label else "A part of the query"
