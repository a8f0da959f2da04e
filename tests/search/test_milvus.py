"""Vectors in Milvus: a cache of the catalog that catches up, and what is told when it cannot."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from seehear.config import MilvusAddress, Settings
from seehear.errors import StorageFullError, StoreError, UsageError
from seehear.search import Engine
from seehear.search.snapshot import CollectionSnapshot
from seehear.stores import Catalog, Generation, NewContent, NewLocation, VectorCache
from seehear.stores.vectors import milvus, milvus_collection
from seehear.stores.vectors.milvus import MilvusVectors
from seehear.stores.vectors.milvus_collection import MilvusCollection
from seehear.types import MediaInfo, Modality, Mode, Query, QueryPart, Segment
from tests.search.filtered import ASSETS, DEPTH, MODEL, ROOT, SPACE, fill, near, samples
from tests.stores.conftest import unit
from tests.stores.milvus import MilvusProcess, milvus_process

T = TypeVar("T")


@pytest.fixture
def catalog(
    postgres_copy: Callable[[Callable[[Catalog], object]], str], tmp_path: Path
) -> Iterator[Catalog]:
    """The one that `fill` makes."""
    with closing(Catalog.open(tmp_path / "collection", url=postgres_copy(fill))) as opened:
        yield opened


@pytest.fixture
def generation(catalog: Catalog) -> Generation:
    return catalog.generations.all()[0]


@pytest.fixture
def address(milvus_server: MilvusProcess) -> MilvusAddress:
    found = MilvusAddress.of(milvus_server.url)
    assert found is not None
    return found


def told(store: MilvusVectors) -> str:
    """The one line that a search ends with, which comes soon."""
    started = time.monotonic()
    with pytest.raises(StoreError) as error:
        store.index(SPACE, Modality.IMAGE).search(samples(), 3)
    assert time.monotonic() - started < 2 * milvus_collection.CALL_S
    found = str(error.value)
    assert "\n" not in found
    assert "Milvus:" not in found
    return found


def test_what_keeps_a_server_from_answering_is_told_in_one_line(
    catalog: Catalog,
    generation: Generation,
    address: MilvusAddress,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def at(**changed: object) -> MilvusVectors:
        return MilvusVectors(catalog, generation, replace(address, **changed))  # type: ignore[arg-type]

    monkeypatch.setattr(milvus_collection, "CALL_S", 2.0)
    assert "refuses the user or the password" in told(at(token="root:wrong"))
    assert "refuses the user or the password" in told(at(token=""))
    assert "no such database" in told(at(database="missing"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "does not answer" in told(at(port=port))
    assert "does not answer" in told(at(port=port))  # nothing is there now
    assert "does not answer" in told(at(host="no-such-host.invalid"))
    monkeypatch.setattr(milvus_collection, "LEAST_VERSION", (99, 0))
    assert "is Milvus v2.3" in told(at())
    assert "99.0 or later" in told(at())
    asked = Query((QueryPart(("captain",), label="captain"),), k=5, mode=Mode.WORDS)
    assert Engine(catalog, at(port=port), MODEL).search(asked), "words need no vectors"
    semantic = replace(asked, mode=Mode.AUTO)
    with pytest.raises(StoreError):
        Engine(catalog, at(port=port), MODEL).search(semantic)
    assert at(port=port).describe().count("does not answer") == 1


def add(catalog: Catalog, generation: Generation, name: str) -> None:
    """Write one more image to the catalog alone."""
    info, root = MediaInfo(Modality.IMAGE, "jpeg"), catalog.locations.roots()[0].id
    vectors = {SPACE: (range(1), unit(7, 1, SPACE.dim))}
    content = NewContent(name, 1, info, [Segment(Modality.IMAGE)], vectors)
    with catalog.batch() as batch:
        batch.put_contents(generation.id, [content], [[NewLocation(root, ROOT / name, 1, 1, 1)]])


def nearest(store: MilvusVectors | VectorCache) -> dict[Modality, list[list[int]]]:
    store.refresh()
    found = {item: store.index(SPACE, item).search(samples(), DEPTH)[1] for item in Modality}
    return {item: ids.tolist() for item, ids in found.items()}


def eventually(ask: Callable[[], T]) -> T:
    """Ask until a server that was started has read what it had before."""
    give_up = time.monotonic() + 60
    while True:
        try:
            return ask()
        except StoreError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.5)


def test_a_collection_catches_up_from_wherever_it_was_left(
    catalog: Catalog,
    generation: Generation,
    address: MilvusAddress,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MilvusVectors(catalog, generation, address)
    local = VectorCache(catalog.folder, catalog, generation)
    monkeypatch.setattr(milvus, "FOLLOWED_AT_ONCE", 50)
    put, blocks = MilvusCollection.put, iter(range(100))

    def dies(*given: Any) -> int:
        if next(blocks) == 5:
            raise KeyboardInterrupt
        return put(*given)

    with monkeypatch.context() as patched:
        patched.setattr(MilvusCollection, "put", dies)
        with pytest.raises(KeyboardInterrupt):
            store.prepare()
    collection = store._collection(SPACE, graph=False)
    marks = collection.marks(strong=True)
    assert {mark.change for mark in marks.values()} == {0}, "one change is whole or not there"
    assert nearest(store) == nearest(local), "a search goes on with what is missing"

    # Written by a process that was killed before the server could follow.
    add(catalog, generation, "late.jpg")
    assert nearest(MilvusVectors(catalog, generation, address)) == nearest(local)
    assert nearest(store) == nearest(local)

    # While another process lets the collection follow, a search waits for it, but not for ever.
    monkeypatch.setattr(milvus, "WAIT_S", 0.5)
    with catalog.engine_lock(collection.name):
        add(catalog, generation, "later.jpg")
        store.refresh()
        assert "has followed the collection to change" in told(store)
        assert "has followed" in store.describe()
    monkeypatch.undo()
    assert nearest(store) == nearest(local)

    store.drop()


@pytest.mark.slow
def test_what_is_not_of_this_catalog_is_told_and_left_alone(
    catalog: Catalog, generation: Generation, address: MilvusAddress
) -> None:
    store = MilvusVectors(catalog, generation, address)
    local = VectorCache(catalog.folder, catalog, generation)
    store.prepare()
    collection = store.followed(SPACE).collection
    # The catalog is of an earlier day than what the server has.
    last = catalog.changes.last()
    collection.mark(dict.fromkeys(Modality, milvus_collection.Mark(last + 7, 1)))
    store.refresh()
    time.sleep(0.5)
    assert "`seehear verify` makes them anew" in told(store)
    store.rebuild()
    assert nearest(store) == nearest(local)

    # Somebody else's data has the same name.
    for about, dim in (({"seehear": 1}, SPACE.dim), (store._about(SPACE), 8)):
        store.drop()
        MilvusCollection(store._server, collection.name, about, dim, graph=False).open()
        store.refresh()
        assert "has other data in its collection" in told(store)
    store.drop()


def test_settings_name_a_server_and_never_show_its_password() -> None:
    env = {"SEEHEAR_DATABASE": "postgresql:///a", "SEEHEAR_VECTORS": "milvus://host/media"}
    env |= {"MILVUS_USER": "me", "MILVUS_PASSWORD": "s3/cr@t"}
    for given in (env, env | {"MILVUS_TOKEN": "me:s3/cr@t", "MILVUS_USER": ""}):
        settings = Settings.from_environment(given)
        found = MilvusAddress.of(settings.vectors)
        assert found == MilvusAddress("host", 19530, "media", False, "me:s3/cr@t")
        assert "s3" not in f"{settings!r} {found!r} {found}"
    tls = MilvusAddress.of("milvus+tls://key@[::1]:1")
    assert str(tls) == "milvus+tls://[::1]:1"
    assert tls is not None
    assert tls.token == "key"
    named = Settings.from_environment(env | {"SEEHEAR_VECTORS": "milvus://you:pw@host:1"})
    assert MilvusAddress.of(named.vectors) == MilvusAddress("host", 1, "", False, "you:pw")
    for wrong in ("milvus://", "milvus://u:s3@host:x", "milvus://u:s3@h/a/b", "milvsu://u:s3@h"):
        with pytest.raises(UsageError, match="milvus://HOST:PORT") as error:
            Settings(database="postgresql:///a", vectors=wrong)
        assert "s3" not in str(error.value)
    with pytest.raises(UsageError, match="name it with SEEHEAR_DATABASE") as error:
        Settings(vectors="milvus://u:s3@host:1")
    assert "s3" not in str(error.value)


@pytest.mark.slow
def test_graphs_are_built_and_measured(
    catalog: Catalog,
    generation: Generation,
    address: MilvusAddress,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what is in none yet is compared one by one, if a server would miss some of it."""
    root = catalog.locations.roots()[0].id
    monkeypatch.setattr(milvus, "GRAPH_ABOVE", 5_000)
    monkeypatch.setattr(milvus, "LOOSE", 100)
    local = VectorCache(catalog.folder, catalog, generation)
    store = MilvusVectors(catalog, generation, address)

    def more(first: int, count: int) -> None:
        info, rows = MediaInfo(Modality.IMAGE, "jpeg"), unit(first, count, SPACE.dim)
        contents, places = [], []
        for n in range(count):
            vectors = {SPACE: (range(1), rows[n : n + 1])}
            content = NewContent(f"{first + n:064x}", 1, info, [Segment(Modality.IMAGE)], vectors)
            contents.append(content)
            path = ROOT / "more" / f"{first + n}.jpg"
            places.append([NewLocation(root, path, 1, 1, first + n)])
        with catalog.batch() as batch:
            batch.put_contents(generation.id, contents, places)

    def recall() -> float:
        ours, truth = nearest(store)[Modality.IMAGE], nearest(local)[Modality.IMAGE]
        return float(np.mean([np.isin(a, b).mean() for a, b in zip(truth, ours, strict=True)]))

    other = catalog.generations.create("other", "1", [SPACE])
    dropped = MilvusVectors(catalog, other, address)
    dropped.prepare()
    catalog.generations.drop(other.id)
    more(10_000, 8_000)
    store.prepare()
    with store._server.calls() as client:
        assert client.list_collections().count(dropped.name(SPACE)) == 0
        assert client.list_collections().count(store.name(SPACE) + "_graph") == 1
    assert "Milvus, recall@10 " in store.describe()
    assert "Milvus, exact: " in store.describe(), "few vectors are compared one by one"
    tuning = store.index(SPACE, Modality.IMAGE).tuning()
    assert tuning is not None
    assert tuning.recall > 0.98
    assert recall() > 0.95
    more(30_000, 2_000)
    store.refresh()
    assert len(store.index(SPACE, Modality.IMAGE).written_lately()) >= 2_000
    assert recall() > 0.95
    plain = CollectionSnapshot(catalog, local, generation, MODEL)
    state = CollectionSnapshot(catalog, store, generation, MODEL)
    monkeypatch.setattr(MilvusVectors, "most_ids", 400)
    monkeypatch.setattr(milvus, "MOST_IDS", 300)
    for where in ("size > 100kB", "folder = /media/photos/1", "size < 3", "not width >= 800"):
        wanted, found = (near(one, Query((), where=where)) for one in (plain, state))
        for item, ids in wanted.items():
            agreed = np.isin(ids, found[item]).mean()
            assert agreed > (0.9 if where == "size < 3" else 0.999), (where, item)
    with catalog.batch() as batch:
        batch.drop_encodings(generation.id, ASSETS)
    assert recall() > 0.95
    store.drop()


