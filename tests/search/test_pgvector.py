"""Vectors in PostgreSQL: the same answers as exact search, in one transaction with segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from seehear.config import Settings
from seehear.errors import StoreError, UsageError
from seehear.search import snapshot as snapshots
from seehear.search.snapshot import CollectionSnapshot
from seehear.stores import (
    Catalog,
    Generation,
    NewContent,
    NewLocation,
    VectorCache,
)
from seehear.stores.catalog import halfvecs
from seehear.stores.catalog.records import MODALITY_CODES
from seehear.stores.vectors import pgvector
from seehear.stores.vectors.pgvector import PgVectors
from seehear.types import MediaInfo, Modality, Query, Segment
from tests.cli.conftest import Run
from tests.indexers.helpers import note
from tests.search.filtered import (
    ASSETS,
    DEPTH,
    FILTERS,
    MODEL,
    ROOT,
    SPACE,
    fill,
    near,
    samples,
)
from tests.stores.conftest import unit


@pytest.fixture
def catalog(
    pgvector_server: str,
    postgres_copy: Callable[[Callable[[Catalog], object]], str],
    tmp_path: Path,
) -> Iterator[Catalog]:
    """The one that `fill` makes."""
    with closing(Catalog.open(tmp_path / "collection", url=postgres_copy(fill))) as opened:
        yield opened


@pytest.fixture
def generation(catalog: Catalog) -> Generation:
    return catalog.generations.all()[0]


def exact(catalog: Catalog, generation: Generation) -> VectorCache:
    return VectorCache(catalog.folder, catalog, generation)


def kept(catalog: Catalog, generation: Generation, item: Modality) -> tuple[int, int]:
    """The vectors of a modality: those in the table, and as many as it says."""
    index = PgVectors(catalog, generation).index(SPACE, item)
    code = "SELECT count(*) FROM {} WHERE modality = {}"
    number = MODALITY_CODES.index(item)
    with catalog.reading() as connection:
        rows = connection.scalar(text(code.format(index.table.name, number)))
    return int(rows or 0), len(index)


def test_filters_are_kept_in_a_graph(
    catalog: Catalog, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = CollectionSnapshot(catalog, exact(catalog, generation), generation, MODEL)
    store = PgVectors(catalog, generation)
    assert "recall@10" not in store.describe()
    monkeypatch.setattr(pgvector, "GRAPH_ABOVE", 10)
    monkeypatch.setattr(store, "most_ids", 5)
    store.prepare()
    assert "recall@10" in store.describe()
    monkeypatch.setattr(snapshots, "WIDE_ABOVE", 0)
    monkeypatch.setattr(snapshots, "least_wide_share", lambda _: 0.3)
    state = CollectionSnapshot(catalog, store, generation, MODEL)
    agreed = []
    for where in FILTERS[::3]:
        wanted, found = (near(one, Query((), where=where)) for one in (plain, state))
        for item, ids in wanted.items():
            if (ids >= 0).any():
                assert ((found[item] >= 0) == (ids >= 0)).all(), (where, item)
                agreed.append(np.isin(ids, found[item]).mean())
    assert len(agreed) > len(FILTERS[::3])
    assert np.mean(agreed) > 0.99


def test_a_batch_writes_both_or_neither(catalog: Catalog, generation: Generation) -> None:
    PgVectors(catalog, generation)  # makes the table
    before = kept(catalog, generation, Modality.IMAGE)
    assert before[0] == before[1] > ASSETS // 2

    def add(name: str) -> None:
        info, root = MediaInfo(Modality.IMAGE, "jpeg"), catalog.locations.roots()[0].id
        vectors = {SPACE: (range(1), unit(7, 1, SPACE.dim))}
        content = NewContent(name, 1, info, [Segment(Modality.IMAGE)], vectors)
        with catalog.batch() as batch:
            batch.put_contents(
                generation.id, [content], [[NewLocation(root, ROOT / name, 1, 1, 1)]]
            )
            if name == "bad":
                raise ValueError

    with pytest.raises(ValueError):
        add("bad")
    assert kept(catalog, generation, Modality.IMAGE) == before
    add("good")
    assert kept(catalog, generation, Modality.IMAGE) == (before[0] + 1, before[1] + 1)
    index = PgVectors(catalog, generation).index(SPACE, Modality.IMAGE)
    similarity, (newest,) = (found[0] for found in index.search(unit(7, 1, SPACE.dim), 1))
    assert newest == catalog.segments.ids(generation.id, item=Modality.IMAGE)[-1]
    assert similarity[0] > 0.9999


def test_what_is_removed_is_gone_at_once(catalog: Catalog, generation: Generation) -> None:
    store = PgVectors(catalog, generation)
    for item in Modality:
        index = store.index(SPACE, item)
        np.testing.assert_array_equal(
            index.drawn(50), exact(catalog, generation).index(SPACE, item).drawn(50)
        )
    with catalog.batch() as batch:
        batch.drop_encodings(generation.id, ASSETS // 2)
    for item in Modality:
        left = exact(catalog, generation).index(SPACE, item)
        assert kept(catalog, generation, item) == (len(left), len(left))
        found = store.index(SPACE, item).search(samples(), DEPTH)
        np.testing.assert_array_equal(found[1], left.search(samples(), DEPTH)[1])
        np.testing.assert_array_equal(found[0], left.search(samples(), DEPTH)[0])
    other = catalog.generations.create("other", "1", [SPACE])
    PgVectors(catalog, other)
    catalog.generations.drop(other.id)
    with catalog.reading() as connection:
        assert len(halfvecs.table_spaces(connection)) == 1


def test_a_table_can_be_dropped_and_made_anew(catalog: Catalog, generation: Generation) -> None:
    store = PgVectors(catalog, generation)
    before = {item: store.index(SPACE, item).search(samples(), DEPTH) for item in Modality}
    with catalog.batch() as batch:
        (space_id,) = halfvecs.table_spaces(batch.connection)
        halfvecs.drop_table(batch.connection, space_id)
    anew = PgVectors(catalog, generation)
    for item, (similarities, ids) in before.items():
        again = anew.index(SPACE, item).search(samples(), DEPTH)
        np.testing.assert_array_equal(again[0], similarities)
        np.testing.assert_array_equal(again[1], ids)


def test_an_index_reads_the_instant_of_its_thread(catalog: Catalog, generation: Generation) -> None:
    store = PgVectors(catalog, generation)
    index = store.index(SPACE, Modality.AUDIO)
    with catalog.read_snapshot():
        before = len(index), index.search(samples(), 5)[1].tolist()
        with (
            closing(
                Catalog.open(
                    catalog.folder,
                    url=str(catalog.engine.url.render_as_string(hide_password=False)),
                )
            ) as other,
            other.batch() as batch,
        ):
            batch.drop_encodings(generation.id, ASSETS)
        assert (len(index), index.search(samples(), 5)[1].tolist()) == before
    assert len(index) == 0


def test_an_old_extension_is_told(
    catalog: Catalog, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(halfvecs, "LEAST_VERSION", (99, 0))
    with pytest.raises(StoreError, match="has pgvector 0") as told:
        PgVectors(catalog, generation)
    assert "\n" not in str(told.value)


def test_a_command_builds_searches_and_tells_of_it(
    pgvector_server: str,
    postgres_database: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Index with one setting, search with the other: every writer keeps the table."""
    run = Run(tmp_path / "collection", tmp_path / "state")
    note(tmp_path / "media" / "siren.md", "A red fire engine.")
    monkeypatch.setenv("SEEHEAR_VECTORS", "pgvector")
    alone = run("status", check=False)
    assert (alone.returncode, alone.stderr.count("\n")) == (2, 1)
    assert "SEEHEAR_DATABASE" in alone.stderr
    monkeypatch.setenv("SEEHEAR_DATABASE", postgres_database())
    run("index", tmp_path / "media")
    assert "pgvector, exact: 1 vectors" in run("status").stdout
    monkeypatch.setenv("SEEHEAR_VECTORS", "local")
    note(tmp_path / "media" / "boat.md", "A blue boat on the sea.")
    run("index", tmp_path / "media")
    monkeypatch.setenv("SEEHEAR_VECTORS", "pgvector")
    assert "pgvector, exact: 2 vectors" in run("status").stdout
    found = run("search", "--mode", "semantic", "-k", "1", "blue waves").stdout
    assert "boat.md" in found


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"vectors": "pgvector"}, "name it with SEEHEAR_DATABASE"),
        ({"vectors": "faiss"}, 'milvus://HOST:PORT, not by "faiss"'),
    ],
)
def test_settings_that_do_not_fit_are_told(settings: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Settings(**settings)  # type: ignore[arg-type]
