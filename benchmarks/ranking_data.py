"""Make a mixed collection with judgements for bench_ranking: images, sounds, videos, sentences.

It is made of the parts of the training data that no model was trained on (splits val and test), in
two halves that share no file: constants are chosen on "dev" and figures are given for "test".
What is relevant is judged by concept: an item shows "dog" when one of the words for it stands in
its label or captions, whatever its modality, so that a bark is an answer to a photo of a dog.
Some concepts are held out: no item of the collection shows them, and queries for them have no
answer.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seehear import media
from seehear.encoders.base import Model, Route
from seehear.types import (
    AudioSample,
    EmbeddingSpace,
    ImageSample,
    Modality,
    Sample,
    SampleSpec,
    Vectors,
    VideoSample,
    modality_of,
)

CONCEPTS: dict[str, str] = {
    "dog": "dog dogs puppy springer dalmatian",
    "cat": "cat cats kitten",
    "bird": "bird birds rooster hen crow owl duck ducks geese goose pigeon chicken flamingo ibis",
    "horse": "horse horses",
    "cow": "cow cows",
    "sheep": "sheep lamb",
    "elephant": "elephant elephants",
    "frog": "frog frogs",
    "insect": "bee insect insects crickets cricket butterfly dragonfly mosquito ant",
    "fish": "fish tench",
    "car": "car cars automobile",
    "train": "train trains locomotive",
    "airplane": "airplane airplanes plane jet aircraft",
    "helicopter": "helicopter",
    "motorcycle": "motorcycle motorcycles motorbike motorbikes",
    "bicycle": "bicycle bike bikes bicycles cyclist",
    "boat": "boat boats ship ketch schooner sail canoe ferry",
    "truck": "truck trucks",
    "water": "water sea ocean river waves wave lake pool waterfall stream",
    "rain": "rain raining umbrella",
    "baby": "baby babies infant",
    "guitar": "guitar guitars mandolin",
    "piano": "piano",
    "drum": "drum drums",
    "saxophone": "saxophone sax",
    "trumpet": "horn trumpet",
    "accordion": "accordion",
    "church": "church bell bells",
    "chainsaw": "chainsaw",
    "clock": "clock clocks",
    "telephone": "phone telephone cellphone",
    "gun": "gun pistol cannon revolver rifle",
    "ball": "ball football soccer basketball",
    "snow": "snow ski skier snowboard snowboarder",
    "fire": "fire fireworks",
    "laughter": "laughing laughter laugh",
    "footsteps": "footsteps",
    "door": "door knock knocking",
    "glass": "glass wine",
    "computer": "typing computer laptop keyboard",
    "scissors": "scissors",
    "chair": "chair",
    "lamp": "lamp",
    "house": "house",
}
HELD_OUT_SHARE = 0.25
PICTURE_SETS = ("flickr8k", "coco-mini", "coco-mini2", "pacs", "caltech101", "imagenette")
MOST_OF_A_SET = 300
CLIPS_PER_SOUND = 0.7
"""Clips made for each sound that has a name."""
BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One item: what it is, and the concepts that it shows."""

    key: str
    modality: Modality
    samples: tuple[Sample, ...]
    """One, or a shot and a window of sound for a clip."""
    captions: tuple[str, ...] = ()
    label: str = ""
    domain: str = ""

    @property
    def named(self) -> frozenset[str]:
        """Concepts of its label alone, which is what it is mainly about."""
        return concepts_of(self.label)

    @property
    def concepts(self) -> frozenset[str]:
        return concepts_of(" ".join([self.label, *self.captions]))

    @property
    def half(self) -> str:
        return "dev" if zlib.crc32(self.key.encode()) % 2 else "test"


class Remembered:
    """A model that encodes each sample once: queries are taken from the collection itself."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._known: dict[int | str, tuple[Sample, Mapping[EmbeddingSpace, Vectors]]] = {}
        self.name, self.revision, self.spec = model.name, model.revision, model.spec

    def spaces_of(self, modality: Modality) -> tuple[EmbeddingSpace, ...]:
        return self._model.spaces_of(modality)

    def route(self, query: Modality, item: Modality) -> Route:
        return self._model.route(query, item)

    def remember(self, sample: Sample, vectors: Mapping[EmbeddingSpace, Vectors]) -> None:
        """Take these as the sample's vectors: (1, dim) in each space."""
        # The sample is kept, so that its id stays its own.
        self._known[sample if isinstance(sample, str) else id(sample)] = sample, vectors

    def encode(
        self, modality: Modality, samples: Sequence[Sample]
    ) -> Mapping[EmbeddingSpace, Vectors]:
        def known(sample: Sample) -> Mapping[EmbeddingSpace, Vectors] | None:
            found = self._known.get(sample if isinstance(sample, str) else id(sample))
            return found[1] if found else None

        new = list({id(s): s for s in samples if known(s) is None}.values())
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            encoded = self._model.encode(modality, batch)
            for row, sample in enumerate(batch):
                mine = {space: vectors[row : row + 1] for space, vectors in encoded.items()}
                self.remember(sample, mine)
        rows = [known(sample) or {} for sample in samples]
        return {
            space: np.concatenate([row[space] for row in rows])
            for space in self.spaces_of(modality)
        }


