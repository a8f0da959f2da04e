"""Connections and bodies of clients that stall, trickle, flood or do not read."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from seehear.limits import ServiceLimits
from seehear.server.security import OPEN_BODY_BYTES, SecurityMiddleware
from seehear.server.sessions import AccessTokens, Sessions
from tests.server.conftest import PATIENCE_S, Running, until

TOKEN = "a token of many characters"
SHORT = ServiceLimits(header_s=0.6, stall_s=0.6, body_s=3.0, reading_s=0.6, connections=4)
# Long enough that a busy machine is not taken for a client that stalls.
PATIENT = replace(SHORT, header_s=2.0, stall_s=2.0, body_s=20.0)
PAUSE_S = 0.8
FORM = "multipart/form-data; boundary=x"
LARGE = 32 << 20
read_bytes: list[int] = []


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Read the whole body, and answer with its length; /large answers with 32 MiB."""
    if scope["type"] != "http":
        return
    size = 0
    read_bytes.clear()
    try:
        while True:
            message = await receive()
            size += len(message.get("body", b""))
            read_bytes.append(size)
            if not message.get("more_body", False):
                break
    except HTTPException as error:
        answer = JSONResponse({}, error.status_code, dict(error.headers or {}))
    else:
        answer = JSONResponse({"size": size, "more": "x" * (LARGE * (scope["path"] == "/large"))})
    await answer(scope, receive, send)


@contextmanager
def served(limits: ServiceLimits, token: str | None = None) -> Iterator[Running]:
    tokens = AccessTokens({None: Sessions(token, 60.0)}) if token else None
    guarded = SecurityMiddleware(application, tokens=tokens, hosts=None, limits=limits)
    with Running(guarded, limits, path="/healthz") as server:
        yield server


def connected(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)


def head(path: str = "/v1/search", *, length: int | None = None, kind: str = FORM) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    first = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    return f"{first}{size}\r\n\r\n".encode()


def answer_of(client: socket.socket) -> bytes:
    """A whole answer, whose length its headers tell."""
    return bytes(begun(client, 1.0))


def begun(client: socket.socket, share: float, answer: bytearray | None = None) -> bytearray:
    """A share of an answer, or more; `answer` is what was read of it before."""
    answer = bytearray() if answer is None else answer
    while (end := answer.find(b"\r\n\r\n")) < 0:
        answer += (part := client.recv(65536))
        assert part, answer
    told = bytes(answer[:end]).lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    while len(answer) < end + 4 + share * int(told):
        answer += (part := client.recv(65536))
        assert part, len(answer)
    return answer


def status(client: socket.socket) -> int:
    return int(answer_of(client).split(b" ", 2)[1])


def closed_after_s(client: socket.socket, trickle: bytes = b"") -> float:
    """How long the server keeps a connection on which one byte comes each tenth of a second."""
    started = time.monotonic()
    client.settimeout(0.1)
    while time.monotonic() - started < PATIENCE_S:
        try:
            if trickle:
                client.sendall(trickle)
            if not client.recv(65536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - started


@pytest.mark.parametrize(
    ("sent", "trickle"),
    [
        (b"", b""),
        (b"", b"G"),
        (b"GET / HTTP/1.1\r\n", b""),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"x"),
        (head("/v1/session", length=100), b"x"),
        (head(length=1000), b""),
        (head(), b""),
        (head(kind="application/json"), b""),
        (head("/v1/status", length=10**10, kind="text/plain"), b"x"),
    ],
    ids=[
        "idle", "line", "half a head", "header", "sign-in", "upload", "chunks", "json", "refused",
    ],
)  # fmt: skip
def test_what_stalls_is_closed(sent: bytes, trickle: bytes) -> None:
    with served(SHORT) as server, closing(connected(server)) as client:
        client.sendall(sent)
        assert closed_after_s(client, trickle) < 10 * SHORT.header_s


def test_a_connection_that_is_kept_has_a_deadline_for_each_request() -> None:
    with served(PATIENT) as server, closing(connected(server)) as client:
        for _ in range(3):  # longer than the deadline, all together
            time.sleep(PAUSE_S)
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert status(client) == 200
        assert closed_after_s(client, b"G") < 10 * PATIENT.header_s


