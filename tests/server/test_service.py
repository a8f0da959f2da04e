"""Readiness, status, metrics, sessions, index jobs."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from fastapi import FastAPI
from starlette.routing import Route
from starlette.testclient import TestClient

from seehear.cancellation import check_current
from seehear.errors import ModelUnavailableError, UsageError
from seehear.indexers import IndexReport
from seehear.limits import ServiceLimits
from seehear.media.workers import process
from seehear.media.workers.pool import DecodePool
from seehear.server import create_app
from seehear.server.served_collection import ModelPool, ServedCollection
from seehear.types import Hit, Query
from tests.media.test_requests import HANGS
from tests.server.conftest import PATIENCE_S, SETTINGS, Running, picture, until, wait_ready

TOKEN = "a token of many characters"


def test_health_comes_before_readiness(
    collection_folder: Path, start: Callable[[FastAPI], TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    load = ModelPool.batching

    def slow(self: ModelPool, name: str) -> Any:
        assert go.wait(PATIENCE_S)
        return load(self, name)

    monkeypatch.setattr(ModelPool, "batching", slow)
    client = start(create_app(collection_folder, settings=SETTINGS))
    assert client.get("/healthz").json() == {"status": "ok"}
    early = client.get("/readyz")
    assert (early.status_code, early.json()["error"]["code"]) == (503, "not_ready")
    assert early.headers["retry-after"]
    assert client.post("/v1/search", json={"text": "x"}).status_code == 503
    told = client.get("/v1/status").json()
    assert (told["ready"], told["message"], told["model"]) == (False, "the model is loading", None)
    assert told["limits"]["k"] == 1000
    assert client.get("/").status_code == 200
    go.set()
    wait_ready(client)
    told = client.get("/v1/status").json()
    assert (told["ready"], told["message"], told["model"]) == (True, None, "fake")


def test_a_model_that_cannot_be_had_is_said_without_paths(
    tmp_path: Path, start: Callable[[FastAPI], TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(self: ModelPool, name: str) -> Any:
        raise ModelUnavailableError(f"no weights of {name} in {tmp_path}/models")

    monkeypatch.setattr(ModelPool, "batching", missing)
    client = start(create_app(tmp_path / "c", settings=SETTINGS))
    until(lambda: "no weights of fake" in client.get("/readyz").text)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


def test_status_tells_what_there_is_and_no_paths(client: TestClient, media_folder: Path) -> None:
    answer = client.get("/v1/status")
    told = answer.json()
    assert told["model"] == "fake"
    assert told["by_modality"] == {"image": 5, "audio": 2, "video": 2, "text": 2}
    assert told["roots"] == [{"label": "media", "online": True, "indexable": True}]
    assert str(media_folder.parent) not in answer.text
    folders = client.get("/v1/folders").json()
    assert folders["complete"]
    assert {"media", "media/photos", "media/photos/2024"} <= set(folders["folders"])


def test_metrics_count_by_route(client: TestClient) -> None:
    client.post("/v1/search", json={"text": "red"})
    client.get("/v1/assets/999999")
    client.get("/no/such/page")
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=")
    text = page.text
    assert 'seehear_requests_total{method="POST",route="/v1/search",status="200"}' in text
    assert 'route="/v1/assets/{asset_id}",status="404"' in text
    assert 'route="none",status="404"' in text
    assert "assets/999999" not in text
    assert 'seehear_encode_batch_samples_count{modality="text"}' in text
    assert "seehear_ready 1.0" in text


def test_a_method_that_an_address_has_not_is_told_with_those_that_it_has(
    app: FastAPI, client: TestClient
) -> None:
    known = defaultdict[str, set[str]](set)
    for route in app.routes:
        assert isinstance(route, Route)
        if route.methods:
            known[re.sub(r"\{.*?\}", "1", route.path)] |= route.methods
    assert known["/v1/session"] == {"GET", "POST", "DELETE"}
    for path, methods in known.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - methods:
            answer = client.request(method, path)
            assert (answer.status_code, path) == (405, path)
            assert answer.headers["allow"] == ", ".join(sorted(methods)), path


def test_unknown_addresses_and_methods(client: TestClient) -> None:
    assert client.get("/no/such").json()["error"]["code"] == "not_found"
    assert client.put("/v1/search").json()["error"]["code"] == "method_not_allowed"
    assert client.get("/docs").status_code == 404


def test_a_token_is_needed_and_a_cookie_will_do(
    collection_folder: Path, start: Callable[[FastAPI], TestClient]
) -> None:
    client = start(create_app(collection_folder, settings=SETTINGS, token=TOKEN, host="0.0.0.0"))
    wait_ready(client)
    assert client.get("/v1/status").status_code == 401
    assert client.get("/metrics").status_code == 401
    assert client.get("/v1/session").json() == {"required": True, "signed_in": False}
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert client.get("/v1/status", headers=bearer).status_code == 200
    wrong = client.post("/v1/session", json={"token": "wrong"})
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers
    right = client.post("/v1/session", json={"token": TOKEN})
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert client.get("/v1/session").json() == {"required": True, "signed_in": True}
    assert client.get("/v1/status").status_code == 200
    kept = {"cookie": right.headers["set-cookie"].partition(";")[0]}
    client.cookies.clear()
    assert client.get("/v1/status", headers=kept).status_code == 200
    client.delete("/v1/session", headers=kept)
    client.cookies.clear()
    assert client.get("/v1/status").status_code == 401
    assert client.get("/v1/status", headers=kept).status_code == 401  # whoever had copied it


def test_it_refuses_to_start_unsafely(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="token is needed"):
        create_app(tmp_path, host="0.0.0.0")
    with pytest.raises(UsageError, match="at least 16"):
        create_app(tmp_path, token="short")
    with pytest.raises(UsageError, match="is not a folder"):
        create_app(tmp_path, roots=[tmp_path / "none"])


def test_other_host_names_only_when_named(
    collection_folder: Path, start: Callable[[FastAPI], TestClient]
) -> None:
    client = start(
        create_app(collection_folder, settings=SETTINGS, token=TOKEN, names=["media.example.org"])
    )
    assert client.get("/healthz").status_code == 200
    assert client.get("/healthz", headers={"host": "media.example.org"}).status_code == 200
    assert client.get("/healthz", headers={"host": "evil.example"}).status_code == 421


def events_of(client: TestClient, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    answer = client.get(f"/v1/index/{job_id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = []
    for block in answer.text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            events.append((lines["event"], json.loads(lines["data"])))
    return events


def test_an_index_job_from_start_to_report(
    own_copy: tuple[Path, Path], start: Callable[[FastAPI], TestClient]
) -> None:
    media, folder = own_copy
    (media / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (media / ".seehearignore").write_text("[a\n")
    client = start(create_app(folder, settings=SETTINGS, roots=[media]))
    wait_ready(client)
    begun = client.post("/v1/index", json={"roots": ["media"]})
    assert begun.status_code == 202, begun.text
    events = events_of(client, begun.json()["id"])
    assert [name for name, _ in events][-1] == "done"
    assert {name for name, _ in events[:-1]} <= {"progress"}
    last = events[-1][1]
    assert last["state"] == "done"
    assert (last["progress"]["stage"], last["progress"]["files_done"]) == ("done", 12)
    progress = [state["progress"] for _, state in events if state["progress"]]
    counted = [p["files_done"] for p in progress if p["files_total"] is not None]
    assert counted == sorted(counted)
    assert {p["files_total"] for p in progress} <= {None, 12}
    assert (last["report"]["added"], last["report"]["failed"]) == (11, 1)
    assert last["report"]["failures"][0]["name"] == "broken.jpg"
    (note,) = last["report"]["notes"]
    assert "line 1 is not a valid .gitignore pattern" in note
    assert str(media.parent) not in json.dumps(last)
    assert client.get("/v1/status").json()["assets"] == 11
    hits = client.post("/v1/search", json={"text": "red"}).json()["hits"]
    assert "rose.png" in [hit["name"] for hit in hits]
    picture(media / "late.png", "cyan")
    again = client.post("/v1/index", json={}).json()
    assert events_of(client, again["id"])[-1][1]["report"]["added"] == 1
    assert [job["id"] for job in client.get("/v1/index").json()["jobs"]] == [
        again["id"],
        last["id"],
    ]


def test_only_roots_named_at_the_start_are_indexed(client: TestClient) -> None:
    for root in ("/etc", "../etc", "media/photos", "etc", ""):
        answer = client.post("/v1/index", json={"roots": [root]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_root")
    assert client.post("/v1/index", json={"paths": ["/etc"]}).status_code == 422
    assert client.get("/v1/index/0123456789abcdef").status_code == 404
    assert client.get("/v1/index/0123456789abcdef/events").status_code == 404
    assert client.get("/v1/index/x").status_code == 422


def test_a_job_is_stopped_and_only_one_runs(
    own_copy: tuple[Path, Path],
    start: Callable[[FastAPI], TestClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entered = threading.Event()

    def waits(self: ServedCollection, *paths: Path, stop: threading.Event, **_: Any) -> IndexReport:
        entered.set()
        assert stop.wait(PATIENCE_S)
        return IndexReport(interrupted=True)

    monkeypatch.setattr(ServedCollection, "index", waits)
    media, folder = own_copy
    client = start(create_app(folder, settings=SETTINGS, roots=[media]))
    wait_ready(client)
    job = client.post("/v1/index", json={}).json()
    assert entered.wait(PATIENCE_S)
    second = client.post("/v1/index", json={})
    assert (second.status_code, second.json()["error"]["code"]) == (409, "already_running")
    assert "seehear_indexing 1.0" in client.get("/metrics").text
    client.delete(f"/v1/index/{job['id']}")
    assert events_of(client, job["id"])[-1][1]["state"] == "stopped"


def test_beyond_the_queue_clients_are_told_to_come_back(
    collection_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    ask = ServedCollection.ask

    def slow(self: ServedCollection, query: Query) -> list[Hit]:
        if query.parts[0].label == "slow":
            assert gate.wait(PATIENCE_S)
        return ask(self, query)

    monkeypatch.setattr(ServedCollection, "ask", slow)
    limits = ServiceLimits(running=1, queue=2)
    app = create_app(collection_folder, settings=SETTINGS, limits=limits)
    with Running(app) as server, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(post, server.address, {"text": "slow"}) for _ in range(6)]
        until(lambda: sum(future.done() for future in asked) == 3)
        refused = [future for future in asked if future.done()]
        gate.set()
        statuses = sorted(future.result()[0] for future in asked)
        assert statuses == [200, 200, 200, 503, 503, 503]
        assert all(future.result()[1]["retry-after"] == "1" for future in refused)


def test_queries_of_several_clients_are_encoded_together(
    collection_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(collection_folder, settings=SETTINGS, limits=ServiceLimits(decode_workers=1))
    with Running(app) as server, ThreadPoolExecutor(8) as pool:
        model = app.state.service.models.batching("fake")
        encode, entered, gate = model.inner.encode, threading.Event(), threading.Event()

        def slow(*arguments: Any) -> Any:
            entered.set()
            assert gate.wait(PATIENCE_S)
            return encode(*arguments)

        monkeypatch.setattr(model.inner, "encode", slow)
        asked = [pool.submit(post, server.address, {"text": "red"})]
        assert entered.wait(PATIENCE_S)
        more = [{"text": f"a blue thing {n}"} for n in range(5)]
        asked += [pool.submit(post, server.address, body) for body in more]
        until(lambda: len(model._waiting) == 5)
        before = batches(server.address)
        gate.set()
        assert [future.result()[0] for future in asked] == [200] * 6
        count, samples = batches(server.address)
        assert (count - before[0], samples - before[1]) == (1, 5)


def batches(address: str) -> tuple[float, float]:
    """How many batches of texts the encoder was given so far, and how many texts."""
    lines = [line.split() for line in get(address + "/metrics").splitlines() if line[0] != "#"]
    told = {line[0]: float(line[-1]) for line in lines}
    name = 'seehear_encode_batch_samples_{}{{modality="text"}}'
    return told[name.format("count")], told[name.format("sum")]


def test_decoding_that_takes_too_long_is_given_up(
    collection_folder: Path,
    start: Callable[[FastAPI], TestClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = start(create_app(collection_folder, settings=SETTINGS))
    wait_ready(client)
    service = client.app.state.service  # type: ignore[attr-defined]
    service.decoder.close()
    monkeypatch.setattr(process, "_ENTRY", HANGS)
    service.resources.decoder = DecodePool(1, 2 << 30, 0.2)
    answer = client.post("/v1/search", files={"file": ("slow.png", b"anything")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "media_too_large")
    assert (
        "slow.png: decoding was stopped: no result within 0.2 seconds"
        in answer.json()["error"]["message"]
    )
    assert client.post("/v1/search", json={"text": "red"}).status_code == 200


def test_a_client_that_hangs_up_takes_its_work_with_it(
    collection_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(collection_folder, settings=SETTINGS)
    with Running(app) as server:
        monkeypatch.setattr(process, "_ENTRY", HANGS)
        app.state.service.decoder.close()
        app.state.service.resources.decoder = DecodePool(1, 2 << 30, 60.0, check_current)
        body = (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
            b"anything\r\n--x--\r\n"
        )
        host, port = "127.0.0.1", int(server.address.rpartition(":")[2])
        with socket.create_connection((host, port)) as client:
            head = (
                f"POST /v1/search HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
                "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            )
            client.sendall(head.encode() + body)
            until(lambda: "seehear_queries_running 1.0" in get(server.address + "/metrics"))
        until(lambda: "seehear_queries_running 0.0" in get(server.address + "/metrics"))
        assert 'route="/v1/search",status="499"' in get(server.address + "/metrics")


def post(address: str, query: dict[str, Any]) -> tuple[int, dict[str, str]]:
    body = json.dumps(query).encode()
    request = Request(f"{address}/v1/search", body, {"content-type": "application/json"})
    try:
        with urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, dict(answer.headers)
    except HTTPError as error:
        with error:
            return error.code, dict(error.headers)


def get(url: str) -> str:
    with urlopen(url, timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())
