"""What is said and written: found by it, scored on its own background, and told by what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seehear.encoders.fake import CONCEPTS, image, tone, video
from seehear.search import Engine
from seehear.search.calibration.baseline_store import name_of
from seehear.search.composition import corroborated
from seehear.stores import SegmentColumns
from seehear.types import By, Hit, Modality, Mode, Origin, Segment
from tests.search.library import Library

NAMES = [concept.name for concept in CONCEPTS]
BOX = (0.1, 0.2, 0.5, 0.3)


def said(
    text: str,
    start_s: float | None = None,
    stop_s: float | None = None,
    origin: Origin = Origin.SPEECH,
    language: str | None = "en",
    box: tuple[float, float, float, float] | None = None,
) -> Segment:
    return Segment(
        Modality.TEXT, start_s, stop_s, text,
        origin=origin, language=language, confidence=0.8, box=box,
    )  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Files of every concept, and some in which it is said or written beside."""
    made = Library(tmp_path_factory.mktemp("said"))
    for number, name in enumerate(NAMES):
        made.add(f"photo{number}.jpg", image(name))
        made.add(f"note{number}.txt", f"{name} thoughts of somebody else")
        made.add(f"talk{number}.wav", (0.0, 9.0, tone("grey", 9)), said(f"{name} words", 3.0, 5.0))
    made.add(
        "sign.jpg", image("blue"), said("quagga crossing", None, None, Origin.WRITING, box=BOX)
    )
    made.add("song.mp3", (0.0, 9.0, tone("pink", 9)), said("zebra lullaby", origin=Origin.LYRICS))
    made.add(
        "film.mp4", (0.0, 20.0, video("green")),
        said("okapi in the mist", 4.0, 6.0, Origin.SUBTITLES, "de"),
    )  # fmt: skip
    made.add("fire-drill.mp4", (0.0, 20.0, video("cyan")))
    made.keep_calibration()
    return made


def first(library: Library, asked: Any, **options: object) -> Hit:
    return library.search(asked, **options)[0]


@pytest.mark.parametrize(
    ("words", "name", "by", "moment"),
    [
        ("red words", "talk2.wav", By.SPEECH, (3.0, 5.0)),
        ("quagga", "sign.jpg", By.WRITING, None),
        ("zebra lullaby", "song.mp3", By.LYRICS, None),
        ("an okapi", "film.mp4", By.SUBTITLES, (4.0, 6.0)),
        ("red thoughts of somebody", "note2.txt", By.TEXT, None),
        ("fire drill", "fire-drill.mp4", By.NAME, None),
    ],
)
def test_a_hit_says_by_what_it_was_found(
    library: Library, words: str, name: str, by: By, moment: tuple[float, float] | None
) -> None:
    hit = first(library, words)
    assert (hit.path.name, hit.by[0]) == (name, by)
    assert not hit.weak
    if moment is not None:
        assert hit.moment == moment
        assert hit.moments[0].by[0] == by
        assert hit.to_dict()["moments"][0]["by"][0] == str(by)
    if by not in (By.NAME, By.TEXT):
        assert hit.snippet is not None
        assert hit.marks
    assert hit.to_dict()["by"] == [str(one) for one in hit.by]


def test_what_is_seen_and_heard_needs_no_words(library: Library) -> None:
    assert first(library, image("red"), mode=Mode.SEMANTIC).by == (By.SIGHT,)
    heard = library.search(tone("grey"), mode=Mode.SEMANTIC, modalities={Modality.AUDIO})
    assert {hit.by for hit in heard[:5]} == {(By.SOUND,)}


@pytest.mark.parametrize("asked", [image("red"), tone("red")])
def test_a_picture_or_a_sound_is_not_answered_by_words(library: Library, asked: Any) -> None:
    hits = library.search(asked, k=50, mode=Mode.SEMANTIC)
    assert len(hits) > 3
    words = {By.SPEECH, By.WRITING, By.SUBTITLES, By.LYRICS}
    assert not [hit for hit in hits if words & set(hit.by)]


