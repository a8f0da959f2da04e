"""Compare every index with exact search in numpy, and caches with their catalog."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seehear.stores import Catalog, FlatIndex, Generation, VectorCache
from seehear.stores.catalog import reader
from seehear.stores.vectors import files, flat
from seehear.stores.vectors.base import WARMUP_QUERIES
from seehear.stores.vectors.int8_prefilter import Int8Prefilter
from seehear.stores.vectors.vector_file import VectorFile, to_float16, to_unit_float32
from seehear.types import Ids, Modality, Segment, Vectors
from tests.stores.conftest import SPACE, put, unit

NONE = np.empty(0, dtype=np.int64)


def kept(rows: Vectors) -> Vectors:
    """Rows as an index has them, which keeps halves."""
    return to_unit_float32(to_float16(rows))


def no_rows(dim: int) -> Vectors:
    return np.empty((0, dim), dtype=np.float32)


def flat_index(dim: int, ids: Ids = NONE, rows: Vectors | None = None) -> FlatIndex:
    index = FlatIndex(VectorFile.empty(dim))
    return index.updated(NONE, ids, no_rows(dim) if rows is None else rows)


def exact(
    rows: Vectors, ids: Ids, queries: Vectors, k: int, allowed: Ids | None
) -> list[list[int]]:
    """The oracle: ids of the k nearest, best first, equal ones in the order of ids."""
    keep = np.ones(len(ids), dtype=bool) if allowed is None else np.isin(ids, allowed)
    scores = queries @ rows[keep].T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return [list(map(int, ids[keep][row])) for row in order]


@pytest.fixture(params=["numpy", "rounded"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test with either way of searching, whatever the size."""
    if request.param == "rounded":
        at_once(monkeypatch)


