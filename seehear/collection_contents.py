"""Open and close a collection, and list what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from seehear import arguments
from seehear.argument_types import checked
from seehear.arguments import Modalities, PathLike
from seehear.config import Settings, default_collection
from seehear.errors import UsageError
from seehear.libraries import naming_faults
from seehear.loaded_models import LoadedModels, while_open
from seehear.status import CollectionStatus, count_unsupported, describe_collection
from seehear.types import Asset, Segment

if TYPE_CHECKING:
    from seehear.encoders import Model
    from seehear.search import Rerank
    from seehear.stores import (
        Catalog,
        FacetValues,
        Failure,
        FileRecord,
        Generation,
        Item,
        Location,
        Page,
        Root,
    )
    from seehear.stores.catalog.filters import Filter


class CollectionContents:
    """What lists the files of a collection; `CollectionMoments` opens and cuts them."""

    @naming_faults()
    @checked
    def __init__(
        self,
        folder: PathLike | None = None,
        settings: Settings | None = None,
        *,
        must_exist: bool = False,
        rerank: Rerank | None = None,
    ) -> None:
        from seehear.stores import Catalog

        self.folder = arguments.as_path(folder) if folder is not None else default_collection()
        self.settings = settings or Settings()
        self._catalog: Catalog = Catalog.open(
            self.folder, create=not must_exist, url=self.settings.database
        )
        self._opened = LoadedModels(self._catalog, self.settings, self._load, rerank)

    @while_open
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    def close(self) -> None:
        """Close the catalog and the indexes; every later call raises CollectionClosedError.

        Calls that run in other threads come to their end. Closing again does nothing.
        """
        self._opened.close()

    @while_open
    def disconnect(self) -> None:
        """Close the connections to the database; the next call opens new ones.

        For a process that is about to fork, after which parent and child may both go on: a
        connection must not be used on both sides of a fork. Models and indexes stay in memory.
        """
        self._catalog.disconnect()

    @while_open
    def status(self) -> CollectionStatus:
        """Return what the collection holds."""
        return describe_collection(self.folder, self._catalog, self._opened.engine())

    @property
    @while_open
    def is_empty(self) -> bool:
        """True if the collection holds no files."""
        engine = self._opened.engine()
        if engine is None:
            return True
        # Counting a large collection takes a while; the indexes know their sizes.
        return engine.describe_index() == "empty" and self._catalog.counts().assets == 0

    @while_open
    def __len__(self) -> int:
        """Return the number of assets: distinct contents of files, and items."""
        return self._catalog.assets.count()

    def __bool__(self) -> bool:
        return True  # an empty collection is one, too

    def __iter__(self) -> Iterator[Asset]:
        """Yield every asset, in the order in which they came; read a few hundred at a time."""
        cursor = None
        while True:
            page = self.assets(limit=arguments.MOST_ROWS, cursor=cursor)
            yield from page
            if (cursor := page.cursor) is None:
                return

    @while_open
    def get(self, id: str) -> Item | None:  # noqa: A002 - what it is
        """Return the item that was added with an id, or None."""
        return self._catalog.items.get([id]).get(id)

    @while_open
    def items(self, *, where: str = "", limit: int = 100, cursor: str | None = None) -> Page[Item]:
        """Return a page of the items that were added from memory, in the order in which they came.

        Args:
            where: a filter, as in `search`.
            limit: maximum number of items, at most 1,000.
            cursor: the `cursor` of the page before.

        Raises UsageError for a bad filter and an unknown cursor.
        """
        from seehear.stores import Page

        after = arguments.page_start(limit, cursor)
        found = self._catalog.items.page(after, limit + 1, self._parse_filter(where))
        rows = tuple(found[:limit])
        return Page(rows, arguments.next_cursor(rows[-1].asset_id) if len(found) > limit else None)

    @while_open
    def assets(
        self,
        *,
        modalities: Modalities | None = None,
        under: PathLike | None = None,
        where: str = "",
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Asset]:
        """Return a page of assets, of files and of items, in the order in which they came.

        Takes what `search` and `items` take. Raises UsageError as they do.
        """
        from seehear.stores import Page

        after, folder = arguments.page_start(limit, cursor), arguments.as_folder(under)
        kinds = arguments.parse_modalities(modalities)
        parsed = self._parse_filter(where)
        found = self._catalog.assets.page(after, limit + 1, kinds, folder, parsed)
        if not found and folder is not None:
            self._check_folder(folder)
        rows = tuple(found[:limit])
        return Page(rows, arguments.next_cursor(rows[-1].id) if len(found) > limit else None)

    @while_open
    def facets(self, field: str, *, top: int | None = None) -> FacetValues:
        """Return the values of a field with how many items have each, most frequent first.

        `field` is "type", "format", "folder", "year", "month", "tag", "camera", "lens",
        "orientation", "artist", "album", "genre", "city" or "country", in the singular or the
        plural, or a field of items. Without `top` all values are returned.
        Raises UsageError for a field that has no list of values.
        """
        from seehear.search import facet_named
        from seehear.stores import OwnField

        named = facet_named(field, self._catalog.items.fields())
        if isinstance(named, OwnField):
            return self._catalog.items.facet(named, top)
        return self._catalog.assets.facet(named, top)

    @while_open
    def fields(self) -> dict[str, str]:
        """Return the fields that items were given, each with its type.

        A type is "text", "number", "bool", "date" or "texts".
        """
        return {one.name: one.type.value for one in self._catalog.items.fields().values()}

    @while_open
    def roots(self) -> list[Root]:
        """Return the folders and files that were given to `index`, and whether each is online."""
        return self._catalog.locations.roots()

    @while_open
    def unsupported(self) -> dict[str, int]:
        """Return how many files of kinds that are not read were met, by suffix, most first.

        See `IndexReport.unsupported`.
        """
        return count_unsupported(self._catalog)

    @while_open
    def failures(self) -> list[Failure]:
        """Return the files that could not be indexed, each with the stage and the reason."""
        return self._catalog.locations.failures()

    @while_open
    def unread(self) -> list[tuple[Path, str, str]]:
        """Return the files that a reader failed on, each with the reader and the reason."""
        return [(path, str(name), why) for path, name, why in self._catalog.readings.failures()]

    @while_open
    def files(
        self, states: str | Iterable[str] = (), *, under: PathLike | None = None
    ) -> list[FileRecord]:
        """Return every file that index runs met, with its state and the reason, by path.

        `states` are "complete", "partial", "without_content", "failed" and "skipped"; without any,
        files of every state are returned. `under` limits the list to a folder. Raises UsageError
        for an unknown state.
        """
        wanted, folder = arguments.parse_states(states), arguments.as_folder(under)
        found = self._catalog.locations.files(wanted, folder)
        if not found and folder is not None and not self._catalog.locations.files((), folder):
            self._check_folder(folder)
        return found

    @while_open
    def generations(self) -> list[Generation]:
        """List the generations, oldest first: the model of each, and whether it serves."""
        return self._catalog.generations.all()

    @while_open
    def asset(self, asset_id: int) -> Asset | None:
        """Return the asset of that id, such as `Hit.asset_id`, or None."""
        return self._catalog.assets.get(asset_id)

    @while_open
    def assets_by_id(self, asset_ids: Sequence[int]) -> dict[int, Asset]:
        """Return the assets of some ids; unknown ids are left out."""
        return self._catalog.assets.get_many(asset_ids)

    @while_open
    def locations(self, asset_id: int) -> list[Location]:
        """Return where an asset lies, the oldest location first."""
        return self._catalog.locations.of_assets([asset_id])[asset_id]

    @while_open
    def segments(self, asset_id: int, limit: int) -> tuple[list[tuple[int, Segment]], int]:
        """Return the first `limit` segments of an asset with their ids, and how many it has."""
        generation = self._catalog.generations.serving()
        if generation is None:
            return [], 0
        ids = self._catalog.segments.of_assets([asset_id], generation.id)
        found = [one for one in self._catalog.segments.resolve(ids[:limit]) if one.ordinal >= 0]
        return [(record.segment_id, record.segment) for record in found], len(ids) if found else 0

    @while_open
    def words(self, asset_id: int, limit: int) -> list[tuple[int, Segment]]:
        """Return the first passages that are said and written in a file, in order of time.

        Those of subtitles beside it are among them. Each has the id of its segment.
        """
        generation = self._catalog.generations.serving()
        if generation is None:
            return []
        ids = self._catalog.segments.words_of(asset_id, generation.id, limit)
        found = self._catalog.segments.resolve(ids)
        return [(record.segment_id, record.segment) for record in found]

    @while_open
    def folders(self) -> list[Path]:
        """Return the folders that hold indexed files, sorted."""
        return self._catalog.locations.folders()

    @while_open
    def export_vectors(
        self,
        path: PathLike,
        *,
        modalities: Modalities | None = None,
        under: PathLike | None = None,
        where: str = "",
        space: str | None = None,
        force: bool = False,
    ) -> int:
        """Write vectors with what they are of to a file, and return how many there are.

        A path that ends in .npy gets float32 (n, dim), and beside it a .jsonl file with a line for
        each row: ids, path, times, page, text and fields. One that ends in .parquet or .lance gets
        both (the extras `arrow` and `lance`). A thousand vectors are in memory at a time.
        `import_vectors` reads all of them. `space` is the name of a space of the model, by default
        the first; `modalities`, `under` and `where` as in `search`.

        Raises UsageError for an unknown space, and a file that exists without `force`.
        """
        from seehear.vector_export import write_vectors

        target = arguments.as_output(path)
        generation = self._catalog.generations.serving()
        if generation is None:
            raise UsageError("the collection is empty: there are no vectors to write")
        spaces = {one.name: one for one in generation.spaces}
        chosen = next(iter(spaces.values())) if space is None else spaces.get(space)
        if chosen is None:
            raise UsageError(f'No space "{space}". The spaces are: {", ".join(spaces)}')
        from seehear.search import check_values

        parsed, folder = self._parse_filter(where), arguments.as_folder(under)
        kinds = arguments.parse_modalities(modalities)
        ids = self._catalog.segments.ids(generation.id, assets=kinds, under=folder, where=parsed)
        if not len(ids):
            check_values(self._catalog, parsed, folder)
        return write_vectors(self._catalog, generation, chosen, ids, target, force=force)

    def _check_folder(self, folder: Path) -> None:
        """Raise UnknownFolderError, with the nearest folders, if no file lies in a folder."""
        from seehear.search import check_values

        check_values(self._catalog, None, folder)

    def _parse_filter(self, text: str) -> Filter | None:
        """Return the filter of a query, whose folders are named by path."""
        from seehear.search import parse_where

        return parse_where(text, own=self._catalog.items.fields)

    def _load(self, name: str) -> Model:
        from seehear.encoders import load_model

        return load_model(name, self.settings.device)
