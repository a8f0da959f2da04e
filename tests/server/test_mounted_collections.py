"""Several collections in one service: each answers its own, and they share what a machine has."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from seehear.collection import Collection
from seehear.config import Settings
from seehear.errors import EnvironmentFaultError, UsageError
from seehear.indexers import IndexReport
from seehear.limits import ServiceLimits
from seehear.server import create_app
from seehear.server.served_collection import ServedCollection
from tests.server.conftest import BASE, PATIENCE_S, SETTINGS, picture, sound, until, wait_ready

ALL, ANN = "all-of-it-0123456789", "ann-alone-0123456789"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of media for each collection."""
    base = tmp_path_factory.mktemp("mounts")
    picture(base / "photos" / "ann" / "rose.png", "red")
    picture(base / "photos" / "bob" / "sky.png", "blue")
    sound(base / "sounds" / "siren.wav", "red", seconds=4.0)
    return {name: base / name for name in ("photos", "sounds")}


@pytest.fixture(scope="module")
def folders(media: dict[str, Path]) -> dict[str, Path]:
    """A collection of each, and one that cannot be opened."""
    found = {name: folder.with_name(f"{name}.seehear") for name, folder in media.items()}
    for name, folder in found.items():
        with Collection(folder, SETTINGS) as library:
            library.index(media[name])
    broken = found["photos"].with_name("broken.seehear")
    broken.mkdir()
    (broken / "catalog.db").write_bytes(b"not a database " * 100)
    return {**found, "broken": broken}


@pytest.fixture(scope="module")
def client(media: dict[str, Path], folders: dict[str, Path]) -> Iterator[TestClient]:
    """The service, without a token; two of its three collections are ready."""
    roots = {name: [folder] for name, folder in media.items()}
    app = create_app(folders, settings=SETTINGS, roots=roots)
    with TestClient(app, base_url=BASE) as client:
        wait_for_two(client)
        yield client


@pytest.fixture(scope="module")
def guarded(media: dict[str, Path], folders: dict[str, Path]) -> Iterator[TestClient]:
    """The same with a token that sees all and one that sees a folder of the photos."""
    tokens = {media["photos"] / "ann": ANN}
    app = create_app(folders, settings=SETTINGS, token=ALL, folder_tokens=tokens)
    with TestClient(app, base_url=BASE) as client:
        wait_for_two(client)
        yield client


def wait_for_two(client: TestClient) -> None:
    until(lambda: all(client.get(f"/{n}/readyz").status_code == 200 for n in ("photos", "sounds")))


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def found(client: TestClient, name: str, **headers: str) -> set[str]:
    answer = client.post(f"/{name}/v1/search", json={"text": "red"}, headers=headers)
    assert answer.status_code == 200, answer.text
    return {hit["name"] for hit in answer.json()["hits"]}


def test_each_answers_its_own(client: TestClient) -> None:
    assert found(client, "photos") == {"rose.png", "sky.png"}
    assert found(client, "sounds") == {"siren.wav"}
    assert client.get("/photos/v1/status").json()["collection"] == "photos"
    hit = client.get("/photos/v1/search?text=red&kinds=image&count=1").json()["hits"][0]
    assert hit["media"].startswith("/photos/v1/assets/")
    assert client.get(hit["thumbnail"]).headers["content-type"].startswith("image/")
    assert client.get(hit["media"]).status_code == 200
    assert client.get(hit["moment_url"]).text.startswith("<!doctype html>")


def test_the_list(client: TestClient, folders: dict[str, Path]) -> None:
    told = {one.pop("name"): one for one in client.get("/v1/collections").json()["collections"]}
    assert list(told) == list(folders)
    assert told["photos"] == {
        "address": "/photos/",
        "ready": True,
        "message": None,
        "assets": 2,
        "locations": 2,
        "by_modality": {"text": 0, "image": 2, "audio": 0, "video": 0},
    }
    assert told["sounds"]["by_modality"]["audio"] == 1
    assert told["broken"]["ready"] is False
    assert told["broken"]["message"]
    assert str(folders["broken"]) not in json.dumps(told)


