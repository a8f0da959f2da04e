"""Tell about the service itself: health, status, metrics; sign in and out."""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from seehear.server import examples
from seehear.server.metrics import CONTENT_TYPE, metrics_page
from seehear.server.problems import ServiceError, without_paths
from seehear.server.schemas_service import (
    Folders,
    Health,
    RootOut,
    Session,
    SignIn,
    Status,
)
from seehear.server.sessions import COOKIE, AccessTokens, visible_folder

if TYPE_CHECKING:
    from seehear.server.state import Service

_MOST_FOLDERS = 1000
_SHOWN_LIMITS = ("body_bytes", "upload_bytes", "files", "parts", "text_characters", "k")


def register(app: FastAPI, service: Service, *, reveal: bool = False) -> None:
    """Add the endpoints to the application; `reveal` is told in the status."""

    @app.get("/healthz", tags=["service"])
    async def health() -> Health:
        """Say that the process is alive."""
        return Health(status="ok")

    @app.get("/readyz", tags=["service"], responses=examples.problems(503))
    async def readiness() -> Health:
        """Say if the model is loaded and the collection is open."""
        if not service.ready:
            raise ServiceError(503, "not_ready", service.trouble, 2)
        return Health(status="ready")

    @app.get(
        "/metrics",
        response_class=Response,
        tags=["service"],
        responses=examples.problems(
            401,
            403,
            besides={
                200: {"content": {"text/plain": {}}, "description": "Metrics for Prometheus."}
            },
        ),
    )
    async def metrics() -> Response:
        """Give metrics in Prometheus' text format."""
        registries = [service.counted().registry, service.resources.metrics.registry]
        return Response(metrics_page(registries), headers={"content-type": CONTENT_TYPE})

    @app.get("/v1/status", tags=["service"], responses=examples.problems(401, 403, 503))
    async def status(request: Request) -> Status:
        """Show what the collection holds, or that it is loading, and the limits of requests."""
        found = await service.listing.run(request, lambda: _status(service))
        return found.model_copy(update={"reveals": reveal})

    @app.get("/v1/folders", tags=["service"], responses=examples.problems(401, 403, 503))
    async def folders(request: Request) -> Folders:
        """List the folders that `under` of a search accepts."""
        found, complete = await service.listing.run(
            request, lambda: service.library.folder_names(service.folder_labels(), _MOST_FOLDERS)
        )
        return Folders(folders=found, complete=complete)


def register_sessions(app: FastAPI, tokens: AccessTokens | None, lasts_s: float) -> None:
    """Add signing in and out to the application; a session lasts so many seconds."""

    @app.get("/v1/session", tags=["service"], responses=examples.problems(403, 503))
    async def session(request: Request) -> Session:
        """Say if the page must sign in."""
        if tokens is None:
            return Session(required=False, signed_in=True)
        cookie = request.cookies.get(COOKIE, "")
        grant = await run_in_threadpool(tokens.grant_of_cookie, cookie)
        return Session(required=True, signed_in=grant is not None)

    @app.post(
        "/v1/session",
        response_model=Session,
        tags=["service"],
        responses=examples.problems(401, 403, 404, 413, 415, 422),
    )
    async def sign_in(request: Request, wish: SignIn) -> Response:
        """Sign in: exchange the token for a cookie, which the page sends with every request."""
        if tokens is None:
            raise ServiceError(404, "no_token", "this service needs no token")
        if (grant := tokens.grant_of_token(wish.token)) is None:
            raise ServiceError(401, "unauthorised", "wrong token")
        answer = JSONResponse({"required": True, "signed_in": True})
        answer.set_cookie(
            COOKIE,
            tokens.issue(grant),
            max_age=int(lasts_s),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    @app.delete(
        "/v1/session",
        response_model=Session,
        tags=["service"],
        responses=examples.problems(403, 503),
    )
    async def sign_out(request: Request) -> Response:
        """Sign out: end the session, and delete the cookie."""
        if tokens is not None:
            await run_in_threadpool(tokens.end, request.cookies.get(COOKIE, ""))
        answer = JSONResponse({"required": tokens is not None, "signed_in": tokens is None})
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer


def _status(service: Service) -> Status:
    from seehear import __version__

    limits = dataclasses.asdict(service.limits)
    shown = {name: limits[name] for name in _SHOWN_LIMITS}
    if not service.ready:  # the page waits for it, and a browser logs every other status
        return Status(
            version=__version__,
            collection=service.name or None,
            ready=False,
            message=service.trouble,
            limits=shown,
        )
    library = service.library
    state = library.status()
    folder_labels = service.folder_labels()
    online = {root.path: root.online for root in library.roots()}
    roots = [
        RootOut(
            label=label,
            online=online.get(folder_labels.root(label), True),
            indexable=visible_folder.get() is None and folder_labels.root(label) in service.roots,
        )
        for label in folder_labels.labels
    ]
    return Status(
        version=__version__,
        collection=service.name or None,
        ready=True,
        model=state.model,
        revision=state.revision,
        assets=state.assets,
        segments=state.segments,
        locations=state.locations,
        files=state.files,
        failures=state.failures,
        size_bytes=state.size_bytes,
        by_modality=state.by_modality,
        subtitles=state.subtitles,
        unsupported=state.unsupported,
        read=state.read,
        hears=find_spec("faster_whisper") is not None,
        index=without_paths(str(state.index), service.private),
        roots=roots,
        limits=shown,
    )
