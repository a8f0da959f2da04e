"""What people write as arguments, as the values that the rooms take."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Literal, TypeVar

from seehear.errors import UsageError
from seehear.files import check_local
from seehear.sources import is_remote, path_of
from seehear.suggestions import did_you_mean
from seehear.types import FileState, Hit, Modality, Mode

PathLike = str | Path
V = TypeVar("V")
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


_MOST_SHOWN = 60
"""Most characters of a value in a message."""

OTHER_WORDS = {
    "modalities": ("kinds",),
    "k": ("count", "limit"),
    "limit": ("count", "k"),
    "count": ("limit", "k"),
    "kinds": ("modalities",),
    "top": ("count", "limit", "k"),
}
"""By the name of an argument, what the other interfaces call the same thing (docs/searching.md)."""


def in_own_words(method: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return named arguments by the names that a method has for them.

    Raises UsageError where a thing is given twice.
    """
    code = method.__code__
    own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    for name in own:
        for other in OTHER_WORDS.get(name, ()):
            if other in given and other not in own:
                if name in given:
                    raise UsageError(same_thing(name, other))
                given = {name if key == other else key: value for key, value in given.items()}
    return given


def shown(value: object) -> str:
    """Return what a message says of a value: a few characters of one line."""
    if isinstance(value, str):
        short = value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}…"
        return f'"{"".join(one if one.isprintable() else ascii(one)[1:-1] for one in short)}"'
    if value is None or isinstance(value, bool | int | float):
        return f"{value!r:.{_MOST_SHOWN}}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def same_thing(name: str, other: str) -> str:
    """Return the sentence about two names of one thing that are given together."""
    return f"{name} and {other} are the same: give one of them"


def own_named(given: Iterable[tuple[str, V]], own: Iterable[str], what: str) -> list[tuple[str, V]]:
    """Return named values by the names in `own`, for which the words of `OTHER_WORDS` may stand.

    Raises UsageError for a name that is not there, which `what` says ("search_media has no
    argument"), and for two names of one thing.
    """
    names = dict.fromkeys(own)
    words = {word: name for name in names for word in OTHER_WORDS.get(name, ())}
    words |= {name: name for name in names}
    told: dict[str, str] = {}
    found = []
    for word, value in given:
        name = words.get(word)
        if name is None:
            hint = did_you_mean(word, words)
            raise UsageError(f"{what} {shown(word)}.{hint} It has {', '.join(names) or 'none'}")
        if told.setdefault(name, word) != word:
            raise UsageError(same_thing(told[name], word))
        found.append((name, value))
    return found


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
    return path_of(path).expanduser()


def as_output(path: PathLike) -> Path:
    """Return the path of what is to be written, with ~ expanded. Raises UsageError for a URL."""
    check_local(path)
    return as_path(path)


def media_path(value: Media) -> Path:
    """Return the path of a medium that is not in memory, with ~ expanded.

    Raises UsageError for a value that is no medium.
    """
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{shown(value)} is no file to search by; {KINDS_OF_MEDIA}")
    return Path(os.path.expanduser(value))  # noqa: PTH111 - raises nothing


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
        raise UsageError(f"{shown(files)} is no file to search by; {KINDS_OF_MEDIA}")
    return list(files)


def as_folder(path: PathLike | None) -> Path | None:
    if path is None:
        return None
    folder = path_of(path)
    return Path(os.path.expanduser(folder)).absolute() if not is_remote(folder) else folder  # noqa: PTH111 - raises nothing


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
