"""Several queries at once, from threads and from asyncio, are answered as one by one."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import seehear
from seehear import tables
from seehear.async_collection import AsyncCollection
from seehear.types import Hit, Query, QueryPart

RED = Image.new("RGB", (64, 48), "red")
TEXTS = ["a fire engine", "sea", "red", "a lighthouse by the sea", "grass in the sun", "engine"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seehear.Collection]:
    folder = tmp_path_factory.mktemp("many")
    with seehear.open(folder / "collection", model="fake") as library:
        library.add(images=[RED, Image.new("RGB", (64, 48), "blue")], ids=["red", "blue"])
        library.add(texts=["a lighthouse by the sea", "an engine"], ids=["sea", "engine"])
        yield library


def plain(hits: Sequence[Hit]) -> list[tuple[str | None, float]]:
    return [(hit.id, round(hit.score, 5)) for hit in hits]


def test_many_are_answered_as_one_by_one(library: seehear.Collection) -> None:
    asked: list[Any] = [*TEXTS, RED, Query((QueryPart(("sea",)), QueryPart(("engine",))), k=1)]
    single = [library.search(text, k=3) for text in TEXTS]
    single += [library.search(image=RED, k=3), library.run(asked[-1])]
    many = library.search_many(asked, k=3)
    assert [plain(hits) for hits in many] == [plain(hits) for hits in single]
    assert library.search_many([]) == []
    (words,) = library.search_many(["lighthouse"], mode="words", where="type = text")
    assert [hit.id for hit in words] == ["sea"]


def test_many_are_encoded_in_batches(
    library: seehear.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    model: Any = library.model()
    encode = type(model).encode

    def counted(self: Any, modality: str, samples: Sequence[Any]) -> Any:
        calls.append(len(samples))
        return encode(self, modality, samples)

    monkeypatch.setattr(type(model), "encode", counted)
    library.search_many(["the red fire engine in the street"] * 9)
    assert calls == [9]


def test_a_wrong_query_among_many_answers_none(library: seehear.Collection) -> None:
    for wrong in ([*TEXTS, ""], [*TEXTS, Query(())], [*TEXTS, Path("/none.png")]):
        with pytest.raises(seehear.UsageError):
            library.search_many(wrong)
    with pytest.raises(seehear.UsageError, match="No mode"):
        library.search_many(TEXTS, mode="sematic")  # type: ignore[arg-type]


def test_all_of_is_one_query(library: seehear.Collection) -> None:
    both = library.search(all_of=["a lighthouse", "the sea"])
    assert both == library.search(["a lighthouse", "the sea"])
    assert both == library.search("a lighthouse", all_of=["the sea"])
    assert both[0].id == "sea"


def test_threads_get_the_answers_that_one_gets(library: seehear.Collection) -> None:
    wanted = {text: library.search(text) for text in TEXTS}
    wrong: list[Any] = []

    def ask(first: int) -> None:
        for turn in range(12):
            text = TEXTS[(first + turn) % len(TEXTS)]
            try:
                if (found := library.search(text)) != wanted[text]:
                    wrong.append((text, found))
            except Exception as error:
                wrong.append((text, error))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_every_method_has_its_twin() -> None:
    methods = {
        name: value
        for name, value in inspect.getmembers(seehear.Collection, inspect.isfunction)
        if not name.startswith("_")
    }
    twins = {
        name
        for name, value in inspect.getmembers(AsyncCollection, inspect.isfunction)
        if not name.startswith("_")
    }
    assert twins == set(methods)
    for name, value in methods.items():
        twin = getattr(AsyncCollection, name)
        assert inspect.iscoroutinefunction(twin)
        assert inspect.signature(twin) == inspect.signature(value), name
        assert twin.__doc__ == value.__doc__


def test_awaited_calls_run_beside_each_other(tmp_path: Path) -> None:
    async def use() -> None:
        async with await seehear.aopen(tmp_path / "collection", model="fake") as library:
            await library.add(texts=TEXTS, ids=TEXTS)
            found = await asyncio.gather(*(library.search(text, k=1) for text in TEXTS))
            assert [hits[0].id for hits in found] == TEXTS
            assert [asset.modality async for asset in library] == ["text"] * len(TEXTS)
            with pytest.raises(seehear.UsageError):
                await library.search("")
        with pytest.raises(seehear.CollectionClosedError):
            await library.search("sea")

    asyncio.run(use())


def test_hits_and_items_as_json_and_as_tables(
    library: seehear.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pandas and pyarrow are not needed here: what they are given is looked at."""
    library.add(texts=["a pier"], ids=["pier"], metadata=[{"price": 3, "path": "x"}], replace=True)
    hits = library.search("a pier", moments=2, explain=True)
    assert json.loads(json.dumps([hit.to_dict() for hit in hits]))[0]["fields"]["price"] == 3
    assert json.loads(json.dumps(library.status().to_dict()))["items"] == len(library)
    given: list[dict[str, list[Any]]] = []
    monkeypatch.setitem(sys.modules, "pyarrow", types.SimpleNamespace(table=given.append))
    seehear.to_arrow(hits)
    columns = given[0]
    assert {len(values) for values in columns.values()} == {len(hits)}
    assert columns["id"] == [hit.id for hit in hits]
    assert (columns["price"][0], columns["path_"][0]) == (3, "x")
    assert "why" not in columns
    seehear.to_arrow(library.items())
    assert given[1]["price"][-1] == 3
    frames: list[tuple[list[dict[str, Any]], list[str]]] = []
    frame = types.SimpleNamespace(DataFrame=lambda rows, columns: frames.append((rows, columns)))
    monkeypatch.setitem(sys.modules, "pandas", frame)
    seehear.to_pandas(hits)
    seehear.to_pandas([])
    assert [row["id"] for row in frames[0][0]] == columns["id"]
    assert (frames[0][1], frames[1]) == (list(columns), ([], []))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(seehear.EnvironmentFaultError, match=r"pyarrow.*seehear\[arrow\]"):
        tables.to_arrow(hits)


def test_what_a_caller_can_receive_is_public() -> None:
    """Each class of seehear's that a public method returns or takes has a public name."""
    known = set(seehear.__all__)
    own = re.compile(r"\b[A-Z]\w+")
    builtin = {
        "None",
        "Any",
        "Self",
        "Sequence",
        "Iterable",
        "Iterator",
        "Mapping",
        "Callable",
        "Event",
    }
    aliases = {
        "PathLike",
        "Media",
        "Modalities",
        "ModalityName",
        "ModeName",
        "Path",
        "Rerank",
        "Model",
        "StoredFile",
    }
    for name, method in inspect.getmembers(seehear.Collection, inspect.isfunction):
        if name.startswith("_"):
            continue
        for annotation in method.__annotations__.values():
            unknown = set(own.findall(str(annotation))) - known - builtin - aliases
            assert not unknown, (name, unknown)


def test_an_array_is_no_list_of_texts(library: seehear.Collection) -> None:
    with pytest.raises(seehear.UsageError):
        library.search_many([np.zeros((4, 4))])
