"""A token that sees one folder: every route shows what lies there, and nothing of the rest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.routing import APIRoute
from PIL import Image
from starlette.testclient import TestClient

from seehear.collection import Collection
from seehear.errors import UsageError
from seehear.server import create_app
from seehear.server.workers.pool import can_share
from tests.server.conftest import BASE, SETTINGS, picture, sound, wait_ready

ALL, ANN = "all-of-it-0123456789", "ann-alone-0123456789"
SECRET = "Zanzibar"
"""In the name of every file, folder and word that Ann must not see."""


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folders") / "media"
    picture(folder / "ann" / "rose.png", "red")
    picture(folder / "ann" / "trip" / "sky.png", "blue")
    sound(folder / "ann" / "siren.wav", "red", seconds=4.0)
    (folder / "ann" / "note.md").write_text("The grass is green.")
    picture(folder / "anna" / f"{SECRET}.png", "red", "white")
    picture(folder / f"{SECRET} trip" / f"{SECRET} rose.png", "red")
    sound(folder / f"{SECRET} trip" / f"{SECRET}.wav", "red", seconds=4.0)
    (folder / f"{SECRET} trip" / "diary.md").write_text(f"The grass of {SECRET} is green.")
    exif = Image.Exif()
    exif[0x0110] = f"{SECRET} camera"
    pixels = np.full((64, 64, 3), 90, dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{SECRET} trip" / f"{SECRET}.jpg", exif=exif)
    shutil.copy(folder / "ann" / "rose.png", folder / f"{SECRET} trip" / f"copy of {SECRET}.png")
    return folder


@pytest.fixture(scope="module")
def collection(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collection")
    with Collection(folder, SETTINGS) as library:
        library.index(media)
        library.add(texts=[f"red {SECRET}"], ids=[SECRET], metadata=[{SECRET.lower(): 1}])
    return folder


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.slow)])
def clients(
    media: Path, collection: Path, request: pytest.FixtureRequest
) -> Iterator[dict[str, TestClient]]:
    if request.param > 1 and not can_share():
        pytest.skip("no worker processes here")
    app = create_app(
        collection,
        settings=SETTINGS,
        token=ALL,
        folder_tokens={media / "ann": ANN},
        roots=[media],
        workers=request.param,
    )
    with TestClient(app, base_url=BASE) as client:
        wait_ready(client)
        found = {}
        for name, token in (("all", ALL), ("ann", ANN)):
            found[name] = TestClient(app, base_url=BASE)
            found[name].headers["authorization"] = f"Bearer {token}"
        yield found


@pytest.fixture
def ann(clients: dict[str, TestClient]) -> TestClient:
    return clients["ann"]


def hidden(clients: dict[str, TestClient]) -> list[dict[str, Any]]:
    """What lies outside of Ann's folder, as the other token sees it."""
    hits = clients["all"].post("/v1/search", json={"text": "red", "k": 50}).json()["hits"]
    found = [hit for hit in hits if SECRET in hit["name"] + hit["folder"] + (hit["id"] or "")]
    assert len(found) >= 4
    return found


