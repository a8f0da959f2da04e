"""What people write as arguments, as the values that the rooms take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from seehear.errors import UsageError
from seehear.types import Hit, Modality, Mode

PathLike = str | Path
Paths = PathLike | Iterable[PathLike]


def listed(text: str | Sequence[str] | None) -> list[str]:
    if text is None:
        return []
    return [text] if isinstance(text, str) else list(text)


def paths(files: Paths) -> list[PathLike]:
    return [files] if isinstance(files, str | Path) else list(files)


def folder(path: PathLike | None) -> Path | None:
    return Path(path).expanduser().absolute() if path is not None else None


def modalities(names: Iterable[str] | None) -> frozenset[Modality] | None:
    if names is None:
        return None
    try:
        return frozenset(Modality(name) for name in names)
    except ValueError as error:
        raise UsageError(f"{error}; choose of {', '.join(Modality)}") from None


def mode(name: str) -> Mode:
    try:
        return Mode(name)
    except ValueError:
        raise UsageError(f"no mode {name!r}; choose of {', '.join(Mode)}") from None


def segments(hits: Iterable[Hit | int]) -> tuple[int, ...]:
    return tuple(hit.segment_id if isinstance(hit, Hit) else hit for hit in hits)
