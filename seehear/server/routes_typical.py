"""Serve what stands apart in the collection, and what stands for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, Field

from seehear.limits import FILTER_CHARACTERS, FOLDER_CHARACTERS
from seehear.server import examples
from seehear.server.queries import location_out, thumbnail_address
from seehear.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable

    from seehear.search import TypicalFile, UnusualFile
    from seehear.server.state import Service

MOST = 100
Count = Annotated[int, Query(ge=1, le=MOST, description="Files of each kind.")]
KindsQuery = Annotated[list[Modality], Query(max_length=4, description="Only these kinds.")]
Folder = Annotated[str, Query(max_length=FOLDER_CHARACTERS, description="Only below this folder.")]
FilterText = Annotated[str, Query(max_length=FILTER_CHARACTERS, description="A filter.")]


class FoundFile(BaseModel):
    """A file of the collection, with what a page needs to show it."""

    asset_id: int
    modality: Modality
    name: str
    folder: str
    similarity: float
    address: str
    moment_url: str
    thumbnail: str | None = None
    media: str


class UnusualOut(FoundFile):
    """A file that little else is like; `similarity` is the mean cosine to its nearest files."""

    apart: float = Field(description="0 is usual, above 3 is rarely chance.")


class TypicalOut(FoundFile):
    """A file that stands for others; `similarity` is their mean cosine to it."""

    stands_for: int
    share: float = Field(description="The same as a share of the files of its kind.")


def register(app: FastAPI, service: Service) -> None:
    """Add the endpoints to the application."""
    problems = examples.problems(401, 403, 422, 429, 503)

    @app.get("/v1/unusual", response_model=list[UnusualOut], tags=["search"], responses=problems)
    async def unusual(
        request: Request,
        k: Count = 10,
        modalities: KindsQuery = [],  # noqa: B006 - FastAPI copies it
        under: Folder = "",
        where: FilterText = "",
    ) -> list[Any]:
        """List the files that the rest is least like, by their nearest files of the same kind."""
        find = service.library.unusual
        return await service.listing.run(
            request, lambda: _found(service, find, k, modalities, under, where)
        )

    @app.get("/v1/typical", response_model=list[TypicalOut], tags=["search"], responses=problems)
    async def typical(
        request: Request,
        k: Count = 10,
        modalities: KindsQuery = [],  # noqa: B006
        under: Folder = "",
        where: FilterText = "",
    ) -> list[Any]:
        """List files that stand for the rest and differ from each other."""
        find = service.library.typical
        return await service.listing.run(
            request, lambda: _found(service, find, k, modalities, under, where)
        )


def _found(
    service: Service,
    find: Callable[..., list[UnusualFile] | list[TypicalFile]],
    k: int,
    modalities: list[Modality],
    under: str,
    where: str,
) -> list[dict[str, Any]]:
    labels = service.folder_labels()
    folder = labels.resolve(under) if under else None
    return [
        one.to_dict()
        | location_out(one.path, labels).model_dump(include={"name", "folder"})
        | {
            "moment_url": f"/moment/{one.asset_id}",
            "thumbnail": thumbnail_address(one.asset_id, one.modality, None, None),
            "media": f"/v1/assets/{one.asset_id}/media",
        }
        for one in find(k=k, modalities=modalities or None, under=folder, where=where)
    ]
