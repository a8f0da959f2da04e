"""All sixteen directions on the demo's media with the bundled model: each finds what it should."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from seehear.collection import Collection
from seehear.types import Hit, Modality, Query, QueryPart

# What shows or sounds like what, by modality. A query is the first entry of its row.
CONCEPTS = {
    "cat": {
        "text": "notes/cat-diary.md",
        "image": "photos/cat.jpg",
        "audio": "sounds/cat_meowing.wav",
        "video": "clips/morning.mp4",
    },
    "rocket": {
        "text": "notes/space.md",
        "image": "photos/rocket.jpg",
        "audio": "sounds/rocket_launch.wav",
        "video": "clips/mission.mp4",
    },
    "motorcycle": {
        "image": "photos/motorcycle.jpg",
        "audio": "sounds/motorcycle_engine.wav",
        "video": "clips/garage.mkv",
    },
    "coffee": {
        "text": "notes/coffee.md",
        "image": "photos/coffee.jpg",
        "video": "clips/morning.mp4",
    },
    "sea": {"text": "notes/walk-by-the-sea.md", "audio": "sounds/sea_waves.wav"},
}
WORDS = {
    "cat": "a cat",
    "rocket": "a rocket launch",
    "motorcycle": "a motorcycle engine",
    "coffee": "a cup of coffee",
    "sea": "waves of the sea",
}


Ask = Callable[[str, Modality, Modality], list[Hit]]


@pytest.fixture(scope="module")
def ask(demo_library: Collection, demo_media: Path) -> Ask:
    """Query of one modality for a concept, over items of another. A file is decoded once."""

    @cache
    def part(concept: str, query: Modality) -> QueryPart:
        if query is Modality.TEXT:
            return demo_library.text_part(WORDS[concept])
        return demo_library.file_part(demo_media / CONCEPTS[concept][query], expected=query)

    def found(concept: str, query: Modality, item: Modality) -> list[Hit]:
        return demo_library.run(Query((part(concept, query),), k=3, modalities=frozenset({item})))

    return found


@pytest.mark.parametrize("item", list(Modality))
@pytest.mark.parametrize("query", list(Modality))
def test_every_direction_finds_what_it_should_for_most_concepts(
    ask: Ask, demo_media: Path, query: Modality, item: Modality
) -> None:
    """Of the concepts that both ends have, most are found among the best three."""
    asked = [
        c for c, media in CONCEPTS.items() if item in media and (query in media or query == "text")
    ]
    found = []
    for concept in asked:
        hits = ask(concept, query, item)
        assert {hit.modality for hit in hits} == {item}
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
        assert all(0 <= hit.score <= 1 for hit in hits)
        if demo_media / CONCEPTS[concept][item] in [hit.path for hit in hits]:
            found.append(concept)
    assert len(found) > len(asked) / 2, f"found {found} of {asked}"


def test_a_moment_is_found_inside_a_clip(demo_library: Collection) -> None:
    """The first six seconds of the clip show an astronaut, the rest a rocket."""
    (hit,) = demo_library.search("a rocket launch", k=1, modalities={"video"})
    assert hit.path.name == "mission.mp4"
    assert hit.moment is not None
    assert hit.moment[0] >= 5.0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("church bells", {"church_bell.wav"}),
        ("a motorcycle", {"motorcycle.jpg", "garage.mkv", "motorcycle_engine.wav"}),
        ("a cat", {"cat.jpg", "cat-diary.md", "cat_meowing.wav", "morning.mp4"}),
        ("waves of the sea", {"sea_waves.wav", "walk-by-the-sea.md"}),
    ],
)
def test_what_is_plainly_there_is_strong_and_nothing_beside_it(
    demo_library: Collection, words: str, told: set[str]
) -> None:
    hits = demo_library.search(words, k=40)
    assert {hit.path.name for hit in hits if not hit.weak} == told
