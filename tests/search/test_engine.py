"""The engine on made-up media: routes, filters, bad requests, determinism, threads."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seehear.encoders.fake import image, tone, video
from seehear.errors import StoreError, UsageError
from seehear.search import Engine
from seehear.search import engine as engine_module
from seehear.search.encode_query import PATTERNS
from seehear.stores import Catalog
from seehear.stores.vectors.flat import FlatIndex
from seehear.types import AudioSample, Modality, Mode, Query, QueryPart, Sample
from tests.search.library import Library, names, noisy

QUERIES: dict[Modality, Sample] = {
    Modality.TEXT: "something red",
    Modality.IMAGE: image("red"),
    Modality.AUDIO: tone("red", 2.0),
    Modality.VIDEO: video("red"),
}


@pytest.mark.parametrize("item", Modality)
@pytest.mark.parametrize("query", Modality)
def test_every_route_finds_the_right_item_first(
    shared: Library, query: Modality, item: Modality
) -> None:
    hits = shared.search(
        QUERIES[query], modalities=frozenset({item}), k=4, mode=Mode.SEMANTIC, explain=True
    )
    assert hits[0].path.stem == "red"
    assert hits[0].modality is item
    assert not hits[0].weak
    assert all(hit.weak for hit in hits[1:])
    assert [hit.rank for hit in hits] == [1, 2, 3, 4]
    assert hits[0].why[0].route.startswith(f"{query}->")


def test_one_list_holds_all_kinds_before_anything_else(shared: Library) -> None:
    hits = shared.search("red", k=10, mode=Mode.SEMANTIC)
    assert sorted(names(hits[:4])) == ["red.jpg", "red.mp4", "red.txt", "red.wav"]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[3].score > 0.5 > hits[4].score


def test_a_hit_scores_the_same_however_few_are_asked_for(shared: Library) -> None:
    many = shared.search("red", k=10, mode=Mode.SEMANTIC)
    for k in (1, 3):
        few = shared.search("red", k=k, mode=Mode.SEMANTIC)
        assert [hit.asset_id for hit in few] == [hit.asset_id for hit in many[:k]]
        assert [hit.score for hit in few] == pytest.approx([hit.score for hit in many[:k]])


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.SEMANTIC])
@pytest.mark.parametrize("name", QUERIES)
def test_score_and_mark_are_those_of_the_whole_collection(
    shared: Library, name: Modality, mode: Mode
) -> None:
    query = QUERIES[name]
    many = {hit.asset_id: hit for hit in shared.search(query, k=100, mode=mode)}
    narrowed: list[dict[str, Any]] = [
        {"where": "name ~ e"},
        {"where": "not name ~ red"},
        *({"modalities": frozenset({kind})} for kind in Modality),
        {"k": 1},
        {"show_duplicates": True},
        {"diverse": True},
        *({"where": f'name = "{hit.path.name}"'} for hit in many.values()),
    ]
    compared = 0
    for options in narrowed:
        for hit in shared.search(query, mode=mode, **options):
            if hit.asset_id in many:
                compared += 1
                assert hit.score == pytest.approx(many[hit.asset_id].score, abs=1e-6), options
                assert hit.weak == many[hit.asset_id].weak, options
    assert compared > len(many)


def test_a_query_without_answer_brings_up_weak_hits_only(shared: Library) -> None:
    hits = shared.search("an elephant", k=10)
    assert hits
    assert all(hit.weak for hit in hits)
    assert shared.search("an elephant", min_score=0.3) == []


def test_each_modality_fills_k(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for number in range(3):
        library.add(f"film {number}.mp4", *_windows(f"film {number}", 120, 3.0))
    for number in range(5):
        library.add(f"{number}.wav", (0.0, 2.0, tone("red", 2.0)), content=str(number))
    hits = library.search("red", modalities=frozenset({Modality.AUDIO}), k=5, show_duplicates=True)
    assert len(hits) == 5
    hits = library.search("red", k=8, show_duplicates=True)
    assert len({hit.asset_id for hit in hits}) == 8


def _windows(name: str, count: int, hop_s: float) -> list[tuple[float, float, Sample]]:
    del name
    return [(i * hop_s, i * hop_s + hop_s, video("red", "green")) for i in range(count)]


def test_a_clip_meets_pictures_by_sight_and_sounds_by_sound(shared: Library) -> None:
    both = QueryPart((video("red"), tone("blue", 2.0)), label="clip")
    pictures = shared.search(both, modalities=frozenset({Modality.IMAGE}), k=1)
    sounds = shared.search(both, modalities=frozenset({Modality.AUDIO}), k=1)
    assert names(pictures) == ["red.jpg"]
    assert names(sounds) == ["blue.wav"]


def test_a_clip_of_two_things_finds_either(shared: Library) -> None:
    both = QueryPart((video("red"), video("green")), label="clip")
    hits = shared.search(both, modalities=frozenset({Modality.IMAGE}), k=2)
    assert sorted(names(hits)) == ["green.jpg", "red.jpg"]
    assert not any(hit.weak for hit in hits)


def test_small_collections_tell_answers_from_others(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.add("only.jpg", image("red"))
    assert not library.search("red")[0].weak
    assert library.search("green")[0].weak
    assert not library.search(image("red"))[0].weak
    assert library.search(image("green"))[0].weak
    assert library.search(tone("green", 2.0))[0].weak


def test_an_empty_collection_has_no_hits(tmp_path: Path) -> None:
    library = Library(tmp_path)
    assert library.search("red") == []
    assert library.search(image("red")) == []


def test_no_generation_is_a_clear_error(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path)
    with pytest.raises(StoreError, match="seehear index"):
        Engine(catalog, None, None)  # type: ignore[arg-type]
    catalog.close()


def test_answers_do_not_depend_on_what_was_asked_before(tmp_path: Path) -> None:
    from tests.search.library import demo

    one, other = demo(tmp_path / "one"), demo(tmp_path / "other")
    for query in (image("blue"), tone("green", 2.0), "white"):
        other.search(query)
    mine, theirs = one.search("red", k=20), other.search("red", k=20)
    assert [(h.path.name, h.score) for h in mine] == [(h.path.name, h.score) for h in theirs]


def test_banks_kept_in_the_catalog_change_no_answer(tmp_path: Path) -> None:
    from tests.search.library import demo

    library = demo(tmp_path)
    before = [library.search(query, k=30) for query in QUERIES.values()]
    library.keep_calibration()
    engine = Engine(library.catalog, library.cache, library.model)
    after = [engine.search(Query((QueryPart((q,), label="x"),), k=30)) for q in QUERIES.values()]
    assert [[h.score for h in hits] for hits in before] == [
        [h.score for h in hits] for hits in after
    ]
    encoder = library.model._encoder  # type: ignore[attr-defined]
    calls = encoder.samples[Modality.TEXT]
    Engine(library.catalog, library.cache, library.model).search(Query((QueryPart(("red",)),)))
    assert encoder.samples[Modality.TEXT] == calls + len(PATTERNS)


@pytest.mark.parametrize("k", [1, 10, 20])
def test_each_index_is_searched_once(
    shared: Library, monkeypatch: pytest.MonkeyPatch, k: int
) -> None:
    searched = Counter[int]()
    search = FlatIndex.search

    def counted(index: FlatIndex, *asked: Any, **options: Any) -> Any:
        searched[id(index)] += 1
        return search(index, *asked, **options)

    monkeypatch.setattr(FlatIndex, "search", counted)
    assert shared.search("a red thing", k=k)
    assert set(searched.values()) == {1}


def test_several_threads_get_the_same_answers(shared: Library) -> None:
    queries = list(QUERIES.values()) * 4
    alone = [[h.asset_id for h in shared.search(query)] for query in queries]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda q: [h.asset_id for h in shared.search(q)], queries))
    assert together == alone


def test_searching_ahead_changes_no_answer(
    shared: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["a red thing in the sun", "something blue and quiet", "green grass by the sea"]
    alone = [shared.search(text) for text in asked]
    shared.engine.search_ahead(Modality.TEXT, shared.model.encode(Modality.TEXT, asked))
    with monkeypatch.context() as patch:
        patch.setattr(FlatIndex, "search", None)  # it would fail: nothing is searched again
        assert [shared.search(text) for text in asked] == alone
    shared.engine.search_ahead(Modality.TEXT, shared.model.encode(Modality.TEXT, asked[:1]))
    assert [shared.search(text) for text in asked] == alone


def test_answers_are_the_same_once_segments_are_in_memory(
    shared: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        Query(parts, k=30, where=where, mode=mode, moments=3)
        for q in QUERIES.values()
        for parts in [(QueryPart((q,)),), (QueryPart((q,)), QueryPart(("blue",), exclude=True))]
        for where in ("", "name ~ e")
        for mode in (Mode.AUTO, Mode.SEMANTIC)
    ]
    monkeypatch.setattr(engine_module, "WARMUP_QUERIES", len(asked))
    engine = Engine(shared.catalog, shared.cache, shared.model)
    before = [engine.search(query) for query in asked]
    at_first = engine.current().columns
    after = [engine.search(query) for query in asked]
    assert (at_first, engine.current().columns is None) == (None, False)
    assert after == before


def test_writing_beside_many_searches_is_seen_and_breaks_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "WARMUP_QUERIES", 2)
    library = Library(tmp_path)
    library.add("red.jpg", image("red"))
    everything = Query((QueryPart(("red",)),), k=100, show_duplicates=True)
    stop = threading.Event()

    def ask() -> int:
        least = 0
        while not stop.is_set():
            hits = library.engine.search(everything)
            assert len(hits) >= least
            least = len(hits)
        return least

    with ThreadPoolExecutor(3) as threads:
        asking = [threads.submit(ask) for _ in range(3)]
        try:
            for number in range(40):
                library.add(f"{number}.jpg", noisy(image("green"), number, 120))
        finally:
            stop.set()
        seen = [thread.result() for thread in asking]
    assert max(seen) > 1
    assert len(library.engine.search(everything)) == 41
    library.catalog.locations.remove(library.media / "red.jpg")
    assert "red.jpg" not in names(library.engine.search(everything))


def test_what_was_indexed_since_is_found(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.add("red.jpg", image("red"))
    library.search("green")
    library.add("green.jpg", image("green"))
    assert names(library.search("green", k=1)) == ["green.jpg"]


def test_filters_come_before_ranking(shared: Library) -> None:
    hits = shared.search("red", where="name ~ blue", k=10)
    assert {hit.path.stem for hit in hits} == {"blue"}
    assert len(hits) == 4
    assert names(shared.search("red", where="kind = image and name ~ blue")) == ["blue.jpg"]
    assert shared.search("red", under=shared.media, where="size > 1GB") == []
    assert len(shared.search("red", under=shared.media, k=30)) == 24


def test_a_hit_lies_below_the_folder_asked_for(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for folder in ("a", "b", "c"):
        library.add(f"{folder}/x.jpg", image("red"), content="same")
    for folder in ("a", "b", "c"):
        (hit,) = library.search("red", under=library.media / folder)
        assert hit.path.parent.name == folder
        assert len(hit.duplicates) == 2


SILENCE = AudioSample(np.zeros(32_000, dtype=np.float32), 16_000)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (Query(()), "Say what to look for"),
        (Query((QueryPart(("red",), exclude=True, label="red"),)), "not only what to exclude"),
        (Query((QueryPart(("  ",), label="blank"),)), "empty"),
        (Query((QueryPart((), label="nothing"),)), "empty"),
        (Query((QueryPart((SILENCE,), label="quiet.wav"),)), '"quiet.wav" has nothing'),
        (Query((QueryPart(("red",)),), k=0), "must be from 1 to"),
        (Query((QueryPart(("red",)),), k=10**9), "must be from 1 to"),
        (Query((QueryPart(("red",)),), min_score=2.0), "minimum score"),
        (Query((QueryPart(("red",)),), moments=0), "moments"),
        (Query((QueryPart(("red",)),), modalities=frozenset()), "at least one type"),
        (Query((QueryPart(("red",), weight=0.0),)), "weight"),
        (Query((QueryPart(("red",), weight=float("nan")),)), "weight"),
        (
            Query((QueryPart(("red",)), QueryPart(("red",), exclude=True))),
            "both searched for and excluded",
        ),
        (Query((QueryPart(("red",)),), where="colour = red"), "No field"),
        (Query((QueryPart(("red",)),), where="taken > soon"), "not a date"),
        (Query((QueryPart((image("red"),)),), mode=Mode.WORDS), "searches by words only"),
        (Query((QueryPart(("red",)),), like=(10**6,)), "no longer"),
        (Query((QueryPart(("red",)),), like=(1,), unlike=(1,)), "both"),
        (Query((QueryPart(("red",)),) * 40), "at most 32 parts, not 40"),
    ],
)
def test_bad_requests_are_one_clear_line(shared: Library, query: Query, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        shared.engine.search(query)
    assert "\n" not in str(caught.value)


def test_the_index_is_described(shared: Library) -> None:
    assert shared.engine.describe_index().startswith("exact: ")