ASKED: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/search", {"json": {"text": "red", "k": 50, "explain": True, "moments": 5}}),
    ("POST", "/v1/search", {"json": {"text": SECRET, "k": 50, "mode": "words"}}),
    ("POST", "/v1/search", {"json": {"text": "red", "show_duplicates": True, "k": 50}}),
    ("POST", "/v1/search", {"json": {"text": "red", "under": "ann/trip", "k": 50}}),
    ("POST", "/v1/search", {"json": {"text": "red", "under": "ann/nowhere"}}),
    ("POST", "/v1/search", {"json": {"text": "red", "under": "media"}}),
    ("POST", "/v1/search", {"json": {"text": "red", "under": "media/Zanziba trip"}}),
    ("POST", "/v1/search", {"json": {"text": "red", "where": "camera = Zanzib"}}),
    ("POST", "/v1/search", {"json": {"text": "red", "where": 'camera ~ "*"'}}),
    ("POST", "/v1/search", {"json": {"text": "red", "where": "folder = media"}}),
    ("POST", "/v1/search", {"json": {"text": "red", "where": 'folder ~ "*trip*"'}}),
    ("POST", "/v1/search", {"json": {"text": "red", "where": "zanziba = 1"}}),
    ("POST", "/v1/search", {"json": {"text": "red", "where": "not folder = ann"}}),
    ("GET", "/v1/search", {"params": {"text": "red", "k": 50}}),
    ("POST", "/v1/search", {"json": {"text": "red with my camera", "as_written": False}}),
    ("GET", "/v1/interpret", {"params": {"text": "red with my camera in Zanziba"}}),
    ("GET", "/v1/browse", {"params": {"by": "folder"}}),
    ("GET", "/v1/browse", {"params": {"by": "folder", "under": "ann/tri"}}),
    ("GET", "/v1/browse", {"params": {"where": "camera = Zanzib"}}),
    ("GET", "/v1/browse/items", {"params": {"by": "folder", "count": 50}}),
    ("GET", "/v1/assets", {}),
    ("GET", "/v1/items", {}),
    ("GET", f"/v1/items/{SECRET}", {}),
    ("GET", "/v1/unusual", {"params": {"k": 50}}),
    ("GET", "/v1/unusual", {"params": {"under": "ann/tri"}}),
    ("GET", "/v1/typical", {"params": {"k": 50}}),
    ("GET", "/v1/folders", {}),
    ("GET", "/v1/status", {}),
    ("GET", "/v1/suggestions", {}),
    ("GET", "/v1/models", {}),
    ("POST", "/v1/embed", {"json": {"texts": ["red"]}}),
]


@pytest.mark.parametrize(("method", "path", "asked"), ASKED, ids=lambda one: str(one)[:60])
def test_nothing_outside_is_told(
    ann: TestClient, clients: dict[str, TestClient], method: str, path: str, asked: dict[str, Any]
) -> None:
    clients["all"].request(method, path, **asked)  # so that a cache could hold the whole
    answer = ann.request(method, path, **asked)
    assert answer.status_code in {200, 404, 422}, answer.text
    told = answer.text.replace(json.dumps(asked), "")
    assert SECRET.lower() not in told.lower()
    assert "anna" not in told


def test_what_lies_there_is_found(ann: TestClient) -> None:
    hits = ann.post("/v1/search", json={"text": "red", "k": 50}).json()["hits"]
    assert {hit["name"] for hit in hits} == {"rose.png", "sky.png", "siren.wav", "note.md"}
    assert hits[0]["name"] in {"rose.png", "siren.wav"}
    assert {hit["folder"] for hit in hits} == {"ann", "ann/trip"}
    one = ann.post("/v1/search", json={"text": "red", "under": "ann/trip"}).json()["hits"]
    assert [hit["name"] for hit in one] == ["sky.png"]
    assert ann.get("/v1/folders").json()["folders"] == ["ann", "ann/trip"]
    status = ann.get("/v1/status").json()
    assert (status["assets"], status["by_modality"]) == (4, {"audio": 1, "image": 2, "text": 1})
    assert [(root["label"], root["indexable"]) for root in status["roots"]] == [("ann", False)]
    assert ann.get("/v1/browse").json()["total"] == 4
    liked = {"like": [hits[0]["segment_id"]], "k": 50}
    assert len(ann.post("/v1/search", json=liked).json()["hits"]) == 4


def test_single_assets_outside_are_not_there(
    ann: TestClient, clients: dict[str, TestClient]
) -> None:
    for hit in hidden(clients):
        address = f"/v1/assets/{hit['asset_id']}"
        places = clients["all"].get(address).json()["places"]
        for path in (
            *("", "/thumbnail", "/media", "/waveform", "/clip?start_s=0&stop_s=1"),
            "/explain?text=red",
        ):
            answer = ann.get(address + path)
            if any(place["folder"] == "media/ann" for place in places):  # a copy lies in hers
                assert SECRET not in answer.text
                continue
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_asset")
        for wish in ({"like": [hit["segment_id"]]}, {"text": "a", "unlike": [hit["segment_id"]]}):
            answer = ann.post("/v1/search", json=wish)
            assert answer.status_code == 422 or SECRET not in answer.text
    numbers = ",".join(str(number) for number in range(1, 40))
    archive = ann.get("/v1/download", params={"assets": numbers})
    assert archive.status_code == 200
    assert b"rose.png" in archive.content
    assert SECRET.encode() not in archive.content


