"""Parameters of addresses: no endpoint ignores one, and none takes one twice."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from seehear.arguments import OTHER_WORDS
from seehear.server.schemas import SearchAddress, SearchRequest


def _endpoints(app: FastAPI) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Every method and address of /v1 with its parameters, as the application describes them."""
    return [
        (
            method,
            path.replace("{asset_id}", "1").replace("{job_id}", "0" * 16).replace("{item_id}", "a"),
            [one for one in operation.get("parameters", []) if one["in"] == "query"],
        )
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/v1/")
    ]


def _refusal(client: TestClient, method: str, path: str, query: str) -> str:
    answer = client.request(method, f"{path}?{query}")
    assert answer.status_code == 422, (method, path, query, answer.text)
    message: str = answer.json()["error"]["message"]
    assert message.isprintable()
    return message


def test_no_endpoint_ignores_a_parameter(app: FastAPI, client: TestClient) -> None:
    endpoints = _endpoints(app)
    assert len([one for one in endpoints if one[0] == "get"]) >= 20
    for method, path, parameters in endpoints:
        message = _refusal(client, method, path, "zzqqxx=1")
        assert ' has no parameter "zzqqxx". It has ' in message
        for one in parameters:
            assert one["name"] in message
        for one in parameters:
            name = one["name"]
            message = _refusal(client, method, path, f"{name[:-1]}q{name[-1:]}=1")
            if len(name) > 2:
                assert f"Did you mean {name}" in message, message


@pytest.mark.parametrize(
    ("path", "sent", "told"),
    [
        (
            "/v1/search",
            {"text": "a", "limt": 1},
            'the object has no field "limt". Did you mean limit?',
        ),
        ("/v1/search", {"text": "a", "k": 1, "limit": 2}, "k and limit are the same"),
        (
            "/v1/search",
            {"parts": [{"txt": "a"}]},
            'parts.0: the object has no field "txt". Did you',
        ),
        ("/v1/embed", {"text": ["a"]}, "Did you mean texts? It has texts"),
        ("/v1/index", {"root": ["a"]}, "Did you mean roots? It has roots, retry_failed"),
        ("/v1/items", {"items": [{"feilds": {}}]}, "Did you mean fields? It has id, text, fields"),
        ("/v1/session", {"tokn": "a"}, "Did you mean token?"),
    ],
)
def test_no_endpoint_ignores_a_field(
    client: TestClient, path: str, sent: dict[str, Any], told: str
) -> None:
    answer = client.post(path, json=sent)
    assert answer.status_code == 422
    assert told in answer.json()["error"]["message"]
    assert "\n" not in answer.json()["error"]["message"]


def test_no_form_takes_one_thing_twice(client: TestClient) -> None:
    def sent(*fields: tuple[str, str]) -> Any:
        return client.post("/v1/search", files=[(name, (None, text)) for name, text in fields])

    assert sent(("text", "red"), ("text", "blue"), ("k", "1")).status_code == 200
    answer = sent(("text", "red"), ("parts", '[{"upload": 0, "upload": 1}]'))
    assert answer.json()["error"]["message"] == "upload is given twice: give it once"
    for name in ("k", "where", "parts"):
        answer = sent(("text", "red"), (name, "1"), (name, "1"))
        assert answer.status_code == 422
        assert answer.json()["error"]["message"] == f"{name} is given twice: give it once"


