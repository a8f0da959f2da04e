"""What the demo shows of a folder of one's own: chosen by what is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from demo.shell import shown
from seehear.cli.output import printable
from seehear.collection import Collection
from seehear.search import Engine
from seehear.types import Modality, Vectors

NEIGHBOURS = 5
"""Items of the same kind that an item is compared with: its nearest."""

FEWEST = 3
"""Of fewer items none is typical."""

NAMES = {Modality.IMAGE: "photo", Modality.AUDIO: "sound", Modality.VIDEO: "clip"}
OPTIONS = {Modality.IMAGE: "--image", Modality.AUDIO: "--audio", Modality.VIDEO: "--video"}
MOST_WORDS = 6
OF_CAMERAS = frozenset(
    {"img", "image", "photo", "pic", "dsc", "dscn", "dcim", "pxl", "mvi", "mov", "vid", "video"}
    | {"clip", "audio", "sound", "rec", "recording", "screenshot", "whatsapp", "untitled", "copy"}
    | {"final", "new", "file", "doc", "document", "scan", "gopro", "snap", "edited"}
)
"""Words of file names that say nothing of what is in the file."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Files of one kind, the most typical first and the most unlike the others last."""

    kind: Modality
    paths: Sequence[Path]
    texts: Mapping[Path, str]
    """The first passage of each, where it has one."""


@dataclass(slots=True)
class Tour:
    """Sentences about a folder, and searches made of its own files."""

    sentences: list[str] = field(default_factory=list)
    questions: list[list[str]] = field(default_factory=list)

    @classmethod
    def of(cls, collection: Path, folder: Path) -> Tour:
        """Look through a collection and choose."""
        with Collection(collection, must_exist=True) as library:
            engine = library._opened.engine()
            assets = library.status().assets
            if engine is None or not assets:
                return cls([f'There is no photo, sound, clip or text to read in "{folder}".'])
            ranked = [found for kind in Modality if (found := rank(engine, kind)) is not None]
            tour = cls()
            if assets == 1:
                tour.sentences.append("The folder holds one file: searches can find only that one.")
            tour.sentences += [line for one in ranked if (line := told(one))]
            tour.questions += [
                [OPTIONS[one.kind], shown(one.paths[0]), "-k", "5"]
                for one in ranked
                if one.kind in OPTIONS
            ]
            words = next(iter(own_words(engine, ranked, folder)), None)
            if words is not None:
                tour.questions.append([words, "-k", "5"])
            return tour


def rank(engine: Engine, kind: Modality) -> Ranked | None:
    """Order the files of one kind by how near their nearest neighbours are; None without files.

    Of a large collection a sample is looked at. Whole files are compared: by the mean of their
    segments' vectors.
    """
    shelf = engine.current()
    spaces = shelf.spaces_of(kind)
    if not spaces:
        return None
    sample = shelf.sample(kind, spaces[0]).without_empty
    found = shelf.resolve(shelf.segments_of(set(sample.assets.tolist())))
    own = [one for one in found if one.asset.modality == kind and one.path.is_file()]
    paths = {one.asset.id: one.path for one in own}
    if not paths:
        return None
    ids = sorted(paths)
    means = np.stack([sample.vectors[sample.assets == id_].mean(axis=0) for id_ in ids])
    order = np.argsort(-nearness(means), kind="stable")
    texts = {one.path: one.segment.text for one in own if one.ordinal == 0 and one.segment.text}
    return Ranked(kind, [paths[ids[at]] for at in order.tolist()], texts)


def nearness(vectors: Vectors) -> Vectors:
    """Mean cosine of each row with its nearest others: float32 (n, dim) -> float32 (n,)."""
    if len(vectors) < 2:
        return np.zeros(len(vectors), dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = vectors / np.maximum(lengths, 1e-9)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    most = min(NEIGHBOURS, len(rows) - 1)
    nearest: Vectors = np.sort(cosines, axis=1)[:, -most:].mean(axis=1)
    return nearest


def told(ranked: Ranked) -> str:
    """Which file is typical of its kind and which is unlike the others; nothing for a few."""
    if len(ranked.paths) < FEWEST or ranked.kind not in NAMES:
        return ""
    name = NAMES[ranked.kind]
    first, last = ranked.paths[0], ranked.paths[-1]
    return (
        f"Of {len(ranked.paths)} {name}s, the most typical is {printable(shown(first))}\n"
        f"and the most unlike the others is {printable(shown(last))}."
    )


def own_words(engine: Engine, ranked: Sequence[Ranked], folder: Path) -> Iterator[str]:
    """Words to search by, the best first: of a text, of a file's name, of a folder's."""
    for one in sorted(ranked, key=lambda one: one.kind != Modality.TEXT):
        for path in one.paths[:20]:
            if words := first_words(one.texts.get(path, "")):
                yield words
            if words := words_of_name(path.stem):
                yield words
    places = [path.parent for one in ranked for path in one.paths[:20]]
    for name in [*(place.name for place in places if place != folder), folder.name]:
        if words := words_of_name(name):
            yield words


def first_words(text: str) -> str:
    """The first words of a text, as far as they are words of a sentence; nothing without any."""
    words = re.findall(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?", text[:2000])
    return " ".join(words[:MOST_WORDS]) if len(words) > 1 else ""


def words_of_name(name: str) -> str:
    """The words of a file's name that may say what is in it; nothing without any."""
    words = [word for word in re.findall(r"[^\W\d_]{3,}", name) if word.lower() not in OF_CAMERAS]
    return " ".join(words[:MOST_WORDS])
