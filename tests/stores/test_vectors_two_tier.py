"""Two tiers against exact search, through changes, filters, restarts and damage."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seehear.errors import StoreError
from seehear.stores import Catalog, FlatIndex, Generation, VectorCache
from seehear.stores.vectors import cache as cache_module
from seehear.stores.vectors import exact, files, ivf_pq_refine
from seehear.stores.vectors.base import WARMUP_QUERIES
from seehear.stores.vectors.ivf_pq_refine import IvfPqRefineIndex
from seehear.stores.vectors.pq_index import CompressedIndex
from seehear.stores.vectors.tuning import Tuning
from seehear.stores.vectors.vector_file import VectorFile, to_float16, to_unit_float32
from seehear.types import Ids, Modality, Vectors
from tests.stores.conftest import SPACE, put, start_generation, unit

NONE = np.empty(0, dtype=np.int64)
DIM = 16


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is large, and filters are searched by the compressed index."""
    monkeypatch.setattr(cache_module, "TWO_TIER_ABOVE_BYTES", 0)
    monkeypatch.setattr(ivf_pq_refine, "EXACT_BELOW", 0)


def clustered(seed: int, count: int, dim: int = DIM) -> Vectors:
    """Unit vectors around some centres, as embeddings lie."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).standard_normal((20, dim))
    rows = centres[rng.integers(0, 20, count)] + 0.5 * rng.standard_normal((count, dim))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def matrix_of(ids: Ids, rows: Vectors) -> VectorFile:
    return VectorFile.empty(rows.shape[1]).updated(NONE, ids, rows)


def agree(index: IvfPqRefineIndex, queries: Vectors, k: int, allowed: Ids | None = None) -> None:
    """With every vector proposed, the same as exact search, to the bit."""
    right = FlatIndex(index.matrix).search(queries, k, allowed)
    here = None if allowed is None else np.intersect1d(allowed, index.ids)
    if here is None or len(here):
        near = index.proposer.candidates(queries, len(index), index.proposer.lists, here)
        ranked = [index._ranked(q, ids, k) for q, ids in zip(queries, near, strict=True)]
        found = exact.pad(ranked, k)
        np.testing.assert_array_equal(found[1], right[1])
        np.testing.assert_array_equal(found[0], right[0])
    everything = Tuning(1, len(index), len(index), 1.0, len(index))
    whole = IvfPqRefineIndex(
        index.matrix, CompressedIndex(index.proposer._index, everything, len(index))
    )
    np.testing.assert_array_equal(whole.search(queries, k, allowed)[1], right[1])


@pytest.mark.parametrize("dim", [8, 10, 13, 64])
def test_at_full_depth_it_is_exact_search(dim: int) -> None:
    ids = np.cumsum(np.random.default_rng(3).integers(1, 9, 400)).astype(np.int64)
    index = IvfPqRefineIndex.build(matrix_of(ids, clustered(1, 400, dim)))
    agree(index, clustered(2, 5, dim), 10)
    for share in (0.0, 0.01, 0.3, 1.0):
        agree(index, clustered(2, 5, dim), 10, ids[: int(share * 400)])


Steps = st.lists(
    st.tuples(st.booleans(), st.lists(st.integers(0, 60), unique=True, max_size=12)), max_size=12
)


@given(Steps, st.lists(st.integers(0, 80), unique=True))
def test_changes_in_any_order(steps: list[tuple[bool, list[int]]], allowed: list[int]) -> None:
    index = IvfPqRefineIndex.build(matrix_of(np.arange(30), clustered(5, 30)))
    there = dict(enumerate(to_unit_float32(to_float16(clustered(5, 30)))))
    for number, (adding, ids) in enumerate(steps):
        here, before = np.array(ids, dtype=np.int64), index.ids
        if adding:
            rows = clustered(number, len(ids))
            index = index.updated(NONE, here, rows)
            there |= dict(zip(ids, to_unit_float32(to_float16(rows)), strict=True))
        elif len(there.keys() - set(ids)) > 1:
            index = index.updated(here, NONE, np.empty((0, DIM), dtype=np.float32))
            there = {id_: row for id_, row in there.items() if id_ not in ids}
        assert list(before) == sorted(before)
        assert list(index.ids) == sorted(there)
    assert len(index.proposer) == len(there)
    ids_now = np.array(sorted(there))
    np.testing.assert_array_equal(index.vectors(ids_now), np.stack([there[i] for i in ids_now]))
    agree(index, clustered(77, 3), 7)
    agree(index, clustered(78, 3), 7, np.array(allowed, dtype=np.int64))


@pytest.fixture(scope="module")
def large() -> IvfPqRefineIndex:
    return IvfPqRefineIndex.build(matrix_of(np.arange(3000), clustered(1, 3000, 32)))


def test_the_measured_recall_is_that_of_new_queries(large: IvfPqRefineIndex) -> None:
    index = large
    assert index.proposer.tuning.recall >= 0.98
    assert f"{index.proposer.tuning.recall:.3f}" in index.describe()
    queries = clustered(99, 300, 32)
    right = FlatIndex(index.matrix).search(queries, 10)[1]
    found = index.search(queries, 10)[1]
    agreed = np.mean([np.isin(a, b).mean() for a, b in zip(right, found, strict=True)])
    assert agreed >= 0.97
    assert index.proposer.tuning.depth(10) < 1500


def test_queries_that_measure_the_recall_do_not_tune(large: IvfPqRefineIndex) -> None:
    proposer = large.proposer
    queries, truth = ivf_pq_refine.tuning_queries(large.matrix)
    known = proposer.tuned(queries, truth).tuning
    assert 0.97 <= known.recall <= 1
    beyond = truth.copy()
    beyond[1::3] = -7  # what is never proposed
    unknown = proposer.tuned(queries, beyond).tuning
    assert unknown == replace(known, recall=0.0)


def test_a_filter_is_kept_and_filled_whatever_the_tuning() -> None:
    index = IvfPqRefineIndex.build(matrix_of(np.arange(2000), clustered(1, 2000)))
    shallow = Tuning(1, 10, 10, 0.5, 2000)
    narrow = IvfPqRefineIndex(index.matrix, CompressedIndex(index.proposer._index, shallow, 2000))
    for step in (2, 40, 150):
        allowed = np.arange(0, 2000, step)
        similarities, found = narrow.search(clustered(2, 20), 12, allowed)
        assert np.isin(found, allowed).all()
        assert (np.diff(similarities, axis=1) <= 0).all()
    nothing = narrow.search(clustered(2, 1), 3, np.array([9000]))
    assert (nothing[1] == -1).all()
    assert np.isneginf(nothing[0]).all()


def test_training_is_the_same_each_time() -> None:
    matrix = matrix_of(np.arange(1000), clustered(1, 1000))
    first, second = IvfPqRefineIndex.build(matrix), IvfPqRefineIndex.build(matrix)
    assert first.proposer.tuning == second.proposer.tuning
    queries = clustered(2, 10)
    np.testing.assert_array_equal(first.search(queries, 10)[1], second.search(queries, 10)[1])


def test_growth_trains_anew() -> None:
    index = IvfPqRefineIndex.build(matrix_of(np.arange(100), clustered(1, 100)))
    slightly = index.updated(NONE, np.arange(100, 140), clustered(2, 40))
    assert slightly.proposer.trained == 100
    twice = slightly.updated(NONE, np.arange(140, 260), clustered(3, 120))
    assert twice.proposer.trained == 260
    agree(twice, clustered(4, 3), 9)


def fill(catalog: Catalog, generation: Generation, count: int = 60) -> None:
    for number in range(count):
        put(catalog, generation, f"/media/photos/{number}.jpg")


@pytest.fixture(scope="module")
def _sixty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sixty") / "collection"
    with closing(Catalog.open(folder)) as made:
        fill(made, start_generation(made))
    return folder


@pytest.fixture
def catalog(_sixty: Path, tmp_path: Path) -> Iterator[Catalog]:
    """Sixty photos."""
    shutil.copytree(_sixty, tmp_path / "collection")
    with closing(Catalog.open(tmp_path / "collection")) as copy:
        yield copy


def opened(catalog: Catalog, generation: Generation) -> IvfPqRefineIndex:
    index = VectorCache(catalog.folder, catalog, generation).index(SPACE, Modality.IMAGE)
    assert isinstance(index, IvfPqRefineIndex)
    return index


def the_file(catalog: Catalog, kind: str) -> Path:
    (file,) = (catalog.folder / "cache").glob(f"*.{kind}")
    return file


def test_a_restart_changes_no_answer(
    catalog: Catalog, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(catalog, generation)
    assert first.matrix.in_file  # what was written is what is used
    monkeypatch.setattr(CompressedIndex, "build", None)  # a restart trains nothing
    again = opened(catalog, generation)
    queries = unit(1, 4)
    for one, other in zip(first.search(queries, 9), again.search(queries, 9), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.proposer.tuning == first.proposer.tuning


def test_changes_are_caught_up_without_training(
    catalog: Catalog, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = VectorCache(catalog.folder, catalog, generation)
    before = cache.index(SPACE, Modality.IMAGE)
    monkeypatch.setattr(CompressedIndex, "build", None)
    for number in range(3):
        put(catalog, generation, f"/media/photos/new-{number}.jpg")
        catalog.locations.remove(Path(f"/media/photos/{number}.jpg"))
        assert cache.refresh()
    index = cache.index(SPACE, Modality.IMAGE)
    assert isinstance(index, IvfPqRefineIndex)
    assert len(before) == 60
    agree(index, unit(1, 4), 9)
    np.testing.assert_array_equal(opened(catalog, generation).ids, index.ids)
    assert len(list((catalog.folder / "cache").iterdir())) == 2  # no file is left behind
    assert "60 vectors" not in cache.describe() or len(index) == 60
    assert "two tiers" in cache.describe()


@pytest.mark.parametrize("kind", ["vectors", "proposer"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda f: f.unlink(),
        lambda f: f.write_bytes(b""),
        lambda f: f.write_bytes(f.read_bytes()[:-7]),
        lambda f: f.write_bytes(f.read_bytes()[:-7] + b"1234567"),
        lambda f: f.write_bytes(f.read_bytes().replace(b'"layout": ', b'"layout": 9')),
        lambda f: f.write_bytes(f.read_bytes()[:1024].replace(b"}", b"]") + f.read_bytes()[1024:]),
        lambda f: f.write_bytes(b"[1, 2]\n" + b"\0" * 2000),
        lambda f: f.write_bytes(b"\x80\x04." * 1000),
    ],
    ids=["deleted", "empty", "cut", "altered", "other version", "no JSON", "no header", "pickle"],
)
def test_damaged_files_are_made_anew(  # type: ignore[no-untyped-def]
    catalog: Catalog, generation: Generation, kind: str, damage
) -> None:
    before = opened(catalog, generation)
    ids, rows = before.ids.copy(), before.vectors(before.ids)
    answers = before.search(unit(1, 4), 9)
    del before
    damage(the_file(catalog, kind))
    after = opened(catalog, generation)
    np.testing.assert_array_equal(after.ids, ids)
    np.testing.assert_allclose(after.vectors(ids), rows, atol=1e-4)
    similarities, found = after.search(unit(1, 4), 9)
    np.testing.assert_allclose(similarities, answers[0], atol=1e-4)
    np.testing.assert_array_equal(found, answers[1])
    assert opened(catalog, generation).matrix.in_file


def test_rows_are_held_in_memory_once_many_queries_came(
    catalog: Catalog, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, other = opened(catalog, generation), opened(catalog, generation)
    monkeypatch.setattr(ivf_pq_refine, "HELD_BYTES", 2 * index.dim * len(index))
    answers = [index.search(unit(seed), 9) for seed in range(WARMUP_QUERIES)]
    before = index.matrix
    index.search(unit(0), 9)
    assert (before.in_file, index.matrix.in_file) == (True, False)
    for seed, (similarities, found) in enumerate(answers):
        again = index.search(unit(seed), 9)
        np.testing.assert_array_equal(again[0], similarities)
        np.testing.assert_array_equal(again[1], found)
    np.testing.assert_array_equal(index.vectors(index.ids), other.vectors(index.ids))
    monkeypatch.setattr(ivf_pq_refine, "HELD_BYTES", 2 * index.dim * len(index) - 1)
    for _ in range(WARMUP_QUERIES + 2):
        other.search(unit(0), 9)
    assert other.matrix.in_file


def test_rows_are_held_in_memory_once_the_index_is_warmed(
    catalog: Catalog, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = opened(catalog, generation)
    monkeypatch.setattr(ivf_pq_refine, "HELD_BYTES", 2 * index.dim * len(index))
    before = index.search(unit(3), 9)
    index.warm_up()
    assert not index.matrix.in_file
    for mine, other in zip(index.search(unit(3), 9), before, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_rows_that_are_cut_off_come_from_the_catalog(
    catalog: Catalog, generation: Generation
) -> None:
    index = opened(catalog, generation)
    right = index.vectors(index.ids)
    again = opened(catalog, generation)
    file = the_file(catalog, "vectors")
    os.truncate(file, file.stat().st_size // 2)  # while it is open
    np.testing.assert_allclose(again.vectors(index.ids), right, atol=1e-4)
    some = index.ids[[50, 3, 59]]
    np.testing.assert_allclose(again.vectors(some), right[[50, 3, 59]], atol=1e-4)


def test_a_row_that_went_bad_comes_from_the_catalog(
    catalog: Catalog, generation: Generation
) -> None:
    right = opened(catalog, generation).vectors(catalog.segments.ids(generation.id))
    file = the_file(catalog, "vectors")
    content = bytearray(file.read_bytes())
    content[-5] ^= 0x40  # in the last row, which no digest holds
    file.write_bytes(content)
    index = opened(catalog, generation)
    assert index.matrix.in_file  # it is not read when it is opened
    np.testing.assert_allclose(index.vectors(index.ids), right, atol=1e-4)
    assert not file.exists()
    assert opened(catalog, generation).matrix.in_file


class FailingFaiss:
    """An index of FAISS whose every use fails, as when memory or a file is not what it expects."""

    ntotal, nlist, d = 100, 4, DIM

    def __getattr__(self, name: str) -> object:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("Error in void faiss::f() at x.cpp:1:\n'count > 0' failed")

        return fail


def test_an_error_of_faiss_says_what_to_do() -> None:
    index: Any = FailingFaiss()
    broken = CompressedIndex(index, Tuning(4, 10, 10, 1.0, 100), 100)
    with pytest.raises(
        StoreError, match=r"FAISS failed .*'count > 0' failed.*folder `cache`"
    ) as it:
        broken.candidates(clustered(1, 1), 5, 4)
    assert "\n" not in str(it.value)


def test_a_saved_index_that_faiss_cannot_read_is_built_again(tmp_path: Path) -> None:
    """Its digest fits: another version of FAISS wrote it."""
    built = CompressedIndex.build(matrix_of(np.arange(100), clustered(1, 100)))
    path = tmp_path / "one.proposer"
    assert built.save(path, "one", 1)
    assert CompressedIndex.load(path, "one", 1) is not None
    data = path.read_bytes()
    other = np.frombuffer(b"Zzzz" + data[files.HEADER_BYTES + 4 :], dtype=np.uint8)
    header = json.loads(data[: files.HEADER_BYTES]) | {"digest": files.digest(other)}
    line = files.header_line(header)
    path.write_bytes(line + other.tobytes())
    assert CompressedIndex.load(path, "one", 1) is None
