"""A Milvus server to test against: one for the session, with a folder and ports of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

OWN_PLACE = "SEEHEAR_TEST_MILVUS"
"""Names another environment than `.ci/milvus` makes."""
TOKEN = "root:Milvus"
"""What a new server lets in."""
_PORTS = ("etcd", "etcd-peer", "root-coord", "proxy", "proxy-internal", "query-coord", "query-node",
          "index-node", "data-coord", "data-node")  # fmt: skip


class MilvusProcess:
    """A server that can be killed and started again on the same folder and ports."""

    def __init__(self, place: Path, folder: Path, *settings: str) -> None:
        self._place = place
        self._folder = folder
        self._ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        (folder / "bin").symlink_to(place / "server" / "bin")
        client, peer = (f"http://127.0.0.1:{self._ports.pop(n)}" for n in ("etcd", "etcd-peer"))
        self._etcd = client.rpartition(":")[2]
        # Without this, etcd listens on fixed ports, and a second server would not start.
        (folder / "etcd.yaml").write_text(
            f"name: default\nlisten-client-urls: {client}\nadvertise-client-urls: {client}\n"
            f"listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\n"
            f"initial-cluster: default={peer}\n"
        )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._ports['proxy']}"

    @property
    def url(self) -> str:
        return f"milvus://{TOKEN}@{self.address}"

    def start(self) -> None:
        ports = [f"--{name}-port={number}" for name, number in self._ports.items()]
        command = [str(self._place / "bin" / "milvus-server"), "--data", str(self._folder),
                   "--authorization-enabled", "true", "--etcd-port", self._etcd, *ports,
                   *self._settings]  # fmt: skip
        environment = os.environ | {
            "HOME": str(self._folder),
            "PYTHONUNBUFFERED": "1",
            "ETCD_CONFIG_PATH": str(self._folder / "etcd.yaml"),
        }
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        give_up = time.monotonic() + 120
        while b"Welcome" not in (self._folder / "log").read_bytes():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < give_up, "the server does not start"
            time.sleep(0.1)

    def kill(self) -> None:
        """End the server with -9, and what started it."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def place_of_server() -> Path:
    place = Path(os.environ.get(OWN_PLACE) or Path(__file__).parents[2] / ".venv-milvus")
    if not (place / "server" / "bin" / "milvus").exists():
        pytest.skip("no Milvus server here; `.ci/milvus` makes one")
    pytest.importorskip("pymilvus")
    return place.absolute()


@contextmanager
def milvus_process(folder: Path, *settings: str) -> Iterator[MilvusProcess]:
    server = MilvusProcess(place_of_server(), folder, *settings)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusProcess]:
    with milvus_process(tmp_path_factory.mktemp("milvus") / "server") as server:
        yield server


def _free_ports(number: int) -> list[int]:
    bound = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [one.getsockname()[1] for one in bound]
    finally:
        for one in bound:
            one.close()
