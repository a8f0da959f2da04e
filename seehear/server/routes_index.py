"""Bring the collection up to date on request, and show the progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI, Path, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from seehear.server import examples
from seehear.server.jobs import IndexJob
from seehear.server.problems import ServiceError
from seehear.server.schemas_service import IndexRequest, Job, Jobs

if TYPE_CHECKING:
    from seehear.server.state import Service

JobId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]

_LOOK_EVERY_S = 0.2


def register(app: FastAPI, service: Service) -> None:
    """Add the endpoints to the application."""

    async def known_job(job_id: JobId) -> IndexJob:
        return service.jobs.get(job_id)

    # A dependency, because an error inside a stream would come after its status.
    job_of_path = Depends(known_job)

    @app.post(
        "/v1/index",
        response_model=Job,
        status_code=202,
        tags=["index"],
        responses=examples.problems(401, 403, 404, 409, 413, 415, 422, 429, 503),
    )
    async def start(request: Request, wish: IndexRequest) -> Job:
        """Index roots: only those that the service was started with."""
        return await service.listing.run(request, lambda: _start(service, wish))

    @app.get(
        "/v1/index",
        response_model=Jobs,
        tags=["index"],
        responses=examples.problems(401, 403),
    )
    async def jobs() -> Jobs:
        """List index runs since the service started, newest first."""
        return Jobs(jobs=service.jobs.all())

    @app.get(
        "/v1/index/{job_id}",
        response_model=Job,
        tags=["index"],
        responses=examples.problems(401, 403, 404, 422),
    )
    async def job(job_id: JobId) -> Job:
        """Show the progress or the result of an index run."""
        return service.jobs.get(job_id).snapshot()[1]

    @app.delete(
        "/v1/index/{job_id}",
        response_model=Job,
        tags=["index"],
        responses=examples.problems(401, 403, 404, 422),
    )
    async def stop(job_id: JobId) -> Job:
        """Stop an index run; keep the files that it has indexed."""
        found = service.jobs.get(job_id)
        found.stop.set()
        return found.snapshot()[1]

    @app.get(
        "/v1/index/{job_id}/events",
        response_class=EventSourceResponse,
        tags=["index"],
        responses=examples.problems(401, 403, 404, 422),
    )
    async def events(
        found: IndexJob = job_of_path,
    ) -> AsyncIterator[ServerSentEvent]:
        """Send server-sent events: `progress` during the run, then one `done`."""
        seen = -1
        while True:
            version, state = found.snapshot()
            if version != seen:
                seen = version
                running = state.state == "running"
                yield ServerSentEvent(
                    data=state.model_dump(mode="json"), event="progress" if running else "done"
                )
                if not running:
                    return
            await asyncio.sleep(_LOOK_EVERY_S)


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
    return service.jobs.start(paths, labels, **options).snapshot()[1]