def test_writing_is_told_with_its_box_and_language(library: Library) -> None:
    hit = first(library, "quagga crossing")
    assert (hit.box, hit.language, hit.text) == (BOX, "en", "quagga crossing")
    assert hit.to_dict()["box"] == list(BOX)
    assert first(library, "okapi").language == "de"


@pytest.mark.parametrize("origin", Origin)
def test_each_origin_has_its_own_background(library: Library, origin: Origin) -> None:
    snapshot = library.engine.current()
    own = snapshot.baseline(Modality.TEXT, Modality.TEXT, origin)
    plain = snapshot.baseline(Modality.TEXT, Modality.TEXT)
    counts = {Origin.SPEECH: 12, Origin.WRITING: 1, Origin.LYRICS: 1, Origin.SUBTITLES: 1}
    assert own.count == counts[origin]
    assert plain.count == 12
    assert snapshot.kept_baseline(Modality.TEXT, Modality.TEXT, origin) is not None
    assert not np.allclose(own.items, plain.items)
    names = {name_of(Modality.TEXT, Modality.TEXT, one) for one in (None, *Origin)}
    assert len(names) == 5


def test_no_segment_is_read_to_know_the_origins(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Engine(library.catalog, library.cache, library.model).current()
    reads = type(library.catalog.segments)
    assert library.catalog.segments.origins(library.generation.id) == list(Origin)
    monkeypatch.setattr(reads, "origins", lambda *_: pytest.fail("it reads all passages"))
    assert fresh.columns is None
    assert fresh.origins() == list(Origin)


def test_the_route_of_what_is_said_is_explained(library: Library) -> None:
    (why,) = first(library, "red words", explain=True).why
    assert why.route == "text->speech"
    (why,) = first(library, "red thoughts of somebody", explain=True).why
    assert why.route == "text->text"


def test_what_is_said_changes_no_score_of_other_files(tmp_path: Path) -> None:
    def scores(name: str, *words: Segment) -> dict[str, float]:
        made = Library(tmp_path / name)
        for number, concept in enumerate(NAMES[:5]):
            made.add(f"photo{number}.jpg", image(concept))
            made.add(f"note{number}.txt", f"{concept} thoughts of somebody else")
        made.add("talk.wav", (0.0, 9.0, tone("grey", 9)), *words)
        hits = made.search("red", k=50, mode=Mode.SEMANTIC)
        return {hit.path.name: hit.score for hit in hits if hit.path.name != "talk.wav"}

    plain = scores("plain")
    assert scores("said", said("many other words of a talk", 1.0, 2.0)) == pytest.approx(plain)


def films(library: Library, kinds: dict[str, tuple[float, ...]]) -> None:
    """Films of an hour that show, sound and say "red" at some times."""
    makers: dict[str, Callable[[float], object]] = {
        "sight": lambda at: (at, at + 10, video("red")),
        "sound": lambda at: (at, at + 10, tone("red", 10)),
        "speech": lambda at: said("red", at + 2, at + 4),
    }
    for name, times in kinds.items():
        parts = [makers[kind](at) for kind, at in zip(name.split("-"), times, strict=True)]
        library.add(f"{name}.mp4", (900.0, 910.0, video("cyan")), *parts, modality=Modality.VIDEO)  # type: ignore[arg-type]


def test_what_is_seen_heard_and_said_at_once_ranks_above_each_alone(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for number, name in enumerate(NAMES):
        if name != "red":
            library.add(f"photo{number}.jpg", image(name))
            library.add(f"other{number}.wav", (0.0, 9.0, tone(name, 9)), said(name, 3.0, 5.0))
    films(
        library, {"sight": (10,), "sound": (10,), "speech": (10,), "sight-sound-speech": (10,) * 3}
    )
    films(library, {"speech-sight-sound": (10, 200, 400)})
    hits = library.search("red", mode=Mode.SEMANTIC, moments=3, show_duplicates=True)
    assert hits[0].path.name == "sight-sound-speech.mp4"
    assert set(hits[0].by) == {By.SIGHT, By.SOUND, By.SPEECH}
    by_name = {hit.path.stem: hit for hit in hits}
    assert hits[0].score > by_name["speech-sight-sound"].score
    apart = by_name["speech-sight-sound"]
    assert len(apart.by) == 1
    assert {one.by for one in apart.moments} == {(By.SIGHT,), (By.SOUND,), (By.SPEECH,)}


def columns(*rows: tuple[int, int, int, float, float]) -> SegmentColumns:
    """Rows of (asset, kind, origin, start_s, stop_s)."""
    assets, kinds, origins, starts, stops = map(np.array, zip(*rows, strict=True))
    return SegmentColumns(
        np.arange(len(rows)), assets.astype(np.int64), kinds.astype(np.int8),
        origins.astype(np.int8), starts.astype(np.float64), stops.astype(np.float64),
    )  # fmt: skip


NONE = float("nan")


@pytest.mark.parametrize(
    ("one", "other", "raised"),
    [
        ((1, 3, 0, 0, 10), (1, 2, 0, 5, 15), True),  # a shot and its sound
        ((1, 3, 0, 0, 10), (1, 2, 0, 10, 20), False),  # one after the other
        ((1, 3, 0, 0, 10), (2, 2, 0, 5, 15), False),  # two files
        ((1, 3, 0, 0, 10), (1, 3, 0, 5, 15), False),  # two shots
        ((1, 0, 3, 0, 10), (1, 0, 4, 5, 15), True),  # said and written
        ((1, 0, 3, 0, 10), (1, 0, 3, 5, 15), False),  # said twice
        ((1, 1, 0, NONE, NONE), (1, 0, 4, NONE, NONE), True),  # a picture with writing
        ((1, 1, 0, NONE, NONE), (1, 0, 0, NONE, NONE), False),  # pages of a document
        ((1, 2, 0, 0, 10), (1, 0, 2, NONE, NONE), True),  # a song and its words
    ],
)
def test_other_kinds_of_evidence_at_the_same_time_raise_a_score(
    one: tuple[int, int, int, float, float], other: tuple[int, int, int, float, float], raised: bool
) -> None:
    candidates, wanted = columns(one, other), np.array([True])
    own = np.array([[0.8, 0.6]], dtype=np.float32)
    scores = corroborated(own, wanted, candidates)
    assert bool((scores > own).all()) == raised
    assert ((scores >= own) & (scores < 1.0)).all()
    assert (corroborated(own, np.array([False]), candidates) == own).all()
    weak = np.array([[0.8, 0.2]], dtype=np.float32)
    assert (corroborated(weak, wanted, candidates) == weak).all()


def test_the_words_and_the_sound_of_a_recording_answer_different_parts(library: Library) -> None:
    hits = library.search("red words", tone("grey", 9), k=3, mode=Mode.SEMANTIC)
    assert hits[0].path.name == "talk2.wav"
    assert hits[0].moment == (3.0, 5.0)
    assert {By.SPEECH, By.SOUND} <= set(hits[0].by)


def test_half_of_the_words_find_what_was_said(library: Library) -> None:
    hit = first(library, "okapi mist nowhere gone", mode=Mode.WORDS)
    assert (hit.path.name, hit.by, hit.moment) == ("film.mp4", (By.SUBTITLES,), (4.0, 6.0))
    assert [hit.snippet[a:b] for a, b in hit.marks] == ["okapi", "mist"]  # type: ignore[index]


def test_subtitles_beside_a_sound_are_moments_of_it(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.add("talk.mp3", (0.0, 9.0, tone("grey", 9)))
    library.add("talk.en.srt", said("quagga words", 3.0, 5.0, Origin.SUBTITLES))
    with library.catalog.batch() as batch:
        batch.set_sidecars(library.root.id)
    hit = first(library, "quagga")
    assert (hit.path.name, hit.modality) == ("talk.mp3", Modality.AUDIO)
    assert (hit.by, hit.moment) == ((By.SUBTITLES,), (3.0, 5.0))