def test_a_body_that_trickles_has_an_end() -> None:
    limits = replace(SHORT, body_s=1.0)
    with served(limits) as server, closing(connected(server)) as client:
        client.sendall(head(length=1 << 20))
        assert 0.9 < closed_after_s(client, b"x") < 10


def test_a_slow_body_that_goes_on_is_received() -> None:
    with served(PATIENT) as server, closing(connected(server)) as client:
        client.sendall(head(length=4))
        for _ in range(4):
            time.sleep(PAUSE_S)
            client.sendall(b"x")
        assert status(client) == 200


def test_who_does_not_read_is_closed() -> None:
    with served(SHORT) as server, closing(connected(server)) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: bool(server.connections))
        until(lambda: not server.connections)
        size = 0
        with pytest.raises(ConnectionError):
            while part := client.recv(1 << 20):
                size += len(part)
            raise ConnectionError
        assert 0 < size < LARGE


@pytest.mark.parametrize("share", [0.0, 0.5, 0.995])
def test_who_reads_slowly_gets_all_of_it(share: float) -> None:
    limits = replace(SHORT, reading_s=PATIENCE_S)
    with served(limits) as server, closing(connected(server)) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = begun(client, share)
        time.sleep(3 * limits.header_s)  # the end of the answer waits in the kernel
        assert len(begun(client, 1.0, answer)) > LARGE


def test_a_full_house_makes_room_for_who_asks() -> None:
    limits = replace(SHORT, header_s=PATIENCE_S)
    with served(limits) as server, ExitStack() as held:
        idle = [held.enter_context(connected(server)) for _ in range(3 * limits.connections)]
        until(lambda: len(server.connections) == limits.connections)
        with closing(connected(server)) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert status(client) == 200
            assert idle[0].recv(1) == b""  # the oldest had to go, and the newest are still there
            assert len(server.connections) == limits.connections


def test_a_house_full_of_work_says_so() -> None:
    limits = replace(SHORT, stall_s=PATIENCE_S, body_s=PATIENCE_S)
    with served(limits) as server, ExitStack() as held:
        working = [held.enter_context(connected(server)) for _ in range(limits.connections)]
        for one in working:
            one.sendall(head(length=100))
        until(lambda: sum(not one.idle for one in server.connections) == limits.connections)
        with closing(connected(server)) as client:
            answer = answer_of(client)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 1" in answer
        for one in working:
            one.sendall(b"x" * 100)
            assert status(one) == 200


@pytest.mark.parametrize("kind", [FORM, "application/json", "MULTIPART/FORM-DATA; x"])
@pytest.mark.parametrize("path", ["/v1/session", "/", "/healthz", "/page/page.js"])
def test_without_a_token_no_more_than_a_few_kib_are_read(path: str, kind: str) -> None:
    with served(ServiceLimits(), TOKEN) as server:
        with closing(connected(server)) as told, closing(connected(server)) as chunked:
            told.sendall(head(path, length=62 << 20, kind=kind))
            assert status(told) == 413
            chunked.sendall(head(path, kind=kind) + b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
            assert status(chunked) == 413
            assert not read_bytes or max(read_bytes) <= OPEN_BODY_BYTES
        with closing(connected(server)) as stranger:
            stranger.sendall(head(kind=kind, length=62 << 20))
            assert status(stranger) == 401


def test_all_bodies_together_have_a_bound() -> None:
    limits = ServiceLimits(all_bodies_bytes=100_000)
    with served(limits) as server, closing(connected(server)) as stalled:
        stalled.sendall(head(length=90_000) + b"x" * 89_000)
        until(lambda: bool(read_bytes) and read_bytes[-1] == 89_000)
        with closing(connected(server)) as late:
            late.sendall(head(length=20_000) + b"x" * 20_000)
            answer = answer_of(late)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1" in answer
        stalled.close()
        until(lambda: not server.connections)
        for _ in range(3):  # what was taken is given back
            with closing(connected(server)) as client:
                client.sendall(head(length=90_000) + b"x" * 90_000)
                assert status(client) == 200


def test_only_paths_that_take_files_take_large_bodies() -> None:
    limits = ServiceLimits()
    with served(limits) as server:
        for path, most in (("/v1/search", limits.upload_bytes), ("/v1/index", limits.body_bytes)):
            with closing(connected(server)) as client:
                client.sendall(head(path, length=most + 1))
                assert status(client) == 413