@pytest.mark.parametrize(
    ("method", "path", "sent", "name"),
    [
        ("POST", "/v1/search", '{"text": "a", "text": "b"}', "text"),
        ("POST", "/v1/search", '{"parts": [{"upload": 0, "weight": 1, "weight": 2}]}', "weight"),
        ("POST", "/v1/embed", '{"texts": ["a"], "k": 1, "texts": ["b"]}', "texts"),
        ("POST", "/v1/embeddings", '{"input": "a", "input": "b"}', "input"),
        ("POST", "/v1/items", '{"items": [{"text": "a", "id": "x", "id": "y"}]}', "id"),
        ("PATCH", "/v1/items/x", '{"fields": {"price": 1, "price": 2}}', "price"),
        ("POST", "/v1/index", '{"roots": [], "roots": ["a"]}', "roots"),
        ("POST", "/v1/session", '{"token": "a", "token": "b"}', "token"),
    ],
)
def test_no_json_has_one_key_twice(
    client: TestClient, method: str, path: str, sent: str, name: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = client.request(method, path, content=sent, headers=headers)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == ("invalid", f"{name} is given twice: give it once")


def test_no_endpoint_takes_one_thing_twice(app: FastAPI, client: TestClient) -> None:
    tried = set()
    for method, path, parameters in _endpoints(app):
        names = [one["name"] for one in parameters]
        for one in parameters:
            name, schema = one["name"], one["schema"]
            is_list = "array" in {
                schema.get("type"),
                *(s.get("type") for s in schema.get("anyOf", ())),
            }
            if not is_list:
                message = _refusal(client, method, path, f"{name}=1&{name}=2")
                assert message == f"{name} is given twice: give it once"
            for other in OTHER_WORDS.get(name, ()):
                if other in names:
                    continue
                for query in (f"{name}=1&{other}=2", f"{other}=2&{name}=1"):
                    message = _refusal(client, method, path, query)
                    first = query.partition("=")[0]
                    assert message.startswith(f"{first} and ")
                    assert message.endswith("are the same: give one of them")
                    assert {name, other} < set(message.replace(":", "").split())
                    tried.add((path, name))
    assert {"/v1/search", "/v1/assets", "/v1/items", "/v1/browse/items", "/v1/unusual"} <= {
        path for path, _ in tried
    }
    message = _refusal(client, "get", "/v1/search", "text=a&limit=3&count=5")
    assert message == "limit and count are the same: give one of them"


@pytest.mark.parametrize("word", ["knids", "modalites", "limits", "wher", "as_writen"])
def test_a_slip_of_the_hand_is_told(client: TestClient, word: str) -> None:
    near = {"knids": "kinds", "limits": "limit", "wher": "where", "as_writen": "as_written"}
    message = _refusal(client, "get", "/v1/search", f"text=red&{word}=image")
    assert f"Did you mean {near.get(word, 'modalities')}" in message


def test_what_is_no_name_is_told_on_one_line(client: TestClient) -> None:
    for query in (
        "%00=1",
        "a%0Ab=1",
        "%ED%A0%80=1",
        "=1",
        "%F0%9F%98%80",
        "x" * 5_000,
        "&".join("q" * 1001),
    ):
        assert len(_refusal(client, "get", "/v1/assets", query)) < 300


def test_other_addresses_and_lists_are_taken_as_before(client: TestClient) -> None:
    assert client.get("/healthz", params={"nocache": 1}).status_code == 200
    assert client.get("/", params={"q": "red"}).status_code == 200
    for query in ("kinds=image&kinds=audio", "kinds=image,audio", "modalities=photos%2Csounds"):
        found = client.get(f"/v1/search?text=red&k=30&{query}").json()["hits"]
        assert {hit["modality"] for hit in found} == {"image", "audio"}
    assert client.get("/v1/search?text=red&kinds=&where=&under=").status_code == 200


def test_an_address_says_what_the_body_of_a_post_says(app: FastAPI, client: TestClient) -> None:
    """All that fits: `parts` are objects, and everything else has its parameter."""
    parameters = {
        one["name"]
        for method, path, found in _endpoints(app)
        for one in found
        if (method, path) == ("get", "/v1/search")
    }
    assert (
        parameters == set(SearchAddress.model_fields) == set(SearchRequest.model_fields) - {"parts"}
    )
    (first, *_) = client.post("/v1/search", json={"text": "red"}).json()["hits"]
    asked: tuple[dict[str, Any], ...] = (
        {"text": "red"},
        {"text": ["red", "round"], "weights": [2, 0.5], "k": 7},
        {"text": "red", "without": "blue", "min_score": 0.1, "mode": "semantic"},
        {"text": "red", "modalities": ["image"], "where": "width > 10", "moments": 3},
        {"like": [first["segment_id"]], "explain": True, "show_duplicates": True},
        {"text": "red", "unlike": [first["segment_id"]], "diverse": True, "typing": True},
        {"text": "photos of red", "as_written": False},
        {"text": "photos of red", "as_written": ["photos of"]},
        {"text": "photos of red in 2019", "as_written": False, "take": True},
        {"text": "photos of red in 2019", "take": ["2019"]},
    )
    for wish in asked:
        by_address = client.get("/v1/search", params=wish)
        by_body = client.post("/v1/search", json=wish)
        assert by_address.status_code == by_body.status_code == 200, (wish, by_address.text)
        del (one := by_address.json())["took_ms"], (other := by_body.json())["took_ms"]
        assert one == other, wish
    reading = client.get("/v1/search", params=asked[6]).json()["interpretation"]
    assert reading["rest"] == "red"
    assert reading["where"]
    refused: tuple[dict[str, Any], ...] = (
        {},
        {"text": ""},
        {"text": "red", "k": 0},
        {"text": "red", "mode": "x"},
    )
    for wrong in refused:
        answers = client.get("/v1/search", params=wrong), client.post("/v1/search", json=wrong)
        assert [one.status_code for one in answers] == [422, 422], wrong
