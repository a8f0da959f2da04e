"""A collection for programs that run on asyncio: the methods of `Collection`, awaited.

    async with await seehear.aopen("~/seehear") as library:
        hits = await library.search("a dog on a beach")

Each call runs in a thread, of which asyncio keeps a few. A call that is cancelled runs on there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from seehear.arguments import PathLike
from seehear.collection import Collection, open_collection

if TYPE_CHECKING:
    from seehear.search import Rerank
    from seehear.types import Asset

P = ParamSpec("P")
T = TypeVar("T")


def in_thread(
    method: Callable[Concatenate[Collection, P], T],
) -> Callable[Concatenate[AsyncCollection, P], Coroutine[Any, Any, T]]:
    """Return a method that runs a method of `Collection` in a thread."""

    @wraps(method)
    async def run(self: AsyncCollection, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, self.library, *args, **kwargs)

    return run


class AsyncCollection:
    """The methods of `Collection`, with the same names and arguments, to be awaited.

    `library` is the collection itself.
    """

    def __init__(self, library: Collection) -> None:
        self.library = library

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[Asset]:
        cursor = None
        while True:
            page = await self.assets(limit=1_000, cursor=cursor)
            for asset in page:
                yield asset
            if (cursor := page.cursor) is None:
                return

    add = in_thread(Collection.add)
    asset = in_thread(Collection.asset)
    assets = in_thread(Collection.assets)
    assets_by_id = in_thread(Collection.assets_by_id)
    close = in_thread(Collection.close)
    cut = in_thread(Collection.cut)
    delete = in_thread(Collection.delete)
    disconnect = in_thread(Collection.disconnect)
    drop_generation = in_thread(Collection.drop_generation)
    duplicates = in_thread(Collection.duplicates)
    embed = in_thread(Collection.embed)
    export = in_thread(Collection.export)
    export_vectors = in_thread(Collection.export_vectors)
    facets = in_thread(Collection.facets)
    failures = in_thread(Collection.failures)
    fields = in_thread(Collection.fields)
    file_part = in_thread(Collection.file_part)
    files = in_thread(Collection.files)
    folders = in_thread(Collection.folders)
    forget = in_thread(Collection.forget)
    forget_readings = in_thread(Collection.forget_readings)
    generations = in_thread(Collection.generations)
    get = in_thread(Collection.get)
    hear = in_thread(Collection.hear)
    hit_at = in_thread(Collection.hit_at)
    import_archive = in_thread(Collection.import_archive)
    import_vectors = in_thread(Collection.import_vectors)
    index = in_thread(Collection.index)
    interpret = in_thread(Collection.interpret)
    items = in_thread(Collection.items)
    locations = in_thread(Collection.locations)
    model = in_thread(Collection.model)
    model_change = in_thread(Collection.model_change)
    notes = in_thread(Collection.notes)
    parse_query = in_thread(Collection.parse_query)
    roots = in_thread(Collection.roots)
    run = in_thread(Collection.run)
    search = in_thread(Collection.search)
    search_many = in_thread(Collection.search_many)
    segments = in_thread(Collection.segments)
    similar = in_thread(Collection.similar)
    status = in_thread(Collection.status)
    stored_file = in_thread(Collection.stored_file)
    text_part = in_thread(Collection.text_part)
    thumbnail = in_thread(Collection.thumbnail)
    typical = in_thread(Collection.typical)
    unread = in_thread(Collection.unread)
    unsupported = in_thread(Collection.unsupported)
    unusual = in_thread(Collection.unusual)
    update = in_thread(Collection.update)
    upgrade = in_thread(Collection.upgrade)
    verify = in_thread(Collection.verify)
    warm_up = in_thread(Collection.warm_up)
    watch = in_thread(Collection.watch)
    words = in_thread(Collection.words)


async def open_async(
    folder: PathLike | None = None,
    *,
    model: str | None = None,
    device: str = "auto",
    rerank: Rerank | None = None,
) -> AsyncCollection:
    """Open a collection as `seehear.open` does, for a program that runs on asyncio.

    Every method is awaited: `hits = await library.search("a dog")`. Raises as `seehear.open`.
    """
    library = await asyncio.to_thread(
        open_collection, folder, model=model, device=device, rerank=rerank
    )
    return AsyncCollection(library)
