"""Serve what stands apart in the collection, and what stands for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from pydantic import BaseModel, Field

from seehear.limits import FILTER_CHARACTERS, FOLDER_CHARACTERS
from seehear.server import examples
from seehear.server.mount_path import full_address
from seehear.server.queries import location_out, thumbnail_address
from seehear.server.schemas import KindsQuery
from seehear.types import Modality

if TYPE_CHECKING:
    from collections.abc import Callable

    from seehear.search import TypicalFile, UnusualFile
    from seehear.server.state import Service

MOST = 100


def _asked(
    k: Annotated[int, Query(ge=1, le=MOST, description="Files of each kind.")] = 10,
    modalities: KindsQuery = None,
    under: Annotated[
        str, Query(max_length=FOLDER_CHARACTERS, description="Only below this folder.")
    ] = "",
    where: Annotated[str, Query(max_length=FILTER_CHARACTERS, description="A filter.")] = "",
) -> dict[str, Any]:
    return {"k": k, "modalities": modalities or None, "under": under, "where": where}


Asked = Annotated[dict[str, Any], Depends(_asked)]


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
    problems = examples.problems(401, 403, 422, 503)

    @app.get("/v1/unusual", response_model=list[UnusualOut], tags=["search"], responses=problems)
    async def unusual(request: Request, asked: Asked) -> list[Any]:
        """List the files that the rest is least like, by their nearest files of the same kind."""
        find = service.library.unusual
        return await service.listing.run(request, lambda: _found(service, find, **asked))

    @app.get("/v1/typical", response_model=list[TypicalOut], tags=["search"], responses=problems)
    async def typical(request: Request, asked: Asked) -> list[Any]:
        """List files that stand for the rest and differ from each other."""
        find = service.library.typical
        return await service.listing.run(request, lambda: _found(service, find, **asked))


def _found(
    service: Service,
    find: Callable[..., list[UnusualFile] | list[TypicalFile]],
    *,
    under: str,
    **asked: Any,
) -> list[dict[str, Any]]:
    labels = service.folder_labels()
    folder = labels.resolve(under) if under else None
    return [
        one.to_dict()
        | location_out(one.path, labels).model_dump(include={"name", "folder"})
        | {
            "moment_url": full_address(f"/moment/{one.asset_id}"),
            "thumbnail": thumbnail_address(one.asset_id, one.modality, None, None),
            "media": full_address(f"/v1/assets/{one.asset_id}/media"),
        }
        for one in find(under=folder, **asked)
    ]
