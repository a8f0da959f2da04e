"""What people write as arguments, as the values that the rooms take."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Literal

from seehear.errors import UsageError
from seehear.suggestions import did_you_mean
from seehear.types import FileState, Hit, Modality, Mode

PathLike = str | Path
Media = Any
"""A file's path, or what a program holds: bytes, an open file, a data URL, a PIL image, an array of
pixels, or a sound as (samples, rate_hz); see `media/in_memory.py`."""

ModalityName = Literal[
    "text", "image", "audio", "video", "texts", "images", "photos", "sounds", "videos", "films"
]
"""The words for a modality that type checkers know; more are understood, such as "songs"."""
Modalities = ModalityName | Modality | Iterable[ModalityName | Modality]
"""One or several kinds."""
ModeName = Literal["auto", "semantic", "words"] | Mode

KINDS_OF_MEDIA = (
    "give a path, bytes, an open file, a data URL, a PIL image, uint8 pixels or (samples, rate_hz)"
)

_WORDS = {
    Modality.IMAGE: "image picture photo photograph pic",
    Modality.AUDIO: "audio sound song recording music",
    Modality.VIDEO: "video film movie clip",
    Modality.TEXT: "text note document doc",
}
MODALITY_WORDS: dict[str, Modality] = {
    spelled: kind
    for kind, words in _WORDS.items()
    for word in words.split()
    for spelled in (word, word + "s")
}
"""Every word for a modality, in the singular and the plural."""


def as_list(text: str | Sequence[str] | None) -> list[str]:
    if text is None:
        return []
    return [text] if isinstance(text, str) else list(text)


def as_names(names: str | Sequence[str] | None) -> list[str] | None:
    """Return the names in a text such as "speech,writing", or in a list; None for None."""
    if names is None:
        return None
    parts = names.split(",") if isinstance(names, str) else names
    return [part.strip() for part in parts if part.strip()]


def as_path(path: PathLike) -> Path:
    """Return a path with ~ expanded. Raises UsageError for an empty one, which Python takes for the
    current folder."""
    if not os.fspath(path):
        raise UsageError("the path is empty")
    return Path(path).expanduser()


def is_held(value: Any) -> bool:
    """Return whether a value is media in memory, and not a path or several of either."""
    if isinstance(value, str):
        return value[:5].casefold() == "data:"
    if isinstance(value, bytes | bytearray | memoryview) or hasattr(value, "__array__"):
        return True
    return is_waveform(value) or is_pil(value) or hasattr(value, "read")


def is_pil(value: Any) -> bool:
    """Return whether a value is an image of PIL, without loading PIL to know it."""
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(value, pil.Image)


def is_waveform(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and hasattr(value[0], "__array__")
        and isinstance(value[1], Real)
    )


def as_media(files: Media | Iterable[Media]) -> list[Media]:
    """Return one or several media as a list. Raises UsageError for a value that is neither."""
    if isinstance(files, str | Path) or is_held(files):
        return [files]
    if not isinstance(files, Iterable):
        raise UsageError(f"a {type(files).__name__} is no file to search by; {KINDS_OF_MEDIA}")
    return list(files)


def as_folder(path: PathLike | None) -> Path | None:
    if path is None:
        return None
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 - raises nothing


def modality(word: str) -> Modality:
    """Return the modality that a word such as "photos" means. Raises UsageError for another."""
    known = MODALITY_WORDS.get(word.strip().casefold())
    if known is None:
        hint = did_you_mean(word.removesuffix("s"), " ".join(_WORDS.values()).split())
        raise UsageError(f'No type "{word}".{hint} The types are {", ".join(_WORDS)}')
    return known


def parse_modalities(names: str | Iterable[str] | None) -> frozenset[Modality] | None:
    """Return the modalities that words name, one by one or in a text with commas; None for None.

    Raises UsageError for a word that names none.
    """
    if names is None:
        return None
    if isinstance(names, str):
        names = [word for word in names.split(",") if word.strip()]
    return frozenset(modality(name) for name in names)


def parse_states(names: str | Iterable[str]) -> frozenset[FileState]:
    """Return the states of files that words name, as `parse_modalities` does for types."""
    if isinstance(names, str):
        names = [word for word in names.split(",") if word.strip()]
    states = {state.value: state for state in FileState}
    found = set()
    for name in names:
        word = "_".join(name.casefold().replace("-", " ").replace("_", " ").split())
        if word not in states:
            hint = did_you_mean(word, states)
            raise UsageError(f'No state "{name}".{hint} The states are {", ".join(states)}')
        found.add(states[word])
    return frozenset(found)


def parse_mode(name: str) -> Mode:
    try:
        return Mode(name)
    except ValueError:
        hint = did_you_mean(name, Mode)
        raise UsageError(f'No mode "{name}".{hint} The modes are {", ".join(Mode)}') from None


MOST_ROWS = 1_000
"""Most rows of one page of a list."""


def page_start(limit: int, cursor: str | None) -> int:
    """Return the id behind which a page begins. Raises UsageError for a cursor that none has."""
    if not 1 <= limit <= MOST_ROWS:
        raise UsageError(f"limit goes from 1 to {MOST_ROWS:,}, not {limit}")
    if cursor is None:
        return 0
    digits = cursor.removeprefix("after-") if isinstance(cursor, str) else ""
    if digits == cursor or not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise UsageError(f'No cursor "{cursor}". Give the cursor of the page before')
    return int(digits)


def next_cursor(last_id: int) -> str:
    """Return the cursor of the page behind an id."""
    return f"after-{last_id}"


def segment_ids(hits: Iterable[Hit | int]) -> tuple[int, ...]:
    return tuple(hit.segment_id if isinstance(hit, Hit) else hit for hit in hits)
