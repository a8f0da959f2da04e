"""Stored baselines equal fitted ones, and belong to one state of the collection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seehear.encoders.fake import image
from seehear.search import Engine
from seehear.search.calibration import baseline, baseline_store
from seehear.search.calibration import fitted as shelf_module
from seehear.search.snapshot import CollectionSnapshot
from seehear.stores import VectorCache
from seehear.types import Modality, Query, QueryPart
from tests.search.library import Library, demo, noisy

RED = Query((QueryPart(("something red",), label="red"),), k=50)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return demo(tmp_path)


def cache_of(library: Library) -> VectorCache:
    return VectorCache(library.catalog.folder, library.catalog, library.generation)


def opened(library: Library) -> Engine:
    """Another process's engine, which has fitted nothing yet."""
    return Engine(library.catalog, cache_of(library), library.model)


def shelf_of(library: Library, change: int | None = None) -> CollectionSnapshot:
    return CollectionSnapshot(
        library.catalog, cache_of(library), library.generation, library.model, change
    )


def test_answers_are_the_same_with_and_without(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(library).search(RED)  # from here on the vectors are those of the cache's files
    fitted = opened(library).search(RED)
    assert len(fitted) > 5
    library.keep_calibration(opened(library))

    def sampled(*_: object) -> None:
        raise AssertionError("a sample was read although the backgrounds are kept")

    with monkeypatch.context() as without:
        without.setattr(CollectionSnapshot, "sample", sampled)
        assert opened(library).search(RED) == fitted
        library.keep_calibration(opened(library))  # and the writer does not make them twice


def test_what_was_kept_of_another_state_is_not_believed(library: Library) -> None:
    library.keep_calibration(opened(library))
    before = opened(library).search(RED)
    for number in range(12):
        library.add(f"late{number}.jpg", image("green"))
    assert [hit.score for hit in opened(library).search(RED)] != [hit.score for hit in before]
    fresh = shelf_of(library).baseline(Modality.TEXT, Modality.IMAGE)
    known = shelf_of(library, library.catalog.changes.last()).baseline(
        Modality.TEXT, Modality.IMAGE
    )
    np.testing.assert_array_equal(known.items, fresh.items)
    assert (known.middle, known.spread) == (fresh.middle, fresh.spread)


def test_only_what_it_says_it_is(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    background = shelf_of(library).baseline(Modality.TEXT, Modality.IMAGE)
    data = baseline_store.to_bytes(background, 7)
    again = baseline_store.from_bytes(data, background.route, 7)
    assert again is not None
    for name in ("middle", "spread", "query_share", "hub_share"):
        assert getattr(again, name) == getattr(background, name)
    np.testing.assert_array_equal(again.queries, background.queries)
    np.testing.assert_array_equal(again.items, background.items)
    assert baseline_store.from_bytes(data, background.route, 8) is None
    for damaged in (b"", b"{}", data[:-4], data + b"0000", b"\xff" + data, b"[1]\n" + data):
        assert baseline_store.from_bytes(damaged, background.route, 7) is None
    monkeypatch.setattr(baseline, "HUB_SHARE", 0.5)
    assert baseline_store.from_bytes(data, background.route, 7) is None


def test_a_sample_is_the_same_once_segments_are_in_memory(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf_module, "SAMPLE_SIZE", 4)
    for number in range(9):
        library.add(f"{number}.jpg", noisy(image("red"), number))
    with library.catalog.batch() as batch:  # some lie nowhere, and are no part of it
        batch.connection.exec_driver_sql("DELETE FROM locations WHERE id % 2 = 0")
    plain = CollectionSnapshot(
        library.catalog, cache_of(library), library.generation, library.model
    )
    in_memory = CollectionSnapshot(
        library.catalog, cache_of(library), library.generation, library.model
    )
    in_memory.load_columns()
    for item in Modality:
        (space, *_) = library.model.spaces_of(item)
        expected, found = plain.sample(item, space), in_memory.sample(item, space)
        np.testing.assert_array_equal(found.assets, expected.assets)
        np.testing.assert_array_equal(found.vectors, expected.vectors)
    assert len(plain.sample(Modality.IMAGE, space).assets) == 4
