"""Look through the collection: its groups with their sizes, and the files of a window."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import FastAPI, Query, Request

from seehear.limits import FILTER_CHARACTERS, FOLDER_CHARACTERS, ServiceLimits
from seehear.server import examples
from seehear.server.browsing import KEPT_ORDERS, BrowseOrder, GroupBy, suggest
from seehear.server.queries import browsed_out
from seehear.server.schemas import InterpretationOut, Kind, KindsQuery, Words
from seehear.server.schemas_browse import BrowseGroup, BrowseItems, Browsing, Suggestions
from seehear.server.sessions import visible_folder
from seehear.server.state import RecentCache, Service

_MOST_ITEMS = 500
"""Files of one window: several screens of them."""

Grouped = Annotated[GroupBy, Query(alias="by", description="What the files of a group share.")]
Under = Annotated[Words, Query(max_length=FOLDER_CHARACTERS, description="Only in this folder.")]
Where = Annotated[Words, Query(max_length=FILTER_CHARACTERS, description="A filter.")]
Sentence = Annotated[
    Words, Query(max_length=ServiceLimits().text_characters, description="What to find, in words.")
]
Version = Annotated[str, Query(max_length=64, description="Of the answer to `/v1/browse`.")]


def register(app: FastAPI, service: Service) -> None:
    """Add the endpoints to the application."""
    kept = RecentCache[BrowseOrder](KEPT_ORDERS)

    def find(
        by: GroupBy, kinds: list[Kind] | None, under: str, where: str, version: str = ""
    ) -> tuple[str, BrowseOrder]:
        """Return the order that was asked for, of this version if it is kept, and its version."""
        asked = (by, frozenset(kinds or ()), under, where, visible_folder.get())
        if version and (known := kept.get((version, *asked))) is not None:
            return version, known
        mark = repr(service.library.listing_mark())
        version = hashlib.blake2b(mark.encode(), digest_size=8).hexdigest()
        if (known := kept.get((version, *asked))) is None:
            known = service.library.browse(by, kinds or None, under, where, service.folder_labels())
            kept.put((version, *asked), known)
        return version, known

    @app.get("/v1/browse", tags=["assets"], responses=examples.problems(401, 403, 422, 503))
    async def browse(
        request: Request,
        by: Grouped = GroupBy.DAY,
        modalities: KindsQuery = None,
        under: Under = "",
        where: Where = "",
    ) -> Browsing:
        """Count the files of each day (the newest first), of each folder or of each kind."""
        version, found = await service.listing.run(
            request, lambda: find(by, modalities, under, where)
        )
        groups = [BrowseGroup(key=key, count=count) for key, count in found.groups]
        return Browsing(groups=groups, total=len(found.asset_ids), version=version)

    @app.get("/v1/browse/items", tags=["assets"], responses=examples.problems(401, 403, 422, 503))
    async def items(
        request: Request,
        by: Grouped = GroupBy.DAY,
        modalities: KindsQuery = None,
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

    suggested: dict[tuple[str, FilePath | None], list[str]] = {}

    @app.get("/v1/suggestions", tags=["search"], responses=examples.problems(401, 403, 503))
    async def suggestions(request: Request) -> Suggestions:
        """Suggest up to three queries that the collection has an answer to."""

        def made() -> list[str]:
            version, _ = find(GroupBy.DAY, None, "", "")
            asked = version, visible_folder.get()
            if asked not in suggested:
                for old in [one for one in suggested if one[0] != version]:
                    del suggested[old]
                suggested[asked] = suggest(service.library.search)
            return suggested[asked]

        return Suggestions(queries=await service.queries.run(request, made))

    @app.get("/v1/interpret", tags=["search"], responses=examples.problems(401, 403, 422, 503))
    async def interpret(request: Request, text: Sentence) -> InterpretationOut:
        """Find filters in plain words ("beach last summer"), and search nothing.

        `rest` and `where` are for a search. `/v1/search` does both with `as_written` false.
        """
        reading = await service.listing.run(request, lambda: service.library.interpret(text))
        return InterpretationOut(**asdict(reading))
