"""Read training data: folders of WebDataset-style tars, `<key>.<media>` beside `<key>.json`.

A data folder holds `images/*.tar`, `audio/*.tar` and `text/*_captions.txt.gz`; each is optional.
"""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seehear.errors import UsageError

_SPLITS = frozenset({"train", "val", "test"})


@dataclass(frozen=True, slots=True)
class ShardItem:
    """One sample of a shard, still encoded, with what is known about it."""

    dataset: str
    """Name of the set: the shard's file name without its running number."""
    key: str
    split: str
    """"train", "val" or "test"."""
    label: str | None
    """Readable words of its class, None where the set has captions instead."""
    captions: tuple[str, ...]
    keywords: tuple[str, ...] = ()
    """Other words for what it shows (emoji); weaker than captions."""
    names: tuple[str, ...] = ()
    """Synonyms of the label."""
    domain: str = ""
    """Style of the image, where a set tells photo, painting, cartoon and sketch apart."""
    by_machine: bool = False
    """Whether a machine wrote the captions."""
    licence: str = ""
    """As the set states it for this sample; empty where it is that of the whole set."""

    def is_of(self, sets: Sequence[str]) -> bool:
        """Say whether the sample belongs to one of `sets`, each "name" or "name: licence"."""
        return self.dataset in sets or f"{self.dataset}: {self.licence}" in sets


def shard_paths(data: Path, kind: str) -> list[Path]:
    """List the tars of `data/kind` ("images" or "audio") in order of their names.

    Raises UsageError if `data` is not a folder.
    """
    if not data.is_dir():
        raise UsageError(f"{data} is not a folder of training data (images/, audio/, text/)")
    return sorted((data / kind).glob("*.tar"))


def read_items(data: Path, kind: str) -> Iterator[tuple[ShardItem, bytes]]:
    """Read every sample of `data/kind` with its encoded media, in the order of the shards.

    Raises UsageError for a shard that is not a tar or whose descriptions cannot be read.
    """
    for path in shard_paths(data, kind):
        dataset = path.stem.rsplit("-", 1)[0]
        media: dict[str, bytes] = {}
        notes: dict[str, ShardItem] = {}
        try:
            with tarfile.open(path) as tar:
                for member in tar:
                    handle = tar.extractfile(member)
                    if handle is None:
                        continue
                    key, _, suffix = member.name.rpartition(".")
                    content = handle.read()
                    if suffix == "json":
                        notes[key] = _item(dataset, key, json.loads(content))
                    else:
                        media[key] = content
                    if key in notes and key in media:
                        yield notes.pop(key), media.pop(key)
        except (tarfile.TarError, json.JSONDecodeError, KeyError, EOFError) as error:
            raise UsageError(f"the shard {path} cannot be read: {error}") from error


def read_sentences(data: Path, name: str) -> list[str]:
    """Read the lines of `data/text/<name>_captions.txt.gz`; an empty list if it is missing."""
    path = data / "text" / f"{name}_captions.txt.gz"
    if not path.is_file():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [line.strip() for line in lines if line.strip()]


def _item(dataset: str, key: str, note: dict[str, object]) -> ShardItem:
    split = str(note["split"])
    if split not in _SPLITS:
        raise KeyError(f"split {split!r} of {key}")
    label = note.get("label")
    return ShardItem(
        dataset=dataset,
        key=key,
        split=split,
        label=None if label is None else str(label),
        captions=_strings(note.get("captions")),
        keywords=_strings(note.get("keywords")),
        names=_strings(note.get("names")),
        domain=str(note.get("domain") or ""),
        by_machine=note.get("captions_by") == "machine",
        licence=str(note.get("licence") or ""),
    )


def _strings(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()
