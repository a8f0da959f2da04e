"""Answer for several collections: an application for each at /NAME/, and a list of them at /."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.responses import RedirectResponse, Response

from seehear.errors import SeehearError, UsageError
from seehear.server import examples, page_routes
from seehear.server.metrics import CONTENT_TYPE, RequestMetrics, metrics_page
from seehear.server.mount_path import full_address, path_below
from seehear.server.problems import ServiceError, problem_of
from seehear.server.schemas_service import CollectionOut, Collections, Health
from seehear.server.sessions import visible_folder

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from seehear.config import Settings
    from seehear.server.state import Resources, Service

_NAME = re.compile(r"[A-Za-z0-9_-]+")


def check_collections(folders: Mapping[str, Path], settings: Settings, workers: int) -> None:
    """Raise UsageError for what cannot be served together."""
    if not folders:
        raise UsageError("no collection is named; give at least one, as NAME=FOLDER")
    for name in folders:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot name a collection: use letters, digits, - and _ alone"
            )
    names: dict[Path, str] = {}
    for name, folder in folders.items():
        other = names.setdefault(folder.expanduser().resolve(), name)
        if other != name:
            raise UsageError(f"{other} and {name} are the same folder, {folder}: name it once")
    if settings.database is not None and len(folders) > 1:
        raise UsageError(
            "SEEHEAR_DATABASE holds one collection: serve it alone, or unset it to serve several"
        )
    if workers > 1:
        raise UsageError(
            "workers share one collection, and collections that are served by name share one"
            " process; leave out --workers, or start a service for each"
        )


def check_not_reserved(names: Iterable[str], apps: Iterable[FastAPI]) -> None:
    """Raise UsageError for a name that begins an address of the service itself."""
    reserved = {
        getattr(route, "path", "/").split("/")[1] for app in apps for route in app.router.routes
    }
    for name in names:
        if name in reserved:
            raise UsageError(
                f"{name!r} cannot name a collection: the service has addresses of its own at"
                f" /{name}; choose another name"
            )


class MountMiddleware:
    """Give what is asked below /NAME/ to the application of that collection."""

    def __init__(self, app: ASGIApp, *, mounted: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._mounted = mounted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name, slash, _ = path_below(scope)[1:].partition("/")
        if name not in self._mounted:
            await self._app(scope, receive, send)
        elif slash:
            mount = f"{scope.get('root_path', '')}/{name}"
            await self._mounted[name]({**scope, "root_path": mount}, receive, send)
        else:  # the page's own addresses need the slash; what was asked stays
            query = scope["query_string"].decode("latin-1")
            there = RedirectResponse(f"{name}/{query and '?'}{query}")
            await there(scope, receive, send)


def register(
    app: FastAPI, services: Sequence[Service], resources: Resources, metrics: RequestMetrics
) -> None:
    """Add what is at the root to an application: the page with the list, health, metrics."""
    page_routes.register(app, {"/": "collections.html"})

    @app.get("/healthz", tags=["service"])
    async def health() -> Health:
        """Say that the process is alive."""
        return Health(status="ok")

    @app.get("/readyz", tags=["service"], responses=examples.problems(503))
    async def readiness() -> Health:
        """Say if all collections are open, and which are not."""
        waiting = [f"{one.name}: {one.trouble}" for one in services if not one.ready]
        if waiting:
            raise ServiceError(503, "not_ready", "; ".join(waiting), 2)
        return Health(status="ready")

    @app.get("/metrics", include_in_schema=False)
    async def count() -> Response:
        """Give metrics in Prometheus' text format, labelled by collection."""
        whole = [metrics.registry, resources.metrics.registry]
        of_each = {one.name: one.counted().registry for one in services}
        return Response(metrics_page(whole, of_each), headers={"content-type": CONTENT_TYPE})

    @app.get("/v1/collections", tags=["service"], responses=examples.problems(401, 403, 503))
    async def collections(request: Request) -> Collections:
        """List the collections, and how many files each holds."""
        found = await resources.listing.run(request, lambda: [_told(one) for one in services])
        return Collections(collections=[one for one in found if one is not None])

    async def unknown(scope: Scope, _receive: Receive, _send: Send) -> None:
        name = path_below(scope)[1:].partition("/")[0]
        names = ", ".join(one.name for one in services)
        raise ServiceError(
            404,
            "no_such_collection",
            f"no collection is named {name[:64]!r}: addresses begin with one of {names}",
        )

    app.router.default = unknown


def _told(service: Service) -> CollectionOut | None:
    """Return what is told of a collection; None for one that a token may not see."""
    told = CollectionOut(name=service.name, address=full_address(f"/{service.name}/"), ready=False)
    try:
        state = service.library.status()
    except SeehearError as error:
        problem = problem_of(error, service.private)
    except ServiceError as error:
        problem = error
    else:
        facts = {"assets": state.assets, "locations": state.locations}
        return told.model_copy(update={"ready": True, **facts, "by_modality": state.by_modality})
    if visible_folder.get() is not None:  # whether its folder is in there is not known
        return None
    return told.model_copy(update={"message": problem.message})
