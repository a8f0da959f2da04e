"""A search only reads: an index run keeps what searches need, before it lets others write."""

from __future__ import annotations

import ast
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

import seehear.search
from seehear import Collection
from seehear.config import Settings
from seehear.encoders.fake import image, tone, video
from seehear.errors import CollectionLockedError
from seehear.indexers import Progress, Stage
from seehear.search import Engine
from seehear.stores import Catalog, VectorCache
from seehear.stores.catalog.transactions import Transactions
from seehear.stores.vectors.base import WARMUP_QUERIES
from seehear.types import Hit, Mode, Query, QueryPart
from tests.search.library import Library, demo

WORDS = QueryPart(("red",), label="red")
QUERIES = [
    *(Query((WORDS,), k=30, mode=mode) for mode in Mode),
    Query((WORDS,), k=5, where="type = photo", diverse=True, explain=True),
    Query((WORDS, QueryPart((tone("red", 2.0),), label="tone")), k=5, show_duplicates=True),
    Query((QueryPart((image("red"),), label="image"), QueryPart(("night",), exclude=True)), k=5),
    Query((QueryPart((video("red"),), label="video"),), k=5, moments=3),
    Query((), k=5, like=(1,), unlike=(2,)),
]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return demo(tmp_path)


@contextmanager
def recorded(catalog: Catalog) -> Iterator[list[str]]:
    """The statements that SQLite executes for a catalog, with their parameters."""
    seen: list[str] = []

    def note(statement: str) -> None:
        if not statement.startswith(("--", "ROLLBACK")):  # what the index of words does inside
            seen.append(statement)

    def trace(connection: sqlite3.Connection, *_: Any) -> None:
        connection.set_trace_callback(note)

    def untrace(connection: sqlite3.Connection, *_: Any) -> None:
        connection.set_trace_callback(None)

    event.listen(catalog.engine, "checkout", trace)
    event.listen(catalog.engine, "checkin", untrace)
    try:
        yield seen
    finally:
        event.remove(catalog.engine, "checkout", trace)
        event.remove(catalog.engine, "checkin", untrace)


def answers(library: Library, catalog: Catalog) -> list[list[tuple[int, float]]]:
    """What a process that has asked nothing yet finds."""
    cache = VectorCache(catalog.folder, catalog, library.generation)
    engine = Engine(catalog, cache, library.model)
    found: list[list[Hit]] = [engine.search(query) for query in QUERIES]
    assert engine.duplicates() is not None
    return [[(hit.segment_id, hit.score) for hit in hits] for hits in found]


@pytest.mark.parametrize("kept", [False, True])
def test_no_search_writes(library: Library, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if kept:
        library.keep_calibration()

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a search wrote to the catalog")

    monkeypatch.setattr(Catalog, "write_lock", forbidden)
    monkeypatch.setattr(Transactions, "batch", forbidden)
    with recorded(library.catalog) as statements:
        answers(library, library.catalog)
    assert statements
    assert {s.split()[0] for s in statements} <= {"SELECT", "WITH", "BEGIN"}


@pytest.mark.parametrize("kept", [False, True])
def test_a_read_only_collection_answers_the_same(library: Library, kept: bool) -> None:
    if kept:
        library.keep_calibration()
    answers(library, library.catalog)  # from here on the vectors are those of the cache's files
    expected = answers(library, library.catalog)
    reader = Catalog.open(library.catalog.folder, read_only=True)
    assert answers(library, reader) == expected
    reader.close()


SAME_WORDS = Query((WORDS, replace(WORDS, label="again", weight=2.0)), k=5)


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_warm_query_runs_no_statement_twice(library: Library, in_memory: bool) -> None:
    library.keep_calibration()
    engine = library.engine
    for query in (*QUERIES, SAME_WORDS):
        for _ in range(WARMUP_QUERIES + 1 if in_memory else 1):
            engine.search(query)
        with recorded(library.catalog) as statements:
            engine.search(query)
        assert len(statements) > 2
        assert [s for s, n in Counter(statements).items() if n > 1] == []


def test_a_warmed_engine_reads_no_more_than_a_warm_one(library: Library) -> None:
    library.keep_calibration()
    query = QUERIES[0]

    def count_statements(engine: Engine) -> int:
        with recorded(library.catalog) as statements:
            engine.search(query)
        return len(statements)

    def fresh() -> Engine:
        cache = VectorCache(library.catalog.folder, library.catalog, library.generation)
        return Engine(library.catalog, cache, library.model)

    cold, warmed = fresh(), fresh()
    warmed.warm_up()
    assert warmed.current().columns is not None
    first, later = count_statements(cold), count_statements(warmed)
    for _ in range(WARMUP_QUERIES):
        cold.search(query)
    assert first > later == count_statements(cold)
    assert warmed.search(query) == cold.search(query)


def test_a_deeper_look_runs_no_statement_twice(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for number in range(3):  # windows of one file fill the first look
        many = [(float(i), float(i + 2), tone("red", 2.0)) for i in range(150)]
        library.add(f"{number}.wav", *many, content=f"tone {number}")
        library.add(f"{number}.txt", f"something red {number}")
    query = Query((WORDS, QueryPart((tone("red", 2.0),), label="tone")), k=6)
    library.engine.search(query)
    with recorded(library.catalog) as statements:
        assert library.engine.search(query)
    assert [s for s, n in Counter(statements).items() if n > 1] == []


def test_what_is_read_on_one_instant_is_forgotten_with_it(library: Library) -> None:
    (first, *_) = library.engine.search(QUERIES[0])
    with library.catalog.read_snapshot():
        before = library.catalog.locations.paths([first.asset_id])
    library.catalog.locations.remove(first.path)
    with library.catalog.read_snapshot():
        assert library.catalog.locations.paths([first.asset_id]) != before
    assert first.path not in [hit.path for hit in library.engine.search(QUERIES[0])]


def test_searches_answer_while_another_writes(library: Library) -> None:
    answers(library, library.catalog)
    expected = answers(library, library.catalog)
    reader = Catalog.open(library.catalog.folder)
    with library.catalog.write_lock(), library.catalog.batch() as batch:
        batch.connection.exec_driver_sql("DELETE FROM locations")  # not committed yet
        assert answers(library, reader) == expected
        batch.connection.rollback()
    reader.close()


def test_search_names_no_method_that_writes() -> None:
    writers = {"batch", "write_lock", "put_blobs", "add_root", "promote", "remove"}
    folder = Path(seehear.search.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in writers:
                pytest.fail(f"{path.relative_to(folder)} line {node.lineno}: .{node.attr}")


def test_an_index_run_keeps_calibration_before_others_may_write(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.md").write_text("A red fire engine.")
    refused: list[Stage] = []

    def try_to_write(progress: Progress) -> None:
        def take_lock() -> None:
            try:
                with Catalog.open(tmp_path / "one").write_lock():
                    pass
            except CollectionLockedError:
                refused.append(progress.stage)

        if progress.stage is Stage.PREPARE:
            thread = threading.Thread(target=take_lock)
            thread.start()
            thread.join()

    settings = Settings(model="fake", decode_workers=1)
    with Collection(tmp_path / "one", settings) as collection:
        collection.index(tmp_path / "media", progress=try_to_write)
        assert Stage.PREPARE in refused
        engine = collection._opened.engine()
        assert engine is not None
        assert engine.missing_calibration() == {}
        change = collection._catalog.changes.last()
        with recorded(collection._catalog) as statements:
            report = collection.index(tmp_path / "media")
        assert report.unchanged == 1
        assert collection._catalog.changes.last() == change
        assert not [s for s in statements if "INTO generation_blobs" in s]
