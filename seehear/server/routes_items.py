"""Add, list, change and delete items and assets; name the models; search by an address alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from starlette.responses import Response

from seehear import arguments
from seehear.errors import UnknownItemError
from seehear.serialize import asset_to_dict
from seehear.server import examples, routes_search
from seehear.server.problems import ServiceError
from seehear.server.queries import Upload
from seehear.server.routes_assets import AssetId
from seehear.server.schemas import KindsQuery, SearchAddress, SearchAnswer, SearchRequest
from seehear.server.schemas_items import (
    AddAnswer,
    AddRequest,
    AssetsAnswer,
    Deleted,
    FieldsRequest,
    ItemOut,
    ItemsAnswer,
    ListedAsset,
    ModelsAnswer,
    ServedModel,
)
from seehear.server.uploads import received
from seehear.stores import Item
from seehear.types import Modality
from seehear.types import item_id as item_id_of

if TYPE_CHECKING:
    from seehear.server.state import Service

ItemKey = Annotated[str, Path(min_length=1, max_length=500)]
Limit = Annotated[int, Query(ge=1, le=arguments.MOST_ROWS)]
Cursor = Annotated[str | None, Query(max_length=40, description="`cursor` of the page before.")]
FilterQuery = Annotated[str, Query(max_length=2_000, description="A filter (docs/searching.md).")]
_ARGUMENT = {Modality.IMAGE: "images", Modality.AUDIO: "audio", Modality.VIDEO: "videos"}
_READING = (401, 403, 404, 422, 503)
_WRITING = (401, 403, 404, 409, 413, 415, 422, 503, 507)


def register(app: FastAPI, service: Service) -> None:
    """Add the endpoints to the application."""
    _register_items(app, service)
    _register_assets(app, service)

    @app.get(
        "/v1/search",
        response_model=SearchAnswer,
        tags=["search"],
        responses=examples.problems(*_READING),
    )
    async def search(request: Request, asked: Annotated[SearchAddress, Query()]) -> Response:
        """Search by words in the address, as from the bar of a browser; POST also takes files."""
        wish = SearchRequest.model_validate(asked.model_dump())
        with service.queries.admit() as admission:
            answer = await routes_search.answer_wish(service, request, admission, wish, [])
        return Response(answer, media_type="application/json")

    @app.get("/v1/models", tags=["vectors"], responses=examples.problems(*_READING))
    async def models(request: Request) -> ModelsAnswer:
        """List the names that `/v1/embeddings` takes: of the model, and what stands for it."""
        return await service.listing.run(
            request,
            lambda: ModelsAnswer(
                data=[
                    ServedModel(id=name)
                    for name in (
                        service.library.model().name,
                        "default",
                        *service.options.settings.model_aliases,
                    )
                ]
            ),
        )


def _register_items(app: FastAPI, service: Service) -> None:
    @app.get("/v1/items", tags=["items"], responses=examples.problems(*_READING))
    async def listed(
        request: Request, where: FilterQuery = "", limit: Limit = 100, cursor: Cursor = None
    ) -> ItemsAnswer:
        """List the items that were added, in the order in which they came."""

        def read() -> ItemsAnswer:
            page = service.library.items(where=where, limit=limit, cursor=cursor)
            return ItemsAnswer(items=[_item_out(item) for item in page], cursor=page.cursor)

        return await service.listing.run(request, read)

    @app.post(
        "/v1/items",
        tags=["items"],
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": AddRequest.model_json_schema()},
                    "multipart/form-data": {"schema": {"type": "object"}},
                },
            }
        },
        responses=examples.problems(*_WRITING),
    )
    async def add(request: Request) -> AddAnswer:
        """Add items, all or none: texts, or the files of a form with `items` as JSON."""
        with service.uploads.admit() as admission:
            async with received(request, AddRequest, service.limits) as (wish, uploads):
                return await admission.run(request, lambda: _add(service, wish, uploads))

    @app.get("/v1/items/{item_id:path}", tags=["items"], responses=examples.problems(*_READING))
    async def describe(request: Request, item_id: ItemKey) -> ItemOut:
        """Describe one item by its id."""

        def read() -> ItemOut:
            item = service.library.get(item_id)
            if item is None:
                raise _no_item()
            return _item_out(item)

        return await service.listing.run(request, read)

    @app.patch("/v1/items/{item_id:path}", tags=["items"], responses=examples.problems(*_WRITING))
    async def change(request: Request, item_id: ItemKey, wish: FieldsRequest) -> ItemOut:
        """Change fields of an item; null removes one."""

        def write() -> ItemOut:
            try:
                return _item_out(service.library.update(item_id, wish.fields))
            except UnknownItemError:
                raise _no_item() from None

        return await service.listing.run(request, write)

    @app.delete("/v1/items/{item_id:path}", tags=["items"], responses=examples.problems(*_WRITING))
    async def delete(request: Request, item_id: ItemKey) -> Deleted:
        """Delete an item."""

        def write() -> Deleted:
            if not (count := service.library.delete([item_id])):
                raise _no_item()
            return Deleted(deleted=count)

        return await service.listing.run(request, write)


def _register_assets(app: FastAPI, service: Service) -> None:
    @app.get("/v1/assets", tags=["assets"], responses=examples.problems(*_READING))
    async def assets(
        request: Request,
        modalities: KindsQuery = None,
        where: FilterQuery = "",
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> AssetsAnswer:
        """List the contents of files, and the items, in the order in which they came."""

        def read() -> AssetsAnswer:
            page = service.library.assets(
                modalities=modalities or None,
                where=where,
                limit=limit,
                cursor=cursor,
            )
            shown = [ListedAsset.model_validate(asset_to_dict(asset)) for asset in page]
            return AssetsAnswer(assets=shown, cursor=page.cursor)

        return await service.listing.run(request, read)

    @app.delete("/v1/assets/{asset_id}", tags=["assets"], responses=examples.problems(*_WRITING))
    async def delete_asset(request: Request, asset_id: AssetId) -> Deleted:
        """Take an asset out of the collection. Its files stay: indexing finds them again."""

        def write() -> Deleted:
            library = service.library
            locations = library.locations(asset_id)
            if not locations:
                raise ServiceError(404, "not_found", "no asset with that id")
            keys = [key for one in locations if (key := item_id_of(one.path)) is not None]
            files = [one.path for one in locations if item_id_of(one.path) is None]
            deleted = library.delete(keys) if keys else 0
            return Deleted(deleted=deleted + sum(library.forget(path) for path in files))

        return await service.listing.run(request, write)


def _add(service: Service, wish: AddRequest, uploads: list[Upload]) -> AddAnswer:
    if len(wish.items) > service.limits.embed_inputs:
        raise ServiceError(
            413, "too_large", f"send at most {service.limits.embed_inputs} items at once"
        )
    given = [item.id for item in wish.items]
    if any(given) and not all(given):
        raise ServiceError(422, "invalid", "items: give each an id, or none of them")
    texts = [item.text for item in wish.items if item.text is not None]
    kinds = {upload.expected for upload in uploads}
    if len(texts) + len(uploads) != len(wish.items) or (texts and uploads) or len(kinds) > 1:
        raise ServiceError(
            422, "invalid", "items: give each a text, or one file as image, audio or video"
        )
    files: dict[str, Any] = {}
    if uploads:
        kind = kinds.pop()
        if kind not in _ARGUMENT:
            raise ServiceError(422, "invalid", "files are sent as image, audio or video")
        files[_ARGUMENT[kind]] = [upload.path for upload in uploads]
    ids = service.library.add(
        texts=texts,
        ids=[one for one in given if one is not None] or None,
        metadata=[item.fields for item in wish.items],
        keep=wish.keep,
        replace=wish.replace,
        **files,
    )
    return AddAnswer(ids=ids)


def _item_out(item: Item) -> ItemOut:
    return ItemOut.model_validate(item.to_dict())


def _no_item() -> ServiceError:
    return ServiceError(404, "not_found", "no item with that id")
