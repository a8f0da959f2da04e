"""Near-duplicates folded and listed, bursts, and hits spread over different things."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from seehear.encoders.fake import image, tone, video
from seehear.search import Likeness
from seehear.search.dedup import NEAR_DUPLICATE, collapse, is_near_duplicate, mmr
from seehear.stores import SegmentRecord
from seehear.types import Asset, Floats, Modality, Mode, Segment
from tests.search.library import Library, names, noisy

NOON = datetime(2024, 6, 1, 12)


def shown(
    angle: float, *, taken_s: float | None = None, duration_s: float | None = None, id_: int = 0
) -> tuple[SegmentRecord, Floats]:
    taken = None if taken_s is None else NOON + timedelta(seconds=taken_s)
    asset = Asset(id_, str(id_), Modality.IMAGE, "jpeg", 1, duration_s=duration_s, taken_at=taken)
    record = SegmentRecord(id_, 0, Segment(Modality.IMAGE), asset, b"", True, 0)
    return record, np.array([np.cos(angle), np.sin(angle)], np.float32)


def same(one: tuple[SegmentRecord, Floats], other: tuple[SegmentRecord, Floats]) -> bool:
    return is_near_duplicate(one[0].asset, other[0].asset, float(one[1] @ other[1]))


def test_same_by_cosine_time_and_length() -> None:
    close, burst = np.arccos(NEAR_DUPLICATE + 0.005), np.arccos(0.93)
    assert same(shown(0), shown(close))
    assert not same(shown(0), shown(burst))
    assert same(shown(0, taken_s=0), shown(burst, taken_s=5))
    assert not same(shown(0, taken_s=0), shown(burst, taken_s=600))
    assert not same(shown(0, duration_s=10), shown(0, duration_s=20))
    assert same(shown(0, duration_s=100), shown(0, duration_s=101))


def test_a_chain_of_small_steps_is_not_one_group() -> None:
    step = float(np.arccos(NEAR_DUPLICATE + 0.001))
    results = [shown(step * i, id_=i) for i in range(6)]
    groups = collapse([one for one, _ in results], [vector for _, vector in results], 6)
    assert [group[0] for group in groups] == [0, 2, 4]


def test_what_has_no_vector_or_another_modality_is_not_merged() -> None:
    record, vector = shown(0)
    heard = dataclasses.replace(record, segment=Segment(Modality.AUDIO))
    assert collapse([record, record], [vector, vector], 2) == [[0, 1]]
    assert collapse([record, record], [vector, None], 2) == [[0], [1]]
    assert collapse([record, heard], [vector, vector], 2) == [[0], [1]]
    assert mmr([record, heard, record], [vector] * 3, [0.99, 0.5, 0.95], 2) == [0, 2]
    assert mmr([record, heard, record], [vector] * 3, [0.9, 0.5, 0.6], 2) == [0, 1]


def test_spread_takes_new_things_first() -> None:
    results = [shown(0.0, id_=0), shown(0.1, id_=1), shown(1.5, id_=2)]
    records, vectors = [one for one, _ in results], [vector for _, vector in results]
    assert mmr(records, vectors, [0.9, 0.88, 0.7], 3) == [0, 2, 1]


def test_near_duplicates_are_folded_with_their_paths(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.add("a.jpg", image("red"))
    library.add("b.jpg", noisy(image("red"), 1, 2))
    library.add("copy of a.jpg", image("red"), content="a.jpg")
    library.add("c.jpg", image("blue"))
    library.add("d.wav", (0.0, 2.0, tone("red", 2.0)))
    hits = library.search("red", mode=Mode.SEMANTIC)
    assert sorted(names(hits)) == ["a.jpg", "c.jpg", "d.wav"]
    first = next(hit for hit in hits if hit.path.name == "a.jpg")
    assert [path.name for path in first.duplicates] == ["copy of a.jpg", "b.jpg"]
    hits = library.search("red", mode=Mode.SEMANTIC, show_duplicates=True)
    assert sorted(names(hits)) == ["a.jpg", "b.jpg", "c.jpg", "d.wav"]


def test_folding_still_fills_k(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for number in range(150):
        library.add(f"{number}.jpg", noisy(image("red"), number, 2))
    for name in ("orange", "brown", "pink"):
        library.add(f"{name}.jpg", image(name))
    hits = library.search("red", k=4, mode=Mode.SEMANTIC)
    assert len(hits) == 4
    assert len(hits[0].duplicates) == 149


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
    library.add("a.jpg", image("red"), size_bytes=100)
    library.add("b.jpg", noisy(image("red"), 1, 2), size_bytes=900)
    library.add("x/c.jpg", image("green"), content="green")
    library.add("y/c.jpg", image("green"), content="green")
    library.add("lone.jpg", image("blue"))
    library.add("burst 1.jpg", image("white"), taken_at=NOON)
    library.add("s.wav", (0.0, 2.0, tone("red", 2.0)))
    library.add("s.flac", (0.0, 2.0, tone("red", 2.0)))
    library.add("longer.wav", (0.0, 2.0, tone("red", 2.0)), duration_s=60.0)
    found = library.engine.duplicates()
    assert [[path.name for path in group.paths] for group in found] == [
        ["b.jpg", "a.jpg"],
        ["s.wav", "s.flac"],
        ["c.jpg", "c.jpg"],
    ]
    assert [group.likeness for group in found] == [Likeness.NEAR, Likeness.NEAR, Likeness.COPIES]
    only = library.engine.duplicates(frozenset({Modality.AUDIO}))
    assert [group.modality for group in only] == [Modality.AUDIO]
    below = library.engine.duplicates(under=library.media / "x")
    assert [len(group.paths) for group in below] == [2]


def test_photos_of_one_day_are_no_burst() -> None:
    """A messenger's file name tells the day alone: all of them are stored at midnight."""
    burst = float(np.arccos(0.93))
    one, other = shown(0, taken_s=0), shown(burst, taken_s=0)
    assert same(one, other)
    asset = dataclasses.replace(one[0].asset, details={"date_precision": "day"})
    vague = dataclasses.replace(one[0], asset=asset)
    assert not same((vague, one[1]), other)
    assert not same(other, (vague, one[1]))
