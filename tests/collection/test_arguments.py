"""Wrong arguments of the library: one line that names the argument, from every public method."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import threading
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import seehear
from seehear import AsyncCollection, Collection, Query, SeehearError, UsageError

WRONG: dict[str, Any] = {
    "None": None, "True": True, "3": 3, "-1": -1, "0": 0, "2**70": 2**70, "3.5": 3.5,
    "nan": float("nan"), "inf": float("inf"), "complex": 1j, "object": object(),
    "empty text": "", "x": "x", "NUL": "a\0b", "surrogate": "a\ud800", "name of bytes": "a\udc80",
    "long text": "x" * 5_000, "bytes": b"x", "[]": [], "[1]": [1], "[-1]": [-1], "[None]": [None],
    "['x']": ["x"], "[[]]": [[]], "(1, 2)": (1, 2), "{}": {}, "{'a': 1}": {"a": 1},
    "{1: 2}": {1: 2},
    "set": {1}, "iterator": iter([object()]), "range": range(3), "date": date(2024, 1, 1),
    "time": datetime(2024, 1, 1), "array": np.zeros(3), "point": np.zeros(()),
    "int64": np.int64(1), "bool_": np.bool_(False), "path": Path("nothing/there"),
    "path of NUL": Path("a\0b"), "query": Query(()), "error": ValueError("x"), "[2**70]": [2**70],
    "['surrogate']": ["\ud800"], "[{1: 2}]": [{1: 2}], "query of 3": Query(3), # type: ignore[arg-type]
    "query of text": Query(()  , k="x"),  # type: ignore[arg-type]
}  # fmt: skip
"""What nobody gives on purpose, and what slips in."""
NEVER_FITS = ("object", "complex", "error")
METHODS = {
    name: inspect.signature(method)
    for name, method in inspect.getmembers(Collection, inspect.isfunction)
    if not name.startswith("_") and name != "close"
}
ARGUMENTS = [(name, one) for name, signature in METHODS.items() for one in signature.parameters]
CASES = [pair for pair in ARGUMENTS if pair[1] != "self"]
MEDIA = {"image", "images", "audio", "video", "videos", "file", "without_files", "queries"}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    folder = tmp_path_factory.mktemp("arguments")
    with seehear.open(folder / "collection", model="fake") as library:
        out = io.BytesIO()
        Image.new("RGB", (32, 32), "red").save(out, "PNG")
        library.add(texts=["an engine", "a pier"], ids=["a", "b"], metadata=[{"n": 1}, {"n": 2}])
        library.add(images=[out.getvalue()], ids=["c"])
        yield library


@pytest.fixture
def right(library: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A value that fits for each argument that must be given; no run of the index is long."""
    monkeypatch.chdir(tmp_path)
    (hit, *_) = library.search("engine")
    file = tmp_path / "a.txt"
    file.write_text("an engine")
    stopped = threading.Event()
    stopped.set()
    return {
        "hits": [hit], "hit": hit, "asset_id": hit.asset_id, "asset_ids": [hit.asset_id],
        "address": hit.address, "archive": tmp_path / "archive", "path": file, "paths": file,
        "to": tmp_path / "out.csv", "generation_id": 77, "field": "n", "file": file, "words": "red",
        "read": "speech", "model": "fake", "queries": ["a"], "text": "engine", "line": "engine",
        "query": Query((library.text_part("engine"),)), "limit": 3, "id": "a", "stop": stopped,
    }  # fmt: skip


def _call(method: Any, name: str, argument: str, value: Any, right: dict[str, Any]) -> Any:
    given = {
        one.name: right[one.name]
        for one in METHODS[name].parameters.values()
        if one.name == "stop" or (one.default is one.empty and one.name != "self")
    } | {argument: value}
    many = [given.pop("paths")] if "paths" in given else []
    return method(*many, **given)


@pytest.mark.parametrize(("name", "argument"), CASES)
def test_what_never_fits_is_refused_by_name(
    library: Collection, right: dict[str, Any], name: str, argument: str
) -> None:
    for told in NEVER_FITS:
        with pytest.raises(UsageError) as caught:
            _call(getattr(library, name), name, argument, WRONG[told], right)
        message = str(caught.value)
        assert message.isprintable()
        if argument not in MEDIA:
            assert message.startswith(
                f"{argument}[0] takes " if argument == "paths" else f"{argument} takes "
            )
            assert message.endswith(f" {type(WRONG[told]).__name__}")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "argument"), CASES)