def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single queries ask rounded vectors from the first one on."""
    monkeypatch.setattr(flat, "ROUNDED_ABOVE_BYTES", 0)
    monkeypatch.setattr(flat, "WARMUP_QUERIES", 0)


def one_by_one(
    index: FlatIndex, queries: Vectors, k: int, allowed: Ids | None = None
) -> tuple[Vectors, Ids]:
    found = [index.search(query[None], k, allowed) for query in queries]
    return np.concatenate([s for s, _ in found]), np.concatenate([ids for _, ids in found])


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("share", [None, 0.0, 0.01, 0.04, 0.5, 1.0])
@pytest.mark.parametrize("count", [0, 1, 500])
def test_flat_agrees_with_numpy(count: int, share: float | None) -> None:
    rows, queries = kept(unit(1, count, 32)), unit(2, 7, 32)
    ids = np.cumsum(np.random.default_rng(3).integers(1, 9, count)).astype(np.int64)
    index = flat_index(32)
    index = index.updated(NONE, ids[: count // 2], rows[: count // 2])
    index = index.updated(NONE, ids[count // 2 :], rows[count // 2 :])
    allowed = None if share is None else ids[: int(share * count)]
    similarities, found = one_by_one(index, queries, 10, allowed)
    assert similarities.shape == found.shape == (7, 10)
    for row, best in enumerate(exact(rows, ids, queries, 10, allowed)):
        assert list(found[row, : len(best)]) == best
        assert (found[row, len(best) :] == -1).all()
        assert np.isneginf(similarities[row, len(best) :]).all()
        assert (np.diff(similarities[row, : len(best)]) <= 0).all()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("k", [1, 10, 150])
def test_equal_vectors_come_in_the_order_of_their_ids(k: int, filtered: bool) -> None:
    rows = np.tile(unit(1, 9, 32), (40, 1))  # forty of each, far apart
    index = flat_index(32, np.arange(360) + 5, rows)
    allowed = np.arange(5, 300) if filtered else None
    similarities, found = one_by_one(index, rows[:3], k, allowed)
    for number in range(3):
        alike = [i for i in range(5, 365) if (i - 5) % 9 == number and (not filtered or i < 300)]
        assert list(found[number, : len(alike)]) == alike[:k]
        assert len(set(similarities[number, : len(alike[:k])])) == 1


@pytest.mark.parametrize("crowded", [False, True])
@pytest.mark.parametrize("allowed", [None, np.arange(0, 3000, 3)])
def test_rounded_vectors_change_no_answer(
    monkeypatch: pytest.MonkeyPatch, allowed: Ids | None, crowded: bool
) -> None:
    rows, queries = unit(1, 3000, 48), unit(2, 60, 48)
    if crowded:  # more alike than bytes can tell
        rows = np.asarray((unit(3, 1, 48) + 0.05 * rows) / 1.05, np.float32)
    index = flat_index(48, np.arange(3000), rows)
    together = index.search(queries, 20, allowed)
    by_numpy = one_by_one(index, queries, 20, allowed)
    at_once(monkeypatch)
    asked: list[int] = []
    propose = Int8Prefilter.candidates

    def noted(self: Int8Prefilter, query: Vectors, depth: int, chosen: Ids | None = None) -> Any:
        asked.append(depth)
        return propose(self, query, depth, chosen)

    monkeypatch.setattr(Int8Prefilter, "candidates", noted)
    by_bytes = one_by_one(index, queries, 20, allowed)
    for similarities, ids in (by_numpy, by_bytes):
        np.testing.assert_array_equal(together[0], similarities)
        np.testing.assert_array_equal(together[1], ids)
    # Proposals that prove too little are followed by more.
    assert (max(asked) > 80) == crowded
    assert asked.count(80) == 60


def test_rounded_vectors_are_off_by_no_more_than_is_said() -> None:
    rows, queries = unit(1, 2000, 48), unit(2, 40, 48)
    rounded = Int8Prefilter(rows)
    for query in queries:
        near, rough, off = rounded.candidates(query[None], 50)
        others = float(rough[-1]) + off
        similarities = rows @ query
        outside = np.setdiff1d(np.arange(2000), near)
        assert similarities[outside].max() <= others
        assert others < similarities[near].max()  # it says something


def test_rounded_vectors_wait_for_some_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "ROUNDED_ABOVE_BYTES", 0)
    made: list[int] = []
    make = Int8Prefilter.__init__

    def noted(self: Int8Prefilter, rows: Vectors) -> None:
        made.append(len(rows))
        make(self, rows)

    monkeypatch.setattr(Int8Prefilter, "__init__", noted)
    index = flat_index(8, np.arange(400), unit(1, 400, 8))
    for _ in range(WARMUP_QUERIES):
        index.search(unit(2), 3)
    assert made == []
    for _ in range(3):
        index.search(unit(2), 3)
    assert made == [400]


def test_a_warmed_index_has_its_rounded_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "ROUNDED_ABOVE_BYTES", 0)
    index, plain = (flat_index(8, np.arange(400), unit(1, 400, 8)) for _ in range(2))
    index.warm_up()
    asked: list[int] = []
    look = Int8Prefilter.candidates

    def noted(
        self: Int8Prefilter, query: Vectors, k: int, allowed: Ids | None
    ) -> tuple[Ids, Vectors, float]:
        asked.append(k)
        return look(self, query, k, allowed)

    monkeypatch.setattr(Int8Prefilter, "candidates", noted)
    for mine, other in zip(index.search(unit(2), 3), plain.search(unit(2), 3), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert len(asked) == 1


def test_a_small_search_does_not_load_faiss() -> None:
    code = (
        "import sys, numpy as np\n"
        "from seehear.stores import FlatIndex\n"
        "from seehear.stores.vectors.vector_file import VectorFile\n"
        "none, rows = np.empty(0, np.int64), np.eye(4, dtype=np.float32)\n"
        "index = FlatIndex(VectorFile.empty(4)).updated(none, np.arange(4), rows)\n"
        "assert index.search(np.eye(4, dtype=np.float32), 2, np.arange(3))[1][1, 0] == 1\n"
        "sys.exit('faiss' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=40))
def test_adding_and_removing_in_any_order(steps: list[tuple[bool, int]]) -> None:
    index, there = flat_index(8), dict[int, Vectors]()
    for adding, number in steps:
        here = np.array([number])
        if adding:
            row = unit(number)
            index = index.updated(NONE, here, row)
            there[number] = kept(row)[0]
        else:
            index = index.updated(here, NONE, no_rows(8))
            there.pop(number, None)
    assert list(index.ids) == sorted(there)
    if there:
        ids = np.array(sorted(there))
        np.testing.assert_array_equal(index.vectors(ids), np.stack([there[int(i)] for i in ids]))


def test_unknown_ids_raise() -> None:
    index = flat_index(8, np.array([3]), unit(1))
    with pytest.raises(KeyError):
        index.vectors(np.array([4]))


def fill(catalog: Catalog, generation: Generation, count: int = 20) -> None:
    for number in range(count):
        put(catalog, generation, f"/media/photos/{number}.jpg")


def opened(catalog: Catalog, generation: Generation) -> FlatIndex:
    index = VectorCache(catalog.folder, catalog, generation).index(SPACE, Modality.IMAGE)
    assert isinstance(index, FlatIndex)
    return index


def many(catalog: Catalog, generation: Generation, count: int, name: str) -> None:
    segments = [Segment(Modality.IMAGE) for _ in range(count)]
    put(catalog, generation, f"/media/photos/{name}", segments=segments)


def test_vectors_are_read_in_blocks(
    catalog: Catalog, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BLOCK", 7)
    many(catalog, generation, 30, "first")
    before = catalog.changes.last()
    many(catalog, generation, 20, "second")
    catalog.locations.remove(Path("/media/photos/first"))
    for since, written in ((0, 20), (before, 20), (catalog.changes.last(), 0)):
        with catalog.changes.since(generation, SPACE, Modality.IMAGE, since) as changes:
            blocks = list(changes.blocks)
        assert changes.count == written
        assert changes.last == catalog.changes.last()
        assert [len(ids) for ids, _ in blocks] == [7, 7, 6][: len(blocks)]
        for ids, rows in blocks:
            assert (np.diff(ids) > 0).all()
            np.testing.assert_array_equal(rows, catalog.segments.vectors(ids, generation, SPACE))
        found = np.concatenate([ids for ids, _ in blocks]) if blocks else NONE
        assert set(found) == (set(catalog.segments.ids(generation.id)) if written else set())
    assert not len(changes.removed)


def test_an_index_is_made_and_caught_up_block_by_block(
    catalog: Catalog, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BLOCK", 7)
    monkeypatch.setattr(files, "IN_MEMORY_BELOW_BYTES", 0)  # rows that wait are in a file
    many(catalog, generation, 30, "first")
    cache = VectorCache(catalog.folder, catalog, generation)
    first = cache.index(SPACE, Modality.IMAGE)
    many(catalog, generation, 40, "second")
    catalog.locations.remove(Path("/media/photos/first"))
    assert cache.refresh()
    for index in (cache.index(SPACE, Modality.IMAGE), opened(catalog, generation)):
        ids = catalog.segments.ids(generation.id)
        np.testing.assert_array_equal(index.ids, ids)
        np.testing.assert_allclose(
            index.vectors(ids), catalog.segments.vectors(ids, generation, SPACE), atol=5e-4
        )
        assert index.search(unit(3), 5)[1].shape == (1, 5)
    assert len(first) == 30


def test_reading_holds_no_more_than_a_block(
    catalog: Catalog, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BLOCK", 20)
    many(catalog, generation, 1000, "first")
    peaks = []
    for whole in (False, True):
        tracemalloc.start()
        with catalog.changes.since(generation, SPACE, Modality.IMAGE, 0) as changes:
            held = list(changes.blocks) if whole else None
            count = sum(len(ids) for ids, _ in held or changes.blocks)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == 1000
    assert peaks[0] < peaks[1] / 2


def cache_file(catalog: Catalog) -> Path:
    (file,) = (catalog.folder / "cache").iterdir()
    return file


def test_a_cache_is_caught_up(catalog: Catalog, generation: Generation) -> None:
    fill(catalog, generation)
    cache = VectorCache(catalog.folder, catalog, generation)
    assert len(cache.index(SPACE, Modality.IMAGE)) == 20
    put(catalog, generation, "/media/photos/new.jpg")
    catalog.locations.remove(Path("/media/photos/3.jpg"))
    put(catalog, generation, "/media/photos/4.jpg", content="edited")
    assert cache.refresh()
    assert not cache.refresh()
    index = cache.index(SPACE, Modality.IMAGE)
    assert isinstance(index, FlatIndex)
    ids = catalog.segments.ids(generation.id)
    assert set(ids) <= set(index.ids)
    np.testing.assert_allclose(
        index.vectors(ids), catalog.segments.vectors(ids, generation, SPACE), atol=5e-4
    )
    fresh = opened(catalog, generation)
    np.testing.assert_array_equal(fresh.ids, index.ids)


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: f.unlink(),
        lambda f: f.write_bytes(b""),
        lambda f: f.write_bytes(f.read_bytes()[:-7]),
        lambda f: f.write_bytes(f.read_bytes()[:-7] + b"1234567"),
        lambda f: f.write_bytes(b'{"magic": "seehear-vectors", "rows": 99999999999}\n'),
        lambda f: f.write_bytes(f.read_bytes().replace(b'"layout": 1', b'"layout": 2')),
        lambda f: f.write_bytes(b"[1, 2]\n" + b"\0" * 100),
        lambda f: f.write_bytes(b"\x80\x04." * 1000),
    ],
    ids=["deleted", "empty", "cut", "altered", "lying", "other version", "no header", "pickle"],
)
def test_a_damaged_cache_is_made_anew(catalog: Catalog, generation: Generation, damage) -> None:  # type: ignore[no-untyped-def]
    fill(catalog, generation)
    before = opened(catalog, generation)
    damage(cache_file(catalog))
    after = opened(catalog, generation)
    np.testing.assert_array_equal(after.ids, before.ids)
    np.testing.assert_array_equal(after.vectors(after.ids), before.vectors(before.ids))


def test_a_cache_of_another_catalog_is_not_taken(
    catalog: Catalog, generation: Generation, tmp_path: Path
) -> None:
    fill(catalog, generation)
    opened(catalog, generation)
    other = Catalog.open(tmp_path / "other")
    made = other.generations.create("fake", "1", [SPACE])
    other.generations.promote(made.id)
    (other.folder / "cache").mkdir()
    for file in (catalog.folder / "cache").iterdir():
        (other.folder / "cache" / file.name).write_bytes(file.read_bytes())
    assert len(VectorCache(other.folder, other, made).index(SPACE, Modality.IMAGE)) == 0


def test_a_search_keeps_the_index_that_it_started_with(
    catalog: Catalog, generation: Generation
) -> None:
    fill(catalog, generation, 5)
    cache = VectorCache(catalog.folder, catalog, generation)
    before = cache.index(SPACE, Modality.IMAGE)
    put(catalog, generation, "/media/photos/new.jpg")
    cache.refresh()
    assert len(before) == 5
    assert len(cache.index(SPACE, Modality.IMAGE)) == 6
