"""The application: endpoints, page and guard put together around one service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from seehear.config import Settings
from seehear.errors import SeehearError
from seehear.limits import ServiceLimits
from seehear.server import (
    page_routes,
    routes_assets,
    routes_index,
    routes_search,
    routes_service,
)
from seehear.server.metrics import MetricsMiddleware
from seehear.server.problems import ServiceError, as_json, problem_of
from seehear.server.security import SecurityMiddleware, Sessions, check_token
from seehear.server.state import Service, ServiceOptions
from seehear.server.uploads import invalid

_HTTP_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
    503: "busy",
}

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

    Raises UsageError for a missing or weak token and for a root that is not a folder. The service
    opens the collection and loads the model after it starts; /readyz says when it is ready.
    """
    from seehear import __version__

    check_token(host, token)
    service = Service(
        ServiceOptions(
            collection=collection,
            settings=settings or Settings(),
            roots=tuple(roots),
            limits=limits or ServiceLimits(),
        )
    )
    sessions = Sessions(token, service.limits.session_s) if token is not None else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
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
    routes_index.register(app, service)
    routes_service.register(app, service, sessions)
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


def _host_names(host: str, token: str | None, names: Sequence[str]) -> set[str] | None:
    """The Host headers that are answered; None where a token guards and no names were given."""
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
