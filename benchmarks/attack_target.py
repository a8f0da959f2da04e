"""The service that is attacked: requests and connections to it, its memory, and what was seen."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One attack: how often it was tried, how often the service held, and what was seen."""

    attack: str
    tried: int
    held: int
    seen: str


@dataclass(frozen=True, slots=True)
class Target:
    """The service, and what an attack needs to know of it."""

    port: int
    process: int
    token: str
    media: Path
    real: dict[str, int]
    """Asset ids of real files, by name."""
    scale: float
    seconds: float

    def count(self, full: int) -> int:
        return max(4, round(full * self.scale))

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        token: bool = True,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request over its own connection; status 0 where none came back."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=90)
        sent = {"authorization": f"Bearer {self.token}"} if token else {}
        try:
            connection.request(method, path, body, sent | (headers or {}))
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        except (OSError, HTTPException, ValueError):
            return 0, {}, b""
        finally:
            connection.close()

    def search(self, **query: Any) -> int:
        body = json.dumps(query).encode()
        return self.ask(
            "/v1/search", method="POST", body=body, headers={"content-type": "application/json"}
        )[0]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def memory_mib(self) -> float:
        """What the service itself has in memory, without its decoders."""
        lines = Path(f"/proc/{self.process}/status").read_text().splitlines()
        found = next(line for line in lines if line.startswith("RssAnon"))
        return int(found.split()[1]) / 1024


def post(path: str, length: int | None, kind: str, token: str = "") -> bytes:
    """The head of a request with a body."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    key = f"Authorization: Bearer {token}\r\n" if token else ""
    first = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{key}Content-Type: {kind}\r\n"
    return f"{first}{size}\r\n\r\n".encode()


def closed(sockets: Sequence[socket.socket], within_s: float) -> int:
    """How many connections the service closes in a time, whatever it says before."""
    left = set(sockets)
    until = time.monotonic() + within_s
    while left and time.monotonic() < until:
        ready, _, _ = select.select(list(left)[:500], [], [], 0.2)
        for one in ready:
            try:
                if not one.recv(65536):
                    left.discard(one)
            except OSError:
                left.discard(one)
    return len(sockets) - len(left)


@contextlib.contextmanager
def many(target: Target, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as held:
        yield [held.enter_context(target.connect()) for _ in range(count)]


def first_answer_s(target: Target) -> float:
    started = time.monotonic()
    while target.search(text="red", k=5) != 200 and time.monotonic() - started < 120:
        time.sleep(0.1)
    return time.monotonic() - started


def told(got: Counter[int]) -> str:
    return ", ".join(f"{n} × {status or 'closed'}" for status, n in sorted(got.items()))
