"""A collection as a library: open it, index folders into it, search it.

This is the facade that `import seehear` gives; every door (command line, HTTP) uses it too. Parts
of queries are made in questions.py; models and the engine are opened in opened.py.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from seehear import arguments, questions
from seehear.arguments import PathLike, Paths
from seehear.config import Settings, default_collection
from seehear.errors import UsageError
from seehear.opened import Opened
from seehear.types import Hit, Query, QueryPart, SampleSpec

if TYPE_CHECKING:
    from seehear.encoders import Model
    from seehear.indexers import IndexReport, Progress, Verification
    from seehear.search import DuplicateGroup, Rerank
    from seehear.stores import Catalog, Failure, Generation, Root
    from seehear.stores.archive import Manifest


class Collection:
    """Folders of media, made searchable. Safe to use from several threads.

    `folder` is where the collection itself lives, not the media. Nothing heavy is loaded before
    it is needed: a text query with the bundled model never imports torch.

    `rerank` gives what a search found other scores (docs/searching.md).

    Raises StoreError where the folder cannot be opened, or (with `must_exist`) holds no collection.
    """

    def __init__(
        self,
        folder: PathLike | None = None,
        settings: Settings | None = None,
        *,
        must_exist: bool = False,
        rerank: Rerank | None = None,
    ) -> None:
        from seehear.stores import Catalog

        self.folder = Path(folder).expanduser() if folder is not None else default_collection()
        self.settings = settings or Settings()
        self._catalog: Catalog = Catalog.open(
            self.folder, create=not must_exist, url=self.settings.database
        )
        self._opened = Opened(self._catalog, self.settings, self._load, rerank)

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
        with self._opened.put_away():
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
        report = indexers.index(
            self._catalog,
            self._opened.model(model),
            [Path(path).expanduser() for path in paths],
            self.settings,
            include=include,
            exclude=exclude,
            retry_failed=retry_failed,
            progress=progress,
            stop=stop,
        )
        self._prepare()
        return report

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

        def reported(report: IndexReport) -> None:
            self._prepare()
            if on_report is not None:
                on_report(report)

        indexers.watch(
            self._catalog,
            self._opened.model(),
            [Path(path).expanduser() for path in paths],
            self.settings,
            include=include,
            exclude=exclude,
            on_report=reported,
            progress=progress,
            stop=stop,
        )

    def upgrade(
        self,
        model: str,
        *,
        progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> IndexReport:
        """Encode the whole collection with another model, beside the one that serves.

        The old one answers until the new one is complete; a run that was stopped goes on where it
        was. Raises as `index`, and UsageError for an empty collection.
        """
        roots = [root.path for root in self._catalog.roots()]
        if not roots:
            raise UsageError("the collection is empty; run `seehear index PATH --model NAME`")
        return self.index(*roots, model=model, progress=progress, stop=stop)

    def generations(self) -> list[Generation]:
        """Every generation, oldest first: which model, and whether it serves."""
        return self._catalog.generations()

    def drop_generation(self, generation_id: int) -> None:
        """Take out a generation that does not serve. Raises UsageError where there is none such,
        StoreError for the one that serves."""
        if generation_id not in [generation.id for generation in self.generations()]:
            raise UsageError(f"there is no generation {generation_id}; see `seehear generations`")
        with self._catalog.write_lock():
            self._catalog.drop_generation(generation_id)

    def verify(
        self,
        *,
        hashes: bool = False,
        progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Verification:
        """Check the catalog in itself and the caches against it; make anew what is only a cache.

        With `hashes`, every file that can be reached is read and compared with what was indexed.
        While another process writes, everything is checked and nothing repaired.
        """
        from seehear import indexers

        return indexers.verify(self._catalog, hashes=hashes, progress=progress, stop=stop)

    def export_to(self, archive: PathLike) -> Manifest:
        """Write the collection, without its caches, into one new file, as of one instant.

        Raises UsageError where there is a file already, StoreError where it cannot be written.
        """
        from seehear.stores import archive as archives

        return archives.export(self._catalog, Path(archive).expanduser())

    def import_from(
        self,
        archive: PathLike,
        moved: Mapping[str, PathLike] | Mapping[Path, PathLike] | None = None,
    ) -> Manifest:
        """Fill this collection, which must be empty, from an export; `moved` says in which new
        folders old ones lie now.

        Raises UsageError for a collection that is not empty, for what is no export, and for
        folders that it does not know; StoreError for one that is cut off, altered or unsafe.
        """
        from seehear.stores import archive as archives

        folders = {
            Path(old): Path(new).expanduser().absolute() for old, new in (moved or {}).items()
        }
        with self._opened.put_away():
            return archives.restore(Path(archive).expanduser(), self._catalog, folders)

    def search(
        self,
        text: str | Sequence[str] | None = None,
        *,
        image: Paths = (),
        audio: Paths = (),
        video: Paths = (),
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
        """Find what fits words, photos, sounds and clips together, best first.

        Args:
            text: one description, or several that shall all fit.
            image, audio, video: a file each, or several.
            without, without_files: what hits shall not show.
            k: most hits.
            modalities: of "image", "audio", "video", "text"; None asks for all.
            under: only what lies below this folder.
            where: a filter, such as "taken >= 2024-06 and duration < 60" (docs/searching.md).
            min_score: leave out hits that score lower, in [0, 1].
            mode: "semantic" goes by meaning, "words" by words as written, "auto" by both.
            moments: most moments that a hit carries.
            diverse: spread the hits over different things.
            show_duplicates: list near-identical files as hits of their own.
            like, unlike: hits (or their segment ids) of which there shall be more, or fewer.
            explain: say in `Hit.why` how each score came about.

        Raises UsageError for a query without parts or with impossible values, MediaError for a
        query file that cannot be read, ModelError where the collection needs another model.
        """
        parts = questions.of_arguments(
            self.part_of_file,
            text=text,
            image=image,
            audio=audio,
            video=video,
            without=without,
            without_files=without_files,
        )
        return self.ask(
            Query(
                parts=parts,
                k=k,
                modalities=arguments.modalities(modalities),
                under=arguments.folder(under),
                where=where,
                min_score=min_score,
                mode=arguments.mode(mode),
                moments=moments,
                diverse=diverse,
                show_duplicates=show_duplicates,
                like=arguments.segments(like),
                unlike=arguments.segments(unlike),
                explain=explain,
            )
        )

    def ask(self, query: Query) -> list[Hit]:
        """Answer a query made by hand; `search` makes one from plain arguments. Raises as it."""
        if (engine := self._opened.engine()) is not None:
            return engine.search(query)
        from seehear.search import check_query, parse_where

        check_query(query)
        parse_where(query.where)
        return []

    def composed(self, line: str | Sequence[str]) -> list[QueryPart]:
        """The parts of a query in one line, `2:red car + photo.jpg - night` (docs/searching.md).

        A word that names a file is that file. Raises as `part_of_file`.
        """
        return questions.of_line(line, self.part_of_file)

    def part(self, words: str, *, weight: float = 1.0, exclude: bool = False) -> QueryPart:
        """Words as a part of a query."""
        return questions.of_words(words, weight=weight, exclude=exclude)

    def part_of_file(
        self,
        path: PathLike,
        *,
        weight: float = 1.0,
        exclude: bool = False,
        expected: str | None = None,
    ) -> QueryPart:
        """A photo, sound, clip or text file as a part of a query.

        Raises UsageError where there is no such file or it is not of the modality `expected`,
        MediaError where it cannot be read.
        """
        return questions.of_file(
            path, self._spec, weight=weight, exclude=exclude, expected=expected
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
        file = Path(path).expanduser()
        part = self.part_of_file(file)
        own = self._catalog.find_asset(_hash_of(file))
        found = self.ask(
            Query(
                parts=(part,),
                k=k + (own is not None),
                modalities=arguments.modalities(modalities),
                under=arguments.folder(under),
            )
        )
        others = [hit for hit in found if own is None or hit.asset_id != own.id][:k]
        return [dataclasses.replace(hit, rank=rank) for rank, hit in enumerate(others, 1)]

    def duplicates(
        self,
        *,
        modalities: Iterable[str] | None = None,
        under: PathLike | None = None,
        where: str = "",
    ) -> list[DuplicateGroup]:
        """Groups of files that are the same or nearly so. Raises UsageError for a bad filter."""
        kinds = arguments.modalities(modalities)
        engine = self._opened.engine()
        if engine is None:
            from seehear.search import parse_where

            parse_where(where)
            return []
        return engine.duplicates(
            kinds,
            under=arguments.folder(under),
            where=where,
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to find: nothing was indexed yet, or all of it is forgotten."""
        engine = self._opened.engine()
        if engine is None:
            return True
        # Counting a large collection takes a while; the indexes know their sizes.
        return engine.describe_index() == "empty" and self._catalog.counts().assets == 0

    def status(self) -> dict[str, Any]:
        """What the collection holds: plain values, as `status --json` prints them."""
        counts = self._catalog.counts()
        generation = self._catalog.serving()
        engine = self._opened.engine()
        return {
            "collection": str(self.folder),
            "model": generation.model if generation else None,
            "revision": generation.revision if generation else None,
            "assets": counts.assets - counts.subtitles,
            "segments": counts.segments,
            "by_modality": {str(kind): n for kind, n in counts.by_modality.items()},
            "subtitles": counts.subtitles,
            "locations": counts.locations,
            "failures": counts.failures,
            "unsupported": self.unsupported(),
            "size_bytes": counts.size_bytes,
            "index": engine.describe_index() if engine is not None else "empty",
            "roots": [
                {"path": str(root.path), "online": root.online} for root in self._catalog.roots()
            ],
        }

    def roots(self) -> list[Root]:
        """The folders and files that were given to `index`, and whether they are there."""
        return self._catalog.roots()

    def unsupported(self) -> dict[str, int]:
        """How many files of kinds that are not read the roots hold, by suffix, most first.

        As the last run over each whole root met them; see `IndexReport.unsupported`.
        """
        from seehear.indexers.report import most_common

        return most_common(
            sum((Counter(root.unsupported) for root in self._catalog.roots()), Counter())
        )

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

    def _prepare(self) -> None:
        """After writing: keep what every search needs, so that none has to make it again."""
        engine = self._opened.engine()
        if engine is not None:
            engine.prepare()

    def _spec(self) -> SampleSpec:
        """How the model that answers queries wants media cut."""
        return self._opened.model().spec

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
    """Open a collection, or start one: `seehear.open("~/.cache/mine")`.

    Without a folder it is the default one (SEEHEAR_COLLECTION or a per-user place). `model` is
    what a new collection is indexed with; one that exists keeps its own. Raises StoreError.
    """
    settings = Settings(device=device) if model is None else Settings(model=model, device=device)
    return Collection(folder, settings, rerank=rerank)


def _hash_of(path: Path) -> str:
    from seehear.indexers import content_hash

    return content_hash(path)
