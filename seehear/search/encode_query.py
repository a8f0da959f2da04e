"""Check a query and encode its parts: words and samples become vectors in each space."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from seehear.encoders.base import LEAST_KNOWN, Model, known_shares, normalised
from seehear.encoders.languages import guess_language
from seehear.encoders.model_cards import MULTILINGUAL
from seehear.encoders.plain import encoder_errors
from seehear.errors import SpaceMismatchError, UsageError
from seehear.limits import QueryLimits
from seehear.search.calibration.baseline import Presence, SegmentKind
from seehear.types import (
    Embeddings,
    EmbeddingSpace,
    Ids,
    Modality,
    Mode,
    Origin,
    Query,
    QueryPart,
    Sample,
    Vectors,
    modality_of,
)

VISION = frozenset({Modality.IMAGE, Modality.VIDEO})
MAX_WRITTEN = 32
"""Most words of a part that are also looked up as they are written."""
QUERY_LIMITS = QueryLimits()
BARE_WORDS = 2
"""Most words of a text that is no sentence: models learn from sentences, and a word alone lies far
from what it names."""
PATTERNS = (
    "{}",
    "a photo of {}",
    "a picture of {}",
    "a video of {}",
    "the sound of {}",
)
"""Sentences for bare words (as Radford et al., 2021, average them for names of classes)."""
SAME_QUERY_VECTOR = 0.98
"""Cosine from which two samples of one part count as one: pieces of a long shot, a steady tone."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPart:
    """One part of a query in the form that segments are compared with."""

    label: str
    weight: float
    """Above 0; the other parts have weights of their own."""
    exclude: bool
    vectors: Mapping[Modality, Mapping[EmbeddingSpace, Vectors]]
    """Of the part's samples, by their modality and by space: float32 (samples, dim)."""
    text: str = ""
    """The words of the part as a person typed them; "" for a file of media."""
    presence: Mapping[SegmentKind, Presence] = field(default_factory=dict)
    """By kind of segment, what the whole collection holds that is like the part."""
    known: float = 1.0
    """How much of the part's texts the model knows, in (0, 1]; 1 without texts."""
    word_ids: Ids = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Ascending ids of the segments that contain the words: int64 (m,)."""
    word_scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """What each of those matches is worth, in [0, 1]: float64 (m,)."""
    word_kinds: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, dtype=np.int8))
    """What kind of match it is, as its index in `lexical.MATCHES`: int8 (m,)."""

    def modalities_for(self, item: Modality, origin: Origin | None = None) -> list[Modality]:
        """Return the modalities of the samples that segments of one modality are compared with.

        The shots of a video are compared with images and shots, its audio track with audio. A part
        without a sample of the fitting kind is compared by all its samples. What is said or
        written in a file is compared with words alone: a picture or a sound is not asked by it.
        """
        if origin is not None:
            return [one for one in self.vectors if one is Modality.TEXT]
        fitting = VISION if item in VISION else {item} & {Modality.AUDIO}
        return [one for one in self.vectors if one in fitting] or list(self.vectors)


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
    """Check a whole query. Raises UsageError, one line, if it makes no sense or is too large."""
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
    texts = _texts(part)
    if part.embeddings is not None:
        _check_vectors(part.embeddings)
    elif not part.samples or (texts and not any(text.strip() for text in texts)):
        raise UsageError(f"{_named(part)} is empty. Say what to look for")
    if mode is Mode.WORDS and not _written(part):
        raise UsageError(
            f"{_named(part)} is not words, and --mode words searches by words only. Use --mode auto"
        )


def _check_vectors(asked: Embeddings) -> None:
    for space, rows in asked.vectors.items():
        if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != space.dim:
            raise UsageError(
                f"Vectors of {space.name} are float32 (n, {space.dim}), "
                f"not {rows.dtype} {rows.shape}"
            )
        if not np.isfinite(rows).all():
            raise UsageError("The vectors have values that are NaN or infinite")


def encode_query(query: Query, model: Model) -> list[EncodedPart]:
    """Return the parts of a checked query with their vectors.

    A part in words that the model does not know has no vectors. Raises UsageError for a part
    without content, such as a silent recording, or for which neither vectors nor words can answer.
    """
    return [_encode_part(part, query.mode, model, _is_alone(query)) for part in query.parts]


def _written(part: QueryPart) -> str:
    """Return the words of a part to look up as they are written; "" for a file of media."""
    texts = _texts(part)
    text = " ".join(texts).strip() if len(texts) == len(part.samples) else ""
    # Only the file itself contains all words of a whole text file.
    return text if len(text.split()) <= MAX_WRITTEN else ""


def _encode_part(part: QueryPart, mode: Mode, model: Model, alone: bool) -> EncodedPart:
    text = _written(part)
    vectors = {} if mode is Mode.WORDS else _encode_samples(part, model, alone)
    if not vectors and not (text and mode is not Mode.SEMANTIC):
        if unread := unread_part(part, model):
            raise UsageError(unread)
        raise UsageError(f"{_named(part)} has nothing to search for (it is silent or empty)")
    shares = known_shares(model, _texts(part))
    known = sum(shares) / len(shares) if shares and vectors else 1.0
    return EncodedPart(part.label or text, part.weight, part.exclude, vectors, text, known=known)


def language_notes(query: Query, model: Model) -> list[str]:
    """Return a sentence for each part of a query in a language that the model does not read."""
    if query.mode is Mode.WORDS:
        return []
    return list(filter(None, (unread_part(part, model) for part in query.parts)))


def unread_part(part: QueryPart, model: Model) -> str:
    """Return which language a part of texts is in, if the model does not read it; else ""."""
    texts = _texts(part)
    shares = known_shares(model, texts)
    if not texts or len(texts) < len(part.samples) or max(shares) > LEAST_KNOWN:
        return ""
    guess = guess_language(" ".join(texts))
    language = guess.name if guess else "another language"
    return (
        f"{model.name} reads English, and {_named(part)} looks like {language}: only words as they "
        f"are written can be found. The model {MULTILINGUAL.name} reads "
        f"{guess.name if guess else 'many languages'} (seehear upgrade --model {MULTILINGUAL.name})"
    )


def _texts(part: QueryPart) -> list[str]:
    return [sample for sample in part.samples if isinstance(sample, str)]


def _encode_samples(
    part: QueryPart, model: Model, alone: bool
) -> dict[Modality, dict[EmbeddingSpace, Vectors]]:
    found: dict[Modality, dict[EmbeddingSpace, Vectors]] = {}
    if part.embeddings is not None:
        return _of_model(part.embeddings, model)
    for modality in Modality:
        samples = [sample for sample in part.samples if modality_of(sample) is modality]
        if not samples:
            continue
        with encoder_errors(model, modality):
            encoded = _encode(modality, samples, model, alone)
        if rows := _distinct_rows(list(encoded.values())):
            found[modality] = {space: vectors[rows] for space, vectors in encoded.items()}
    return found


def _of_model(asked: Embeddings, model: Model) -> dict[Modality, dict[EmbeddingSpace, Vectors]]:
    """Return given vectors by space, without those that say nothing new.

    Raises UsageError unless they are from this model.
    """
    wanted = model.spaces_of(asked.modality)
    if missing := [space.key for space in wanted if space not in asked.vectors]:
        given = ", ".join(space.key for space in asked.vectors)
        raise UsageError(f"The vectors are of {given}. The model {model.name} needs {missing[0]}")
    vectors = {space: normalised(asked.vectors[space]) for space in wanted}
    rows = _distinct_rows(list(vectors.values()))
    return (
        {asked.modality: {space: found[rows] for space, found in vectors.items()}} if rows else {}
    )


def _encode(
    modality: Modality, samples: Sequence[Sample], model: Model, alone: bool
) -> Mapping[EmbeddingSpace, Vectors]:
    """Encode samples; bare words that stand alone by the mean of the sentences of `PATTERNS`.

    Beside another part they stay bare: what all means have in common would count in both.
    """
    sentences = _sentences(samples, model, alone)
    encoded = model.encode(modality, [one for several in sentences for one in several])
    return _means(encoded, sentences)


def _sentences(samples: Sequence[Sample], model: Model, alone: bool) -> list[list[Sample]]:
    """Return what is encoded for each sample."""
    texts = [sample for sample in samples if isinstance(sample, str)]
    bare = [
        alone and _is_bare(text) and share > LEAST_KNOWN
        for text, share in zip(texts, known_shares(model, texts), strict=True)
    ]
    if not any(bare):
        return [[sample] for sample in samples]
    return [
        [pattern.format(text.strip()) for pattern in PATTERNS] if is_bare else [text]
        for text, is_bare in zip(texts, bare, strict=True)
    ]


def _means(
    encoded: Mapping[EmbeddingSpace, Vectors], sentences: Sequence[Sequence[Sample]]
) -> Mapping[EmbeddingSpace, Vectors]:
    """Return the mean of what was encoded for each sample."""
    if all(len(several) == 1 for several in sentences):
        return encoded
    starts = np.cumsum([0, *map(len, sentences[:-1])])
    return {space: normalised(np.add.reduceat(rows, starts)) for space, rows in encoded.items()}


def encode_together(queries: Sequence[Query], model: Model, batch_size: int) -> list[Query]:
    """Return checked queries whose parts have the vectors that `encode_query` would give them.

    Parts with samples of several modalities, such as films with sound, are left as they are.
    """
    parts: dict[Modality, dict[tuple[int, bool], QueryPart]] = {}
    for query in queries:
        alone = _is_alone(query)
        for part in query.parts if query.mode is not Mode.WORDS else ():
            kinds = {modality_of(sample) for sample in part.samples}
            if len(kinds) == 1 and part.embeddings is None:
                parts.setdefault(kinds.pop(), {})[id(part), alone] = part
    made: dict[tuple[int, bool], Embeddings] = {}
    for modality, group in parts.items():
        several = [_sentences(part.samples, model, alone) for (_, alone), part in group.items()]
        flat = [sample for sentences in several for texts in sentences for sample in texts]
        with encoder_errors(model, modality):
            blocks = [
                model.encode(modality, flat[start : start + batch_size])
                for start in range(0, len(flat), batch_size)
            ]
        rows = {space: np.concatenate([block[space] for block in blocks]) for space in blocks[0]}
        first = 0
        for key, sentences in zip(group, several, strict=True):
            last = first + sum(map(len, sentences))
            own = {space: found[first:last] for space, found in rows.items()}
            made[key] = Embeddings(modality, _means(own, sentences))
            first = last
    return [
        replace(
            query,
            parts=tuple(
                _with(part, made.get((id(part), _is_alone(query)))) for part in query.parts
            ),
        )
        for query in queries
    ]


def _with(part: QueryPart, embeddings: Embeddings | None) -> QueryPart:
    return part if embeddings is None else replace(part, embeddings=embeddings)


def _is_alone(query: Query) -> bool:
    return len(query.parts) == 1 and not query.like and not query.unlike


def embed_each(modality: Modality, things: Sequence[Sequence[Sample]], model: Model) -> Embeddings:
    """Encode things, each by its samples of one modality: the mean where there are several."""
    own = [[one for one in samples if modality_of(one) is modality] for samples in things]
    starts = np.cumsum([0, *map(len, own[:-1])])
    with encoder_errors(model, modality):
        encoded = model.encode(modality, [one for samples in own for one in samples])
    return Embeddings(
        modality,
        {space: normalised(np.add.reduceat(rows, starts)) for space, rows in encoded.items()},
    )


def check_embeddings(given: Embeddings, model: Model) -> dict[EmbeddingSpace, Vectors]:
    """Return vectors of things as a collection keeps them: float32 (n, dim) of length 1.

    Raises SpaceMismatchError where they are not in the spaces of the model, UsageError for vectors
    of another shape, without length or not finite.
    """
    wanted = model.spaces_of(given.modality)
    if set(given.vectors) != set(wanted):
        raise SpaceMismatchError(
            f"{given.modality} vectors of this collection are in the space "
            f"{_listed(wanted)}, these are in {_listed(given.vectors)}"
        )
    found = {}
    for space in wanted:
        rows = np.asarray(given.vectors[space])
        if rows.shape != (len(given), space.dim) or rows.dtype.kind != "f":
            raise UsageError(
                f"vectors of {space.key} are float32 ({len(given)}, {space.dim}), "
                f"not {rows.dtype} {rows.shape}"
            )
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
        bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
        if bad.size:
            raise UsageError(f"vector {int(bad[0])} of {space.key} is zero or not finite")
        found[space] = (rows / lengths[:, None]).astype(np.float32)
    return found


def _listed(spaces: Iterable[EmbeddingSpace]) -> str:
    return ", ".join(space.key for space in spaces) or "none"


def _is_bare(text: str) -> bool:
    return 0 < len(text.split()) <= BARE_WORDS


def _distinct_rows(spaces: Sequence[Vectors]) -> list[int]:
    """Return the samples that have content and differ, in some space, from those before them."""
    kept: list[int] = []
    for row in range(len(spaces[0])):
        seen = any(
            all(float(vectors[row] @ vectors[other]) > SAME_QUERY_VECTOR for vectors in spaces)
            for other in kept
        )
        if not seen and any(np.any(vectors[row]) for vectors in spaces):
            kept.append(row)
    return kept


def _asks_same(one: QueryPart, other: QueryPart) -> bool:
    # Samples that are arrays are compared by identity: equal media come as the same object.
    return len(one.samples) == len(other.samples) and all(
        a is b or (isinstance(a, str) and isinstance(b, str) and a == b)
        for a, b in zip(one.samples, other.samples, strict=True)
    )


def _named(part: QueryPart) -> str:
    return f'"{part.label}"' if part.label else "A part of the query"
