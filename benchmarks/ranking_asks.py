"""Make the queries of bench_ranking, of one part and composed, with their right answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.ranking_data import CONCEPTS, Item
from benchmarks.ranking_world import World
from seehear.types import Modality, QueryPart, Sample, modality_of

MOST = {
    "picture": 100,
    "sound": 100,
    "caption": 150,
    "none, by picture": 60,
    "none, by sound": 60,
}
"""Queries of a group over one collection; the others are few by themselves."""
DOMAINS = {"sketch": "a sketch", "cartoon": "a cartoon", "art painting": "a painting"}
FEWEST = 3
"""Items that must show a concept for its name to be asked."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A query with what is relevant to it."""

    group: str
    parts: tuple[QueryPart, ...]
    relevant: Mask
    own: tuple[int, ...] = ()
    """Positions of the items that the query was made of, which are no hits."""
    kinds: frozenset[Modality] | None = None


def single_asks(
    world: World, everything: Sequence[Item], out: frozenset[str], seed: int
) -> list[Ask]:
    """Queries of one part: words, captions, pictures, sounds; and those without an answer."""
    rng = np.random.default_rng(seed)
    shows = {name: np.array([name in item.concepts for item in world.items]) for name in CONCEPTS}
    nothing = np.zeros(len(world.items), dtype=bool)
    asks = [
        Ask("word", (text(f"a {name}"),), shows[name])
        for name in CONCEPTS
        if name not in out and shows[name].sum() >= FEWEST
    ]
    asks += [Ask("none, by words", (text(f"a {name}"),), nothing) for name in sorted(out)]
    place = {item.key: number for number, item in enumerate(world.items)}
    for number in rng.permutation(len(world.items)):
        item = world.items[number]
        if item.modality is Modality.IMAGE and len(item.captions) > 1:
            relevant = nothing.copy()
            # The picture, and the sentence that is its second caption.
            answers = [place.get(item.key), place.get(f"{item.key} text")]
            relevant[[answer for answer in answers if answer is not None]] = True
            asks.append(Ask("caption", (text(item.captions[0]),), relevant))
        if item.modality in (Modality.IMAGE, Modality.AUDIO) and item.named:
            relevant = np.any([shows[name] for name in item.named], axis=0)
            relevant[number] = False
            group = "picture" if item.modality is Modality.IMAGE else "sound"
            asks.append(Ask(group, (part(item.samples[0]),), relevant, own=(int(number),)))
    missing = [item for item in everything if item.named & out]
    for at in rng.permutation(len(missing)):
        item = missing[at]
        if item.modality in (Modality.IMAGE, Modality.AUDIO):
            group = "none, by picture" if item.modality is Modality.IMAGE else "none, by sound"
            asks.append(Ask(group, (part(item.samples[0]),), nothing))
    asked: dict[str, int] = {}
    kept = []
    for ask in asks:
        asked[ask.group] = asked.get(ask.group, 0) + 1
        if asked[ask.group] <= MOST.get(ask.group, len(asks)):
            kept.append(ask)
    return kept


def composed_asks(world: World, seed: int) -> list[Ask]:
    """Queries of two parts whose answers are known."""
    rng = np.random.default_rng(seed)
    return [*_styles(world, rng), *_exclusions(world, rng), *_sight_and_sound(world, rng)]


def _styles(world: World, rng: np.random.Generator) -> list[Ask]:
    """A photo and words: the same thing in another style."""
    domains, labels = _domains_and_labels(world)
    asks = []
    for number in rng.permutation(np.flatnonzero(domains == "photo"))[:60]:
        photo = part(world.items[number].samples[0])
        for domain, words in DOMAINS.items():
            wanted = (labels == labels[number]) & (domains == domain)
            if wanted.any():
                asks.append(
                    Ask("photo + words", (photo, text(words)), wanted, (int(number),), PICTURES)
                )
    return asks


def _exclusions(world: World, rng: np.random.Generator) -> list[Ask]:
    """A thing in every style but one, which is said in words or shown."""
    domains, labels = _domains_and_labels(world)
    asks = []
    for label in sorted(set(labels[domains == "photo"].tolist())):
        for domain, words in DOMAINS.items():
            mine = labels == label
            wanted = mine & (domains != domain) & (domains != "")
            unwanted = np.flatnonzero(mine & (domains == domain))
            if not wanted.any() or not len(unwanted):
                continue
            asked = text(f"a {label}")
            asks.append(
                Ask("words - words", (asked, text(words, exclude=True)), wanted, (), PICTURES)
            )
            for shown in rng.permutation(unwanted)[:2]:
                shot = part(world.items[shown].samples[0], exclude=True)
                asks.append(Ask("words - picture", (asked, shot), wanted, (int(shown),), PICTURES))
    return asks


def _sight_and_sound(world: World, rng: np.random.Generator) -> list[Ask]:
    """Words for what is seen and another recording of what is heard: one clip has both."""
    numbers: dict[Modality, list[int]] = {kind: [] for kind in Modality}
    for number, item in enumerate(world.items):
        numbers[item.modality].append(number)
    asks = []
    for number in numbers[Modality.VIDEO]:
        clip = world.items[number]
        sight, heard = clip.label.split(" / ")
        others = [
            world.items[n].samples[0]
            for n in numbers[Modality.AUDIO]
            if world.items[n].label == heard and world.items[n].samples[0] is not clip.samples[1]
        ]
        if others:
            relevant = np.array([item.label == clip.label for item in world.items])
            other = others[int(rng.integers(len(others)))]
            parts = (text(f"a {sight}"), part(other))
            asks.append(Ask("words + sound", parts, relevant, (), CLIPS))
    return asks


def _domains_and_labels(
    world: World,
) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    return (
        np.array([item.domain for item in world.items]),
        np.array([item.label for item in world.items]),
    )


PICTURES, CLIPS = frozenset({Modality.IMAGE}), frozenset({Modality.VIDEO})


def text(words: str, *, exclude: bool = False) -> QueryPart:
    return QueryPart((words,), exclude=exclude, label=words)


def part(sample: Sample, *, exclude: bool = False) -> QueryPart:
    return QueryPart((sample,), exclude=exclude, label=str(modality_of(sample)))
