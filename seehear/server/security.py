"""Control who may ask, from where, and what browsers may do with the answers.

Without a token the service listens on loopback only. Two attacks reach loopback all the same,
both through the user's own browser, and both are refused here: a page of another origin that
posts to 127.0.0.1 (`Origin`, `Sec-Fetch-Site`), and a name that is rebound to 127.0.0.1 (`Host`).

With a token every request needs it, except for the health checks, the page's own files (which
hold nothing private) and signing in. Programs send `Authorization: Bearer TOKEN`; the page trades
the token for a cookie, since pictures and players cannot send headers. A token of one folder may
ask what `_READ` and `_ASKED` name, and sees that folder alone (`visible_folder`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from seehear.errors import SeehearError, UsageError
from seehear.server.mount_path import mount_path, mount_path_of, path_below
from seehear.server.problems import ServiceError, as_json, problem_of
from seehear.server.sessions import COOKIE, AccessTokens, Grant, visible_folder

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from seehear.limits import ServiceLimits

log = logging.getLogger("seehear.server")

MIN_TOKEN = 16
"""Characters of a token: guessing 64 random bits over a network is hopeless."""

_OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/favicon.ico", "/v1/session"})
_PAGE_PREFIXES = ("/page/", "/moment/")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FILE_PATHS = frozenset({"/v1/search", "/v1/embed"})
"""The only paths that take files."""
_READ = frozenset(
    f"/v1/{name}"
    for name in (
        *("search", "assets", "items", "browse", "browse/items", "unusual", "typical"),
        *("download", "suggestions", "status", "folders", "models", "interpret", "collections"),
    )
) | {"/openapi.json"}
_ASKED = frozenset({"/v1/search", "/v1/embed", "/v1/embeddings", "/mcp"})
"""What a token of one folder may ask, besides single assets and items."""
OPEN_BODY_BYTES = 4 << 10
"""Body of a request that needs no token: one that signs in."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""For everything but the page: a file that a browser is talked into showing can do nothing."""

_CLOSE = {"connection": "close"}
_COME_BACK = {"retry-after": "1"}

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"permissions-policy", b"microphone=(self), camera=(), geolocation=()"),
)


def is_loopback(host: str) -> bool:
    """Return whether an address can only be reached from this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_token(host: str, token: str | None) -> None:
    """Raise UsageError for an address that needs a token, and for a token that is too short."""
    if token is None:
        if not is_loopback(host):
            raise UsageError(
                f"{host} can be reached from other machines, so a token is needed: "
                "set SEEHEAR_TOKEN or give --token-file"
            )
    elif len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable():
        raise UsageError(f"the token must have at least {MIN_TOKEN} printable ASCII characters")


def check_tokens(host: str, token: str | None, of_folders: Collection[str]) -> None:
    """Raise UsageError as `check_token`, for folders' tokens without one that sees all, and for one
    that is given twice."""
    check_token(host, token)
    if of_folders and token is None:
        raise UsageError("tokens of folders need a token that sees all beside them (SEEHEAR_TOKEN)")
    for one in of_folders:
        check_token(host, one)
    if len({token, *of_folders}) < 1 + len(of_folders):
        raise UsageError("each folder needs a token of its own: two are the same")


@dataclass(slots=True)
class ReceivedBytes:
    """Count the bytes of the bodies of all requests under way, of all collections together."""

    count: int = 0


class SecurityMiddleware:
    """Let a request in or refuse it, bound its body, and add headers to every answer."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        tokens: AccessTokens | None,
        hosts: Iterable[str] | None,
        limits: ServiceLimits,
        received: ReceivedBytes | None = None,
    ) -> None:
        self._app = app
        self._limits = limits
        self._tokens = tokens
        self._hosts = None if hosts is None else {host.lower() for host in hosts}
        self._received = received or ReceivedBytes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return  # the service has no WebSockets; closing without an answer refuses the upgrade
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = path_below(scope)
        policy = PAGE_POLICY if _is_page(path) else DATA_POLICY

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                names = {name.lower() for name, _ in headers}
                headers += [pair for pair in _HEADERS if pair[0] not in names]
                if b"content-security-policy" not in names:
                    headers.append((b"content-security-policy", policy.encode()))
                if b"cache-control" not in names:
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": headers}
            await send(message)

        try:
            headers, grant = await self._checked(scope)
            body = _Body(receive, headers, self._limits, self._most_bytes(path))
        except ServiceError as refusal:
            await _answer(refusal, with_headers)
            return

        async def counted() -> Message:
            message = await body.receive()
            self._received.count += len(message.get("body", b""))
            if self._received.count > self._limits.all_bodies_bytes:
                raise HTTPException(503, "too many uploads at once; try again", _COME_BACK)
            return message

        seen, mounted = visible_folder.set(grant.folder), mount_path.set(mount_path_of(scope))
        try:
            await self._run(scope, counted, with_headers)
        finally:
            visible_folder.reset(seen)
            mount_path.reset(mounted)
            self._received.count -= body.size

    def _most_bytes(self, path: str) -> int:
        """Return the size that the body of a request may have."""
        if _is_open(path):
            return min(OPEN_BODY_BYTES, self._limits.body_bytes)
        return self._limits.upload_bytes if path in _FILE_PATHS else self._limits.body_bytes

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; log an unexpected error, and tell the client nothing of it."""
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            log.exception("%s failed", scope["path"])
            if not started:
                await _answer(
                    ServiceError(500, "internal", "the service failed; see its log"), send
                )

    async def _checked(self, scope: Scope) -> tuple[dict[str, str], Grant]:
        """Return what `_check` returns, without keeping other requests waiting for a database."""
        if self._tokens is None or not self._tokens.asks_database or _is_open(path_below(scope)):
            return self._check(scope)
        try:
            return await run_in_threadpool(self._check, scope)
        except SeehearError as error:
            raise problem_of(error) from None

    def _check(self, scope: Scope) -> tuple[dict[str, str], Grant]:
        """Return the headers of a request that may pass, and what it may see.

        Raises ServiceError for any other.
        """
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        host = headers.get("host", "")
        if self._hosts is not None and _hostname(host) not in self._hosts:
            raise ServiceError(
                421, "wrong_host", "unknown host name; add it with `seehear serve --name`"
            )
        self._check_origin(scope, headers, host)
        path = path_below(scope)
        if self._tokens is None or _is_open(path):
            return headers, Grant(None)
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        grant = None
        if scheme.lower() == "bearer":
            grant = self._tokens.grant_of_token(credential.strip())
        if grant is None:
            grant = self._tokens.grant_of_cookie(cookie_of(headers.get("cookie", "")))
        if grant is None:
            raise ServiceError(401, "unauthorised", "send the token: Authorization: Bearer TOKEN")
        if grant.folder is not None and not _may_read(scope["method"], path):
            raise ServiceError(
                403,
                "not_allowed",
                "this token sees one folder: it searches and shows, no more",
            )
        return headers, grant

    @staticmethod
    def _check_origin(scope: Scope, headers: dict[str, str], host: str) -> None:
        """Refuse what a page of another origin sends through the user's browser."""
        foreign = headers.get("sec-fetch-site") in {"cross-site", "same-site"}
        navigates = headers.get("sec-fetch-mode") == "navigate" and scope["method"] == "GET"
        origin = headers.get("origin")
        if origin is not None and scope["method"] not in _SAFE_METHODS:
            foreign = foreign or origin.partition("://")[2].lower() != host.lower()
        if foreign and not navigates:
            raise ServiceError(403, "foreign_origin", "requests from other sites are refused")


