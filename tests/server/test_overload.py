"""More work than can be done: each kind of it in its own queue, and none of it ends as a 500."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from seehear.cancellation import (
    CancelledQueryError,
    CancelToken,
    current_token,
    interruptible,
)
from seehear.collection import Collection
from seehear.errors import StoreError
from seehear.limits import ServiceLimits
from seehear.media.workers.pool import DecodePool
from seehear.server import create_app
from seehear.server.content_types import MediaResponse
from seehear.server.problems import ServiceError
from seehear.server.request_queue import RequestQueue
from seehear.server.served_collection import ServedCollection
from seehear.stores.catalog import database
from tests.server.conftest import PATIENCE_S, SETTINGS, Running, until

FEW = ServiceLimits(running=2, queue=2, uploads=2, listing=2, decode_workers=1)
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\nx\r\n--x--\r\n'


def asked(server: Running, path: str, body: bytes | None = None, kind: str = "json") -> Any:
    """The status of an answer, and when to come back."""
    kinds = {"json": "application/json", "form": "multipart/form-data; boundary=x"}
    request = Request(server.address + path, body, {"content-type": kinds[kind]})
    try:
        with urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.headers["retry-after"]
    except HTTPError as error:
        with error:
            return error.code, error.headers["retry-after"]


def searched(server: Running) -> int:
    return int(asked(server, "/v1/search", b'{"text": "red"}')[0])


@contextmanager
def blocked(
    monkeypatch: pytest.MonkeyPatch, owner: Any, method: str
) -> Iterator[threading.Semaphore]:
    """Hold every call of a method until the block ends; the semaphore counts those that came."""
    gate, entered = threading.Event(), threading.Semaphore(0)
    inner = getattr(owner, method)

    def slow(*arguments: Any, **named: Any) -> Any:
        entered.release()
        assert gate.wait(PATIENCE_S)
        return inner(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, slow)
        try:
            yield entered
        finally:
            gate.set()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("folders", "/v1/folders"),
        ("status", "/v1/status"),
        ("asset", "/v1/assets/1"),
        ("asset", "/v1/assets/1/media"),
    ],
)
def test_listing_has_a_queue_of_its_own(
    collection_folder: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    app = create_app(collection_folder, settings=SETTINGS, limits=FEW)
    with Running(app) as server, ThreadPoolExecutor(60) as pool:
        with blocked(monkeypatch, ServedCollection, method):
            asking = [pool.submit(asked, server, path) for _ in range(60)]
            until(lambda: sum(future.done() for future in asking) == 56)
            assert searched(server) == 200
        answers = Counter(future.result() for future in asking)
        assert answers == {(200, None): 4, (503, "1"): 56}


def test_uploads_have_a_queue_of_their_own(
    collection_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(collection_folder, settings=SETTINGS, limits=FEW)
    with Running(app) as server, ThreadPoolExecutor(20) as pool:
        with blocked(monkeypatch, DecodePool, "query"):
            asking = [pool.submit(asked, server, "/v1/search", FILE, "form") for _ in range(20)]
            until(lambda: sum(future.done() for future in asking) == 17)
            assert searched(server) == 200
            assert asked(server, "/v1/folders")[0] == 200
        answers = Counter(future.result() for future in asking)
        assert answers == {(422, None): 3, (503, "1"): 17}  # what was received is no picture


def test_an_upload_has_its_place_before_it_is_read(collection_folder: Path) -> None:
    app = create_app(collection_folder, settings=SETTINGS, limits=FEW)
    with Running(app) as server:
        head = (
            "POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        stalled = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        for one in stalled:
            one.sendall(head.encode())
        until(lambda: app.state.service.uploads.running + app.state.service.uploads.waiting == 3)
        with closing(socket.create_connection(("127.0.0.1", server.port))) as late:
            late.sendall(head.encode())  # it is not waited for what is in it
            assert late.recv(1000).startswith(b"HTTP/1.1 503 ")
        assert searched(server) == 200
        for one in stalled:
            one.close()
        until(lambda: app.state.service.uploads.running == 0)


def test_more_threads_than_a_pool_has_connections(collection_folder: Path) -> None:
    with Collection(collection_folder, SETTINGS) as collection:
        together = threading.Barrier(40)

        def read(_: int) -> bool:
            with collection._catalog.read_snapshot():
                together.wait(PATIENCE_S)
                return True

        with ThreadPoolExecutor(40) as pool:
            assert all(pool.map(read, range(40)))


def test_a_pool_that_is_full_is_no_fault_of_ours(collection_folder: Path) -> None:
    engine = database.connect(collection_folder / database.FILE_NAME, None, read_only=True)
    pool = engine.pool
    pool._max_overflow, pool._timeout = 0, 0.05  # type: ignore[attr-defined]
    held = [engine.connect() for _ in range(5)]
    try:
        with (
            pytest.raises(StoreError, match="all connections are in use; try again"),
            database.store_errors("read the catalog"),
        ):
            engine.connect()
    finally:
        for one in held:
            one.close()
        engine.dispose()


def test_a_query_of_the_database_ends_with_its_client(collection_folder: Path) -> None:
    engine = database.connect(collection_folder / database.FILE_NAME, None, read_only=True)
    token = CancelToken(threading.Event())
    token.gone.set()
    current_token.set(token)
    with engine.connect() as connection:  # what others share goes on to its end
        limited = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000)"
        assert connection.exec_driver_sql(f"{limited} SELECT max(i) FROM n").scalar() == 100_000
    token = CancelToken(threading.Event())
    counting = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    )
    current_token.set(token)
    threading.Timer(0.2, token.gone.set).start()
    try:
        with (
            pytest.raises(CancelledQueryError),
            database.store_errors("read the catalog"),
            interruptible(),
            engine.connect() as connection,
        ):
            connection.exec_driver_sql(counting).scalar()
    finally:
        current_token.set(None)
        engine.dispose()


def test_a_file_is_not_read_for_a_client_that_has_gone(tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    with file.open("wb") as made:
        made.truncate(1 << 30)
    sent = 0

    async def scene() -> None:
        gone = asyncio.Event()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal sent
            sent += len(message.get("body", b""))
            if sent > 1 << 20:
                gone.set()

        response = MediaResponse(file)
        await response({"type": "http", "method": "GET", "headers": []}, receive, send)

    asyncio.run(scene())
    assert 1 << 20 < sent < 1 << 25


@pytest.mark.parametrize(
    ("client_leaves", "is_open"), [(True, False), (False, False), (False, True)]
)
def test_a_file_that_is_opened_for_nobody_is_closed(
    client_leaves: bool, is_open: bool, tmp_path: Path
) -> None:
    """The client leaves, or the request is cancelled; before a thread opens the file, or after."""
    file = tmp_path / "sound.wav"
    file.write_bytes(bytes(64))
    opened = threading.Event()
    files: list[Any] = []

    async def scene() -> None:
        gone = asyncio.Event()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        def work() -> Any:
            opened.wait()
            files.append(file.open("rb"))
            return files[0]

        request: Any = SimpleNamespace(receive=receive)
        asked = asyncio.ensure_future(queue.run(request, work))
        await asyncio.sleep(0.01)  # the queue waits for the client and for the work
        if is_open:
            opened.set()
            until(lambda: bool(files))  # the loop stands still, so nobody has taken it
        if client_leaves:
            gone.set()
        else:
            asked.cancel()
        with pytest.raises((ServiceError, asyncio.CancelledError)):
            await asked

    queue = RequestQueue(running=1, queue=0, timeout_s=PATIENCE_S)
    try:
        asyncio.run(scene())
    finally:
        opened.set()
        queue.close()
    assert files[0].closed


class Leaves(threading.Event):
    """An event that is set when it has been asked so many times."""

    def __init__(self, after: float) -> None:
        super().__init__()
        self.after, self.asked = after, 0

    def is_set(self) -> bool:
        self.asked += 1
        return self.asked > self.after


@pytest.mark.parametrize(
    "asked",
    [{"diverse": True}, {"without": "blue"}, {"text": ["red", "green", "white"]}],
    ids=["diverse", "without", "three"],
)
def test_a_search_stops_at_its_next_step(collection_folder: Path, asked: dict[str, Any]) -> None:
    with Collection(collection_folder, SETTINGS) as collection:
        query: dict[str, Any] = {"text": "red", "k": 10} | asked
        stays = Leaves(float("inf"))
        current_token.set(CancelToken(stays))
        try:
            assert collection.search(**query)
            assert stays.asked >= 8
            for step in (0, 1, stays.asked // 2, stays.asked - 1):
                current_token.set(CancelToken(Leaves(step)))
                with pytest.raises(CancelledQueryError):
                    collection.search(**query)
        finally:
            current_token.set(None)
        assert collection.search(**query)
