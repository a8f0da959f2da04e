"""Test access control: tokens, hosts, origins, cookies."""

from __future__ import annotations

import asyncio
import hmac
import json
import stat
import time
from hmac import compare_digest
from pathlib import Path
from typing import Any

import pytest

from seehear.errors import UsageError
from seehear.limits import ServiceLimits
from seehear.server import sessions as sessions_module
from seehear.server.security import SecurityMiddleware, check_token, is_loopback
from seehear.server.sessions import COOKIE, AccessTokens, Sessions

TOKEN = "correct horse battery staple"
LOCAL = {"localhost", "127.0.0.1", "::1"}


def ask(
    headers: dict[str, str],
    path: str = "/v1/status",
    *,
    method: str = "GET",
    token: str | None = None,
    hosts: set[str] | None = None,
    fails: bool = False,
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """One request through a Guard around an application that says yes to everything."""
    sent: list[dict[str, Any]] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        if fails:
            raise RuntimeError("/home/ann/secret: a bug")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    tokens = AccessTokens({None: Sessions(token, 60.0)}) if token else None
    guard = SecurityMiddleware(inner, tokens=tokens, hosts=hosts, limits=ServiceLimits())
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()],
    }
    asyncio.run(guard(scope, receive, send))
    head = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], head, json.loads(sent[1]["body"])


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_loopback_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    check_token(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_any_other_address_needs_a_token(host: str) -> None:
    with pytest.raises(UsageError, match="token is needed"):
        check_token(host, None)
    check_token(host, TOKEN)


@pytest.mark.parametrize("token", ["", "short", "x" * 15, "ünïcödé" * 4, "with\nnewline and more"])
def test_a_weak_token_is_refused(token: str) -> None:
    with pytest.raises(UsageError, match="at least 16"):
        check_token("127.0.0.1", token)


def test_the_bearer_token_lets_in_and_nothing_else_does() -> None:
    assert ask({"authorization": f"Bearer {TOKEN}"}, token=TOKEN)[0] == 200
    assert ask({"authorization": f"bearer {TOKEN}"}, token=TOKEN)[0] == 200
    for wrong in ("", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \xff"):
        status, headers, body = ask({"authorization": wrong}, token=TOKEN)
        assert status == 401
        assert headers["www-authenticate"] == "Bearer"
        assert body["error"]["code"] == "unauthorised"


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return compare_digest(a, b)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    sessions = Sessions(TOKEN, 60.0)
    for given in (TOKEN, "c", TOKEN[:-1] + "!", "x" * 1000):
        sessions.knows(given)
        sessions.accepts(given)
    assert len(compared) == 8
    assert {len(side) for pair in compared for side in pair} == {32}  # digests, whatever was sent


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/healthz", "/readyz", "/v1/session"])
def test_what_holds_nothing_private_is_open(path: str) -> None:
    assert ask({}, path, token=TOKEN)[0] == 200


@pytest.mark.parametrize("path", ["/metrics", "/v1/search", "/openapi.json", "/page", "//page/x"])
def test_everything_else_is_not(path: str) -> None:
    assert ask({}, path, token=TOKEN)[0] == 401


def test_a_cookie_stands_for_the_token_until_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(TOKEN, 60.0)
    cookie = sessions.issue()
    assert TOKEN not in cookie
    assert ask({"cookie": f"other=1; {COOKIE}={cookie}"}, token=TOKEN)[0] == 200
    assert not Sessions("another token altogether", 60.0).accepts(cookie)
    id_, issued, signature = cookie.split(".")
    later = f"{int(issued) + 9000}"
    for forged in (
        f"{id_}.{later}.{signature}",
        f"{'0' * 32}.{issued}.{signature}",
        f"{id_}.{issued}.{signature[:-1]}",
        f"{id_}.{issued}.",
        f".{issued}.{signature}",
        f"{issued}.{signature}",
        signature,
        *("", ".", "..", "a.b", "a.b.c", "\u2028.1.é"),
    ):
        assert not sessions.accepts(forged)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert not sessions.accepts(cookie)


def test_who_signed_out_stays_out_and_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "state" / "signed-out.json"
    sessions = Sessions(TOKEN, 60.0, file)
    mine, other = sessions.issue(), sessions.issue()
    sessions.end(mine)
    for one in (sessions, Sessions(TOKEN, 60.0, file)):  # after a restart as before
        assert not one.accepts(mine)
        assert one.accepts(other)
        assert one.accepts(one.issue())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert mine not in file.read_text()


def test_strangers_sign_nobody_out(tmp_path: Path) -> None:
    file = tmp_path / "signed-out.json"
    sessions = Sessions(TOKEN, 60.0, file)
    mine = sessions.issue()
    for forged in ("", "a.b", mine[:-1], f"{mine}0", Sessions("another " * 3, 60.0).issue()):
        sessions.end(forged)
    assert sessions.accepts(mine)
    assert not file.exists()


def test_sign_outs_are_forgotten_when_they_no_longer_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "signed-out.json"
    sessions = Sessions(TOKEN, 60.0, file)
    sessions.end(sessions.issue())
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    sessions.end(sessions.issue())
    assert len(json.loads(file.read_text())["ended"]) == 1


def test_too_many_sign_outs_end_every_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "MOST_SIGNED_OUT", 3)
    file = tmp_path / "signed-out.json"
    sessions = Sessions(TOKEN, 60.0, file)
    cookies = [sessions.issue() for _ in range(5)]
    for cookie in cookies[:4]:
        sessions.end(cookie)
    for one in (sessions, Sessions(TOKEN, 60.0, file)):
        assert not any(map(one.accepts, cookies))
        assert one.accepts(one.issue())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"ended": []}', b'{"ended": {"a": null}}'])
