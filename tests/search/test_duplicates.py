"""Groups of duplicates under filters: what is named, and in which order."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from seehear.encoders.fake import image
from seehear.media.fingerprints import Fingerprinter, agreement, read
from seehear.search.dedup import Proposals
from tests.search.library import Library, fingerprint, recording, scene


def test_a_copy_that_meets_the_filter_stands_first(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for place in ("x/a.jpg", "y/b.jpg", "z/c.jpg"):
        library.add(place, image("green"), content="green")
    media = library.media
    for filters, first in (
        ({"where": "name = 'b.jpg'"}, "y/b.jpg"),
        ({"under": media / "z"}, "z/c.jpg"),
        ({}, "x/a.jpg"),
    ):
        (group,) = library.engine.duplicates(**filters)
        rest = [place for place in ("x/a.jpg", "y/b.jpg", "z/c.jpg") if place != first]
        assert group.paths == tuple(media / place for place in (first, *rest))


def text(words: str) -> bytes:
    made = Fingerprinter()
    made.text(words)
    return made.data()


def test_keys_find_the_copies_that_a_comparison_of_all_with_all_finds() -> None:
    story = [" ".join(f"{seed} word{n % 97} of {n}" for n in range(200)) for seed in range(4)]
    stored = [fingerprint((0.0, 1.0, scene(seed, px))) for seed in range(30) for px in (96, 61)]
    for seed in range(6):
        wave = recording(seed)
        cut = dataclasses.replace(wave, waveform=0.5 * wave.waveform[8000:])
        stored += [fingerprint((0.0, 6.0, sound)) for sound in (wave, cut)]
    stored += [text(words + end) for words in story for end in ("", " and more")]
    stored += [text(words) for words in ("two words", "Two words!", "other words", "", "")]
    prints = [read(data) for data in stored]
    proposals, everything = Proposals(prints), np.arange(len(prints))
    found, expected = list[tuple[int, int]](), list[tuple[int, int]]()
    for at, print_ in enumerate(prints):
        earlier = everything < at
        for pairs, proposed in (
            (found, proposals.find(at, earlier)),
            (expected, proposals.among(at, everything[earlier])),
        ):
            pairs += [(other, at) for other in proposed if agreement(prints[other], print_)]
    assert found == expected
    copies = {(at, at + 1) for at in range(0, 80, 2)}
    assert set(found) == copies | {(80, 81)}
    assert len(proposals.find(3, everything < 3)) < 3
