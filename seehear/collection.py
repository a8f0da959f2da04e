"""A collection as a library: open it, index folders into it, search it.

This is the facade that `import seehear` gives; every door (command line, HTTP) uses it too.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from seehear.config import Settings, default_collection
from seehear.errors import ModelError, UsageError
from seehear.types import Hit, Modality, Query, QueryPart

if TYPE_CHECKING:
    from seehear.encoders import Model
    from seehear.indexers import IndexReport, Progress
    from seehear.search import Engine
    from seehear.stores import Catalog, Failure, Generation

PathLike = str | Path
Paths = PathLike | Iterable[PathLike]


class Collection:
    """Folders of media, made searchable. Safe to use from several threads.

    `folder` is where the collection itself lives, not the media. Nothing heavy is loaded before
    it is needed: a text query with the bundled model never imports torch.

    Raises StoreError where the folder cannot be opened, or (with `must_exist`) holds no collection.
    """

    def __init__(
        self,
        folder: PathLike | None = None,
        settings: Settings | None = None,
        *,
        must_exist: bool = False,
    ) -> None:
        from seehear.stores import Catalog

        self.folder = Path(folder).expanduser() if folder is not None else default_collection()
        self.settings = settings or Settings()
        self._catalog: Catalog = Catalog.open(self.folder, create=not must_exist)
        self._models: dict[str, Model] = {}
        self._engine: tuple[int, Engine] | None = None
        self._lock = threading.RLock()

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
        """Let go of the catalog and the indexes."""
        with self._lock:
            self._engine = None
            self._catalog.close()

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
        """Bring the collection up to date with some folders or files.

        Without `model`, the one that serves already is kept (or the settings' one on a new
        collection). Another model builds its own generation beside the serving one and takes over
        when it is complete. Files that fail are in the report; the rest goes on.

        Raises UsageError without a path, ModelError, CollectionLockedError, StorageFullError.
        """
        from seehear import indexers

        if not paths:
            raise UsageError("name at least one folder or file to index")
        serving = self._catalog.serving()
        name = model or (serving.model if serving else self.settings.model)
        return indexers.index(
            self._catalog,
            self._model(name),
            [Path(path).expanduser() for path in paths],
            self.settings,
            include=include,
            exclude=exclude,
            retry_failed=retry_failed,
            progress=progress,
            stop=stop,
        )

    def search(
        self,
        text: str | Sequence[str] | None = None,
        *,
        image: Paths = (),
        audio: Paths = (),
        video: Paths = (),
        without: str | Sequence[str] = (),
        k: int = 10,
        modalities: Iterable[str] | None = None,
        under: PathLike | None = None,
        min_score: float = 0.0,
    ) -> list[Hit]:
        """Find what fits words, photos, sounds and clips together, best first.

        Args:
            text: one description, or several that shall all fit.
            image, audio, video: a file each, or several.
            without: what hits shall not show.
            k: most hits.
            modalities: of "image", "audio", "video", "text"; None asks for all.
            under: only what lies below this folder.
            min_score: leave out hits that score lower, in [0, 1].

        Raises UsageError for a query without parts or with impossible values, MediaError for a
        query file that cannot be read, ModelError where the collection needs another model.
        """
        engine = self._open_engine()
        if engine is None:
            return []
        model = self._model(self._serving().model)
        parts = [QueryPart((words,), label=words) for words in _listed(text) if words.strip()]
        for kind, files in (("image", image), ("audio", audio), ("video", video)):
            parts += [self._file_part(model, Path(file), Modality(kind)) for file in _paths(files)]
        parts += [
            QueryPart((words,), exclude=True, label=words)
            for words in _listed(without)
            if words.strip()
        ]
        return engine.search(
            Query(
                parts=tuple(parts),
                k=k,
                modalities=_modalities(modalities),
                under=Path(under).expanduser().absolute() if under is not None else None,
                min_score=min_score,
            )
        )

    def similar(
        self,
        path: PathLike,
        *,
        k: int = 10,
        modalities: Iterable[str] | None = None,
        under: PathLike | None = None,
    ) -> list[Hit]:
        """Find what is like a file of any kind; the file itself and its copies are left out.

        Raises as `search`.
        """
        engine = self._open_engine()
        if engine is None:
            return []
        file = Path(path).expanduser()
        part = self._file_part(self._model(self._serving().model), file, None)
        own = self._catalog.find_asset(_hash_of(file))
        found = engine.search(
            Query(
                parts=(part,),
                k=k + (own is not None),
                modalities=_modalities(modalities),
                under=Path(under).expanduser().absolute() if under is not None else None,
            )
        )
        others = [hit for hit in found if own is None or hit.asset_id != own.id][:k]
        return [dataclasses.replace(hit, rank=rank) for rank, hit in enumerate(others, 1)]

    def status(self) -> dict[str, Any]:
        """What the collection holds: plain values, as `status --json` prints them."""
        counts = self._catalog.counts()
        generation = self._catalog.serving()
        return {
            "collection": str(self.folder),
            "model": generation.model if generation else None,
            "revision": generation.revision if generation else None,
            "assets": counts.assets,
            "segments": counts.segments,
            "by_modality": {str(kind): n for kind, n in counts.by_modality.items()},
            "locations": counts.locations,
            "failures": counts.failures,
            "size_bytes": counts.size_bytes,
            "index": self._describe_index(),
            "roots": [
                {"path": str(root.path), "online": root.online} for root in self._catalog.roots()
            ],
        }

    def failures(self) -> list[Failure]:
        """The files that could not be indexed, with stage and reason."""
        return self._catalog.failures()

    def forget(self, path: PathLike) -> int:
        """Take a root, a folder or a file out of the collection; returns how many files.

        The files themselves are left alone. Raises UsageError where nothing lies at the path.
        """
        with self._catalog.write_lock():
            count = self._catalog.forget(Path(path).expanduser().absolute())
        if count == 0:
            raise UsageError(f"nothing in the collection lies at {path}; see `seehear status`")
        return count

    def _serving(self) -> Generation:
        generation = self._catalog.serving()
        if generation is None:
            raise UsageError("the collection is empty; run `seehear index PATH` first")
        return generation

    def _open_engine(self) -> Engine | None:
        """The engine of the serving generation, current; None while nothing is indexed."""
        from seehear.search import Engine
        from seehear.stores import VectorCache

        with self._lock:
            generation = self._catalog.serving()
            if generation is None:
                return None
            if self._engine is None or self._engine[0] != generation.id:
                model = self._model(generation.model)
                if model.revision != generation.revision:
                    raise ModelError(
                        f"the collection was indexed with {generation.model} {generation.revision}"
                        f", and this is {model.revision}; run `seehear index` on its folders once"
                    )
                cache = VectorCache(self.folder, self._catalog, generation)
                self._engine = generation.id, Engine(self._catalog, cache, model)
            engine = self._engine[1]
        engine.refresh()
        return engine

    def _model(self, name: str) -> Model:
        from seehear.encoders import load_model

        with self._lock:
            if name not in self._models:
                self._models[name] = load_model(name, self.settings.device)
            return self._models[name]

    def _file_part(self, model: Model, path: Path, expected: Modality | None) -> QueryPart:
        from seehear import media

        path = path.expanduser()
        if not path.exists():
            raise UsageError(f"there is no file {path}")
        modality, samples = media.query_samples(path, model.spec)
        if expected is not None and modality is not expected:
            raise UsageError(f"{path} holds {modality}, not {expected}")
        return QueryPart(samples, label=path.name)

    def _describe_index(self) -> str:
        engine = self._open_engine()
        return engine.describe_index() if engine is not None else "empty"


def open_collection(
    folder: PathLike | None = None, *, model: str | None = None, device: str = "auto"
) -> Collection:
    """Open a collection, or start one: `seehear.open("~/.cache/mine")`.

    Without a folder it is the default one (SEEHEAR_COLLECTION or a per-user place). `model` is
    what a new collection is indexed with; one that exists keeps its own. Raises StoreError.
    """
    settings = Settings(device=device) if model is None else Settings(model=model, device=device)
    return Collection(folder, settings)


def _listed(text: str | Sequence[str] | None) -> list[str]:
    if text is None:
        return []
    return [text] if isinstance(text, str) else list(text)


def _paths(files: Paths) -> list[PathLike]:
    return [files] if isinstance(files, str | Path) else list(files)


def _modalities(names: Iterable[str] | None) -> frozenset[Modality] | None:
    if names is None:
        return None
    try:
        return frozenset(Modality(name) for name in names)
    except ValueError as error:
        raise UsageError(f"{error}; choose of {', '.join(Modality)}") from None


def _hash_of(path: Path) -> str:
    from seehear.indexers import content_hash

    return content_hash(path)
