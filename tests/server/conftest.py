"""A folder of small media, indexed once with the fake model, and the service over it."""

from __future__ import annotations

import shutil
import socket
import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from seehear.collection import Collection
from seehear.config import Settings
from seehear.encoders.fake import concept, tone
from seehear.limits import ServiceLimits
from seehear.server import create_app
from seehear.server.run import make_server
from tests.server.looking import Looking, browser_or_skip

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SETTINGS = Settings(model="fake", device="cpu", decode_workers=1)
BASE = "http://127.0.0.1"
PATIENCE_S = 120.0
"""How long tests wait for what must come: far longer than it takes, for machines that are busy."""


def picture(path: Path, *colours: str, size_px: tuple[int, int] = (160, 120)) -> Path:
    """A picture of stripes in colours of the fake encoder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size_px[1], size_px[0], 3), dtype=np.uint8)
    for n, stripe in enumerate(np.array_split(np.arange(size_px[0]), len(colours))):
        pixels[:, stripe] = concept(colours[n]).rgb
    Image.fromarray(pixels).save(path)
    return path


def sound(path: Path, *names: str, seconds: float = 2.0) -> Path:
    """A wav file with one tone of the fake encoder after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.concatenate([tone(name, seconds).waveform for name in names])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32_767).astype("<i2").tobytes())
    return path


def film(path: Path, *colours: str, seconds: float = 3.0, rate: int = 8) -> Path:
    """A clip that shows one colour after the other, in a format that browsers play."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.options = {"g": str(rate), "preset": "ultrafast"}
        for colour in colours:
            frame = np.empty((120, 160, 3), dtype=np.uint8)
            frame[:] = concept(colour).rgb
            for _ in range(round(seconds * rate)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def make_media(folder: Path) -> Path:
    """Eleven files of four kinds, in folders."""
    picture(folder / "photos" / "rose.png", "red")
    picture(folder / "photos" / "sky.png", "blue")
    picture(folder / "photos" / "2024" / "meadow.png", "green")
    picture(folder / "photos" / "2024" / "flag.png", "red", "white")
    picture(folder / "photos" / "café — été.png", "orange")
    sound(folder / "sounds" / "siren.wav", "red", seconds=4.0)
    sound(folder / "sounds" / "flute.wav", "purple", "cyan", seconds=4.0)
    film(folder / "clips" / "day.mp4", "green", "blue")
    film(folder / "clips" / "dusk.mp4", "orange", "black")
    (folder / "notes").mkdir()
    (folder / "notes" / "garden.md").write_text("The grass is green and the frog sings at night.")
    (folder / "notes" / "page.html").write_text(
        "<html><body><p>A yellow lemon under the sun.</p><script>alert(1)</script></body></html>"
    )
    return folder


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
        self, app: ASGIApp, limits: ServiceLimits | None = None, *, path: str = "/readyz"
    ) -> None:
        """`path` answers 200 when the application is ready."""
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._path = path
        self._server = make_server(app, limits or ServiceLimits())
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browser_or_skip() as browser:
        yield browser


@pytest.fixture
def look(browser: Browser, running: Running) -> Iterator[Looking]:
    """The page, open; at the end it must not have complained or asked anybody else."""
    with Looking(browser, running.address) as looking:
        yield looking
    assert looking.complaints == []
    assert all(url.startswith((running.address, "blob:")) for url in looking.asked)
