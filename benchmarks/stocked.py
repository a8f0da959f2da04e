"""Make a collection of any size in a minute: real rows and real vectors, without real files.

Seven of ten assets are images, one in ten is a sound of three windows, one in twenty a video of
four shots with their sound, the rest are notes of two passages: 1.75 segments per asset. Each has a
sentence that says what it is about, put together from words. Its vectors are `tiny`'s own of that
sentence, each moved by noise of a third of their length, so that no two are the same. Everything is
written to the catalog as an index run writes it, with names and passages for the search by words;
the files themselves do not exist. At the end one real note is indexed, which makes whatever else
an index run leaves for searches (the bank of generic queries).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from seehear.collection import Collection
from seehear.config import Settings
from seehear.encoders import Model, load_model
from seehear.stores import Catalog, NewContent, NewLocation
from seehear.types import MediaInfo, Modality, Segment, Vectors

SENTENCES = 4096
NOISE = 0.35
AT_ONCE = 500
_WORDS = (
    "old|new|small|big|quiet|bright",
    "red|blue|green|grey|golden|striped|wooden|wet",
    "dog|cat|bird|horse|car|train|boat|bicycle|guitar|piano|bell|clock|child|woman|man|crowd",
    "on|by|under|behind|near|above",
    "the beach|a bridge|the station|a garden|the forest|a church|the river|the kitchen",
    "at night|in the rain|in summer|in the morning|in the snow|at sunset",
)
_SUFFIX = {"image": "jpg", "audio": "wav", "video": "mp4", "text": "md"}


def sentences(count: int, seed: int) -> list[str]:
    """Sentences such as "small red dog near the river at night"."""
    rng = np.random.default_rng(seed)
    lists = [words.split("|") for words in _WORDS]
    return [" ".join(str(rng.choice(words)) for words in lists) for _ in range(count)]


def stock(
    folder: Path, assets: int, *, model: str = "tiny", seed: int = 0, url: str | None = None
) -> None:
    """Make a collection of so many assets in a folder that has none; `url` names its database."""
    loaded = load_model(model, "cpu")
    rng = np.random.default_rng(seed)
    said = sentences(min(SENTENCES, assets), seed)
    (space,) = loaded.spaces_of(Modality.TEXT)
    meant = np.asarray(loaded.encode(Modality.TEXT, said)[space], dtype=np.float32)
    root = folder.parent / f"{folder.name}-media"
    root.mkdir(parents=True, exist_ok=True)
    catalog = Catalog.open(folder, url=url)
    try:
        made = catalog.generations.create(loaded.name, loaded.revision, [space])
        catalog.generations.promote(made.id)
        place_root = catalog.locations.add_root(root / "stock").id
        for start in range(0, assets - 1, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, assets - 1))
            contents = [_content(n, said, meant, loaded, rng) for n in numbers]
            places = [
                [
                    NewLocation(
                        place_root, _path(root, n, content), content.size_bytes, 10**18 + n, n + 1
                    )
                ]
                for n, content in zip(numbers, contents, strict=True)
            ]
            with catalog.batch() as batch:
                batch.put_contents(made.id, contents, places)
    finally:
        catalog.close()
    (root / "notes").mkdir(exist_ok=True)
    (root / "notes" / "last.md").write_text(f"The last of them: {said[0]}.")
    with Collection(folder, Settings(model=model, device="cpu", database=url)) as collection:
        collection.index(root / "notes")
        collection.search(said[0])  # leaves the caches of the indexes


def _content(
    number: int, said: list[str], meant: Vectors, model: Model, rng: np.random.Generator
) -> NewContent:
    about = int(rng.integers(len(said)))
    info, segments = _shape(number, said[about])
    noise = rng.standard_normal((len(segments), meant.shape[1])).astype(np.float32)
    noise *= NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
    rows = meant[about] + noise
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    (space,) = model.spaces_of(Modality.TEXT)
    return NewContent(
        hashlib.blake2b(str(number).encode(), digest_size=32).hexdigest(),
        1000 + number,
        info,
        segments,
        {space: (range(len(segments)), rows)},
    )


def _shape(number: int, sentence: str) -> tuple[MediaInfo, list[Segment]]:
    """What the asset is, and its segments."""
    taken = datetime(2015, 1, 1) + timedelta(hours=number)
    kind = number % 20
    if kind < 14:
        info = MediaInfo(Modality.IMAGE, "jpeg", width_px=4000, height_px=3000, taken_at=taken)
        return info, [Segment(Modality.IMAGE)]
    if kind < 16:
        times = [(float(t), float(t + 10)) for t in (0, 5, 10)]
        info = MediaInfo(Modality.AUDIO, "wav", duration_s=20.0)
        return info, [Segment(Modality.AUDIO, *at) for at in times]
    if kind < 17:
        times = [(6.0 * t, 6.0 * t + 6) for t in range(4)]
        info = MediaInfo(
            Modality.VIDEO, "mp4", width_px=1920, height_px=1080, duration_s=24.0, taken_at=taken
        )
        both = (Modality.VIDEO, Modality.AUDIO)
        return info, [Segment(modality, *at) for modality in both for at in times]
    passages = (f"{sentence.capitalize()}, as number {number} of many.", f"{sentence} once more")
    return MediaInfo(Modality.TEXT, "md"), [Segment(Modality.TEXT, text=one) for one in passages]


def _path(root: Path, number: int, content: NewContent) -> Path:
    name = f"{number:06d}.{_SUFFIX[content.info.modality]}"
    return root / "stock" / f"{number // 1000:03d}" / name


def queries(count: int, seed: int = 1) -> Iterator[str]:
    """Sentences of the same make, drawn apart from those of the collection."""
    yield from sentences(count, seed)