def load(data: Path, model: Remembered, cache: Path) -> list[Item]:
    """Pictures, sounds, sentences and clips of the data that models were not trained on.

    What the model makes of pictures and sounds is kept in `cache` by the model's revision; where
    it is there already, nothing is decoded, and the samples are empty ones that `model` knows.
    """
    from training.shards import read_items

    kept = cache / f"{model.name}-{model.revision}.npz".replace("/", "-")
    vectors = _read(kept) if kept.is_file() else {}
    items: list[Item] = []
    for kind, folder in ((Modality.IMAGE, "images"), (Modality.AUDIO, "audio")):
        spaces = model.spaces_of(kind)
        waiting: list[Item] = []
        taken: dict[str, int] = {}
        for shard, content in read_items(data, folder):
            if shard.split == "train" or (
                kind is Modality.IMAGE and shard.dataset not in PICTURE_SETS
            ):
                continue
            taken[shard.dataset] = taken.get(shard.dataset, 0) + 1
            if taken[shard.dataset] > MOST_OF_A_SET:
                continue
            item = Item(
                f"{shard.dataset}/{shard.key}",
                kind,
                (_blank(kind),),
                shard.captions,
                shard.label or "",
                shard.domain,
            )
            names = [f"{item.key} {space.key}" for space in spaces]
            if all(name in vectors for name in names):
                known = {s: vectors[name][None] for s, name in zip(spaces, names, strict=True)}
                model.remember(item.samples[0], known)
            else:
                item = replace(item, samples=(_decoded(kind, content, model.spec),))
                waiting.append(item)
            items.append(item)
        encoded = model.encode(kind, [item.samples[0] for item in waiting]) if waiting else {}
        for space, rows in encoded.items():
            vectors |= {
                f"{item.key} {space.key}": row for item, row in zip(waiting, rows, strict=True)
            }
        if waiting:
            _write(kept, vectors)
    sentences = [
        Item(f"{item.key} text", Modality.TEXT, (item.captions[1],), (item.captions[1],))
        for item in items
        if len(item.captions) > 1
    ]
    return items + sentences


def concepts_of(text: str) -> frozenset[str]:
    """Concepts that a text speaks of."""
    words = set(re.findall(r"[a-z]+", text.lower().replace("_", " ")))
    return frozenset(name for name, forms in CONCEPTS.items() if words & set(forms.split()))


def made_up() -> list[Item]:
    """The same in small, of the colours and tones that the fake encoder knows."""
    from seehear.encoders import fake

    rng = np.random.default_rng(0)
    items = []
    for known in fake.CONCEPTS:
        for word in concepts_of(" ".join(known.words)):
            for number in range(6):
                plain = fake.image(known.name).pixels
                grain = rng.integers(-8, 9, plain.shape)
                picture = ImageSample((plain + grain).clip(0, 255).astype(np.uint8))
                sound = fake.tone(known.name, 0.5 + 0.05 * number)
                captions = (f"a photo of {word}", f"{word} in a picture")
                key = f"{word} {number}"
                items += [
                    Item(f"{key} picture", Modality.IMAGE, (picture,), captions, word),
                    Item(f"{key} sound", Modality.AUDIO, (sound,), (), word),
                    Item(f"{key} text", Modality.TEXT, captions[1:], captions[1:]),
                ]
    return items


def clips(items: Sequence[Item], model: Remembered, seed: int) -> list[Item]:
    """Clips that show one concept while another is heard, each of a picture and a sound."""
    rng = np.random.default_rng(seed)
    seen = [item for item in items if item.modality is Modality.IMAGE and item.named]
    heard = [item for item in items if item.modality is Modality.AUDIO and item.named]
    made = []
    for number in range(round(CLIPS_PER_SOUND * len(heard)) if seen else 0):
        sight = seen[int(rng.integers(len(seen)))]
        sound = heard[int(rng.integers(len(heard)))]
        samples = (_shot(sight.samples[0], model), sound.samples[0])
        label = f"{sight.label} / {sound.label}"
        made.append(Item(f"clip {seed}-{number}", Modality.VIDEO, samples, label=label))
    return made


def held_out(seed: int) -> frozenset[str]:
    """Concepts that a collection shall not show."""
    names = sorted(CONCEPTS)
    count = round(HELD_OUT_SHARE * len(names))
    return frozenset(np.random.default_rng(seed).permutation(names)[:count].tolist())


def _shot(sample: Sample, model: Remembered) -> VideoSample:
    """A shot that stands still on a picture."""
    if not isinstance(sample, ImageSample):
        raise TypeError(f"a shot is made of a picture, not of {modality_of(sample)}")
    shot = VideoSample((sample,))
    # A still shot is the mean of its frames, which are all the same.
    model.remember(shot, model.encode(Modality.IMAGE, [sample]))
    return shot


def _decoded(kind: Modality, content: bytes, spec: SampleSpec) -> Sample:
    if kind is Modality.IMAGE:
        return media.load_image(content, spec.image_px)
    sound = media.load_audio(content, spec.sample_rate_hz)
    most = int(spec.window_s * spec.sample_rate_hz)
    return AudioSample(sound.waveform[:most], sound.sample_rate_hz)


def _blank(kind: Modality) -> Sample:
    if kind is Modality.IMAGE:
        return ImageSample(np.zeros((1, 1, 3), dtype=np.uint8))
    return AudioSample(np.zeros(1, dtype=np.float32), 16_000)


def _read(path: Path) -> dict[str, Vectors]:
    with np.load(path, allow_pickle=False) as stored:
        return {
            str(name): row
            for space in stored["spaces"]
            for name, row in zip(stored[f"names {space}"], stored[f"rows {space}"], strict=True)
        }


def _write(path: Path, vectors: Mapping[str, Vectors]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    spaces = sorted({name.rpartition(" ")[2] for name in vectors})
    arrays: dict[str, object] = {"spaces": np.array(spaces)}
    for space in spaces:
        mine = {name: row for name, row in vectors.items() if name.endswith(f" {space}")}
        arrays[f"names {space}"] = np.array(list(mine))
        arrays[f"rows {space}"] = np.stack(list(mine.values()))
    np.savez(path, **arrays)  # type: ignore[arg-type]
