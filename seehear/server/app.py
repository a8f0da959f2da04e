"""Make the application: the endpoints, the page and access control around one service."""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from seehear.config import Settings
from seehear.errors import SeehearError, UsageError
from seehear.limits import ServiceLimits
from seehear.server import (
    page_routes,
    routes_assets,
    routes_browse,
    routes_files,
    routes_index,
    routes_search,
    routes_service,
    routes_typical,
)
from seehear.server.metrics import MetricsMiddleware
from seehear.server.problems import ServiceError, as_json, problem_of
from seehear.server.security import SecurityMiddleware, check_token, is_loopback
from seehear.server.sessions import Sessions
from seehear.server.state import Service, ServiceOptions
from seehear.server.uploads import invalid

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_HTTP_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
    503: "busy",
}

_QUIET_S = 5.0
"""Without requests, until memory goes back to the system."""

_DESCRIPTION = """
Find any picture, sound, moment of a video or passage of text by a description, a photo, a sound
or a clip. Assets are named by number and folders by label: the service neither shows nor accepts
paths of its machine. If it was started with a token, send `Authorization: Bearer TOKEN`.
"""


def create_app(
    collection: Path | None = None,
    *,
    settings: Settings | None = None,
    token: str | None = None,
    roots: Sequence[Path] = (),
    limits: ServiceLimits | None = None,
    host: str = "127.0.0.1",
    names: Sequence[str] = (),
    workers: int = 1,
    reveal: bool = False,
) -> FastAPI:
    """Return the service over one collection, as an ASGI application.

    Args:
        collection: its folder; None takes the default collection.
        settings: of the collection; their model encodes a new collection.
        token: clients must send it; required unless `host` is a loopback address.
        roots: the only folders that clients may index.
        limits: limits of requests.
        host: the address to listen on.
        names: further host names that clients use.
        workers: processes that answer searches and share the collection in memory (Linux); with 1,
            and elsewhere, this process answers them.
        reveal: clients may see where files lie, and have them shown in a window of this machine;
            for a loopback address only.

    Raises UsageError for a missing or weak token, for a root that is not a folder and for `reveal`
    with an address that other machines reach. The service
    opens the collection and loads the model after it starts; /readyz says when it is ready.
    """
    from seehear import __version__

    check_token(host, token)
    if reveal and not is_loopback(host):
        raise UsageError(
            f"--reveal is for the person at this machine, and {host} can be reached from others"
        )
    service = Service(
        ServiceOptions(
            collection=collection,
            settings=settings or Settings(),
            roots=tuple(roots),
            limits=limits or ServiceLimits(),
            workers=workers,
        )
    )
    sessions = None
    if token is not None:
        sessions = Sessions(token, service.limits.session_s, _signed_out_file(service.folder))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        giving_back = asyncio.create_task(_give_memory_back(service))
        try:
            yield
        finally:
            giving_back.cancel()
            service.stop()

    app = FastAPI(
        title="seehear",
        version=__version__,
        description=_DESCRIPTION.strip(),
        lifespan=lifespan,
        docs_url=None,  # Swagger's page loads scripts of other hosts; the document is what counts
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.service = service
    routes_search.register(app, service)
    routes_assets.register(app, service)
    routes_typical.register(app, service)
    routes_browse.register(app, service)
    routes_files.register(app, service, reveal=reveal)
    routes_index.register(app, service)
    routes_service.register(app, service, sessions, reveal=reveal)
    if find_spec("mcp") is not None:
        app.router.routes.append(Route("/mcp", _Assistants(service), include_in_schema=False))
    page_routes.register(app)
    _answer_errors(app, service)
    app.add_middleware(
        SecurityMiddleware,
        sessions=sessions,
        hosts=_host_names(host, token, names),
        limits=service.limits,
    )
    app.add_middleware(MetricsMiddleware, metrics=service.metrics)
    return app


class _Assistants:
    """Answer /mcp; the protocol's library is loaded at the first request."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._endpoint: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._endpoint is None:
            from seehear.server.mcp import McpEndpoint

            self._endpoint = McpEndpoint(self._service)
        await self._endpoint(scope, receive, send)


async def _give_memory_back(service: Service) -> None:
    """Return what requests have freed to the system, when there has been no request for a while.

    glibc keeps it for each of the threads that have worked, and would keep a gigabyte.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another system, or another C library
        return
    served = trimmed = 0
    while True:
        await asyncio.sleep(_QUIET_S)
        before, served = served, sum(queue.served for queue in service.queues)
        if served == before != trimmed:
            await asyncio.to_thread(trim, 0)
            trimmed = served


def _signed_out_file(collection: Path) -> Path:
    """Return the file of sign-outs: in the user's state folder, as serving writes no collection."""
    import platformdirs

    name = hashlib.blake2b(str(collection.absolute()).encode(), digest_size=8).hexdigest()
    folder = Path(platformdirs.user_state_dir("seehear", appauthor=False))
    return folder / f"signed-out-{name}.json"


def _host_names(host: str, token: str | None, names: Sequence[str]) -> set[str] | None:
    """Return the Host headers to answer; None, for all, if there is a token and no name."""
    if token is not None and not names:
        return None
    # Loopback's own names are always known (health checks beside the service use them): a name
    # that an attacker has rebound is never one of them.
    return {host.strip("[]"), *names, "localhost", "127.0.0.1", "::1"}


def _answer_errors(app: FastAPI, service: Service) -> None:
    @app.exception_handler(ServiceError)
    async def refused(_: Request, error: ServiceError) -> JSONResponse:
        return _as_response(error)

    @app.exception_handler(SeehearError)
    async def failed(_: Request, error: SeehearError) -> JSONResponse:
        return _as_response(problem_of(error, service.private))

    @app.exception_handler(RequestValidationError)
    async def misshapen(_: Request, error: RequestValidationError) -> JSONResponse:
        return _as_response(invalid(error.errors()))

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        code = _HTTP_CODES.get(error.status_code, "http_error")
        message = str(error.detail).splitlines()[0] if error.detail else code
        answer = _as_response(ServiceError(error.status_code, code, message))
        answer.headers.update(error.headers or {})
        return answer


def _as_response(problem: ServiceError) -> JSONResponse:
    headers = {}
    if problem.retry_after_s is not None:
        headers["retry-after"] = str(problem.retry_after_s)
    return JSONResponse(as_json(problem), problem.status, headers)
