"""One request through Python, the command line, HTTP and an assistant: one query, one answer."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from seehear import query_builder
from seehear.collection import Collection
from seehear.connectors.describe import metadata_of
from seehear.errors import UsageError
from seehear.indexers import IndexReport
from seehear.limits import QueryLimits
from seehear.search import Engine
from seehear.serialize import report_to_dict
from seehear.server.schemas_service import JobReport
from seehear.types import Hit, Modality, Query, QueryPart
from tests.cli.conftest import Run
from tests.server.conftest import SETTINGS
from tests.server.test_mcp import play


@dataclass(frozen=True)
class Request:
    """One request as each interface spells it; `{media}` is the folder of media."""

    python: dict[str, Any]
    cli: list[str]
    http: dict[str, Any]
    files: list[tuple[str, str]] = field(default_factory=list)
    """Fields of the form and the files they hold."""
    assistant: dict[str, Any] | None = None
    """None for what the tool does not offer."""


ROSE, SIREN, DAY = "{media}/photos/rose.png", "{media}/sounds/siren.wav", "{media}/clips/day.mp4"
REQUESTS = {
    "words": Request(
        {"text": "red", "k": 3},
        ["red", "-k", "3"],
        {"text": "red", "k": 3},
        assistant={"description": "red", "count": 3},
    ),
    "filters": Request(
        {"text": "green", "without": "blue", "modalities": ["photos", "text"],
         "where": "size < 9MB", "k": 5},
        ["green", "--not", "blue", "--in", "photos,texts", "--where", "size < 9MB", "-k", "5"],
        {"text": "green", "without": "blue", "modalities": ["image", "note"],
         "where": "size < 9MB", "k": 5},
        assistant={"description": "green", "without": "blue", "kinds": ["pictures", "text"],
                   "where": "size < 9MB", "count": 5},
    ),
    "weights of texts": Request(
        {"text": ["red", "white"], "weights": [2, 0.5], "without": ["blue", "green"]},
        ["--text", "red", "--text", "white", "--weight", "2", "--weight", "0.5", "--not", "blue",
         "--not", "green"],
        {"text": ["red", "white"], "weights": [2, 0.5], "without": ["blue", "green"], "k": 10},
    ),
    "weights of files": Request(
        {"text": "red", "image": ROSE, "audio": SIREN, "weights": [1, 3, 2.5]},
        ["red", "--image", ROSE, "--audio", SIREN, "--weight", "1", "--weight", "3", "--weight",
         "2.5"],
        {"text": "red", "weights": [1, 3, 2.5], "k": 10},
        [("image", ROSE), ("audio", SIREN)],
    ),
    "a line": Request(
        {"text": "red", "video": DAY, "weights": [2], "without": "green"},
        ["2:red", "+", DAY, "-", "green"],
        {"text": "red", "weights": [2], "without": "green", "k": 10},
        [("file", DAY)],
    ),
    "a file to leave out": Request(
        {"text": "red", "without_files": ROSE},
        ["red", "--not-image", ROSE],
        {"text": "red", "k": 10},
        [("without_file", ROSE)],
    ),
    "options": Request(
        {"text": "blue", "under": "{media}/clips", "min_score": 0.01, "mode": "semantic",
         "moments": 3, "diverse": True, "show_duplicates": True, "explain": True},
        ["blue", "--under", "{media}/clips", "--min-score", "0.01", "--mode", "semantic",
         "--moments", "3", "--diverse", "--show-duplicates", "--explain"],
        {"text": "blue", "under": "media/clips", "min_score": 0.01, "mode": "semantic",
         "moments": 3, "diverse": True, "show_duplicates": True, "explain": True, "k": 10},
    ),
}  # fmt: skip


def spelled(value: Any, media: Path) -> Any:
    if isinstance(value, dict):
        return {key: spelled(item, media) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [spelled(item, media) for item in value]
    return value.replace("{media}", str(media)) if isinstance(value, str) else value


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Query]:
    """The queries that reach the engine, in order."""
    queries: list[Query] = []
    answer = Engine.search

    def search(engine: Engine, query: Query, *parse: Any) -> list[Hit]:
        queries.append(query)
        return answer(engine, query, *parse)

    monkeypatch.setattr(Engine, "search", search)
    return queries


@pytest.fixture(scope="module")
def library(collection_folder: Path) -> Iterator[Collection]:
    with Collection(collection_folder, SETTINGS) as collection:
        yield collection


@pytest.fixture
def ask(collection_folder: Path, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    run = Run(collection_folder, tmp_path)
    return lambda *arguments: json.loads(run("search", *arguments, "--json").stdout)


def comparable(query: Query) -> Any:
    """A query without arrays, which do not compare."""
    return (
        [(part.label, part.weight, part.exclude, _samples(part.samples)) for part in query.parts],
        {name: getattr(query, name) for name in query.__slots__ if name != "parts"},
    )


def _samples(sample: Any) -> Any:
    if isinstance(sample, np.ndarray):
        return sample.shape, sample.tobytes()
    if isinstance(sample, tuple):
        return [_samples(item) for item in sample]
    if hasattr(sample, "__slots__"):
        return [_samples(getattr(sample, name)) for name in sample.__slots__]
    return sample


def check_same(found: Any, expected: Any) -> None:
    """Two openings of a collection may differ in the last bits of a sum of products."""
    assert type(found) is type(expected)
    if isinstance(found, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            check_same(one, other)
    elif isinstance(found, dict):
        assert list(found) == list(expected)
        check_same(list(found.values()), list(expected.values()))
    elif isinstance(found, float):
        assert found == pytest.approx(expected, abs=2e-4)
    else:
        assert found == expected


@pytest.mark.parametrize("name", REQUESTS)
def test_every_interface_asks_and_answers_the_same(
    name: str,
    asked: list[Query],
    library: Collection,
    ask: Callable[..., list[dict[str, Any]]],
    client: TestClient,
    media_folder: Path,
    collection_folder: Path,
) -> None:
    request = REQUESTS[name]
    hits = library.search(**spelled(request.python, media_folder))
    facts = [hit.to_dict() for hit in hits]
    assert facts
    assert json.loads(json.dumps(facts)) == facts

    check_same(ask(*spelled(request.cli, media_folder)), facts)

    files = [
        (field, (Path(file).name, Path(file).read_bytes()))
        for field, file in spelled(request.files, media_folder)
    ]
    sent = {"data": request.http, "files": files} if files else {"json": request.http}
    answer = client.post("/v1/search", **sent)
    assert answer.status_code == 200, answer.text
    check_served(answer.json()["hits"], facts)

    if request.assistant is not None:
        told: dict[str, Any] = {}

        async def scene(assistant: Any) -> None:
            arguments = {**request.assistant, "pictures": False}  # type: ignore[dict-item]
            answer = await assistant.call_tool("search_media", arguments)
            told.update(json.loads(answer.content[0].text))

        play(collection_folder, scene)
        for hit in told["hits"]:
            if "snippet" in hit:  # marked as data, which the other interfaces leave to the reader
                marked = re.fullmatch(r"<data ([0-9a-f]{16})>(.*)</data \1>", hit["snippet"])
                assert marked is not None
                hit["snippet"] = marked[2]
        check_served(told["hits"], facts)

    assert len(asked) == 3 + (request.assistant is not None)
    for query in asked[1:]:
        assert comparable(query) == comparable(asked[0])


def check_served(served: list[dict[str, Any]], facts: list[dict[str, Any]]) -> None:
    """What does not tell paths has the same facts under the same names."""
    assert len(served) == len(facts)
    for hit, fact in zip(served, facts, strict=True):
        assert "path" not in hit
        assert hit["name"] == Path(fact["path"]).name
        assert fact["path"].endswith(f"/{hit['folder']}/{hit['name']}")
        common = [name for name in fact if name in hit and name != "duplicates"]
        assert {"rank", "asset_id", "modality", "matched", "score", "weak"} <= set(common)
        check_same({n: hit[n] for n in common}, {n: fact[n] for n in common})


def test_likes_are_the_same(
    asked: list[Query], library: Collection, ask: Any, client: TestClient
) -> None:
    first, second, *_ = library.search("red")
    facts = [hit.to_dict() for hit in library.search("red", like=[first], unlike=[second])]
    ask("red")
    check_same(ask("--like", "1", "--unlike", "2"), facts)
    likes = {"like": [first.segment_id], "unlike": [second.segment_id]}
    answer = client.post("/v1/search", json={"text": "red", "k": 10, **likes})
    check_served(answer.json()["hits"], facts)
    assert comparable(asked[1]) == comparable(asked[3]) == comparable(asked[4])


def test_weights_decide_what_counts_more(library: Collection) -> None:
    def scores(*weights: float) -> dict[str, float]:
        hits = library.search(["red", "blue"], weights=weights, modalities=["image"])
        return {hit.path.name: hit.score for hit in hits}

    even, red, blue = scores(), scores(9, 1), scores(1, 9)
    assert even == pytest.approx(scores(1, 1))
    assert red["rose.png"] > even["rose.png"] > blue["rose.png"]
    assert red["sky.png"] < even["sky.png"] < blue["sky.png"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weights": [1, 2]}, "more weights than parts"),
        ({"weights": [0]}, "must be above 0 and at most 100, not 0"),
        ({"weights": [-1]}, "must be above 0"),
        ({"weights": [101]}, "at most 100"),
        ({"weights": [math.nan]}, "takes a number, not NaN"),
        ({"k": 0}, "from 1 to 10000"),
        ({"moments": 101}, "from 1 to 100"),
        ({"like": range(65)}, "at most 64 hits"),
        ({"text": ["x"] * 33}, "at most 32 parts, not 33"),
        ({"text": "x" * 1_000_001}, "at most 1000000 characters"),
        ({"mode": "word"}, "Did you mean words"),
        ({"modalities": "fotos"}, "Did you mean photo"),
    ],
)
def test_what_makes_no_sense_is_told(
    library: Collection, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        library.search(**{"text": "red", **wrong})


def _never(*_: object, **__: object) -> QueryPart:
    raise AssertionError("no file is read for a query that makes no sense")


def test_options_are_checked_before_a_file_is_read() -> None:
    for wrong in ({"k": 0}, {"moments": 0}, {"weights": [1, 2]}, {"min_score": 2.0}):
        with pytest.raises(UsageError):
            query_builder.build_query(_never, image="photo.jpg", **wrong)
    with pytest.raises(UsageError):
        query_builder.build_query(
            _never, parts=(_never() for _ in range(1)), k=5, limits=QueryLimits(k=4)
        )


def test_a_weight_stays_with_its_part_beside_an_empty_text() -> None:
    query = query_builder.build_query(_never, text=["", "red", "  ", "blue"], weights=[1, 2, 3])
    assert [(part.label, part.weight) for part in query.parts] == [("red", 2.0), ("blue", 1.0)]


def test_a_fact_that_is_missing_is_null_and_never_nan() -> None:
    hit = Hit(1, 0.123456, math.nan, Path("/a.jpg"), Modality.IMAGE, 1, 2, Modality.IMAGE)
    facts = hit.to_dict()
    assert (facts["score"], facts["similarity"], facts["start_s"]) == (0.1235, None, None)
    assert facts == hit.to_dict()
    assert set(metadata_of(hit)) == {
        *("path", "modality", "matched", "rank", "score", "weak", "asset_id", "segment_id")
    }


def test_a_report_has_the_same_facts_as_a_job() -> None:
    assert set(report_to_dict(IndexReport())) == set(JobReport.model_fields)
