"""Items and lists of assets over HTTP, on a collection of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from seehear.config import Settings
from seehear.server import create_app
from tests.server.conftest import BASE, SETTINGS, make_media, picture, sound, wait_ready


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    from seehear.collection import Collection

    folder = tmp_path_factory.mktemp("items")
    with Collection(folder / "collection", SETTINGS) as library:
        library.index(make_media(folder / "media"))
    settings = Settings(model="fake", device="cpu", decode_workers=1, model_aliases=("ada",))
    app = create_app(folder / "collection", settings=settings)
    with TestClient(app, base_url=BASE) as client:
        wait_ready(client)
        yield client


def test_texts_are_added_found_changed_and_deleted(client: TestClient) -> None:
    items = [
        {"id": "a/1", "text": "a lighthouse by the sea", "fields": {"price": 80, "old": True}},
        {"id": "b", "text": "an engine", "fields": {"price": 120.5, "shapes": ["round"]}},
    ]
    answer = client.post("/v1/items", json={"items": items})
    assert (answer.status_code, answer.json()) == (200, {"ids": ["a/1", "b"]})
    found = client.get("/v1/search", params={"text": "lighthouse", "where": "price < 100"}).json()
    assert [(hit["id"], hit["fields"]) for hit in found["hits"]] == [
        ("a/1", {"old": True, "price": 80})
    ]
    assert [hit["name"] for hit in found["hits"]] == ["a/1"]
    browsed = client.get("/v1/browse/items", params={"count": 100}).json()["items"]
    assert "a/1" in [one["name"] for one in browsed]
    one = client.get("/v1/items/a/1").json()
    assert (one["text"], one["modality"], one["kept"]) == (items[0]["text"], "text", "text")
    changed = client.patch("/v1/items/a/1", json={"fields": {"price": 75, "old": None}}).json()
    assert changed["fields"] == {"price": 75}
    listed = client.get("/v1/items", params={"where": "price > 70"}).json()
    assert [item["id"] for item in listed["items"]] == ["a/1", "b"]
    assert client.delete("/v1/items/a/1").json() == {"deleted": 1}
    asset = client.get("/v1/items/b").json()["asset_id"]
    assert client.delete(f"/v1/assets/{asset}").json() == {"deleted": 1}
    for gone in ("/v1/items/a/1", "/v1/items/b"):
        for answer in (client.get(gone), client.patch(gone, json={"fields": {}})):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert client.delete(gone).status_code == 404


def test_files_are_added_with_fields(client: TestClient, tmp_path: Path) -> None:
    red, blue = picture(tmp_path / "red.png", "red"), picture(tmp_path / "blue.png", "blue")
    items = [{"id": "red", "fields": {"price": 3}}, {"id": "blue"}]
    sent: list[Any] = [("image", (one.name, one.read_bytes())) for one in (red, blue)]
    answer = client.post("/v1/items", data={"items": json.dumps(items)}, files=sent)
    assert (answer.status_code, answer.json()) == (200, {"ids": ["red", "blue"]})
    hits = client.post("/v1/search", json={"text": "red", "where": "price = 3"}).json()["hits"]
    assert [hit["id"] for hit in hits] == ["red"]
    for key in ("red", "blue"):
        client.delete(f"/v1/items/{key}")


def test_what_is_kept_is_served(client: TestClient, tmp_path: Path) -> None:
    red, blue = picture(tmp_path / "red.png", "red"), picture(tmp_path / "blue.png", "blue")
    siren = sound(tmp_path / "siren.wav", "red")

    def add(kind: str, key: str, file: Path, **options: Any) -> str:
        sent = {"items": json.dumps([{"id": key}]), **options}
        files = {kind: (file.name, file.read_bytes())}
        assert client.post("/v1/items", data=sent, files=files).status_code == 200
        return f"/v1/assets/{client.get(f'/v1/items/{key}').json()['asset_id']}"

    whole = add("image", "a/red", red, keep="true")
    media = client.get(f"{whole}/media", params={"download": "true"})
    assert (media.content, media.headers["content-type"]) == (red.read_bytes(), "image/png")
    assert 'filename="red.png"' in media.headers["content-disposition"]
    part = client.get(f"{whole}/media", headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, red.read_bytes()[1:4])
    seen = client.get(f"{whole}/thumbnail", params={"px": 64})
    assert seen.headers["content-type"].startswith("image/")
    same = {"if-none-match": seen.headers["etag"]}
    assert client.get(f"{whole}/thumbnail", params={"px": 64}, headers=same).status_code == 304
    replaced = add("image", "a/red", blue, keep="true", replace="true")
    other = client.get(f"{replaced}/thumbnail", params={"px": 64}, headers=same)
    assert (other.status_code, other.content != seen.content) == (200, True)

    small = add("image", "small", red)
    assert client.get(f"{small}/thumbnail").status_code == 200
    sounding = add("audio", "siren", siren, keep="true")
    assert client.get(f"{sounding}/waveform", params={"steps": 8}).json()["stop_s"] > 1
    cut = client.get(f"{sounding}/clip", params={"start_s": 0, "stop_s": 1})
    assert cut.status_code == 200
    silent = add("audio", "gone", siren)
    client.post("/v1/items", json={"items": [{"id": "text", "text": "<b>a pier</b>"}]})
    text = client.get(f"/v1/assets/{client.get('/v1/items/text').json()['asset_id']}/media")
    assert (text.text, text.headers["content-type"]) == (
        "<b>a pier</b>",
        "text/plain; charset=utf-8",
    )
    for address, told in (
        (f"{small}/media", "a preview alone is kept"),
        (f"{silent}/media", "nothing is kept"),
        (f"{silent}/thumbnail", "nothing is kept"),
        (f"{silent}/waveform", "nothing is kept"),
        (f"{silent}/clip?start_s=0&stop_s=1", "nothing is kept"),
    ):
        answer = client.get(address)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_kept"), address
        assert told in answer.json()["error"]["message"]
    for key in ("a/red", "small", "siren", "gone", "text"):
        assert client.delete(f"/v1/items/{key}").status_code == 200


def test_what_is_wrong_adds_nothing(client: TestClient, tmp_path: Path) -> None:
    client.post("/v1/items", json={"items": [{"id": "x", "text": "a", "fields": {"n": 1}}]})
    before = client.get("/v1/items").json()
    red = picture(tmp_path / "red.png", "red").read_bytes()
    bodies: list[tuple[dict[str, Any], int]] = [
        ({"json": {"items": []}}, 422),
        ({"json": {"items": [{"text": "new"}, {"id": "x", "text": "b"}]}}, 422),
        ({"json": {"items": [{"id": "y", "text": "b"}, {"id": "x", "text": "b"}]}}, 422),
        ({"json": {"items": [{"text": "b", "fields": {"n": "1"}}]}}, 422),
        ({"json": {"items": [{"text": "b", "fields": {"size": 1}}]}}, 422),
        ({"json": {"items": [{"text": "b", "colour": "red"}]}}, 422),
        ({"json": {"items": [{"text": "b"}] * 257}}, 413),
        ({"json": {"items": [{"id": "z"}]}}, 422),
        ({"data": {"items": "["}, "files": [("image", ("a.png", red))]}, 422),
        ({"data": {"items": "[{}, {}]"}, "files": [("image", ("a.png", red))]}, 422),
        ({"data": {"items": "[{}]"}, "files": [("audio", ("a.png", red))]}, 422),
        ({"data": {"items": "[{}]"}, "files": [("file", ("a.png", red))]}, 422),
    ]
    for body, status in bodies:
        answer = client.post("/v1/items", **body)
        assert answer.status_code == status, answer.text
        assert "\n" not in answer.json()["error"]["message"]
    assert client.get("/v1/items").json() == before
    client.delete("/v1/items/x")


def test_lists_go_on_with_a_cursor(client: TestClient) -> None:
    seen: list[int] = []
    cursor: str | None = None
    while True:
        asked: dict[str, Any] = {"limit": 4} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/assets", params=asked).json()
        seen += [asset["asset_id"] for asset in page["assets"]]
        if (cursor := page["cursor"]) is None:
            break
    assert seen == sorted(set(seen))
    assert len(seen) == client.get("/v1/status").json()["assets"] >= 10
    images = client.get("/v1/assets", params={"kinds": "images", "where": "width > 10"}).json()
    assert {asset["modality"] for asset in images["assets"]} == {"image"}
    for wrong in ({"cursor": "x"}, {"limit": 0}, {"limit": 1001}, {"kinds": "smell"}):
        assert client.get("/v1/assets", params=wrong).status_code == 422


def test_an_asset_that_is_deleted_is_not_found(client: TestClient) -> None:
    (hit, *_) = client.get("/v1/search", params={"text": "red", "kinds": "image"}).json()["hits"]
    asked: dict[str, Any] = {"text": "red", "count": 3, "kinds": "photos,sounds"}
    three = client.get("/v1/search", params=asked).json()["hits"]
    same: dict[str, Any] = {"text": "red", "k": 3, "modalities": ["image", "audio"]}
    assert three == client.get("/v1/search", params=same).json()["hits"]
    assert len(three) == 3
    two = client.get("/v1/assets", params={"count": 2, "kinds": "image"}).json()["assets"]
    assert [one["modality"] for one in two] == ["image", "image"]
    assert client.delete(f"/v1/assets/{hit['asset_id']}").json()["deleted"] >= 1
    assert client.get(f"/v1/assets/{hit['asset_id']}").status_code == 404
    assert client.delete(f"/v1/assets/{hit['asset_id']}").status_code == 404


def test_models_and_their_other_names(client: TestClient) -> None:
    names = [one["id"] for one in client.get("/v1/models").json()["data"]]
    assert names == ["fake", "default", "ada"]
    for name in names:
        answer = client.post("/v1/embeddings", json={"input": "red", "model": name}).json()
        assert answer["model"] == "fake"
        assert np.linalg.norm(answer["data"][0]["embedding"]) == pytest.approx(1, abs=1e-4)
    other = client.post("/v1/embeddings", json={"input": "red", "model": "text-embedding-3-small"})
    assert other.status_code == 404
    aliases = Settings.from_environment({"SEEHEAR_MODEL_ALIASES": "a, b"}).model_aliases
    assert aliases == ("a", "b")
    assert Settings.from_environment({"SEEHEAR_MODEL_ALIASES": ""}).model_aliases == ()
    assert "text-embedding-3-small" in Settings.from_environment({}).model_aliases
