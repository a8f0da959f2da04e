"""What people ask with, as the parts of a query: words, files, and whole lines of both."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from seehear import arguments
from seehear.arguments import PathLike, Paths
from seehear.errors import MediaError, UsageError
from seehear.types import QueryPart, SampleSpec

_A = {"image": "a picture", "audio": "a sound", "video": "a video", "text": "a text"}


def text_part(words: str, *, weight: float = 1.0, exclude: bool = False) -> QueryPart:
    return QueryPart((words,), weight=weight, exclude=exclude, label=words)


def is_file(name: PathLike) -> bool:
    """Whether a name is that of a file that exists; any text at all may be asked about."""
    return os.path.isfile(os.path.expanduser(name))  # noqa: PTH111, PTH113 - these raise nothing


def media_file(words: Sequence[str]) -> Path | None:
    """Return the file of media that words, alone or together, are the name of; None for others."""
    name = " ".join(words)
    if not words or not is_file(name):
        return None
    from seehear.media import SUFFIXES

    file = Path(name).expanduser()
    return file if any(file.suffix.lower() in group for group in SUFFIXES.values()) else None


def file_part(
    path: PathLike,
    spec: Callable[[], SampleSpec],
    *,
    weight: float = 1.0,
    exclude: bool = False,
    expected: str | None = None,
) -> QueryPart:
    """A photo, sound, clip or text file; `spec` says how it is cut, once there is such a file.

    Raises UsageError where there is no such file or it is not of the modality `expected`,
    MediaError where it cannot be read.
    """
    from seehear import media

    file = Path(os.path.expanduser(path))  # noqa: PTH111 - raises nothing
    if not is_file(file):
        raise UsageError(f"No file {file}")
    try:
        modality, samples = media.query_samples(file, spec())
    except MediaError as error:
        named = str(error) if file.name in str(error) else f"{file}: {error}"
        raise type(error)(named, stage=error.stage) from None
    if expected is not None and modality != expected:
        raise UsageError(f"{file} is {_A[modality]}, not {_A[expected]}")
    return QueryPart(samples, weight=weight, exclude=exclude, label=file.name)


def parse_query(line: str | Sequence[str], load: Callable[[str], QueryPart]) -> list[QueryPart]:
    """A query in one line, `2:red car + photo.jpg - night`; names of files go through `load`."""
    from seehear.search import parse_compact, terms_to_parts

    return list(terms_to_parts(parse_compact(line), is_file, load))


def build_parts(
    load: Callable[..., QueryPart],
    *,
    text: str | Sequence[str] | None = None,
    image: Paths = (),
    audio: Paths = (),
    video: Paths = (),
    without: str | Sequence[str] = (),
    without_files: Paths = (),
) -> tuple[QueryPart, ...]:
    """The arguments of `Collection.search` that say what to find; `load` makes parts of files,
    and takes `expected` and `exclude` as `of_file` does."""
    parts = [text_part(words) for words in _said(text)]
    for kind, files in (("image", image), ("audio", audio), ("video", video)):
        parts += [load(file, expected=kind) for file in arguments.as_paths(files)]
    parts += [text_part(words, exclude=True) for words in _said(without)]
    parts += [load(file, exclude=True) for file in arguments.as_paths(without_files)]
    return tuple(parts)


def _said(text: str | Sequence[str] | None) -> list[str]:
    return [words for words in arguments.as_list(text) if words.strip()]
