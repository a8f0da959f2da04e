"""Several things asked at once, words beside meaning, likes and dislikes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seehear.encoders.fake import image, tone, video
from seehear.search.composition import (
    EXCLUDED_FLOOR,
    log_mean_exp,
    noisy_or,
    weighted_geometric_mean,
)
from seehear.types import ImageSample, Modality, Mode, QueryPart
from tests.search.library import Library, mixed, names


def halves(left: str, right: str) -> ImageSample:
    """A picture of two colours."""
    return ImageSample(np.concatenate([image(left).pixels, image(right).pixels], axis=1))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Pictures of one and of two colours, and some sounds."""
    library = Library(tmp_path_factory.mktemp("pairs"))
    colours = ("red", "green", "blue", "yellow", "purple")
    for i, one in enumerate(colours):
        library.add(f"{one}.jpg", image(one))
        library.add(f"{one}.wav", (0.0, 2.0, tone(one, 2.0)))
        for other in colours[i + 1 :]:
            library.add(f"{one}-{other}.jpg", halves(one, other))
    return library


IMAGES = frozenset({Modality.IMAGE})


def test_parts_are_all_to_be_answered(pairs: Library) -> None:
    hits = pairs.search("red", "blue", modalities=IMAGES, mode=Mode.SEMANTIC)
    assert names(hits)[0] == "red-blue.jpg"
    assert hits[0].score > 0.5
    # A photo and words, which lie in different regions of the space, compose as well.
    hits = pairs.search(image("red"), "blue", modalities=IMAGES, mode=Mode.SEMANTIC)
    assert names(hits)[0] == "red-blue.jpg"


def test_weights_say_what_counts_more(pairs: Library) -> None:
    heavy = QueryPart(("red",), weight=8.0, label="red")
    light = QueryPart(("blue",), label="blue")
    options = {"modalities": IMAGES, "mode": Mode.SEMANTIC, "k": 30, "show_duplicates": True}
    hits = pairs.search(heavy, light, **options)
    order = names(hits)
    assert order.index("red.jpg") < order.index("blue.jpg")
    hits = pairs.search(
        QueryPart(("red",), label="red"), QueryPart(("blue",), weight=8.0, label="blue"), **options
    )
    order = names(hits)
    assert order.index("blue.jpg") < order.index("red.jpg")


def test_exclusion_lowers_what_matches_and_lifts_nothing(pairs: Library) -> None:
    options = {"modalities": IMAGES, "mode": Mode.SEMANTIC, "k": 30, "show_duplicates": True}
    plain = {hit.path.name: hit.score for hit in pairs.search("red", **options)}
    hits = pairs.search("red", QueryPart(("blue",), exclude=True, label="blue"), **options)
    without = {hit.path.name: hit.score for hit in hits}
    assert without["red-blue.jpg"] < 0.2 * plain["red-blue.jpg"]
    assert names(hits)[0] == "red.jpg"
    for name, score in without.items():
        assert score <= plain[name] + 1e-6
        if "blue" not in name:
            assert score == pytest.approx(plain[name], abs=1e-6)


def test_a_picture_can_be_excluded(pairs: Library) -> None:
    part = QueryPart((image("green"),), exclude=True, label="green.jpg")
    hits = pairs.search("red", part, modalities=IMAGES, mode=Mode.SEMANTIC, k=4)
    assert "red-green.jpg" not in names(hits)


def test_join_by_hand() -> None:
    scores = np.array([[0.81, 0.5, 0.9], [0.25, 0.5, 0.9], [0.1, 0.1, 0.6]], dtype=np.float32)
    joined = weighted_geometric_mean(scores, [1.0, 1.0, 1.0], [False, False, True])
    kept = 1 - (0.6 - EXCLUDED_FLOOR) / (1 - EXCLUDED_FLOOR)
    np.testing.assert_allclose(joined, [0.45, 0.5, 0.9 * kept], rtol=1e-5)
    assert weighted_geometric_mean(scores[:1], [7.0], [False])[0] == pytest.approx(0.81)
    weighted = weighted_geometric_mean(scores[:2], [3.0, 1.0], [False, False])[0]
    assert weighted == pytest.approx(0.81**0.75 * 0.25**0.25)


