"""Bring the collection up to date on request, and show the progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI, Path, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from seehear.errors import StoreUnreachableError
from seehear.server import examples
from seehear.server.problems import ServiceError
from seehear.server.schemas_service import IndexRequest, Job, Jobs

if TYPE_CHECKING:
    from seehear.server.state import Service

JobId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]

_LOOK_EVERY_S = 0.2
_ASK_EVERY_S = 1.0
"""Pause before the database is asked how far another service is."""


def register(app: FastAPI, service: Service) -> None:
    """Add the endpoints to the application."""

    async def known_job(job_id: JobId) -> Job:
        return await run_in_threadpool(service.jobs.get, job_id)

    # A dependency, because an error inside a stream would come after its status.
    job_of_path = Depends(known_job)

    @app.post(
        "/v1/index",
        status_code=202,
        tags=["index"],
        responses=examples.problems(401, 403, 404, 409, 413, 415, 422, 503),
    )
    async def start(request: Request, wish: IndexRequest) -> Job:
        """Index roots: only those that the service was started with."""
        return await service.listing.run(request, lambda: _start(service, wish))

    @app.get("/v1/index", tags=["index"], responses=examples.problems(401, 403, 503))
    async def jobs() -> Jobs:
        """List the last index runs of all services of the collection, newest first."""
        return Jobs(jobs=await run_in_threadpool(service.jobs.all))

    @app.get(
        "/v1/index/{job_id}", tags=["index"], responses=examples.problems(401, 403, 404, 422, 503)
    )
    async def job(found: Job = job_of_path) -> Job:
        """Show the progress or the result of an index run, whichever service runs it."""
        return found

    @app.delete(
        "/v1/index/{job_id}", tags=["index"], responses=examples.problems(401, 403, 404, 422, 503)
    )
    async def stop(job_id: JobId) -> Job:
        """Stop an index run, whichever service runs it; keep the files that it has indexed."""
        return await run_in_threadpool(service.jobs.stop, job_id)

    @app.get(
        "/v1/index/{job_id}/events",
        response_class=EventSourceResponse,
        tags=["index"],
        responses=examples.problems(401, 403, 404, 422, 503),
    )
    async def events(
        found: Job = job_of_path,
    ) -> AsyncIterator[ServerSentEvent]:
        """Send server-sent events: `progress` during the run, then one `done`."""
        seen: Job | None = None
        while True:
            if found is not seen and found != seen:
                seen = found
                running = found.state == "running"
                yield ServerSentEvent(
                    data=found.model_dump(mode="json"), event="progress" if running else "done"
                )
                if not running:
                    return
            await asyncio.sleep(_LOOK_EVERY_S if service.jobs.running else _ASK_EVERY_S)
            with suppress(StoreUnreachableError):  # it goes on when the database is back
                found = await run_in_threadpool(service.jobs.get, found.id)


def _start(service: Service, wish: IndexRequest) -> Job:
    folder_labels = service.folder_labels()
    offered = [
        label for label in folder_labels.labels if folder_labels.root(label) in service.roots
    ]
    if not offered:
        raise ServiceError(
            404, "no_roots", "this service may not index; start it with --root to allow it"
        )
    labels = wish.roots or offered
    if unknown := [label for label in labels if label not in offered]:
        raise ServiceError(
            404,
            "no_such_root",
            f'no root "{unknown[0]}" to index; choose from: {", ".join(offered)}',
        )
    paths = [folder_labels.root(label) for label in labels]
    options = wish.model_dump(include={"retry_failed", "read", "read_for_s"})
    return service.jobs.start(paths, labels, **options)
