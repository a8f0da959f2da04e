"""Define the two protocols: an encoder fills one space, a model answers every route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from seehear.errors import SpaceMismatchError
from seehear.types import (
    EmbeddingSpace,
    ImageSample,
    Modality,
    Sample,
    SampleSpec,
    Vectors,
    VideoSample,
)

LEAST_KNOWN = 0.5
"""A text of which an encoder knows no more than this share gets no vector."""


class Encoder(Protocol):
    """Maps samples of some modalities into one embedding space."""

    @property
    def space(self) -> EmbeddingSpace: ...

    @property
    def modalities(self) -> frozenset[Modality]: ...

    @property
    def spec(self) -> SampleSpec: ...

    def encode(self, modality: Modality, samples: Sequence[Sample]) -> Vectors:
        """Embed samples of one modality: float32 (n, dim), L2-normalised, in order.

        A sample without content (silence, an empty text, one in a language that the encoder does
        not read) gives a row of zeros, which is near no vector. Raises UsageError for a modality
        that this encoder does not have.
        """
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """The space that answers queries of one modality over items of another."""

    query: Modality
    item: Modality
    space: EmbeddingSpace

    @property
    def name(self) -> str:
        return f"{self.query}->{self.item}"


class Model(Protocol):
    """What a user names: encoders and bridges that together answer all sixteen routes.

    A segment has one vector in every space that `spaces_of` its modality lists, natively or over
    a bridge, so a route only chooses among the spaces that both modalities share.
    """

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str:
        """A text that changes whenever any vector may change."""
        ...

    @property
    def spec(self) -> SampleSpec: ...

    def spaces_of(self, modality: Modality) -> tuple[EmbeddingSpace, ...]:
        """Return the spaces in which samples of this modality have a vector."""
        ...

    def route(self, query: Modality, item: Modality) -> Route:
        """Return the route for queries of one modality over items of another."""
        ...

    def encode(
        self, modality: Modality, samples: Sequence[Sample]
    ) -> Mapping[EmbeddingSpace, Vectors]:
        """Embed samples of one modality into each of its spaces: float32 (n, dim) each."""
        ...


@runtime_checkable
class Loads(Protocol):
    """An encoder or a model that loads its libraries and weights when they are first needed."""

    def load(self, modality: Modality) -> None:
        """Load what encoding a modality needs, ahead of time. Raises any error of loading."""
        ...


@runtime_checkable
class JudgesTexts(Protocol):
    """An encoder or a model of one language, which tells how much of a text it can know."""

    def known_shares(self, texts: Sequence[str]) -> list[float]:
        """Return how much of each text it knows, from 0 to 1."""
        ...


@runtime_checkable
class Localizes(Protocol):
    """An encoder or a model whose patches of an image tell where a thing is, as was measured."""

    def encode_patches(self, image: ImageSample) -> Vectors | None:
        """Embed what is seen in each patch: float32 (rows, columns, dim), or None."""
        ...


def encode_patches(encoder: Encoder | Model, image: ImageSample) -> Vectors | None:
    """Return a vector of each patch of an image, in the space of images; None without any."""
    return encoder.encode_patches(image) if isinstance(encoder, Localizes) else None


def known_shares(encoder: Encoder | Model, texts: Sequence[str]) -> list[float]:
    """Return how much of each text an encoder or a model knows, 0 to 1; 1 if it cannot tell."""
    return encoder.known_shares(texts) if isinstance(encoder, JudgesTexts) else [1.0] * len(texts)


class SingleSpaceModel:
    """A model of one encoder that covers its modalities by itself."""

    def __init__(self, name: str, encoder: Encoder) -> None:
        self._name = name
        self._encoder = encoder

    @property
    def name(self) -> str:
        return self._name

    @property
    def revision(self) -> str:
        return self._encoder.space.revision

    @property
    def spec(self) -> SampleSpec:
        return self._encoder.spec

    def spaces_of(self, modality: Modality) -> tuple[EmbeddingSpace, ...]:
        return (self._encoder.space,) if modality in self._encoder.modalities else ()

    def route(self, query: Modality, item: Modality) -> Route:
        missing = {query, item} - self._encoder.modalities
        if missing:
            raise SpaceMismatchError(
                f"model {self._name} does not encode {' or '.join(sorted(missing))}; "
                "choose a model that does (see `seehear models`)"
            )
        return Route(query, item, self._encoder.space)

    def load(self, modality: Modality) -> None:
        """Load what the encoder needs for a modality, if it can load ahead of time."""
        if isinstance(self._encoder, Loads):
            self._encoder.load(modality)

    def known_shares(self, texts: Sequence[str]) -> list[float]:
        """Return how much of each text the encoder knows, from 0 to 1."""
        return known_shares(self._encoder, texts)

    def encode_patches(self, image: ImageSample) -> Vectors | None:
        """Embed what is seen in each patch of an image, if the encoder can."""
        return encode_patches(self._encoder, image)

    def encode(
        self, modality: Modality, samples: Sequence[Sample]
    ) -> Mapping[EmbeddingSpace, Vectors]:
        return {self._encoder.space: self._encoder.encode(modality, samples)}


def normalised(rows: NDArray[np.floating[Any]]) -> Vectors:
    """Scale rows to unit length, float32 (n, dim); rows of zeros stay zeros."""
    vectors = np.asarray(rows, dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 1e-12)
    return unit


def shot_vectors(shots: Sequence[VideoSample], frames: Vectors) -> Vectors:
    """Return the renormalised mean of each shot's frames: float32 (n, dim).

    frames: float32 (m, dim), the vectors of the frames of all shots, in order.
    """
    ends = np.cumsum([len(shot.frames) for shot in shots])
    means = [part.mean(axis=0) for part in np.split(frames, ends[:-1])] if shots else []
    return normalised(np.array(means, dtype=np.float32).reshape(len(shots), frames.shape[1]))