def test_any_of_is_between_mean_and_best() -> None:
    odds = np.array([[4.0, 2.0, -np.inf], [-4.0, 2.0, -np.inf]], dtype=np.float32)
    mixed_odds = log_mean_exp(odds)
    assert mixed_odds[0] == pytest.approx(4.0 - np.log(2), abs=1e-3)
    assert mixed_odds[1] == pytest.approx(2.0)
    assert mixed_odds[2] == -np.inf


def test_either_of_two_kinds_of_evidence() -> None:
    np.testing.assert_allclose(
        noisy_or(np.array([0.5, 0.0], np.float32), np.array([0.5, 0.9], np.float32)),
        [0.75, 0.9],
        rtol=1e-6,
    )


def test_sight_and_sound_together_find_the_moment_of_both(tmp_path: Path) -> None:
    library = Library(tmp_path)
    # The street is red, the siren blue: together only from 20 to 30.
    shots = [(0.0, 10.0, video("green")), (10.0, 30.0, video("red")), (30.0, 40.0, video("green"))]
    heard = [
        (0.0, 10.0, tone("blue", 2.0)),
        (10.0, 20.0, tone("grey", 2.0)),
        (20.0, 30.0, tone("blue", 2.0)),
        (30.0, 40.0, tone("grey", 2.0)),
    ]
    library.add("both.mp4", *shots, *heard, modality=Modality.VIDEO)
    library.add("sight.mp4", (0.0, 10.0, video("red")), (0.0, 10.0, tone("grey", 2.0)))
    library.add("sound.mp4", (0.0, 10.0, video("green")), (0.0, 10.0, tone("blue", 2.0)))
    library.add("apart.mp4", (0.0, 10.0, video("red")), (10.0, 20.0, tone("blue", 2.0)))
    hits = library.search("red", tone("blue", 2.0), k=4, mode=Mode.SEMANTIC, explain=True)
    assert hits[0].path.name == "both.mp4"
    assert hits[0].moment == (20.0, 30.0)
    assert hits[0].score > 2 * hits[1].score
    assert {term.route for term in hits[0].why} == {"text->video", "audio->audio"}


