"""A folder of small media, indexed once with the fake model, and the service over it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from seehear.collection import Collection
from seehear.config import Settings
from seehear.limits import ServiceLimits
from seehear.server import create_app
from seehear.server.run import make_server
from tests.server.media_files import film, make_media, picture, sound
from tests.stores.postgres import (
    _numbers,
    _templates,
    postgres_copy,
    postgres_database,
    postgres_server,
)

__all__ = [  # for the tests of this room
    "_numbers",
    "_templates",
    "film",
    "make_media",
    "picture",
    "postgres_copy",
    "postgres_database",
    "postgres_server",
    "sound",
]

SETTINGS = Settings(model="fake", device="cpu", decode_workers=1)
BASE = "http://127.0.0.1"
PATIENCE_S = 120.0
"""How long tests wait for what must come: far longer than it takes, for machines that are busy."""


@pytest.fixture(scope="session")
def media_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_media(tmp_path_factory.mktemp("served") / "media")


@pytest.fixture(scope="session")
def collection_folder(media_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collection")
    with Collection(folder, SETTINGS) as collection:
        report = collection.index(media_folder)
    assert report.failed == 0, report.failures
    return folder


@pytest.fixture
def own_copy(media_folder: Path, collection_folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A media folder and an empty collection that a test may change."""
    shutil.copytree(media_folder, tmp_path / "media")
    return tmp_path / "media", tmp_path / "collection"


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, for as long as a busy machine may need."""
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, "it never came to that"
        time.sleep(0.02)


def wait_ready(client: TestClient) -> None:
    until(lambda: client.get("/readyz").status_code == 200)


@pytest.fixture(scope="session")
def app(collection_folder: Path, media_folder: Path) -> FastAPI:
    return create_app(collection_folder, settings=SETTINGS, roots=[media_folder])


@pytest.fixture(scope="session")
def client(app: FastAPI) -> Iterator[TestClient]:
    """The service, ready, without a token."""
    with TestClient(app, base_url=BASE, raise_server_exceptions=False) as client:
        wait_ready(client)
        yield client


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Callable[[FastAPI], TestClient]:
    """Start another application for one test."""

    def started(app: FastAPI) -> TestClient:
        client = TestClient(app, base_url=BASE, raise_server_exceptions=False)
        client.__enter__()
        request.addfinalizer(lambda: client.__exit__(None, None, None))
        return client

    return started


class Running:
    """An application behind a real socket of this machine."""

    def __init__(
        self,
        app: ASGIApp,
        limits: ServiceLimits | None = None,
        *,
        path: str = "/readyz",
        root_path: str = "",
    ) -> None:
        """`path` answers 200 when the application is ready; `root_path` is as for `serve`."""
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._path = path
        self._server = make_server(app, limits or ServiceLimits(), root_path=root_path)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def connections(self) -> list[Any]:
        """The open connections, as the server's own objects."""
        return list(self._server.server_state.connections)

    def __enter__(self) -> Running:
        from urllib.error import URLError
        from urllib.request import urlopen

        def ready() -> bool:
            try:
                with urlopen(self.address + self._path, timeout=PATIENCE_S) as answer:
                    return bool(answer.status == 200)
            except URLError:
                return False

        self._thread.start()
        until(ready)
        return self

    async def _serve(self) -> None:
        await self._server.serve(sockets=[self._socket])
        # A browser may have connected during the end, or never read what was sent to it.
        for connection in self.connections:
            connection.transport.abort()
        await asyncio.sleep(0)

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)
        self._socket.close()


@pytest.fixture(scope="session")
def running(collection_folder: Path, media_folder: Path) -> Iterator[Running]:
    """The service on a port of loopback, for clients that need one."""
    app = create_app(collection_folder, settings=SETTINGS, roots=[media_folder])
    with Running(app) as server:
        yield server