@pytest.mark.slow
def test_a_server_that_is_killed_loses_nothing(
    catalog: Catalog, generation: Generation, tmp_path: Path
) -> None:
    local = VectorCache(catalog.folder, catalog, generation)
    with milvus_process(tmp_path / "server") as server:
        at = MilvusAddress.of(server.url)
        assert at is not None
        store = MilvusVectors(catalog, generation, at)
        store.prepare()
        add(catalog, generation, "late.jpg")
        server.kill()
        store.refresh()
        assert "does not answer" in told(store)
        server.start()
        assert eventually(lambda: nearest(store)) == nearest(local)
        with catalog.batch() as batch:
            batch.drop_encodings(generation.id, ASSETS // 2)
        assert nearest(store) == nearest(local)


@pytest.mark.slow
def test_a_full_disk_is_told_and_searches_go_on(
    catalog: Catalog, generation: Generation, tmp_path: Path
) -> None:
    quota = "quotaAndLimits.limitWriting.diskProtection.diskQuota=0.01"
    with milvus_process(tmp_path / "server", "--extra-config", quota) as server:
        at = MilvusAddress.of(server.url)
        assert at is not None
        store = MilvusVectors(catalog, generation, at)
        store.prepare()
        before = nearest(store)
        store.followed(SPACE).collection.seal()
        give_up = time.monotonic() + 60
        with pytest.raises(StorageFullError, match="takes no more vectors"):
            while time.monotonic() < give_up:
                add(catalog, generation, f"{time.monotonic_ns()}.jpg")
                nearest(store)
                time.sleep(1.0)
        assert before


@pytest.mark.parametrize("secret", ["pw", "a:b"])
def test_a_token_is_read_as_it_is(secret: str) -> None:
    env = {"SEEHEAR_DATABASE": "x", "SEEHEAR_VECTORS": "milvus://h", "MILVUS_TOKEN": f"u:{secret}"}
    found = MilvusAddress.of(Settings.from_environment(env).vectors)
    assert found is not None
    assert found.token == f"u:{secret}"