class _Body:
    """Receive the body of one request within bounds of size and time."""

    def __init__(
        self, receive: Receive, headers: Mapping[str, str], limits: ServiceLimits, most: int
    ) -> None:
        """Raise ServiceError 413 for a body that says that it is too large."""
        form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        self._most = most if form else min(most, limits.body_bytes)
        self._receive = receive
        self._stall_s = limits.stall_s
        self._left_s = limits.body_s
        self._complete = False
        self.size = 0
        told = headers.get("content-length", "")
        if told.isdigit() and int(told) > self._most:
            raise ServiceError(413, "too_large", self._too_large())

    async def receive(self) -> Message:
        """Return the next message, as ASGI's `receive`. Raises HTTPException 408, 413."""
        if self._complete:  # what is awaited now is the end of the connection
            return await self._receive()
        started = time.monotonic()
        try:
            async with asyncio.timeout(min(self._stall_s, self._left_s)):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "the request did not arrive in time", _CLOSE) from None
        self._left_s = max(0.0, self._left_s - (time.monotonic() - started))
        self._complete = not message.get("more_body", False)
        size = self.size + len(message.get("body", b""))
        if size > self._most:  # a body without a length, or with a false one
            raise HTTPException(413, self._too_large(), _CLOSE)
        self.size = size
        return message

    def _too_large(self) -> str:
        return f"the request has more than {self._most:,} bytes"


def _may_read(method: str, path: str) -> bool:
    """Return whether a token of one folder may ask this: what is not named here is refused."""
    if method == "POST":
        return path in _ASKED
    is_single = path.startswith(("/v1/assets/", "/v1/items/"))
    return method in {"GET", "HEAD"} and (path in _READ or is_single)


def _is_open(path: str) -> bool:
    """Return whether a path needs no token."""
    return path in _OPEN_PATHS or _is_page(path)


def _is_page(path: str) -> bool:
    """Return whether the page or a file of it is at a path."""
    return path == "/" or path.startswith(_PAGE_PREFIXES)


def _hostname(host: str) -> str:
    """Return the Host header without port and brackets, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def cookie_of(header: str) -> str:
    """Return the page's cookie in a Cookie header, "" where it has none."""
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


async def _answer(refusal: ServiceError, send: Send) -> None:
    body = json.dumps(as_json(refusal)).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