def test_a_hit_says_whether_the_collection_holds_such_things(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for i in range(40):
        library.add(f"other {i}.txt", f"word{i} more{i}")
    for i in range(8):
        library.add(f"red {i}.txt", f"red thing{i} more{i} again{i}")
    held = library.search("red", k=8, mode=Mode.SEMANTIC, explain=True)
    missing = library.search("zebra", k=8, mode=Mode.SEMANTIC, explain=True)
    assert all(not hit.weak for hit in held)
    assert all(hit.weak for hit in missing)
    yes, no = (
        min(term.presence or 0.0 for hit in hits for term in hit.why) for hits in (held, missing)
    )
    assert yes > 0.9
    assert no < 0.5


def test_why_a_hit_has_its_score(pairs: Library) -> None:
    (hit,) = pairs.search("red", "blue", k=1, modalities=IMAGES, explain=True)
    assert [term.part for term in hit.why] == ["red", "blue"]
    assert hit.score == pytest.approx(np.sqrt(hit.why[0].score * hit.why[1].score), rel=1e-4)
    for term in hit.why:
        assert term.route == "text->image"
        assert term.space == "fake@1:32"
        assert term.similarity is not None
        assert term.expected is not None
        assert term.similarity > term.expected
    assert pairs.search("red", k=1)[0].why == ()


def test_likes_and_dislikes_refine(pairs: Library) -> None:
    first = pairs.search("red", modalities=IMAGES, mode=Mode.SEMANTIC, k=10)
    by_name = {hit.path.name: hit.segment_id for hit in first}
    liked = pairs.search(
        "red", modalities=IMAGES, mode=Mode.SEMANTIC, k=10, like=(by_name["red-blue.jpg"],)
    )
    assert names(liked)[0] == "red-blue.jpg"
    assert names(liked).index("red-blue.jpg") < names(first).index("red-blue.jpg")
    disliked = pairs.search(
        "red", modalities=IMAGES, mode=Mode.SEMANTIC, k=10, unlike=(by_name["red-blue.jpg"],)
    )
    scores = {hit.path.name: hit.score for hit in disliked}
    before = {hit.path.name: hit.score for hit in first}
    assert scores.get("red-blue.jpg", 0.0) < before["red-blue.jpg"]
    assert all(score <= before.get(name, 1.0) + 1e-6 for name, score in scores.items())


def test_likes_alone_are_a_query(pairs: Library) -> None:
    red = pairs.search("red", modalities=IMAGES, k=1, mode=Mode.SEMANTIC)[0]
    assert pairs.search(like=(red.segment_id,), modalities=IMAGES, k=1)[0].asset_id == red.asset_id


def test_two_sounds_at_once(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for name in ("red", "blue", "green"):
        library.add(f"{name}.wav", (0.0, 2.0, tone(name, 2.0)))
    library.add("chord.wav", (0.0, 2.0, mixed("red", "blue")))
    assert names(library.search(tone("red", 2.0), tone("blue", 2.0), k=1)) == ["chord.wav"]


# Words


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Library:
    library = Library(tmp_path_factory.mktemp("written"))
    library.add("IMG_2041.jpg", image("red"))
    library.add("holiday/zanzibar harbour.jpg", image("blue"))
    library.add("green.jpg", image("green"))
    library.add(
        "film.mp4",
        (0.0, 10.0, video("green")),
        (10.0, 20.0, video("red")),
        (20.0, 30.0, video("blue")),
    )
    library.add(
        "notes.md",
        "the quick brown fox jumps over the lazy dog",
        "a lazy fox and quick thoughts",
        "grass and frogs",
    )
    return library


def test_an_exact_file_name_is_found_whatever_the_model_thinks(written: Library) -> None:
    for text in ("IMG_2041", "IMG_2041.jpg", "img_2041.JPG", "img 2041"):
        hits = written.search(text, k=3)
        assert names(hits)[0] == "IMG_2041.jpg", text
        assert hits[0].score > 0.9
        assert not hits[0].weak
    assert written.search("IMG_2041", mode=Mode.SEMANTIC, k=3)[0].score < 0.9


def test_every_name_of_a_copied_file_is_found(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for name in ("copy of holiday.jpg", "holiday.jpg", "IMG_7.jpg"):
        library.add(name, image("red"), content="one")
    library.add("other holiday.jpg", image("blue"))
    for text in ("holiday", "holiday.jpg", "img_7", "copy of holiday"):
        first = library.search(text, k=2)[0]
        assert first.asset_id == 1
        assert first.score > 0.98


def test_a_phrase_is_found_and_beats_its_words_apart(written: Library) -> None:
    hits = written.search("lazy fox", k=2, explain=True)
    assert hits[0].snippet == "a lazy fox and quick thoughts"
    assert hits[0].why[0].words == "phrase in a passage"
    assert written.search("lazy dog", k=1)[0].snippet is not None


def test_mode_words_looks_at_nothing_else(written: Library) -> None:
    assert names(written.search("zanzibar", mode=Mode.WORDS)) == ["zanzibar harbour.jpg"]
    assert names(written.search("zanzibar", "harbour", mode=Mode.WORDS)) == ["zanzibar harbour.jpg"]
    assert written.search("unheard", mode=Mode.WORDS) == []


def test_words_that_say_nothing_are_left_out(written: Library) -> None:
    hits = written.search("the harbour of zanzibar", mode=Mode.WORDS)
    assert names(hits) == ["zanzibar harbour.jpg"]


def test_a_file_name_does_not_hide_the_moment(written: Library) -> None:
    (hit,) = written.search("film", "red", k=1)
    assert hit.path.name == "film.mp4"
    assert hit.moment == (10.0, 20.0)


def test_words_obey_the_filter(written: Library) -> None:
    assert written.search("zanzibar", mode=Mode.WORDS, where="kind = audio") == []
