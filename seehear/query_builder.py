"""Make a `Query` from what people ask with: words, files, lines of both, weights and options.

Every interface builds its queries here (`build_query`) and only translates its own spelling: the
uploads of a request into samples, the labels of folders into paths.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seehear import arguments
from seehear.address import is_address
from seehear.arguments import Media, PathLike, is_held
from seehear.errors import MediaError, UsageError
from seehear.limits import QueryLimits
from seehear.sources import is_remote, path_of
from seehear.types import (
    Embeddings,
    Floats,
    Hit,
    Modality,
    Query,
    QueryPart,
    Reading,
    Sample,
    SampleSpec,
)

if TYPE_CHECKING:
    from seehear.media.workers.pool import DecodePool
    from seehear.readers import Reader

Sources = Media | Iterable[Any]
"""Files to ask with: media, or whatever else `load` makes parts of."""

PIECE_S = 300.0
"""Length of the pieces in which a sound is decoded to be heard."""
_A = {"image": "a picture", "audio": "a sound", "video": "a video", "text": "a text"}


def build_query(
    load: Callable[..., QueryPart],
    *,
    line: str | Sequence[str] = (),
    text: str | Sequence[str] | None = None,
    files: Sources = (),
    image: Sources = (),
    audio: Sources = (),
    video: Sources = (),
    weights: Sequence[float] = (),
    parts: Iterable[QueryPart] = (),
    without: str | Sequence[str] | None = None,
    without_files: Sources = (),
    k: int = 10,
    modalities: str | Iterable[str] | None = None,
    under: PathLike | None = None,
    where: str = "",
    min_score: float = 0.0,
    mode: str = "auto",
    moments: int = 1,
    diverse: bool = False,
    show_duplicates: bool = False,
    like: Iterable[Hit | int] = (),
    unlike: Iterable[Hit | int] = (),
    explain: bool = False,
    typing: bool = False,
    limits: QueryLimits = QueryLimits(),  # noqa: B008 - frozen
) -> Query:
    """Return the checked query that the arguments of `Collection.search`, and some more, ask for.

    Args:
        load: makes the part of a file; takes `weight`, `exclude` and `expected` as `file_part`.
        line: a query in one line, `2:red car + photo.jpg - night`, beside the other arguments.
        files: files of any modality; those of `image`, `audio` and `video` must be of their own.
        weights: in the order text, files, image, audio, video; parts without one weigh 1.
        parts: parts that the caller makes itself, taken after the options were checked.

    Raises UsageError for a wrong value, an empty query or one beyond the limits, and whatever
    `load` raises. Options are checked before the first file is loaded.
    """
    from seehear.search import check_options, check_query

    query = Query(
        parts=(),
        k=k,
        modalities=arguments.parse_modalities(modalities),
        under=arguments.as_folder(under),
        where=where,
        min_score=min_score,
        mode=arguments.parse_mode(mode),
        moments=moments,
        diverse=diverse,
        show_duplicates=show_duplicates,
        like=arguments.segment_ids(like),
        unlike=arguments.segment_ids(unlike),
        explain=explain,
        typing=typing,
    )
    check_options(query, limits)
    wanted = parse_query(line, load) if line else []
    by_kind = {None: files, Modality.IMAGE: image, Modality.AUDIO: audio, Modality.VIDEO: video}
    wanted += _weighted_parts(load, arguments.as_list(text), by_kind, weights)
    wanted += parts
    wanted += [
        text_part(words, exclude=True) for words in arguments.as_list(without) if words.strip()
    ]
    wanted += [load(file, exclude=True) for file in arguments.as_media(without_files)]
    query = dataclasses.replace(query, parts=tuple(wanted))
    check_query(query, limits)
    return query


def _weighted_parts(
    load: Callable[..., QueryPart],
    texts: Sequence[str],
    by_kind: Mapping[Modality | None, Sources],
    weights: Sequence[float],
) -> Iterator[QueryPart]:
    """Yield the parts of texts and files, each with the next weight; without one it is 1."""
    sources = [
        (file, kind) for kind, group in by_kind.items() for file in arguments.as_media(group)
    ]
    count = len(texts) + len(sources)
    if len(weights) > count:
        raise UsageError("There are more weights than parts. Give one weight for each part")
    padded = [*map(float, weights), *([1.0] * (count - len(weights)))]
    for words, weight in zip(texts, padded, strict=False):
        if words.strip():
            yield text_part(words, weight=weight)
    for (file, kind), weight in zip(sources, padded[len(texts) :], strict=True):
        yield load(file, weight=weight, expected=kind)


def vector_part(embeddings: Embeddings, *, weight: float = 1.0, exclude: bool = False) -> QueryPart:
    """Make a part of a query from vectors: a hit is near one of them."""
    label = f"{len(embeddings)} vector{'s' if len(embeddings) > 1 else ''}"
    return QueryPart((), weight=weight, exclude=exclude, label=label, embeddings=embeddings)


def text_part(words: str, *, weight: float = 1.0, exclude: bool = False) -> QueryPart:
    """Make a part of a query from words."""
    return QueryPart((words,), weight=weight, exclude=exclude, label=words)


def is_file(name: PathLike) -> bool:
    """Whether a name is that of a file that exists; any text at all may be asked about."""
    return os.path.isfile(os.path.expanduser(name))  # noqa: PTH111, PTH113 - these raise nothing


def names_file(name: str) -> bool:
    """Return whether a text is spelled like the path of a file: with a slash or a known suffix."""
    if "/" in name or os.sep in name:
        return True
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - any text
    if not suffix:
        return False
    from seehear.media import SUFFIXES

    return any(suffix in group for group in SUFFIXES.values())


def _no_file(file: Path) -> str:
    """Say why a name is not that of a file to ask with, and what to do."""
    if is_remote(url := path_of(file)):
        return (
            f"{url} is not on this machine, and only index runs read there: ask with a copy of it"
        )
    if os.path.isdir(file):  # noqa: PTH112 - raises nothing
        return f"{file} is a folder. Name a file in it, or search only there with --under {file}"
    if os.path.exists(file):  # noqa: PTH110 - raises nothing
        return f"{file} is a device or a pipe. Name a file"
    return f"No file {file}. Check its name, and the folder that you are in"


def media_file(words: Sequence[str]) -> Path | None:
    """Return the file of media that words, alone or together, are the name of; None for others.

    An address is returned as it is.
    """
    name = " ".join(words)
    if is_address(name) and " " not in name:
        return Path(name)
    if not words or not is_file(name):
        return None
    from seehear.media import SUFFIXES

    file = Path(name).expanduser()
    return file if any(file.suffix.lower() in group for group in SUFFIXES.values()) else None


def file_part(
    file: Media,
    spec: Callable[[], SampleSpec],
    decoder: Callable[[], DecodePool],
    *,
    weight: float = 1.0,
    exclude: bool = False,
    expected: str | None = None,
) -> QueryPart:
    """A photo, sound, clip or text; `spec` says how it is cut, once there is such a file.

    A worker of `decoder` reads it: its sender may be a stranger.

    Raises UsageError where there is no such file or it is not of the modality `expected`,
    MediaError where it cannot be read.
    """
    if is_held(file):
        from seehear.media.in_memory import label_of, written

        with written(file) as path:
            samples = _samples(path, label_of(file), spec, decoder, expected)
        return QueryPart(samples, weight=weight, exclude=exclude, label=label_of(file))
    path = arguments.media_path(file)
    if not is_file(path):
        raise UsageError(_no_file(path))
    samples = _samples(path, str(path), spec, decoder, expected)
    return QueryPart(samples, weight=weight, exclude=exclude, label=path.name)


def hear_file(
    file: Media,
    decoder: Callable[[], DecodePool],
    reader: Callable[[], AbstractContextManager[Reader]],
    *,
    start_s: float = 0.0,
    most_s: float | None = None,
    translate: bool = False,
) -> Reading:
    """Return what is said in a sound or video, from `start_s` on for at most `most_s` seconds.

    Raises UsageError for a missing file, MediaError for one without sound or that cannot be read,
    ReaderFailedError where the reader fails on it, ModelError and EnvironmentFaultError where
    there is no reader.
    """
    if is_held(file):
        from seehear.media.in_memory import written

        with written(file) as path:
            return hear_file(path, decoder, reader, most_s=most_s, translate=translate)
    path = arguments.media_path(file)
    if not is_file(path):
        raise UsageError(_no_file(path))
    from seehear.readers import audio_blocks

    with reader() as opened:
        return opened.hear(
            audio_blocks(_audio_pieces(path, decoder(), start_s, most_s)), translate=translate
        )


def _audio_pieces(
    path: Path, pool: DecodePool, start_s: float, most_s: float | None
) -> Iterator[tuple[float, Floats]]:
    """Yield the sound of a file in pieces. Raises MediaError."""
    from seehear.readers import SAMPLE_RATE_HZ

    left_s = math.inf if most_s is None else most_s
    while left_s > 0:
        piece_s = min(PIECE_S, left_s)
        try:
            piece = pool.audio(path, SAMPLE_RATE_HZ, start_s, piece_s)
        except MediaError as error:
            raise type(error)(f"{path}: {error}", stage=error.stage) from None
        yield start_s, piece.waveform
        if piece.duration_s < piece_s - 0.5 / SAMPLE_RATE_HZ:
            return
        start_s, left_s = start_s + piece_s, left_s - piece_s


def _samples(
    path: Path,
    name: str,
    spec: Callable[[], SampleSpec],
    decoder: Callable[[], DecodePool],
    expected: str | None,
) -> tuple[Sample, ...]:
    """Return the samples of a file; `name` is what messages call it."""
    try:
        pool = decoder()
        pool.prepare()  # starts while the model is loaded, which gives the spec
        modality, samples = pool.query(path, spec())
    except MediaError as error:
        named = str(error) if path.name in str(error) else f"{name}: {error}"
        raise type(error)(named, stage=error.stage) from None
    check_modality(name, modality, expected)
    return samples


def check_modality(name: str, modality: str, expected: str | None) -> None:
    """Raise UsageError for a file that is not of the modality it was given as."""
    if expected is not None and modality != (wanted := arguments.modality(expected)):
        raise UsageError(f"{name} is {_A[modality]}, not {_A[wanted]}")


def parse_query(line: str | Sequence[str], load: Callable[..., QueryPart]) -> list[QueryPart]:
    """Return the parts of a query in one line, `2:red car + photo.jpg - night`.

    A term without quotation marks that names a file goes through `load`, the others are words.
    Raises UsageError for a line that makes no sense.
    """
    from seehear.search import parse_compact

    return [
        load(term.what, weight=term.weight, exclude=term.exclude)
        if not term.quoted and (is_address(term.what) or is_file(term.what))
        else text_part(term.what, weight=term.weight, exclude=term.exclude)
        for term in parse_compact(line)
    ]
