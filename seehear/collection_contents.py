"""Open and close a collection, and list what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from seehear import arguments
from seehear.arguments import PathLike
from seehear.config import Settings, default_collection
from seehear.libraries import naming_faults
from seehear.loaded_models import LoadedModels, while_open
from seehear.status import count_unsupported, describe_collection
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
        Location,
        Root,
    )


class CollectionContents:
    """What lists the files of a collection; `CollectionMoments` opens and cuts them."""

    @naming_faults()
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
    def status(self) -> dict[str, Any]:
        """Return what the collection holds, as plain values that `status --json` prints."""
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
    def facets(self, field: str, *, top: int | None = None) -> FacetValues:
        """Return the values of a field with how many items have each, most frequent first.

        `field` is "type", "format", "folder", "year", "month", "tag", "camera", "lens",
        "orientation", "artist", "album", "genre", "city" or "country", in the singular or the
        plural. Without `top` all values are returned.
        Raises UsageError for a field that has no list of values.
        """
        from seehear.search import facet_named

        return self._catalog.assets.facet(facet_named(field), top)

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
        wanted = arguments.parse_states(states)
        return self._catalog.locations.files(wanted, arguments.as_folder(under))

    @while_open
    def generations(self) -> list[Generation]:
        """List the generations, oldest first: the model of each, and whether it serves."""
        return self._catalog.generations.all()

    @while_open
    def asset(self, asset_id: int) -> Asset | None:
        """Return the asset of that id, such as `Hit.asset_id`, or None."""
        return self._catalog.assets.get(asset_id)

    @while_open
    def assets(self, asset_ids: Sequence[int]) -> dict[int, Asset]:
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

    def _load(self, name: str) -> Model:
        from seehear.encoders import load_model

        return load_model(name, self.settings.device)
