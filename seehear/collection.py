"""A collection as a library: open it, index folders into it, search it.

This is the facade that `import seehear` gives; every door (command line, HTTP) uses it too. Parts
of queries are made in questions.py; models and the engine are opened in opened.py.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from seehear import arguments, query_builder
from seehear.arguments import PathLike, Paths
from seehear.config import Settings, default_collection
from seehear.errors import UsageError
from seehear.libraries import naming_faults
from seehear.loaded_models import LoadedModels, while_open
from seehear.status import count_unsupported, describe_collection
from seehear.types import Hit, Query, QueryPart

if TYPE_CHECKING:
    from seehear.encoders import Model
    from seehear.indexers import IndexReport, ModelChange, Progress, Verification
    from seehear.search import DuplicateGroup, Rerank
    from seehear.stores import Catalog, FacetValues, Failure, Generation, Root
    from seehear.stores.archive import Manifest
    from seehear.stores.catalog.filters import Filter


class Collection:
    """Index folders of media and search them. Safe to use from several threads.

    `folder` holds the collection itself, not the media. Heavy libraries are loaded when they are
    needed: a text query with the bundled model never imports torch.

    `rerank` changes the scores of the results (docs/searching.md).

    Raises StoreError if the folder cannot be opened or, with `must_exist`, holds no collection, and
    UsageError if it holds other files. Every method raises CollectionClosedError after `close`, and
    EnvironmentFaultError if a library cannot be loaded.
    """

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
    def __enter__(self) -> Collection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Collection({str(self.folder)!r})"

    def close(self) -> None:
        """Close the catalog and the indexes; every later call raises CollectionClosedError.

        Calls that run in other threads come to their end. Closing again does nothing.
        """
        self._opened.close()

    @while_open
    def index(
        self,
        *paths: PathLike,
        model: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        retry_failed: bool = False,
        progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> IndexReport:
        """Index folders or files: add what is new, update what changed, remove what is gone.

        Without `model`, keep the model in use, or take the one of the settings for a new
        collection. Another model builds its own generation beside the serving one and takes over
        when it is complete. The report lists the files that failed.

        Raises UsageError if no path is given, ModelError, CollectionLockedError, StorageFullError.
        """
        from seehear import indexers

        if not paths:
            raise UsageError("name at least one folder or file to index")
        return indexers.index(
            self._catalog,
            self._opened.model(model),
            [arguments.as_path(path) for path in paths],
            self.settings,
            include=include,
            exclude=exclude,
            retry_failed=retry_failed,
            progress=progress,
            stop=stop,
            calibrate=self._missing_calibration,
        )

    @while_open
    def watch(
        self,
        *paths: PathLike,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        on_report: Callable[[IndexReport], None] | None = None,
        progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Index folders, then keep the collection current with them until `stop` is set.

        `on_report` gets the report of each run that found something to do. Raises as `index`.
        """
        from seehear import indexers

        if not paths:
            raise UsageError("name at least one folder to watch")

        indexers.watch(
            self._catalog,
            self._opened.model(),
            [arguments.as_path(path) for path in paths],
            self.settings,
            include=include,
            exclude=exclude,
            on_report=on_report,
            progress=progress,
            stop=stop,
            calibrate=self._missing_calibration,
        )

    @while_open
    def upgrade(
        self,
        model: str,
        *,
        progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> IndexReport:
        """Encode the whole collection with another model.

        The old model answers until the new one is complete; a stopped run continues where it
        stopped. Raises as `index`, and UsageError for an empty collection.
        """
        roots = [root.path for root in self._catalog.roots()]
        if not roots:
            raise UsageError(
                "the collection is empty; add a folder with `seehear index FOLDER --model NAME`"
            )
        return self.index(*roots, model=model, progress=progress, stop=stop)

    @while_open
    def model_change(self, model: str) -> ModelChange | None:
        """Return what `index` with this model would encode again, and how long that may take.

        None where it encodes nothing again. The time is measured on a few files, for some seconds;
        it is None for a model that has to be downloaded first. Raises ModelError.
        """
        from seehear.encoders import full_name, is_fetched
        from seehear.indexers import model_change

        load = None if is_fetched(model) else lambda: self._opened.model(model)
        return model_change(self._catalog, full_name(model), load, self.settings)

    @while_open
    def generations(self) -> list[Generation]:
        """List the generations, oldest first: the model of each, and whether it serves."""
        return self._catalog.generations()

    @while_open
    def drop_generation(self, generation_id: int) -> None:
        """Delete a generation that does not serve. Raises UsageError if the id is unknown,
        StoreError for the serving generation."""
        if generation_id not in [generation.id for generation in self.generations()]:
            raise UsageError(f"No generation {generation_id}. List them with `seehear generations`")
        with self._catalog.write_lock():
            self._catalog.drop_generation(generation_id)

    @while_open
    def verify(
        self,
        *,
        hashes: bool = False,
        progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Verification:
        """Check the catalog, and the caches against it; rebuild damaged caches.

        With `hashes`, also read every reachable file and compare it with what was indexed.
        While another process writes, check everything and repair nothing.
        """
        from seehear import indexers

        return indexers.verify(self._catalog, hashes=hashes, progress=progress, stop=stop)

    @while_open
    def export(self, archive: PathLike) -> Manifest:
        """Write the collection, without its caches, into one new file.

        Raises UsageError if the file exists, StoreError if it cannot be written.
        """
        from seehear.stores import archive as archives

        return archives.export(self._catalog, arguments.as_path(archive))

    @while_open
    def import_archive(
        self,
        archive: PathLike,
        path_map: Mapping[str, PathLike] | Mapping[Path, PathLike] | None = None,
    ) -> Manifest:
        """Fill this empty collection from an export; `moved` maps old folders to new folders.

        Raises UsageError if the collection is not empty, the file is not an export, or it does
        not contain a folder in `moved`; StoreError if the file is cut off, altered or unsafe.
        """
        from seehear.stores import archive as archives

        folders = {
            Path(old): Path(new).expanduser().absolute() for old, new in (path_map or {}).items()
        }
        with self._opened.suspended():
            return archives.restore(arguments.as_path(archive), self._catalog, folders)

    @while_open
    def search(
        self,
        text: str | Sequence[str] | None = None,
        *,
        image: Paths = (),
        audio: Paths = (),
        video: Paths = (),
        weights: Sequence[float] = (),
        without: str | Sequence[str] = (),
        without_files: Paths = (),
        k: int = 10,
        modalities: Iterable[str] | None = None,
        under: PathLike | None = None,
        where: str = "",
        min_score: float = 0.0,
        mode: str = "auto",
        moments: int = 1,
        diverse: bool = False,
        show_duplicates: bool = False,
        like: Iterable[Hit | int] = (),
        unlike: Iterable[Hit | int] = (),
        explain: bool = False,
    ) -> list[Hit]:
        """Search by words, photos, sounds and videos together; return the best hits first.

        Args:
            text: one description, or several that must all fit.
            image, audio, video: files to search by.
            weights: how much each part counts, in the order text, image, audio, video; 1 for
                parts without a weight.
            without, without_files: words or files to leave out.
            k: maximum number of hits.
            modalities: kinds to search: "image", "audio", "video", "text", or words such as
                "photos"; None searches all.
            under: search only this folder.
            where: a filter, such as "taken >= 2024-06 and duration < 60" (docs/searching.md).
            min_score: leave out hits with a lower score; from 0 to 1.
            mode: search by meaning ("semantic"), by words as written ("words"), or both ("auto").
            moments: maximum number of moments per hit.
            diverse: show more variety among the hits.
            show_duplicates: list near-identical files as separate hits.
            like, unlike: hits, or their segment ids, to find more or less like.
            explain: explain each score in `Hit.why`.

        Raises UsageError for an empty query or a wrong value, MediaError for a query file that
        cannot be read, ModelError if the model of the collection cannot be loaded.
        """
        return self.run(
            query_builder.build_query(
                self.file_part,
                text=text,
                image=image,
                audio=audio,
                video=video,
                weights=weights,
                without=without,
                without_files=without_files,
                k=k,
                modalities=modalities,
                under=under,
                where=where,
                min_score=min_score,
                mode=mode,
                moments=moments,
                diverse=diverse,
                show_duplicates=show_duplicates,
                like=like,
                unlike=unlike,
                explain=explain,
            )
        )

    @while_open
    def run(self, query: Query) -> list[Hit]:
        """Answer a `Query`; `search` makes one from plain arguments. Raises as `search`."""
        if (engine := self._opened.engine()) is not None:
            return engine.search(query, self._parse_filter)
        from seehear.search import check_query

        check_query(query)
        self._parse_filter(query.where)
        return []

    @while_open
    def parse_query(self, line: str | Sequence[str]) -> list[QueryPart]:
        """Return the parts of a one-line query, `2:red car + photo.jpg - night`.

        A word that names a file stands for that file (docs/searching.md). Raises as `file_part`.
        """
        return query_builder.parse_query(line, self.file_part)

    @while_open
    def text_part(self, words: str, *, weight: float = 1.0, exclude: bool = False) -> QueryPart:
        """Make a part of a query from words."""
        return query_builder.text_part(words, weight=weight, exclude=exclude)

    @while_open
    def file_part(
        self,
        path: PathLike,
        *,
        weight: float = 1.0,
        exclude: bool = False,
        expected: str | None = None,
    ) -> QueryPart:
        """Make a part of a query from a photo, sound, video or text file.

        Raises UsageError if the file is missing or not of the modality `expected`, MediaError if
        it cannot be read.
        """
        spec = self._opened.spec
        return query_builder.file_part(
            path, spec, weight=weight, exclude=exclude, expected=expected
        )

    @while_open
    def similar(
        self,
        path: PathLike,
        *,
        k: int = 10,
        modalities: Iterable[str] | None = None,
        under: PathLike | None = None,
    ) -> list[Hit]:
        """Find files like a given file; leave out the file itself and its copies.

        Raises as `search`.
        """
        from seehear.media.hashing import content_hash

        file = arguments.as_path(path)
        query = query_builder.build_query(
            self.file_part, files=file, k=k, modalities=modalities, under=under
        )
        own = self._catalog.find_asset(content_hash(file))
        found = self.run(dataclasses.replace(query, k=k + (own is not None)))
        others = [hit for hit in found if own is None or hit.asset_id != own.id][:k]
        return [dataclasses.replace(hit, rank=rank) for rank, hit in enumerate(others, 1)]

    @while_open
    def duplicates(
        self,
        *,
        modalities: Iterable[str] | None = None,
        under: PathLike | None = None,
        where: str = "",
    ) -> list[DuplicateGroup]:
        """Return groups of identical or near-identical files.

        Raises UsageError for a bad filter.
        """
        kinds = arguments.parse_modalities(modalities)
        engine = self._opened.engine()
        if engine is None:
            from seehear.search import parse_where

            parse_where(where)
            return []
        return engine.duplicates(
            kinds,
            under=arguments.as_folder(under),
            where=where,
        )

    @while_open
    def facets(self, field: str, *, top: int | None = None) -> FacetValues:
        """Return the values of a field with how many items have each, most frequent first.

        `field` is "type", "format", "folder", "year", "month", "tag", "camera", "lens",
        "orientation", "artist", "album", "genre", "city" or "country", in the singular or the
        plural. Without `top` all values are returned.
        Raises UsageError for a field that has no list of values.
        """
        from seehear.search import facet_named

        return self._catalog.facet(facet_named(field), top)

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
    def status(self) -> dict[str, Any]:
        """Return what the collection holds, as plain values that `status --json` prints."""
        return describe_collection(self.folder, self._catalog, self._opened.engine())

    @while_open
    def roots(self) -> list[Root]:
        """Return the folders and files that were given to `index`, and whether each is online."""
        return self._catalog.roots()

    @while_open
    def unsupported(self) -> dict[str, int]:
        """Return how many files of kinds that are not read the roots hold, by suffix, most first.

        As the last run over each whole root met them; see `IndexReport.unsupported`.
        """
        return count_unsupported(self._catalog)

    @while_open
    def failures(self) -> list[Failure]:
        """Return the files that could not be indexed, each with the stage and the reason."""
        return self._catalog.failures()

    @while_open
    def forget(self, path: PathLike) -> int:
        """Remove a root, a folder or a file from the collection; return the number of files.

        The files themselves stay. Raises UsageError if the collection has nothing at the path.
        """
        with self._catalog.write_lock():
            count = self._catalog.remove(arguments.as_path(path).absolute())
        if count == 0:
            raise UsageError(f"{path} is not in the collection; see `seehear status`")
        return count

    def _parse_filter(self, text: str) -> Filter | None:
        """Return the filter of a query, whose folders are named by path."""
        from seehear.search import parse_where

        return parse_where(text)

    def _missing_calibration(self) -> dict[str, bytes]:
        """Return what an index run shall keep so that no search has to compute it again."""
        engine = self._opened.engine()
        return {} if engine is None else engine.missing_calibration()

    def _load(self, name: str) -> Model:
        from seehear.encoders import load_model

        return load_model(name, self.settings.device)


def open_collection(
    folder: PathLike | None = None,
    *,
    model: str | None = None,
    device: str = "auto",
    rerank: Rerank | None = None,
) -> Collection:
    """Open a collection, or start a new one: `seehear.open("~/seehear")`.

    Without a folder, open the default collection (SEEHEAR_COLLECTION, or a per-user folder). A
    folder that is missing or empty becomes a collection. `model` encodes a new collection; an
    existing collection keeps its model. Raises UsageError for a folder that holds other files, such
    as media, and StoreError if it cannot be opened.
    """
    settings = Settings(device=device) if model is None else Settings(model=model, device=device)
    return Collection(folder, settings, rerank=rerank)
