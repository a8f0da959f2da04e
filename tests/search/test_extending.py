"""The examples of docs/searching.md, run as they are written there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from seehear.encoders.base import SingleSpaceModel
from seehear.encoders.fake import FakeEncoder, image, tone
from seehear.errors import UsageError
from seehear.search import Engine
from seehear.types import Modality, Query, QueryPart
from tests.search.library import Library, names, noisy

PAGE = Path(__file__).resolve().parents[2] / "docs" / "searching.md"


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the page's Python defines."""
    monkeypatch.setenv("HOME", str(tmp_path))
    found: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), found)
    yield found
    found["library"].close()


def dated(library: Library) -> Query:
    library.add("found.jpg", noisy(image("red"), 1), content="1")
    library.add("taken.jpg", image("red", 64, 40), taken_at=datetime(2024, 6, 1))
    library.add("sky.jpg", image("blue"))
    return Query((QueryPart(("red",), label="red"),), show_duplicates=True)


def test_a_reranker_in_a_few_lines(tmp_path: Path, examples: dict[str, Any]) -> None:
    library = Library(tmp_path)
    query = dated(library)
    plain = Engine(library.catalog, library.cache, library.model).search(query)
    rerank = examples["photographs_first"]
    hits = Engine(library.catalog, library.cache, library.model, rerank).search(query)
    before = {hit.path.name: hit.score for hit in plain}
    after = {hit.path.name: hit.score for hit in hits}
    assert hits[0].path.name == "taken.jpg"
    assert after["taken.jpg"] == before["taken.jpg"]
    assert after["found.jpg"] == pytest.approx(0.8 * before["found.jpg"])
    assert [hit.score for hit in hits] == sorted(after.values(), reverse=True)


def test_a_collection_hands_it_on(tmp_path: Path) -> None:
    import seehear
    from tests.indexers.helpers import picture as file_of

    file_of(tmp_path / "media" / "fire.png", "red")
    file_of(tmp_path / "media" / "sky.png", "blue")

    def turned(_: Query, results: Any) -> list[float]:
        return [1.0 - result.score for result in results]

    with seehear.open(tmp_path / "c", model="fake") as plain:
        plain.index(tmp_path / "media")
        assert names(plain.search("red"))[0] == "fire.png"
    with seehear.open(tmp_path / "c", model="fake", rerank=turned) as other:
        assert names(other.search("red"))[0] == "sky.png"


@pytest.mark.parametrize(
    ("scores", "says"), [([0.5], "1 scores for 3"), ([0.5, 2.0, 0.1], r"not in \[0, 1\]")]
)
def test_a_reranker_that_is_wrong_is_told(tmp_path: Path, scores: list[float], says: str) -> None:
    library = Library(tmp_path)
    query = dated(library)
    engine = Engine(library.catalog, library.cache, library.model, lambda *_: scores)
    with pytest.raises(UsageError, match=says):
        engine.search(query)


def test_a_route_in_a_few_lines(tmp_path: Path, examples: dict[str, Any]) -> None:
    seeing = FakeEncoder("7", frozenset({Modality.TEXT, Modality.IMAGE}), "sharp", turned=True)
    sharp = SingleSpaceModel("sharp", seeing)
    model = examples["SharperPictures"](SingleSpaceModel("fake", FakeEncoder()), sharp)
    library = Library(tmp_path, model)
    for name in ("red", "blue"):
        library.add(f"{name}.jpg", image(name))
        library.add(f"{name}.wav", (0.0, 2.0, tone(name, 2.0)))
    hits = library.search("red", k=2, explain=True)
    assert sorted(names(hits)) == ["red.jpg", "red.wav"]
    spaces = {hit.path.name: hit.why[0].space for hit in hits}
    assert spaces["red.jpg"].startswith("sharp@7")
    assert spaces["red.wav"].startswith("fake@1")
    assert names(library.search(image("blue"), k=1)) == ["blue.jpg"]