def test_what_is_kept_of_sign_outs_may_be_damaged(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "signed-out.json"
    cookie = Sessions(TOKEN, 60.0).issue()
    file.write_bytes(content)
    sessions = Sessions(TOKEN, 60.0, file)
    assert not sessions.accepts(cookie)  # it might have been signed out
    assert sessions.accepts(sessions.issue())


def test_sign_outs_hold_where_they_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sessions = Sessions(TOKEN, 60.0, tmp_path / "file" / "signed-out.json")
    cookie = sessions.issue()
    sessions.end(cookie)
    assert not sessions.accepts(cookie)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "LOCALHOST"])
def test_known_hosts_are_answered(host: str) -> None:
    assert ask({"host": host}, hosts=LOCAL)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "evil:127.0.0.1"])
def test_a_rebound_name_is_not(host: str) -> None:
    assert ask({"host": host}, hosts=LOCAL)[0] == 421


def test_posts_of_other_origins_are_refused() -> None:
    host = {"host": "127.0.0.1:8000"}
    for origin in ("https://evil.example", "http://127.0.0.1:9000", "null"):
        assert ask({**host, "origin": origin}, method="POST", hosts=LOCAL)[0] == 403
    own = {**host, "origin": "http://127.0.0.1:8000"}
    assert ask(own, method="POST", hosts=LOCAL)[0] == 200
    assert ask(host, method="POST", hosts=LOCAL)[0] == 200  # programs send no Origin


def test_reads_from_other_sites_are_refused_but_links_to_the_page_work() -> None:
    foreign = {"sec-fetch-site": "cross-site"}
    assert ask({**foreign, "sec-fetch-mode": "no-cors"})[0] == 403
    assert ask({**foreign, "sec-fetch-mode": "navigate"}, "/")[0] == 200
    assert ask({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"})[0] == 200


def test_every_answer_carries_the_headers() -> None:
    for answer in (ask({}), ask({}, "/"), ask({}, token=TOKEN), ask({}, hosts=LOCAL)):
        headers = answer[1]
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
    assert "sandbox" in ask({})[1]["content-security-policy"]
    assert "script-src 'self'" in ask({}, "/")[1]["content-security-policy"]


def test_a_bug_is_told_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    status, headers, body = ask({}, fails=True)
    assert status == 500
    assert "nosniff" in headers["x-content-type-options"]
    assert "secret" not in json.dumps(body)
    assert "secret" in caplog.text
