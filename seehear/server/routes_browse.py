"""Look through the collection: its groups with their sizes, and the files of a window."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Query, Request

from seehear.limits import FILTER_CHARACTERS, FOLDER_CHARACTERS, MODALITIES
from seehear.server import examples
from seehear.server.browsing import BrowseOrder, GroupBy, OrderCache, suggest
from seehear.server.queries import browsed_out
from seehear.server.schemas import BrowseGroup, BrowseItems, Browsing, Kind, Suggestions, Words

if TYPE_CHECKING:
    from seehear.server.state import Service

_MOST_ITEMS = 500
"""Files of one window: several screens of them."""

Grouped = Annotated[GroupBy, Query(alias="by", description="What the files of a group share.")]
Kinds = Annotated[list[Kind] | None, Query(max_length=MODALITIES, description="Only these kinds.")]
Under = Annotated[Words, Query(max_length=FOLDER_CHARACTERS, description="Only in this folder.")]
Where = Annotated[Words, Query(max_length=FILTER_CHARACTERS, description="A filter.")]
Version = Annotated[str, Query(max_length=64, description="Of the answer to `/v1/browse`.")]


def register(app: FastAPI, service: Service) -> None:
    """Add the endpoints to the application."""
    kept = OrderCache()

    def find(
        by: GroupBy, kinds: list[Kind] | None, under: str, where: str, version: str = ""
    ) -> tuple[str, BrowseOrder]:
        """Return the order that was asked for, of this version if it is kept, and its version."""
        asked = (by, frozenset(kinds or ()), under, where)
        if version and (known := kept.get((version, *asked))) is not None:
            return version, known
        mark = repr(service.library.listing_mark())
        version = hashlib.blake2b(mark.encode(), digest_size=8).hexdigest()
        if (known := kept.get((version, *asked))) is None:
            known = service.library.browse(by, kinds or None, under, where, service.folder_labels())
            kept.put((version, *asked), known)
        return version, known

    @app.get(
        "/v1/browse",
        response_model=Browsing,
        tags=["assets"],
        responses=examples.problems(401, 403, 422, 429, 503),
    )
    async def browse(
        request: Request,
        by: Grouped = GroupBy.DAY,
        modalities: Kinds = None,
        under: Under = "",
        where: Where = "",
    ) -> Browsing:
        """Count the files of each day (the newest first), of each folder or of each kind."""
        version, found = await service.listing.run(
            request, lambda: find(by, modalities, under, where)
        )
        groups = [BrowseGroup(key=key, count=count) for key, count in found.groups]
        return Browsing(groups=groups, total=len(found.asset_ids), version=version)

    @app.get(
        "/v1/browse/items",
        response_model=BrowseItems,
        tags=["assets"],
        responses=examples.problems(401, 403, 422, 429, 503),
    )
    async def items(
        request: Request,
        by: Grouped = GroupBy.DAY,
        modalities: Kinds = None,
        under: Under = "",
        where: Where = "",
        version: Version = "",
        start: Annotated[int, Query(ge=0, lt=1 << 63)] = 0,
        count: Annotated[int, Query(ge=1, le=_MOST_ITEMS)] = 100,
    ) -> BrowseItems:
        """List the files from number `start` on, in the order of the groups of `/v1/browse`.

        If `version` in the answer is another one, the collection has changed: ask `/v1/browse`.
        """

        def window() -> BrowseItems:
            now, found = find(by, modalities, under, where, version)
            part = slice(start, start + count)
            records = service.library.browsed(found.asset_ids[part], found.location_ids[part])
            return BrowseItems(items=browsed_out(records, service.folder_labels()), version=now)

        return await service.listing.run(request, window)

    suggested: dict[str, list[str]] = {}

    @app.get(
        "/v1/suggestions",
        response_model=Suggestions,
        tags=["search"],
        responses=examples.problems(401, 403, 429, 503),
    )
    async def suggestions(request: Request) -> Suggestions:
        """Suggest up to three queries that the collection has an answer to."""

        def made() -> list[str]:
            version, _ = find(GroupBy.DAY, None, "", "")
            if version not in suggested:
                suggested.clear()
                suggested[version] = suggest(service.library.search)
            return suggested[version]

        return Suggestions(queries=await service.queries.run(request, made))