def test_no_wrong_value_ends_in_the_depths(
    library: Collection, right: dict[str, Any], name: str, argument: str
) -> None:
    for told, wrong in WRONG.items():
        if (name, argument, wrong) == ("watch", "stop", None):  # watches until it is stopped
            continue
        try:
            _call(getattr(library, name), name, argument, wrong, right)
        except SeehearError as error:
            one_line = len(str(error).splitlines()) == 1
            assert one_line, (told, str(error))  # noqa: PT017
        except Exception as error:
            raise AssertionError(f"{name}({argument}={told}): {error!r:.300}") from error


def test_the_message_says_what_is_taken(library: Collection) -> None:
    ask: Any = library
    (hit, *_) = library.search("engine")
    for call, message in (
        (lambda: ask.search("x", k="3"), 'k takes a whole number, not "3"'),
        (lambda: ask.search("x", limit=3.5), "k takes a whole number, not 3.5"),
        (lambda: ask.search("x", k=True), "k takes a whole number, not True"),
        (lambda: ask.search(3.5), "text takes a text, a list of texts or None, not 3.5"),
        (lambda: ask.search(["x", 3]), "text[1] takes a text, not 3"),
        (lambda: ask.search("x", all_of="y"), 'all_of takes a list of texts, not "y"'),
        (
            lambda: ask.search("x", kinds=3),
            "modalities takes a text, a list of texts or None, not 3",
        ),
        (lambda: ask.search("x", weights=["2"]), 'weights[0] takes a number, not "2"'),
        (lambda: ask.search("x", where=None), "where takes a text, not None"),
        (lambda: ask.search("x", under=b"/"), "under takes a path or None, not a bytes"),
        (lambda: ask.search("x", min_score=float("nan")), "min_score takes a number, not NaN"),
        (
            lambda: ask.search("x", like=hit),
            "like takes a list of Hits, whole numbers or texts, not a Hit",
        ),
        (
            lambda: ask.search("x", like=[None]),
            "like[0] takes a Hit, a whole number or a text, not None",
        ),
        (lambda: ask.items(limit="x"), 'limit takes a whole number, not "x"'),
        (lambda: ask.interpret(None), "text takes a text, not None"),
        (lambda: ask.interpret("x", today="now"), 'today takes a date or None, not "now"'),
        (lambda: ask.get(3), "id takes a text, not 3"),
        (lambda: ask.asset(2**64), "asset_id has more digits than a number of 64 bits"),
        (lambda: ask.add(texts=["x"], ids=[3]), "ids[0] takes a text, not 3"),
        (lambda: ask.add(texts=["x"], metadata=[1]), "metadata[0] takes a dict or None, not 1"),
        (lambda: ask.update("a", [1]), "metadata takes a dict or None, not a list"),
        (lambda: ask.index(3), "paths[0] takes a path, not 3"),
        (lambda: ask.index("a", include="*.jpg"), 'include takes a list of texts, not "*.jpg"'),
        (lambda: ask.index("a", progress=3), "progress takes a function or None, not 3"),
        (lambda: ask.forget("a\nb\0"), 'path contains a NUL character: "a\\nb\\x00"'),
        (lambda: ask.run(Query((), k="x")), 'query.k takes a whole number, not "x"'),  # type: ignore[arg-type]
        (lambda: ask.run(Query((3,))), "query.parts[0] takes a QueryPart, not 3"),  # type: ignore[arg-type]
        (lambda: ask.files(under=object()), "under takes a path or None, not an object"),
        (lambda: ask.duplicates(where=3), "where takes a text, not 3"),
        (lambda: ask.import_archive("a", path_map=3), "path_map takes a dict or None, not 3"),
        (lambda: ask.import_archive("a", path_map={"a": 3}), 'path_map["a"] takes a path, not 3'),
        (lambda: seehear.open(3), "folder takes a path or None, not 3"),  # type: ignore[arg-type]
        (lambda: seehear.open("a", model=3), "model takes a text or None, not 3"),  # type: ignore[arg-type]
        (lambda: Collection("a", 3), "settings takes a Settings or None, not 3"),  # type: ignore[arg-type]
        (lambda: seehear.to_arrow(3), "rows takes a list of HitOrItems, not 3"),  # type: ignore[arg-type]
        (lambda: seehear.to_pandas([3]), "rows[0] takes a HitOrItem, not 3"),  # type: ignore[list-item]
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert str(caught.value) == message


def test_what_fits_is_taken_as_it_was_meant(library: Collection, tmp_path: Path) -> None:
    """Numbers of numpy, generators, sets, and the words of other interfaces."""
    ask: Any = library
    (hit, *_) = library.search("engine")
    assert ask.asset(np.int64(hit.asset_id)) == library.asset(hit.asset_id)
    assert ask.search("engine", k=np.int32(1), min_score=np.float32(0)) == [hit]
    assert ask.search("engine", count=1, diverse=np.bool_(False)) == [hit]
    assert ask.search(one for one in ["engine"]) == library.search(["engine"])
    assert ask.search("engine", weights=np.array([2.0])) == library.search("engine", weights=[2])
    assert ask.search(like=iter([hit])) == library.search(like=[hit])
    assert set(ask.assets_by_id({hit.asset_id})) == {hit.asset_id}
    assert ask.search("engine", modalities={"text"}) == library.search("engine", modalities="text")
    (tmp_path / "a.txt").write_text("an engine")
    (entry,) = os.scandir(tmp_path)
    assert ask.similar(entry, k=1) == library.similar(tmp_path / "a.txt", k=1)
    assert [len(hits) for hits in ask.search_many(one for one in ["engine"])] == [3]


def test_an_awaited_method_says_the_same(library: Collection) -> None:
    ask: Any = AsyncCollection(library)
    for name in METHODS:
        with pytest.raises(UsageError, match="takes"):
            asyncio.run(_awaited(ask, name))
    with pytest.raises(UsageError, match="folder takes a path or None, not 3"):
        asyncio.run(seehear.aopen(3))  # type: ignore[arg-type]


async def _awaited(ask: Any, name: str) -> None:
    arguments = [one for one in METHODS[name].parameters if one not in MEDIA | {"self"}]
    if not arguments:
        raise UsageError("takes nothing")
    if arguments[0] == "paths":
        await getattr(ask, name)(object())
    else:
        await getattr(ask, name)(**{arguments[0]: object()})


def test_a_folder_that_is_not_there_is_told_and_not_taken_for_an_empty_one(
    library: Collection, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").write_text("an engine")
    with seehear.open(tmp_path / "collection", model="fake") as own:
        own.index(tmp_path / "photos")
        near = tmp_path / "photo"
        for ask in (
            lambda: own.files(under=near),
            lambda: own.files("failed", under=near),
            lambda: own.assets(under=near),
            lambda: own.export_vectors(tmp_path / "x.npy", under=near),
            lambda: own.search("x", under=near),
            lambda: own.unusual(under=near),
        ):
            with pytest.raises(seehear.UnknownFolderError, match="Did you mean"):
                ask()
        assert not (tmp_path / "x.npy").exists()
        assert own.files("failed", under=tmp_path / "photos") == []
        with pytest.raises(UsageError, match='No field "widht"'):
            own.export_vectors(tmp_path / "x.npy", where="widht > 3")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda own, to: own.cut([], to / "moments.eld"), 'No list "eld". Did you mean edl?'),
        (lambda own, to: own.index(to, read="speach"), 'No reader "speach". Did you mean speech?'),
        (lambda own, to: own.index(to, include=[" "]), "a pattern to include or exclude is empty"),
        (lambda own, to: own.watch(to, exclude=[""]), "a pattern to include or exclude is empty"),
        (
            lambda own, to: own.similar(Path("seehear://zz/1")),
            "'seehear://zz/1' is not the address",
        ),
        (lambda own, to: own.file_part(to / "a.txt", expected="vidoe"), "Did you mean video?"),
    ],
)
def test_a_slip_of_the_hand_is_told(
    library: Collection, tmp_path: Path, call: Any, message: str
) -> None:
    (tmp_path / "a.txt").write_text("an engine")
    with pytest.raises(UsageError) as caught:
        call(library, tmp_path)
    assert message in str(caught.value)
