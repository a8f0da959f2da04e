"""One word for one thing: the table of docs/searching.md holds in all four interfaces."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import ValidationError

import seehear
from seehear.arguments import OTHER_WORDS
from seehear.cli.app import make_app
from seehear.server.schemas import SearchRequest

ROWS = re.findall(
    r"^\| ([a-z][^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|$",
    (Path(__file__).resolve().parents[2] / "docs" / "searching.md")
    .read_text("utf-8")
    .partition("### One word")[2]
    .partition("\n## ")[0],
    re.MULTILINE,
)[1:]
OPTIONS = {
    spelled
    for parameter in typer.main.get_group(make_app(["search"])).commands["search"].params
    for spelled in parameter.opts
}
PYTHON = set(inspect.signature(seehear.Collection.search).parameters)
OTHERS = {other for words in OTHER_WORDS.values() for other in words}


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def column(number: int) -> set[str]:
    return {word for row in ROWS for word in words(row[number])}


def test_the_table_is_whole() -> None:
    """What a search takes is there; text, media and what only one interface has apart."""
    assert len(ROWS) > 10
    assert PYTHON - column(2) <= {
        *("self", "text", "all_of", "image", "audio", "video", "vectors", "without_files"),
        "typing",
    }
    assert set(SearchRequest.model_fields) - column(3) == {"text", "parts", "typing"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_interface_has_its_words(row: tuple[str, ...]) -> None:
    _, options, python, http, _ = row
    assert set(words(options)) <= OPTIONS
    assert set(words(python)[:1]) <= PYTHON
    assert set(words(python)) <= PYTHON | OTHERS
    for name in words(http):
        with pytest.raises(ValidationError) as caught:
            SearchRequest.model_validate({name: object()})
        assert caught.value.errors()[0]["type"] != "extra_forbidden"


def test_what_one_interface_calls_a_thing_the_others_take() -> None:
    assert SearchRequest.model_validate({"count": 3, "kinds": ["photos"]}).k == 3
    with pytest.raises(ValidationError):
        SearchRequest.model_validate({"count": 3, "k": 4})


@pytest.mark.parametrize(
    ("method", "given", "same"),
    [
        ("search", {"count": 1, "kinds": "photos"}, {"k": 1, "modalities": "image"}),
        ("search", {"limit": 1}, {"k": 1}),
        ("items", {"count": 1}, {"limit": 1}),
        ("items", {"k": 1}, {"limit": 1}),
        ("assets", {"k": 1, "kinds": ["image"]}, {"limit": 1, "modalities": ["image"]}),
        ("facets", {"k": 1}, {"top": 1}),
        ("search_many", {"count": 1}, {"k": 1}),
    ],
)
def test_python_takes_the_other_words(
    method: str, given: dict[str, Any], same: dict[str, Any], tmp_path: Path
) -> None:
    asked: dict[str, list[Any]] = {
        "search": ["engine"],
        "search_many": [["engine"]],
        "facets": ["type"],
    }
    first = asked.get(method, [])
    with seehear.open(tmp_path / "collection", model="fake") as library:
        library.add(texts=["an engine", "a pier"], ids=["a", "b"])
        library.add(images=[bytes(_red())], ids=["c"])
        ask = getattr(library, method)
        assert ask(*first, **given) == ask(*first, **same)
        assert ask(*first, **given) != ask(*first)
        with pytest.raises(seehear.UsageError, match="are the same: give one of them"):
            ask(*first, **given, **same)
        with pytest.raises(TypeError, match="unexpected"):
            ask(*first, nothing=1)


def _red() -> bytes:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(out, "PNG")
    return out.getvalue()


def test_assistants_have_the_same_words() -> None:
    pytest.importorskip("mcp")
    import asyncio

    from seehear.server.mcp import create_mcp

    class Nothing:
        folder = Path()

    tools = asyncio.run(create_mcp(Nothing, Nothing()).list_tools())  # type: ignore[arg-type]
    (search,) = (tool for tool in tools if tool.name == "search_media")
    assert column(4) <= set(search.input_schema["properties"])
