"""Windows become moments, segments become files."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from seehear.encoders.fake import tone, video
from seehear.search.moments import merge_adjacent
from seehear.types import Modality, Mode, Moment
from tests.search.library import Library, names


def piece(start_s: float, stop_s: float, score: float, kind: Modality = Modality.AUDIO) -> Moment:
    return Moment(start_s, stop_s, score, 0.0, int(start_s * 10), kind)


def test_overlapping_windows_are_one_moment() -> None:
    pieces = [piece(0, 10, 0.7), piece(5, 15, 0.8), piece(10, 20, 0.75), piece(60, 70, 0.6)]
    found = merge_adjacent(pieces, 3)
    assert [(s.start_s, s.stop_s) for s in found] == [(0, 20), (60, 70)]
    assert (found[0].score, found[0].segment_id) == (0.8, 50)


def test_a_worse_neighbour_does_not_join() -> None:
    found = merge_adjacent([piece(0, 10, 0.9), piece(5, 15, 0.3), piece(10, 20, 0.2)], 5)
    assert [(s.start_s, s.stop_s) for s in found] == [(0, 10), (10, 20)]


def test_sight_and_sound_are_not_merged() -> None:
    found = merge_adjacent([piece(0, 10, 0.9), piece(5, 12, 0.9, Modality.VIDEO)], 1)
    assert (found[0].start_s, found[0].stop_s) == (0, 10)


times = st.tuples(
    st.integers(0, 60), st.integers(1, 12), st.integers(0, 10), st.sampled_from(["audio", "video"])
)


@given(st.lists(times, max_size=25), st.integers(1, 6))
def test_moments_never_overlap_and_hold_their_best(
    drawn: list[tuple[int, int, int, str]], most: int
) -> None:
    pieces = [
        Moment(float(start), float(start + length), score / 10, 0.0, i, Modality(kind))
        for i, (start, length, score, kind) in enumerate(drawn)
    ]
    found = merge_adjacent(pieces, most)
    assert len(found) <= most
    assert bool(found) == bool(pieces)
    scores = [moment.score for moment in found]
    assert scores == sorted(scores, reverse=True)
    for i, one in enumerate(found):
        best = pieces[one.segment_id]
        assert (one.score, one.matched) == (best.score, best.matched)
        assert one.start_s <= best.start_s < best.stop_s <= one.stop_s
        for other in found[i + 1 :]:
            assert one.stop_s <= other.start_s or other.stop_s <= one.start_s


def test_a_video_hit_names_its_moments(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.add(
        "film.mp4",
        (0.0, 5.0, video("green")),
        (5.0, 8.0, video("red")),
        (8.0, 12.0, video("red")),
        (12.0, 20.0, video("blue")),
        (20.0, 25.0, video("red", "grey")),
        (25.0, 30.0, video("green")),
    )
    (hit,) = library.search("red", moments=3, mode=Mode.SEMANTIC)
    assert hit.moment == (5.0, 12.0)
    assert [(m.start_s, m.stop_s) for m in hit.moments[:2]] == [(5.0, 12.0), (20.0, 25.0)]
    assert hit.moments[0].score >= hit.moments[1].score
    (hit,) = library.search("red", mode=Mode.SEMANTIC)
    assert len(hit.moments) == 1


def test_a_file_ranks_by_its_best_moment_not_by_how_many_it_has(tmp_path: Path) -> None:
    library = Library(tmp_path)
    many = [(float(i), float(i + 2), tone("red", 2.0)) for i in range(200)]
    half = [(start, stop, video("red", "green")) for start, stop, _ in many]
    library.add("long.mp4", *half)
    library.add("short.mp4", (0.0, 2.0, video("red")))
    library.add("other.mp4", (0.0, 2.0, video("blue")))
    hits = library.search("red", k=3, mode=Mode.SEMANTIC)
    assert names(hits) == ["short.mp4", "long.mp4", "other.mp4"]


def test_the_sound_of_a_film_is_a_hit_of_the_film(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.add("film.mp4", (0.0, 4.0, video("green")), (4.0, 6.0, tone("red", 2.0)))
    (hit,) = library.search(tone("red", 2.0))
    assert (hit.modality, hit.matched_modality, hit.moment) == (
        Modality.VIDEO,
        Modality.AUDIO,
        (4.0, 6.0),
    )