def test_a_copy_shows_its_own_place_alone(ann: TestClient, clients: dict[str, TestClient]) -> None:
    (rose,) = [
        hit
        for hit in ann.post("/v1/search", json={"text": "red", "k": 50}).json()["hits"]
        if hit["name"] == "rose.png"
    ]
    address = f"/v1/assets/{rose['asset_id']}"
    assert len(clients["all"].get(address).json()["places"]) > 1
    assert ann.get(address).json()["places"] == [
        {"name": "rose.png", "folder": "ann", "online": True}
    ]
    media = ann.get(f"{address}/media", params={"download": "true"})
    assert 'filename="rose.png"' in media.headers["content-disposition"]
    assert rose["duplicates"] == []


def test_it_changes_nothing_and_sees_no_figures(
    ann: TestClient, clients: dict[str, TestClient]
) -> None:
    """Each route of the service is allowed by name; one that is new is refused."""
    service: Any = ann.app
    allowed = set()
    for route in service.routes:
        if not isinstance(route, APIRoute) or route.path in {"/healthz", "/readyz"}:
            continue
        path = route.path.replace("{asset_id}", "1").replace("{job_id}", "0" * 16)
        path = path.replace("{item_id:path}", "x").replace("{moment:path}", "1")
        for method in route.methods or ():
            answer = ann.request(method, path, json={} if method != "GET" else None)
            if answer.status_code != 403:
                allowed.add((method, route.path))
            else:
                assert answer.json()["error"]["code"] == "not_allowed"
    changing = {(method, path) for method, path in allowed if method not in {"GET", "HEAD"}}
    assert changing <= {
        *((method, "/v1/session") for method in ("POST", "DELETE")),
        *(("POST", f"/v1/{name}") for name in ("search", "embed", "embeddings", "interpret")),
    }
    assert not allowed & {("GET", "/metrics"), ("GET", "/v1/index")}
    assert clients["all"].get("/metrics").status_code == 200


def test_a_cookie_sees_what_its_token_sees(ann: TestClient, clients: dict[str, TestClient]) -> None:
    page = TestClient(ann.app, base_url=BASE)
    assert page.post("/v1/session", json={"token": ANN}).status_code == 200
    assert page.get("/v1/session").json()["signed_in"]
    assert page.get("/v1/browse").json()["total"] == 4
    assert page.get("/metrics").status_code == 403
    page.delete("/v1/session")
    assert page.get("/v1/browse").status_code == 401
    whole = TestClient(ann.app, base_url=BASE)
    whole.post("/v1/session", json={"token": ALL})
    assert whole.get("/v1/browse").json()["total"] > 4
    assert clients["all"].get("/v1/browse").json()["total"] > 4


def test_assistants_see_the_same(ann: TestClient) -> None:
    pytest.importorskip("mcp")

    def call(name: str, **arguments: Any) -> str:
        asked = {"name": name, "arguments": arguments}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked}
        accepts = {"accept": "application/json, text/event-stream"}
        return ann.post("/mcp", json=body, headers=accepts).text

    found = call("search_media", description="red", count=20, pictures=False)
    assert "rose.png" in found
    for told in (
        found,
        call("search_media", description=SECRET, where="camera = Zanzib"),
        call("describe_collection"),
        *(call("get_media", asset_id=number) for number in range(1, 13)),
    ):
        assert SECRET not in told.replace(f"camera = {SECRET}", "")


@pytest.mark.parametrize(
    ("token", "folders", "told"),
    [
        (None, {"a": ANN}, "need a token that sees all"),
        (ALL, {"a": ALL}, "two are the same"),
        (ALL, {"a": ANN, "b": ANN}, "two are the same"),
        (ALL, {"a": "short"}, "at least 16"),
    ],
)
def test_tokens_that_are_refused(token: Any, folders: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        create_app(
            token=token,
            folder_tokens={Path(os.sep, name): one for name, one in folders.items()},
        )
