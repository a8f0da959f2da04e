"""Read a collection: search it, and list what it holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from seehear import arguments, query_builder
from seehear.arguments import PathLike, Paths
from seehear.config import Settings, default_collection
from seehear.libraries import naming_faults
from seehear.loaded_models import LoadedModels, while_open
from seehear.status import count_unsupported, describe_collection
from seehear.types import Asset, Hit, Modality, Query, QueryPart, Segment

if TYPE_CHECKING:
    from seehear.encoders import Model
    from seehear.media.stored_file import StoredFile
    from seehear.search import DuplicateGroup, Rerank
    from seehear.stores import (
        Catalog,
        FacetValues,
        Failure,
        FileRecord,
        Generation,
        Location,
        Root,
    )
    from seehear.stores.catalog.filters import Filter


class CollectionReader:
    """What reads a collection, and changes nothing in it; `Collection` adds the rest."""

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
        typing: bool = False,
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
            typing: the last word may not be complete; find words that begin with it, too.

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
                typing=typing,
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
    def notes(self, query: Query) -> list[str]:
        """Return what a person should know about the answer to a query, a sentence each.

        Such as: the words are in a language that the model does not read. Raises ModelError.
        """
        from seehear.search import language_notes

        return language_notes(query, self._opened.model())

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
        opened = self._opened
        return query_builder.file_part(
            path, opened.spec, opened.decoder, weight=weight, exclude=exclude, expected=expected
        )

    @while_open
    def thumbnail(self, hit: Hit, px: int = 320) -> tuple[bytes, str]:
        """Draw a hit: its image, the frame of its moment, or the spectrogram of its sound.

        Returns the picture and its content type. Raises MediaError where the file cannot be read
        or has other content than was indexed, and for a text.
        """
        from seehear.hit_files import draw_hit

        file = self.stored_file(hit.asset_id, hit.path)
        return draw_hit(self._opened.decoder(), file, hit, px)

    @while_open
    def stored_file(self, asset_id: int, first: Path | None = None) -> StoredFile:
        """Return a file that has the content of an asset now; try the path `first` before others.

        Raises MediaError (stage "open") if no file can be read, ContentChangedError where each has
        other content.
        """
        from seehear.hit_files import find_stored_file

        return find_stored_file(
            self._catalog, asset_id, first, follow_links=self.settings.follow_links
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
        own = self._catalog.assets.find(content_hash(file))
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

        return self._catalog.assets.facet(facet_named(field), top)

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

    @while_open
    def model(self) -> Model:
        """Return the model that answers, or the settings' model while nothing is indexed.

        Raises ModelError.
        """
        return self._opened.model()

    @while_open
    def warm_up(self) -> None:
        """Load now what the first searches would wait for: the model, indexes and baselines.

        Raises ModelError.
        """
        from seehear.encoders.plain import try_encoder

        model = self._opened.model()
        for modality in Modality:
            if model.spaces_of(modality):
                try_encoder(model, modality)
        if (engine := self._opened.engine()) is not None:
            engine.warm_up()

    def _parse_filter(self, text: str) -> Filter | None:
        """Return the filter of a query, whose folders are named by path."""
        from seehear.search import parse_where

        return parse_where(text)

    def _load(self, name: str) -> Model:
        from seehear.encoders import load_model

        return load_model(name, self.settings.device)
