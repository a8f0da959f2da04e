"""Vectors in an engine: the same answers as exact search, whichever engine it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from seehear.indexers import verify
from seehear.search import Engine
from seehear.search import snapshot as snapshots
from seehear.search.snapshot import CollectionSnapshot
from seehear.stores import Catalog, Generation, VectorCache, sorted_ids
from seehear.stores.vectors.engines import open_engine
from seehear.stores.vectors.milvus import MilvusVectors
from seehear.stores.vectors.pgvector import PgVectors
from seehear.types import Modality, Query, QueryPart
from tests.search.filtered import (
    ASSETS,
    DEPTH,
    FILTERS,
    MODEL,
    SPACE,
    fill,
    near,
    parse,
    samples,
)


@pytest.fixture(params=["pgvector", "milvus"])
def engine(request: pytest.FixtureRequest) -> str:
    """The setting that names the engine."""
    if request.param == "milvus":
        return str(request.getfixturevalue("milvus_server").url)
    request.getfixturevalue("pgvector_server")
    return "pgvector"


@pytest.fixture
def catalog(
    engine: str, postgres_copy: Callable[[Callable[[Catalog], object]], str], tmp_path: Path
) -> Iterator[Catalog]:
    """The one that `fill` makes."""
    with closing(Catalog.open(tmp_path / "collection", url=postgres_copy(fill))) as opened:
        yield opened


@pytest.fixture
def generation(catalog: Catalog) -> Generation:
    return catalog.generations.all()[0]


@pytest.fixture
def store(
    engine: str, catalog: Catalog, generation: Generation
) -> Iterator[PgVectors | MilvusVectors]:
    made = open_engine(engine, catalog, generation)
    assert made is not None
    made.prepare()
    yield made
    if isinstance(made, MilvusVectors):
        made.drop()


def exact(catalog: Catalog, generation: Generation) -> VectorCache:
    return VectorCache(catalog.folder, catalog, generation)


def hits(engine: Engine, **options: object) -> list[tuple[int, float]]:
    asked = Query((QueryPart(("red siren captain",), label="red"),), k=20, **options)  # type: ignore[arg-type]
    return [(hit.asset_id, hit.score) for hit in engine.search(asked, parse)]


def test_answers_are_those_of_exact_search_before_and_after_a_removal(
    catalog: Catalog, generation: Generation, store: PgVectors | MilvusVectors
) -> None:
    ours = Engine(catalog, store, MODEL)
    theirs = Engine(catalog, exact(catalog, generation), MODEL)
    options: list[dict[str, object]] = [
        {}, {"where": "size > 100kB"}, {"modalities": frozenset({Modality.IMAGE})}
    ]  # fmt: skip
    for removed in (0, ASSETS // 2):
        if removed:
            with catalog.batch() as batch:
                batch.drop_encodings(generation.id, removed)
        for some in options:
            assert hits(ours, **some) == hits(theirs, **some)
            assert hits(ours, **some)
        for item in Modality:
            index, left = store.index(SPACE, item), exact(catalog, generation).index(SPACE, item)
            assert len(index) == len(left)
            np.testing.assert_array_equal(index.drawn(50), left.drawn(50))
            found, right = index.search(samples(), DEPTH), left.search(samples(), DEPTH)
            np.testing.assert_array_equal(found[1], right[1])
            np.testing.assert_array_equal(found[0], right[0])
    assert ours.missing_calibration() == theirs.missing_calibration()
    ours.warm_up()
    assert ours.current().columns is None, "rows of all segments are not kept in memory"


def lose(catalog: Catalog, store: PgVectors | MilvusVectors) -> None:
    """Delete some vectors from the engine alone."""
    if isinstance(store, MilvusVectors):
        collection = store.followed(SPACE).collection
        collection.count(Modality.IMAGE, [], collection.delete(np.arange(50)))  # waits for it
        return
    name = store.index(SPACE, Modality.IMAGE).table.name
    with catalog.batch() as batch:
        batch.connection.execute(text(f"DELETE FROM {name} WHERE segment_id < 50"))


def swap(catalog: Catalog, store: PgVectors | MilvusVectors) -> None:
    """Give every image the vector of one of them, in the engine alone."""
    if isinstance(store, MilvusVectors):
        ids = store.index(SPACE, Modality.IMAGE).drawn(10**6)
        rows = np.repeat(store.index(SPACE, Modality.IMAGE).find(ids[:1])[1], len(ids), axis=0)
        collection = store.followed(SPACE).collection
        at = collection.put(Modality.IMAGE, ids, np.zeros_like(ids), rows)
        collection.count(Modality.IMAGE, [], at)  # waits for it
        return
    name = store.index(SPACE, Modality.IMAGE).table.name
    first = f"SELECT vec FROM {name} ORDER BY draw LIMIT 1"
    with catalog.batch() as batch:
        batch.connection.execute(text(f"UPDATE {name} SET vec = ({first})"))


def test_verify_compares_the_engine_and_makes_it_anew(
    engine: str, catalog: Catalog, generation: Generation, store: PgVectors | MilvusVectors
) -> None:
    before = {item: store.index(SPACE, item).search(samples(), DEPTH) for item in Modality}
    assert all(index.agreed for index in verify(catalog, vectors=engine).indexes)
    swap(catalog, store)
    lose(catalog, store)
    found = verify(catalog, vectors=engine)
    disagreed = {index.modality for index in found.indexes if not index.agreed}
    assert disagreed == {Modality.IMAGE, Modality.AUDIO, Modality.VIDEO, Modality.TEXT}
    assert found.caches_good
    store.refresh()
    for item, (similarities, ids) in before.items():
        again = store.index(SPACE, item).search(samples(), DEPTH)
        np.testing.assert_array_equal(again[0], similarities)
        np.testing.assert_array_equal(again[1], ids)
    none = sorted_ids.distinct(np.zeros(0, dtype=np.int64))
    assert (store.index(SPACE, Modality.TEXT).search(samples(), 3, none)[1] == -1).all()
    there, rows = store.index(SPACE, Modality.TEXT).find(np.array([10**9], dtype=np.int64))
    assert (len(there), rows.shape) == (0, (0, SPACE.dim))


@pytest.mark.parametrize(
    "filters", [FILTERS[::5], pytest.param(FILTERS, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_every_filter_finds_what_exact_search_finds(
    filters: list[str],
    catalog: Catalog,
    generation: Generation,
    store: PgVectors | MilvusVectors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By lists of ids, by checking what is near, and pushed down."""
    plain = CollectionSnapshot(catalog, exact(catalog, generation), generation, MODEL)
    wanted = {where: near(plain, Query((), where=where)) for where in filters}
    monkeypatch.setattr(snapshots, "WIDE_ABOVE", 0)
    for most_ids, wide in ((20_000, 0.125), (5, 0.02)):
        monkeypatch.setattr(snapshots, "least_wide_share", lambda _, wide=wide: wide)
        monkeypatch.setattr(store, "most_ids", most_ids)
        state = CollectionSnapshot(catalog, store, generation, MODEL)
        agreed = 0
        for where in filters:
            found = near(state, Query((), where=where))
            for item, ids in wanted[where].items():
                if (ids >= 0).any():
                    np.testing.assert_array_equal(found[item], ids, err_msg=f"{where} {item}")
                    agreed += 1
        assert agreed > len(filters)
