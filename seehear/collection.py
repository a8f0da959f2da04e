"""A collection as a library: open it, index folders into it, search it.

This is the facade that `import seehear` gives; every interface (command line, HTTP) uses it too.
`collection_reader` has the half that only reads, `collection_items` what adds from memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seehear import arguments
from seehear.argument_types import checked
from seehear.arguments import PathLike
from seehear.collection_items import CollectionItems
from seehear.config import Settings
from seehear.errors import UsageError
from seehear.loaded_models import while_open
from seehear.sources import path_of

if TYPE_CHECKING:
    from seehear.indexers import IndexReport, ModelChange, Progress, Verification
    from seehear.search import Rerank
    from seehear.stores.archive import Manifest


class Collection(CollectionItems):
    """Index folders of media and search them. Safe to use from several threads.

    `folder` holds the collection itself, not the media. Heavy libraries are loaded when they are
    needed: a text query with the bundled model never imports torch.

    `rerank` changes the scores of the results (docs/searching.md).

    Raises StoreError if the folder cannot be opened or, with `must_exist`, holds no collection, and
    UsageError if it holds other files. Every method raises CollectionClosedError after `close`, and
    EnvironmentFaultError if a library cannot be loaded.
    """

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
        read: str | Sequence[str] | None = None,
        read_for_s: float | None = None,
        speech_model: str | None = None,
        on: str | None = None,
        encoders: int | None = None,
        gpus_per_encoder: float | None = None,
    ) -> IndexReport:
        """Index folders or files: add what is new, update what changed, remove what is gone.

        Without `model`, keep the model in use, or take the one of the settings for a new
        collection. Another model builds its own generation beside the serving one and takes over
        when it is complete. The report lists the files that failed.

        `read` is "speech", "writing", both, or "none": what is said and written in these files is
        read at the end, for at most `read_for_s` seconds, by `speech_model` (a name or a folder).
        The collection remembers it: later runs do the same where it is left out. A reader that is
        not installed is named in `report.read.faults`.

        `on` encodes on a Ray cluster: "ray://HOST:PORT", on a machine of it also "HOST:PORT" or
        "auto", or "local" for a Ray started here (docs/scale-encoding.md). `encoders` is how many
        processes encode there (without it, one for each GPU, or else one for each machine),
        `gpus_per_encoder` the GPUs, or the part of one, that each gets. Machines that cannot be
        used are named in `report.notes`.

        Raises UsageError if no path is given, ModelError, CollectionLockedError, StorageFullError.
        """
        from seehear import indexers
        from seehear.indexers.ray_cluster import RayOptions

        if on is None and (encoders is not None or gpus_per_encoder is not None):
            raise UsageError("encoders and gpus_per_encoder need on (--on): where to encode")

        ray = None if on is None else RayOptions(on, encoders, gpus_per_encoder)
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
            read=arguments.as_names(read),
            read_for_s=read_for_s,
            speech_model=speech_model,
            on=ray,
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
        from seehear import indexers

        if not self._catalog.assets.count() and not self._catalog.locations.roots():
            raise UsageError(
                "the collection is empty; add a folder with `seehear index FOLDER --model NAME`"
            )
        return indexers.index(
            self._catalog,
            self._opened.model(model),
            (),
            self.settings,
            progress=progress,
            stop=stop,
            calibrate=self._missing_calibration,
        )

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
    def drop_generation(self, generation_id: int) -> None:
        """Delete a generation that does not serve. Raises UsageError if the id is unknown,
        StoreError for the serving generation."""
        if generation_id not in [generation.id for generation in self.generations()]:
            raise UsageError(f"No generation {generation_id}. List them with `seehear generations`")
        with self._catalog.write_lock():
            self._catalog.generations.drop(generation_id)

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

        vectors = self.settings.vectors
        return indexers.verify(
            self._catalog, vectors=vectors, hashes=hashes, progress=progress, stop=stop
        )

    @while_open
    def export(self, archive: PathLike, *, force: bool = False) -> Manifest:
        """Write the collection, without its caches, to a file; `force` replaces one that exists.

        Raises UsageError if the file must not be written, StoreError if it cannot be written.
        """
        from seehear.stores import archive as archives

        return archives.export(self._catalog, arguments.as_output(archive), force=force)

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
            path_of(old): path_of(new).expanduser().absolute()
            for old, new in (path_map or {}).items()
        }
        with self._opened.suspended():
            return archives.restore(arguments.as_path(archive), self._catalog, folders)

    @while_open
    def forget(self, path: PathLike) -> int:
        """Remove a root, a folder or a file from the collection; return the number of files.

        The files themselves stay. Raises UsageError if the collection has nothing at the path.
        """
        path = arguments.as_path(path)
        with self._catalog.write_lock():
            count = self._catalog.locations.remove(path.absolute())
        if count == 0:
            raise UsageError(f"{path} is not in the collection; see `seehear status`")
        return count

    @while_open
    def forget_readings(self, read: str | Sequence[str]) -> int:
        """Remove what readers found and read no more of it; return the number of readings.

        `read` is "speech", "writing" or both. Raises UsageError for another name.
        """
        from seehear.indexers.reading import forget_readings

        with self._catalog.write_lock():
            return forget_readings(self._catalog, arguments.as_names(read) or ())

    def _missing_calibration(self) -> dict[str, bytes]:
        """Return what an index run shall keep so that no search has to compute it again."""
        engine = self._opened.engine()
        return {} if engine is None else engine.missing_calibration()


@checked
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
