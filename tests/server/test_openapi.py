"""The OpenAPI document: complete, with examples that work, and fuzzed without a server error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from starlette.testclient import TestClient

from tests.server.conftest import Running

schemathesis = pytest.importorskip("schemathesis")


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
    document = client.get("/openapi.json").json()
    for path in ("/v1/search", "/v1/embed"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        for name, example in content["application/json"]["examples"].items():
            value = {k: v for k, v in example["value"].items() if k != "under"}
            answer = client.post(path, json=value)
            assert answer.status_code == 200, (name, answer.text)
        assert client.post(path, json=content["multipart/form-data"]["example"]).status_code == 200


def test_the_page_of_the_api_names_every_endpoint(client: TestClient) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in page, path


@pytest.fixture
def document(running: Running) -> Any:
    return schemathesis.openapi.from_url(f"{running.address}/openapi.json")


# Index jobs are not started: they would change what other tests look at.
fuzzed = (
    schemathesis.pytest.from_fixture("document")
    .exclude(path="/v1/index", method="POST")
    .exclude(path_regex="events$")
)


@fuzzed.parametrize()  # type: ignore[untyped-decorator]
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_fuzzed_requests_get_what_the_document_says(case: Any) -> None:
    """Requests made from the document, valid and not: no 5xx, and answers as described."""
    answer = case.call()
    assert answer.status_code < 500, answer.text
    case.validate_response(
        answer,
        checks=[
            schemathesis.checks.not_a_server_error,
            schemathesis.specs.openapi.checks.status_code_conformance,
            schemathesis.specs.openapi.checks.content_type_conformance,
            schemathesis.specs.openapi.checks.response_schema_conformance,
        ],
    )
