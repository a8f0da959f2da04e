"""Make the application: the endpoints, the page and access control around one service."""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match, Route

from seehear.config import Settings
from seehear.errors import SeehearError, UsageError
from seehear.limits import ServiceLimits
from seehear.server import (
    mounted_collections,
    page_routes,
    routes_assets,
    routes_browse,
    routes_explain,
    routes_files,
    routes_index,
    routes_items,
    routes_search,
    routes_service,
    routes_typical,
)
from seehear.server.metrics import MetricsMiddleware, RequestMetrics
from seehear.server.mounted_collections import MountMiddleware
from seehear.server.parameters import CheckedRoute
from seehear.server.problems import ServiceError, as_json, problem_of
from seehear.server.security import SecurityMiddleware, check_tokens, is_loopback
from seehear.server.sessions import AccessTokens, Sessions
from seehear.server.state import Resources, Service, ServiceOptions, stop_all
from seehear.server.uploads import invalid
from seehear.sources import path_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from seehear.stores.catalog.sign_outs import SignOuts

_HTTP_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
    422: "invalid",
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
    collection: Path | Mapping[str, Path] | None = None,
    *,
    settings: Settings | None = None,
    token: str | None = None,
    folder_tokens: Mapping[Path, str] | None = None,
    roots: Sequence[Path] | Mapping[str, Sequence[Path]] = (),
    limits: ServiceLimits | None = None,
    host: str = "127.0.0.1",
    names: Sequence[str] = (),
    workers: int = 1,
    reveal: bool = False,
) -> FastAPI:
    """Return the service over one collection or several, as an ASGI application.

    Args:
        collection: its folder; None takes the default collection. Several are given by name, and
            each is served below /NAME/, as one is at /; they share threads, decoders and models.
        settings: of the collection; their model encodes a new collection.
        token: clients must send it; required unless `host` is a loopback address.
        folder_tokens: by folder, a token that sees this folder alone, and changes nothing.
        roots: the only folders that clients may index; of several collections, by name.
        limits: limits of requests.
        host: the address to listen on.
        names: further host names that clients use.
        workers: processes that answer searches and share the collection in memory (Linux); with 1,
            and elsewhere, this process answers them, as it does those of collections with names.
        reveal: clients may see where files lie, and have them shown in a window of this machine;
            for a loopback address only.

    Raises UsageError for a missing or weak token, for a root that is not a folder, for `reveal`
    with an address that other machines reach, and for collections that cannot be served together.
    The service opens the collection and loads the model after it starts; /readyz says when it is
    ready. Of several collections, one that cannot be opened answers 503; the others answer.
    """
    check_tokens(host, token, (folder_tokens or {}).values())
    if reveal and not is_loopback(host):
        raise UsageError(
            f"--reveal is for the person at this machine, and {host} can be reached from others"
        )
    settings, limits = settings or Settings(), limits or ServiceLimits()
    folders: dict[str, Path | None]
    if isinstance(collection, Mapping):
        mounted_collections.check_collections(collection, settings, workers)
        folders = {name: folder.expanduser() for name, folder in collection.items()}
    else:
        folders = {"": collection}
    roots_of = _roots_by_name(folders, roots)
    resources = Resources(limits, settings.device)
    services = [
        Service(
            ServiceOptions(
                collection=folder,
                name=name,
                settings=settings,
                roots=tuple(roots_of.get(name, ())),
                limits=limits,
                workers=workers,
            ),
            resources,
        )
        for name, folder in folders.items()
    ]
    tokens = _access_tokens(
        [one.folder for one in services], token, folder_tokens, settings, limits
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for service in services:
            service.start()
        giving_back = asyncio.create_task(_give_memory_back(resources))
        try:
            yield
        finally:
            giving_back.cancel()
            stop_all(services, resources)

    def guarded(app: FastAPI, metrics: RequestMetrics) -> FastAPI:
        app.add_middleware(
            SecurityMiddleware,
            tokens=tokens,
            hosts=_host_names(host, token, names),
            limits=limits,
            received=resources.received,
        )
        app.add_middleware(MetricsMiddleware, metrics=metrics)
        app.state.services = services
        return app

    apps = {}
    for service in services:
        app = _application(None if service.name else lifespan)
        app.state.service = service
        _add_routes(app, service, tokens, reveal=reveal)
        apps[service.name] = guarded(app, service.metrics)
    if "" in apps:
        return apps[""]
    top, metrics = _application(lifespan), RequestMetrics()
    routes_service.register_sessions(top, tokens, limits.session_s)
    mounted_collections.register(top, services, resources, metrics)
    _answer_errors(top, [text for service in services for text in service.private])
    mounted_collections.check_not_reserved(apps, [top, *apps.values()])
    guarded(top, metrics).add_middleware(MountMiddleware, mounted=apps)
    return top


def _application(lifespan: Callable[[FastAPI], Any] | None) -> FastAPI:
    from seehear import __version__

    app = FastAPI(
        title="seehear",
        version=__version__,
        description=_DESCRIPTION.strip(),
        lifespan=lifespan,
        docs_url=None,  # Swagger's page loads scripts of other hosts; the document is what counts
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.router.route_class = CheckedRoute
    return app


def _add_routes(
    app: FastAPI, service: Service, tokens: AccessTokens | None, *, reveal: bool
) -> None:
    """Add everything that is answered of one collection."""
    routes_search.register(app, service)
    routes_assets.register(app, service)
    routes_explain.register(app, service)
    routes_typical.register(app, service)
    routes_browse.register(app, service)
    routes_files.register(app, service, reveal=reveal)
    routes_items.register(app, service)
    routes_index.register(app, service)
    routes_service.register(app, service, reveal=reveal)
    routes_service.register_sessions(app, tokens, service.limits.session_s)
    if find_spec("mcp") is not None:
        app.router.routes.append(Route("/mcp", _Assistants(service), include_in_schema=False))
    page_routes.register(app)
    _answer_errors(app, service.private)


def _roots_by_name(
    folders: Mapping[str, Path | None], roots: Sequence[Path] | Mapping[str, Sequence[Path]]
) -> Mapping[str, Sequence[Path]]:
    """Return the roots of each collection. Raises UsageError for those of none or of any."""
    if not isinstance(roots, Mapping):
        if roots and "" not in folders:
            example = f"{next(iter(folders))}={roots[0]}"
            raise UsageError(f"say which collection may index {roots[0]}, such as {example}")
        return {"": roots}
    for name in roots:
        if name not in folders:
            raise UsageError(
                f"no collection is named {name!r}; their names are"
                f" {', '.join(filter(None, folders)) or 'not given'}"
            )
    return roots


def _access_tokens(
    collections: Sequence[Path],
    token: str | None,
    folder_tokens: Mapping[Path, str] | None,
    settings: Settings,
    limits: ServiceLimits,
) -> AccessTokens | None:
    if token is None:
        return None
    lasts_s = limits.session_s
    of_all = "\0".join(sorted(str(one.absolute()) for one in collections))
    sessions: dict[Path | None, Sessions] = {
        None: Sessions(token, lasts_s, _signed_out_file(of_all))
    }
    for folder, own in (folder_tokens or {}).items():
        seen = path_of(folder).expanduser().absolute()
        sessions[seen] = Sessions(own, lasts_s, _signed_out_file(f"{of_all}{seen}"))
    return AccessTokens(sessions, _shared_sign_outs(settings))


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


async def _give_memory_back(resources: Resources) -> None:
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
        before, served = served, sum(queue.served for queue in resources.queues)
        if served == before != trimmed:
            await asyncio.to_thread(trim, 0)
            trimmed = served


def _shared_sign_outs(settings: Settings) -> SignOuts | None:
    """Return the sign-outs of all services of a database; None for a collection in a folder."""
    if settings.database is None:
        return None
    from seehear.stores.catalog.sign_outs import SignOuts

    return SignOuts(settings.database)


def _signed_out_file(of: str) -> Path:
    """Return the file of sign-outs: in the user's state folder, as serving writes no collection."""
    import platformdirs

    name = hashlib.blake2b(of.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    folder = Path(platformdirs.user_state_dir("seehear", appauthor=False))
    return folder / f"signed-out-{name}.json"


def _host_names(host: str, token: str | None, names: Sequence[str]) -> set[str] | None:
    """Return the Host headers to answer; None, for all, if there is a token and no name."""
    if token is not None and not names:
        return None
    # Loopback's own names are always known (health checks beside the service use them): a name
    # that an attacker has rebound is never one of them.
    return {host.strip("[]"), *names, "localhost", "127.0.0.1", "::1"}


def _answer_errors(app: FastAPI, private: Sequence[str]) -> None:
    @app.exception_handler(ServiceError)
    async def refused(_: Request, error: ServiceError) -> JSONResponse:
        return _as_response(error)

    @app.exception_handler(SeehearError)
    async def failed(_: Request, error: SeehearError) -> JSONResponse:
        return _as_response(problem_of(error, private))

    @app.exception_handler(RequestValidationError)
    async def misshapen(_: Request, error: RequestValidationError) -> JSONResponse:
        return _as_response(invalid(error.errors()))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = _HTTP_CODES.get(error.status_code, "http_error")
        message = str(error.detail).splitlines()[0] if error.detail else code
        answer = _as_response(ServiceError(error.status_code, code, message))
        answer.headers.update(error.headers or {})
        if error.status_code == 405:  # what raised it knows one of the routes alone
            there = [one for one in app.routes if one.matches(request.scope)[0] is not Match.NONE]
            methods = {method for one in there for method in getattr(one, "methods", None) or ()}
            answer.headers["allow"] = ", ".join(sorted(methods))
        return answer


def _as_response(problem: ServiceError) -> JSONResponse:
    headers = {}
    if problem.retry_after_s is not None:
        headers["retry-after"] = str(problem.retry_after_s)
    return JSONResponse(as_json(problem), problem.status, headers)
