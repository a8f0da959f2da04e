"""The OpenAPI document: complete, with examples that work, and fuzzed without a server error."""

from __future__ import annotations

from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark
from starlette.testclient import TestClient

from seehear.search.fields import FIELD_WORDS
from seehear.server import schemas, schemas_items, schemas_openai, schemas_service
from tests.server.conftest import Running

schemathesis = pytest.importorskip("schemathesis")

SHAPES = {**vars(schemas), **vars(schemas_service), **vars(schemas_openai), **vars(schemas_items)}


def test_every_endpoint_is_described(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert {
        "/v1/search",
        "/v1/embed",
        "/v1/embeddings",
        "/v1/assets/{asset_id}",
        "/v1/assets/{asset_id}/thumbnail",
        "/v1/assets/{asset_id}/media",
        "/v1/status",
        "/v1/index",
        "/v1/index/{job_id}/events",
        "/healthz",
        "/readyz",
        "/metrics",
    } <= set(document["paths"])
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), (method, path)
            assert operation["responses"], (method, path)


def test_the_examples_work(client: TestClient) -> None:
    hits = client.post("/v1/search", json={"text": "red"}).json()["hits"]
    there = {"like": [hits[0]["segment_id"]], "unlike": [hits[-1]["segment_id"]]}
    document = client.get("/openapi.json").json()
    for path in ("/v1/search", "/v1/embed"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        for name, example in content["application/json"]["examples"].items():
            # The ids and the folder are those of this collection; the rest is sent as it stands.
            value = {k: there.get(k, v) for k, v in example["value"].items() if k != "under"}
            answer = client.post(path, json=value)
            assert answer.status_code == 200, (name, answer.text)
        assert client.post(path, json=content["multipart/form-data"]["example"]).status_code == 200


def test_every_body_has_an_example_that_fits(client: TestClient) -> None:
    """Also of bodies that the other test does not send, and of the answer to a search."""
    document = client.get("/openapi.json").json()
    named = document["components"]["schemas"]
    shown = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is None:
                continue
            schema = body["schema"]
            schema = named[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
            examples = schema.get("examples") or [e["value"] for e in body["examples"].values()]
            assert examples, (method, path)
            shape = SHAPES[schema["title"]]
            for example in examples:
                shape.model_validate(example)
            shown.add((method, path))
    assert ("post", "/v1/embeddings") in shown
    schemas.SearchAnswer.model_validate(named["SearchAnswer"]["examples"][0])


def test_the_page_of_the_api_names_every_endpoint(client: TestClient) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in page, path


_STRANGE = [
    *("0001", "0000", "1000", "9000", "9999", "9999-12-31", "2024-02-30", "2024-06-01T24"),
    *("~", "~root", "~user/x", "media", "media/photos", "/etc", "/", "..", "*", "?", "[a-", "%"),
    *("1e308", "nan", "inf", "-inf", "99999999999999999999", "-1", "0", "1MB", "1e9GB", "5min"),
    *("_", "image", "photos", "raw", "\\", "\x7f", "\u202e", "İ", "ß"),
]
_VALUES = st.one_of(
    st.sampled_from(_STRANGE),
    st.from_regex(r"\A[0-9]{4}(-[0-9]{1,2}){0,2}\Z"),
    st.text(st.characters(exclude_characters="\"'()<>=!~, \t\n\r\f\v"), min_size=1, max_size=8),
)


@pytest.mark.slow  # making them from the grammar takes a minute; test_filter_language does so, too
@pytest.mark.timeout(600)
def test_fuzzed_filters_find_no_fault(running: Running) -> None:
    """Filters made from the grammar, with fields, dates, folders and numbers that are extreme."""
    grammar = resources.files("seehear.search").joinpath("where.lark").read_text("utf-8")
    filters = from_lark(
        Lark(grammar, parser="lalr"),
        explicit={
            "NAME": st.sampled_from(sorted(FIELD_WORDS)),
            "BARE": _VALUES,
            "QUOTED": _VALUES.map(lambda value: f'"{value}"'),
        },
    )
    document = schemathesis.openapi.from_url(f"{running.address}/openapi.json")
    operation = document["/v1/search"]["POST"]
    seen: Counter[int] = Counter()

    @settings(
        max_examples=100,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(where=filters)
    def fuzz(where: str) -> None:
        case = operation.Case(body={"text": "red", "where": where}, media_type="application/json")
        answer = case.call()
        assert answer.status_code in {200, 422}, (where, answer.text)
        seen[answer.status_code] += 1

    fuzz()
    assert min(seen[200], seen[422]) >= 5


@pytest.mark.parametrize(
    "where",
    [
        "not modified = 0000",
        'folder = "~root"',
        'folder = "~nobody"',
        'folder in ("~root", media)',
        "folder = /etc",
        "folder != /no/such/folder",
        "under = ..",
        "folder between a and b",
    ],
)
def test_a_filter_says_nothing_of_the_machine(client: TestClient, where: str) -> None:
    answer = client.post("/v1/search", json={"text": "red", "where": where})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_query"), answer.text


def test_a_filter_names_folders_as_hits_do(client: TestClient) -> None:
    def found(where: str) -> set[str]:
        answer = client.post("/v1/search", json={"text": "red", "where": where, "k": 100})
        assert answer.status_code == 200, answer.text
        return {hit["folder"] for hit in answer.json()["hits"]}

    everything = found("")
    assert found("folder = media") == everything
    assert found("folder = media/photos") == {"media/photos", "media/photos/2024"}
    assert found('under == "media/photos/2024" and width > 1') == {"media/photos/2024"}
    assert found("folder in (media/clips, 'media/notes')") == {"media/clips", "media/notes"}
    assert found("folder != media/photos") == everything - {"media/photos", "media/photos/2024"}


SOME = ("POST /v1/search", "POST /v1/embeddings", "GET /v1/assets/{asset_id}/thumbnail")


@pytest.mark.hypothesis
@pytest.mark.parametrize(
    "wanted", [SOME, pytest.param((), marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_fuzzed_requests_get_what_the_document_says(
    running: Running, wanted: tuple[str, ...]
) -> None:
    """Requests made from the document, valid and not: no 5xx, and answers as described.

    Nothing is indexed, added or deleted: that would change what other tests look at.
    """
    document = schemathesis.openapi.from_url(f"{running.address}/openapi.json")
    rules = schemathesis.specs.openapi.checks
    fuzzed = []
    for found in document.get_all_operations():
        operation = found.ok()
        changes = operation.method.upper() in {"PATCH", "DELETE"} or operation.label in {
            "POST /v1/index",
            "POST /v1/items",
        }
        if changes or operation.path.endswith("/events"):
            continue
        if wanted and operation.label not in wanted:
            continue
        fuzzed.append(operation.label)
        for mode in schemathesis.GenerationMode:
            if mode is schemathesis.GenerationMode.NEGATIVE and not (
                operation.body or operation.path_parameters or operation.query
            ):
                continue  # there is nothing about it that could be wrong

            @settings(
                max_examples=settings().max_examples // 2,
                derandomize=True,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def fuzz(case: Any) -> None:
                answer = case.call()
                assert answer.status_code < 500, answer.text
                case.validate_response(
                    answer,
                    checks=[
                        rules.status_code_conformance,
                        rules.content_type_conformance,
                        rules.response_schema_conformance,
                    ],
                )

            fuzz()
    assert set(fuzzed) == set(wanted) if wanted else len(fuzzed) >= 15
