"""Near-duplicates folded and listed, bursts, and hits spread over different things."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from seehear.encoders.fake import image, tone, video
from seehear.media.fingerprints import Fingerprint, read
from seehear.search import Likeness
from seehear.search.dedup import BURST, collapse, mmr
from seehear.stores import SegmentRecord
from seehear.types import Asset, Floats, Modality, Mode, Sample, Segment
from tests.search.library import Library, fingerprint, names, noisy, recording, scene

NOON = datetime(2024, 6, 1, 12)


def shown(
    angle: float, *, taken_s: float | None = None, id_: int = 0
) -> tuple[SegmentRecord, Floats]:
    taken = None if taken_s is None else NOON + timedelta(seconds=taken_s)
    asset = Asset(id_, str(id_), Modality.IMAGE, "jpeg", 1, taken_at=taken)
    record = SegmentRecord(id_, 0, Segment(Modality.IMAGE), asset, b"", True, 0)
    return record, np.array([np.cos(angle), np.sin(angle)], np.float32)


def merged(
    *shown_: tuple[SegmentRecord, Floats], prints: Sequence[Fingerprint | None] | None = None
) -> list[list[int]]:
    records, vectors = [record for record, _ in shown_], [vector for _, vector in shown_]
    return collapse(records, lambda: vectors, prints or [None] * len(records), len(records))


def print_of(sample: Sample) -> Fingerprint | None:
    return read(fingerprint((0.0, 1.0, sample)))


def test_copies_are_told_by_their_fingerprints_and_not_by_the_model() -> None:
    picture, smaller = print_of(scene(1)), print_of(scene(1, 48))
    other, heard, flat = print_of(scene(2)), print_of(recording(1)), print_of(image("red"))
    here, there = shown(0), shown(1.5)
    assert merged(here, there, prints=[picture, smaller]) == [[0, 1]]
    assert merged(here, here, prints=[picture, other]) == [[0], [1]]
    assert merged(here, here, prints=[picture, None]) == [[0], [1]]
    assert merged(here, here, prints=[picture, heard]) == [[0], [1]]
    assert merged(here, here, prints=[flat, flat]) == [[0], [1]]


def test_a_burst_is_told_by_time_and_by_picture() -> None:
    near, far = float(np.arccos(0.93)), float(np.arccos(0.8))
    assert merged(shown(0, taken_s=0), shown(near, taken_s=5)) == [[0, 1]]
    assert merged(shown(0, taken_s=0), shown(far, taken_s=5)) == [[0], [1]]
    assert merged(shown(0, taken_s=0), shown(0, taken_s=600)) == [[0], [1]]
    assert merged(shown(0, taken_s=0), shown(0)) == [[0], [1]]
    record, vector = shown(0, taken_s=0)
    sound = dataclasses.replace(record.asset, modality=Modality.AUDIO)
    heard = dataclasses.replace(record, asset=sound)
    assert merged((heard, vector), (heard, vector)) == [[0], [1]]


def test_vectors_are_read_only_where_photos_were_taken_together() -> None:
    def refused() -> list[Floats | None]:
        raise AssertionError

    records = [shown(0, id_=at, taken_s=at * 600.0)[0] for at in range(3)]
    assert collapse(records, refused, [None] * 3, 3) == [[0], [1], [2]]


def test_a_chain_of_small_steps_is_not_one_group() -> None:
    step = float(np.arccos(BURST + 0.001))
    chain = [shown(step * i, id_=i, taken_s=2.0 * i) for i in range(6)]
    assert [group[0] for group in merged(*chain)] == [0, 2, 4]


def test_other_modalities_are_not_alike() -> None:
    record, vector = shown(0)
    heard = dataclasses.replace(record, segment=Segment(Modality.AUDIO))
    assert mmr([record, heard, record], [vector] * 3, [0.99, 0.5, 0.95], 2) == [0, 2]
    assert mmr([record, heard, record], [vector] * 3, [0.9, 0.5, 0.6], 2) == [0, 1]


def test_spread_takes_new_things_first() -> None:
    results = [shown(0.0, id_=0), shown(0.1, id_=1), shown(1.5, id_=2)]
    records, vectors = [one for one, _ in results], [vector for _, vector in results]
    assert mmr(records, vectors, [0.9, 0.88, 0.7], 3) == [0, 2, 1]


def test_near_duplicates_are_folded_with_their_paths(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.add("a.jpg", scene(1))
    library.add("b.jpg", noisy(scene(1, 60), 1, 2))
    library.add("copy of a.jpg", scene(1), content="a.jpg")
    library.add("c.jpg", scene(2))
    library.add("d.wav", (0.0, 2.0, tone("red", 2.0)))
    hits = library.search("red", mode=Mode.SEMANTIC)
    assert sorted(names(hits)) in (["a.jpg", "c.jpg", "d.wav"], ["b.jpg", "c.jpg", "d.wav"])
    first = next(hit for hit in hits if hit.path.name in {"a.jpg", "b.jpg"})
    paths = [path.name for path in (first.path, *first.duplicates)]
    assert sorted(paths) == ["a.jpg", "b.jpg", "copy of a.jpg"]
    hits = library.search("red", mode=Mode.SEMANTIC, show_duplicates=True)
    assert sorted(names(hits)) == ["a.jpg", "b.jpg", "c.jpg", "d.wav"]


def test_folding_still_fills_k(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for number in range(150):
        library.add(f"{number}.jpg", noisy(scene(1), number, 2))
    for number in (2, 3, 4):
        library.add(f"other {number}.jpg", scene(number))
    hits = library.search("red", k=4, mode=Mode.SEMANTIC)
    assert sorted(len(hit.duplicates) for hit in hits) == [0, 0, 0, 149]


def test_a_thousand_results_are_folded_at_once() -> None:
    prints = [print_of(recording(number, 2.0)) for number in range(100)] * 10
    record, vector = shown(0)
    sound = dataclasses.replace(record.asset, modality=Modality.AUDIO)
    heard = [dataclasses.replace(record, asset=sound)] * len(prints)
    began = time.process_time()
    groups = collapse(heard, lambda: [vector] * len(prints), prints, len(prints))
    assert time.process_time() - began < 2.0
    assert [group[:2] for group in groups] == [[n, n + 100] for n in range(100)]


def test_diverse_hits_show_different_things(tmp_path: Path) -> None:
    library = Library(tmp_path)
    reds = [image("red").pixels.copy() for _ in range(8)]
    for number, pixels in enumerate(reds):
        pixels[: 4 + number] = (128, 128, 128)  # much alike, but not near-duplicates
        library.add(f"red {number}.jpg", type(image("red"))(pixels))
    library.add("red and blue.mp4", (0.0, 2.0, video("red", "blue")))
    library.add("red.txt", "red")
    options = {"k": 3, "mode": Mode.SEMANTIC, "show_duplicates": True}
    hits = library.search("red", diverse=True, **options)
    assert len({hit.modality for hit in hits}) == 3
    assert [hit.rank for hit in hits] == [1, 2, 3]


def test_groups_of_duplicates(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.add("a.jpg", scene(1), size_bytes=100)
    library.add("b.jpg", noisy(scene(1, 60), 1, 2), size_bytes=900)
    library.add("x/c.jpg", image("green"), content="green")
    library.add("y/c.jpg", image("green"), content="green")
    library.add("green.jpg", image("green"), content="another green")
    library.add("lone.jpg", scene(2))
    library.add("s.wav", (0.0, 6.0, recording(1)))
    library.add("s.flac", (0.0, 6.0, recording(1)))
    library.add("other.wav", (0.0, 6.0, recording(2)))
    library.add("tone.wav", (0.0, 2.0, tone("red", 2.0)))
    library.add("tone.flac", (0.0, 2.0, tone("green", 2.0)))
    library.add("red.txt", "notes about a red house by the sea")
    library.add("red.md", "Notes about a red house, by the sea.")
    library.add("blue.txt", "notes about a blue house by the sea")
    found = library.engine.duplicates()
    assert [[path.name for path in group.paths] for group in found] == [
        ["b.jpg", "a.jpg"],
        ["red.txt", "red.md"],
        ["s.wav", "s.flac"],
        ["c.jpg", "c.jpg"],
    ]
    near, copies = Likeness.NEAR, Likeness.COPIES
    assert [group.likeness for group in found] == [near, near, near, copies]
    assert [group.how for group in found] == [
        ("", "same picture in other bytes"),
        ("", "same text in other bytes"),
        ("", "same recording in other bytes"),
        ("", "identical"),
    ]
    assert all(0.9 < group.similarity <= 1.0 for group in found)
    only = library.engine.duplicates(frozenset({Modality.AUDIO}))
    assert [group.modality for group in only] == [Modality.AUDIO]
    below = library.engine.duplicates(under=library.media / "x")
    assert [len(group.paths) for group in below] == [2]


def test_a_burst_is_named_as_such(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for name, seconds in (("1.jpg", 0), ("2.jpg", 4), ("late.jpg", 60)):
        shot = noisy(image("white"), seconds, 30)
        library.add(name, shot, taken_at=NOON + timedelta(seconds=seconds))
    (group,) = library.engine.duplicates()
    assert (group.likeness, group.how) == (Likeness.BURST, ("", "burst"))
    assert [path.name for path in group.paths] == ["1.jpg", "2.jpg"]
