"""A user's own pairs: JSON Lines of {"path": FILE, "text": SENTENCE}, read and decoded."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seehear import media
from seehear.errors import MediaError, UsageError
from seehear.libraries import fault_of
from seehear.training.prepare import Pictures, Sounds, square
from seehear.training.shards import ShardItem
from seehear.types import Modality

SAMPLE_RATE_HZ = 16_000
_LONGEST_S = 60.0
_NO_CLASSES = np.zeros((0, 0), np.float16)


@dataclass(frozen=True, slots=True)
class SkippedPair:
    """A line of the pairs file that could not be used."""

    line: int
    path: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.path or 'no path'}: {self.reason}"


@dataclass(frozen=True, slots=True)
class OwnPairs:
    """The decoded files, each with all that is said about it."""

    pictures: Pictures
    sounds: Sounds
    skipped: tuple[SkippedPair, ...]
    pairs: int
    """How many pairs of those files there are."""


def read_pairs(pairs: Path, px: int, val_share: float, *, strict: bool = False) -> OwnPairs:
    """Read a pairs file and decode what it names; paths are relative to the file.

    Pictures are squashed to `px` squares. A file may stand on several lines, with a sentence each.
    About `val_share` of the files, drawn by their names, get the split "val". Lines that cannot
    be used are listed; with `strict` the first of them raises UsageError, as a pairs file that
    cannot be read at all does.
    """
    skipped: list[SkippedPair] = []
    sentences = _sentences(pairs, skipped)
    seen: dict[str, NDArray[np.uint8]] = {}
    heard: dict[str, NDArray[np.int16]] = {}
    for path, (line, _) in list(sentences.items()):
        if strict and skipped:
            break
        try:
            modality = media.probe(pairs.parent / path).modality
            if modality is Modality.IMAGE:
                seen[path] = square(media.load_image(pairs.parent / path, px).pixels, px)
            elif modality is Modality.AUDIO:
                sound = media.load_audio(pairs.parent / path, SAMPLE_RATE_HZ, max_s=_LONGEST_S)
                heard[path] = (np.clip(sound.waveform, -1, 1) * 32767).astype(np.int16)
            else:
                skipped.append(SkippedPair(line, path, f"{modality} is not trained on"))
        except (MediaError, OSError) as error:
            if (fault := fault_of(error)) is not None:
                raise fault from error
            reason = error.strerror if isinstance(error, OSError) else None
            skipped.append(SkippedPair(line, path, " ".join((reason or str(error)).split())))
    if strict and skipped:
        raise UsageError(f"{pairs}, {skipped[0]}")
    said = {path: tuple(texts) for path, (_, texts) in sentences.items()}
    pixels = np.stack(list(seen.values())) if seen else np.zeros((0, px, px, 3), np.uint8)
    lengths = [0, *(len(values) for values in heard.values())]
    samples = np.concatenate(list(heard.values())) if heard else np.zeros(0, np.int16)
    return OwnPairs(
        Pictures(_items(said, list(seen), val_share), pixels, _NO_CLASSES),
        Sounds(_items(said, list(heard), val_share), samples, np.cumsum(lengths), _NO_CLASSES),
        tuple(sorted(skipped, key=lambda pair: pair.line)),
        sum(len(said[path]) for path in (*seen, *heard)),
    )


def _sentences(pairs: Path, skipped: list[SkippedPair]) -> dict[str, tuple[int, list[str]]]:
    """Path -> number of its first line, and all that is said about it."""
    try:
        lines = pairs.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"{pairs} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{pairs} is no UTF-8 text") from error
    found: dict[str, tuple[int, list[str]]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            skipped.append(SkippedPair(number, "", f"no JSON: {error.msg}"))
            continue
        path = entry.get("path") if isinstance(entry, dict) else None
        text = entry.get("text") if isinstance(entry, dict) else None
        if not isinstance(path, str) or not path:
            skipped.append(SkippedPair(number, "", 'no "path" with the name of a file'))
        elif not isinstance(text, str) or not text.strip():
            skipped.append(SkippedPair(number, path, 'no "text" with a sentence'))
        else:
            found.setdefault(path, (number, []))[1].append(text.strip())
    return found


def _items(
    said: dict[str, tuple[str, ...]], paths: Sequence[str], val_share: float
) -> list[ShardItem]:
    # By a hash of the name, so that the split stays when pairs are added or put in other order.
    order = sorted(paths, key=lambda path: (zlib.crc32(path.encode()), path))
    count = min(max(round(val_share * len(paths)), 2), len(paths) // 2) if val_share else 0
    val = set(order[:count])
    return [
        ShardItem("pairs", path, "val" if path in val else "train", None, said[path])
        for path in paths
    ]