def test_one_that_cannot_be_opened_says_why_and_the_others_answer(client: TestClient) -> None:
    refused = client.post("/broken/v1/search", json={"text": "red"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
    assert "\n" not in refused.json()["error"]["message"]
    assert client.get("/broken/readyz").status_code == 503
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["error"]["message"].startswith("broken: ")
    assert "photos" not in ready.json()["error"]["message"]
    assert client.get("/healthz").json() == {"status": "ok"}
    assert found(client, "photos")


def test_ready_when_all_are(
    folders: dict[str, Path], start: Callable[[FastAPI], TestClient]
) -> None:
    two = {name: folders[name] for name in ("photos", "sounds")}
    wait_ready(start(create_app(two, settings=SETTINGS)))


@pytest.mark.parametrize(
    "path", ["/films/v1/search", "/v1/search", "/films", "/mcp", "/photo/", "/Photos/"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_unknown_name_is_told_with_those_there_are(
    client: TestClient, method: str, path: str
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_collection")
    assert answer.json()["error"]["message"].endswith("one of photos, sounds, broken")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v1/collections", "GET"),
        ("DELETE", "/healthz", "GET"),
        ("PATCH", "/v1/session", "DELETE, GET, POST"),
        ("PUT", "/photos/v1/items", "GET, POST"),
        ("POST", "/nowhere/v1/search", None),
        ("POST", "/v1/search", None),
    ],
)
def test_what_is_at_the_root_says_its_methods(
    client: TestClient, method: str, path: str, allow: str | None
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == (405 if allow else 404)
    assert answer.headers.get("allow") == allow


def test_the_name_alone_leads_to_its_page(client: TestClient) -> None:
    answer = client.get("/photos?q=red", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "photos/?q=red")
    assert 'href="/photos/page/page.css"' in client.get("/photos?q=red").text
    top = client.get("/").text
    assert 'src="/page/collections.js"' in top
    assert client.get("/page/collections.js").status_code == 200


def test_one_token_is_for_all(guarded: TestClient) -> None:
    for path in ("/v1/collections", "/metrics", "/photos/v1/status", "/sounds/metrics", "/films/"):
        assert guarded.get(path).status_code == 401, path
        assert guarded.get(path, headers=bearer("x" * 20)).status_code == 401
        assert guarded.get(path, headers=bearer(ALL)).status_code == 200 or path == "/films/"
    assert found(guarded, "sounds", **bearer(ALL)) == {"siren.wav"}
    for path in ("/", "/photos/", "/photos/moment/1", "/photos/page/page.js", "/broken/readyz"):
        assert guarded.get(path).status_code in {200, 503}, path


def test_one_signs_in_and_out_once_for_all(
    folders: dict[str, Path], start: Callable[[FastAPI], TestClient]
) -> None:
    two = {name: folders[name] for name in ("photos", "sounds")}
    client = start(create_app(two, settings=SETTINGS, token=ALL))
    wait_ready(client)
    answer = client.post("/photos/v1/session", json={"token": ALL})
    assert "Path=/;" in answer.headers["set-cookie"] + ";"
    kept = dict(client.cookies)
    assert found(client, "sounds")
    assert client.get("/v1/collections").status_code == 200
    assert client.get("/v1/session").json() == {"required": True, "signed_in": True}
    client.delete("/v1/session")
    client.cookies.update(kept)  # also for one who has kept the cookie
    assert client.get("/sounds/v1/status").status_code == 401
    assert client.get("/photos/v1/session").json()["signed_in"] is False


def test_the_token_of_a_folder_is_for_the_collection_that_has_it(guarded: TestClient) -> None:
    ann = bearer(ANN)
    assert found(guarded, "photos", **ann) == {"rose.png"}
    refused = guarded.post("/sounds/v1/search", json={"text": "red"}, headers=ann)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_here")
    assert guarded.get("/sounds/v1/status", headers=ann).status_code == 403
    listed = guarded.get("/v1/collections", headers=ann).json()["collections"]
    assert [(one["name"], one["assets"]) for one in listed] == [("photos", 1)]
    for path in ("/metrics", "/photos/metrics", "/films/v1/status"):
        assert guarded.get(path, headers=ann).status_code == 403


def test_metrics_are_labelled_by_collection(client: TestClient) -> None:
    found(client, "photos")
    found(client, "sounds")
    client.get("/photos/v1/search?text=red")
    client.get("/v1/collections")
    lines = client.get("/metrics").text.splitlines()
    told = {line.rpartition(" ")[0]: float(line.split()[-1]) for line in lines if line[0] != "#"}
    assert [told[f'seehear_ready{{collection="{n}"}}'] for n in ("photos", "broken")] == [1, 0]
    routes = ('{collection="sounds",method="POST"', '{collection="photos",method="GET"')
    for route in routes:
        assert told[f'seehear_requests_total{route},route="/v1/search",status="200"}}'] >= 1
    assert told['seehear_requests_total{method="GET",route="/v1/collections",status="200"}'] >= 1
    # One encoder and one queue: of all together.
    assert told['seehear_encode_batch_samples_count{modality="text"}'] >= 1
    assert told["seehear_queries_running"] == 0
    assert len([line for line in lines if line.startswith("# TYPE seehear_requests_total")]) == 1


def test_they_share_models_decoders_and_queues(folders: dict[str, Path]) -> None:
    app = create_app({name: folders[name] for name in ("photos", "sounds")}, settings=SETTINGS)
    first, second = app.state.services
    for shared in ("queries", "uploads", "drawing", "listing", "models", "decoder", "images"):
        assert getattr(first, shared) is getattr(second, shared)


def test_a_model_is_loaded_once(
    folders: dict[str, Path],
    start: Callable[[FastAPI], TestClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from seehear import encoders

    loaded, load = [], encoders.load_model

    def counted(name: str, device: str) -> Any:
        loaded.append((name, device))
        return load(name, device)

    monkeypatch.setattr(encoders, "load_model", counted)
    client = start(create_app(folders, settings=SETTINGS))
    wait_for_two(client)
    assert loaded == [("fake", "cpu")]


def test_the_queues_are_of_all_together(
    folders: dict[str, Path],
    start: Callable[[FastAPI], TestClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entered, gate = threading.Event(), threading.Event()
    ask = ServedCollection.ask

    def slow(self: ServedCollection, query: Any) -> Any:
        entered.set()
        assert gate.wait(PATIENCE_S)
        return ask(self, query)

    monkeypatch.setattr(ServedCollection, "ask", slow)
    client = start(create_app(folders, settings=SETTINGS, limits=ServiceLimits(running=1, queue=1)))
    wait_for_two(client)
    done: list[int] = []

    def search(name: str) -> None:
        done.append(client.post(f"/{name}/v1/search", json={"text": "red"}).status_code)

    threads = [threading.Thread(target=search, args=("photos",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert entered.wait(PATIENCE_S)
    services = client.app.state.services  # type: ignore[attr-defined]
    until(lambda: services[0].queries.waiting == 1)
    refused = client.post("/sounds/v1/search", json={"text": "red"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
    gate.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert done == [200, 200]


def test_one_collection_is_indexed_at_a_time(
    client: TestClient, media: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = threading.Event()

    def index(_: Any, *__: Any, stop: threading.Event, **___: Any) -> IndexReport:
        entered.set()
        assert stop.wait(PATIENCE_S)
        raise UsageError("stopped")

    monkeypatch.setattr(ServedCollection, "index", index)
    labels = [root["label"] for root in client.get("/photos/v1/status").json()["roots"]]
    assert labels == ["photos"]
    job = client.post("/photos/v1/index", json={}).json()
    assert entered.wait(PATIENCE_S)
    refused = client.post("/sounds/v1/index", json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "other_running")
    assert client.get("/sounds/v1/index").json() == {"jobs": []}
    assert client.get(f"/sounds/v1/index/{job['id']}").status_code == 404
    client.delete(f"/photos/v1/index/{job['id']}")
    until(lambda: client.get(f"/photos/v1/index/{job['id']}").json()["state"] != "running")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["my photos"], "use letters, digits, - and _"),
        ([""], "use letters, digits, - and _"),
        (["a/b"], "use letters, digits, - and _"),
        (["café"], "use letters, digits, - and _"),
        (["photos\n"], "use letters, digits, - and _"),
        (["v1"], "addresses of its own at /v1"),
        (["page"], "addresses of its own at /page"),
        (["moment"], "addresses of its own at /moment"),
        (["healthz"], "addresses of its own at /healthz"),
        (["metrics"], "addresses of its own at /metrics"),
        (["mcp"], "addresses of its own at /mcp"),
        ([], "no collection is named"),
    ],
)
def test_names_that_are_refused(tmp_path: Path, names: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        create_app({name: tmp_path / str(n) for n, name in enumerate(names)}, settings=SETTINGS)


def test_what_cannot_be_served_together(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.symlink_to(one)
    with pytest.raises(UsageError, match="a and b are the same folder"):
        create_app({"a": one, "b": other})
    with pytest.raises(UsageError, match="a and b are the same folder"):
        create_app({"a": one, "b": one / ".." / "one"})
    database = Settings(database="postgresql:///seehear")
    with pytest.raises(UsageError, match="SEEHEAR_DATABASE holds one collection"):
        create_app({"a": one, "b": tmp_path / "two"}, settings=database)
    with pytest.raises(UsageError, match="leave out --workers"):
        create_app({"a": one, "b": tmp_path / "two"}, workers=2)
    with pytest.raises(UsageError, match=f"such as a={one}"):
        create_app({"a": one}, roots=[one])
    with pytest.raises(UsageError, match="no collection is named 'b'; their names are a"):
        create_app({"a": one}, roots={"b": [one]})


def test_a_library_that_does_not_load_is_told_of_its_collection_alone(
    folders: dict[str, Path],
    start: Callable[[FastAPI], TestClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warm_up = ServedCollection.warm_up_encoders

    def failing(self: ServedCollection) -> None:
        if self.folder == folders["sounds"]:
            raise EnvironmentFaultError("a library cannot be loaded")
        warm_up(self)

    monkeypatch.setattr(ServedCollection, "warm_up_encoders", failing)
    client = start(create_app(folders, settings=SETTINGS))
    until(lambda: client.get("/photos/readyz").status_code == 200)
    until(lambda: "library" in client.get("/sounds/readyz").json()["error"]["message"])
    assert found(client, "photos")


def test_assistants_ask_below_the_prefix(client: TestClient) -> None:
    pytest.importorskip("mcp")

    def call(collection: str, tool: str, **arguments: Any) -> str:
        asked = {"name": tool, "arguments": arguments}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked}
        accepts = {"accept": "application/json, text/event-stream"}
        answer = client.post(f"/{collection}/mcp", json=body, headers=accepts)
        assert answer.status_code == 200, answer.text
        result = answer.json()["result"]
        return "" if result.get("isError") else str(result["content"][0]["text"])

    told = json.loads(call("photos", "search_media", description="red", pictures=False))
    assert {hit["name"] for hit in told["hits"]} == {"rose.png", "sky.png"}
    address = told["hits"][0]["address"]
    assert "rose.png" in call("photos", "get_media", address=address)
    assert call("sounds", "get_media", address=address) == ""  # of another collection
    described = json.loads(call("sounds", "describe_collection"))
    assert described["by_modality"]["audio"] == 1
    assert call("broken", "describe_collection") == ""


def test_below_another_server(client: TestClient) -> None:
    """A proxy may serve all of it below a path of its own."""
    below = TestClient(client.app, base_url=BASE, root_path="/media")
    listed = below.get("/media/v1/collections").json()["collections"]
    assert listed[0]["address"] == "/media/photos/"
    hit = below.get("/media/photos/v1/search?text=red").json()["hits"][0]
    assert hit["media"].startswith("/media/photos/v1/assets/")
    assert below.get(hit["media"]).status_code == 200
    assert 'src="/media/page/collections.js"' in below.get("/media/").text
