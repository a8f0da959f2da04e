"""Search a collection; `collection_moments` opens and cuts what is found."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from seehear import arguments, query_builder
from seehear.address import is_address, parse_address
from seehear.arguments import Media, Modalities, ModeName, PathLike
from seehear.collection_moments import CollectionMoments
from seehear.errors import UsageError
from seehear.loaded_models import while_open
from seehear.types import Embeddings, Hit, Modality, Query, QueryPart, Reading, shown_name

if TYPE_CHECKING:
    from seehear.encoders import Model
    from seehear.search import DuplicateGroup
    from seehear.search.interpretation import Interpretation
    from seehear.stores.catalog.change_log import State

_MOST_KNOWN = 1000
"""Answers of the catalog that are kept for reading queries."""
_KNOWN_S = 300.0
"""How long: a file that was only moved or described anew does not change the state of searches."""


AT_ONCE = 64
"""Queries that indexes are searched for together. They see one moment of the catalog, whose log
cannot shrink meanwhile: that is for seconds."""


class CollectionReader(CollectionMoments):
    """What reads a collection, and changes nothing in it; `Collection` adds the rest."""

    _known: tuple[State, float, dict[tuple[str, str], Any]] | None = None

    @while_open
    def search(
        self,
        text: str | Sequence[str] | None = None,
        *,
        all_of: Sequence[str] = (),
        image: Media | Iterable[Media] = (),
        audio: Media | Iterable[Media] = (),
        video: Media | Iterable[Media] = (),
        weights: Sequence[float] = (),
        vectors: Embeddings | None = None,
        without: str | Sequence[str] = (),
        without_files: Media | Iterable[Media] = (),
        k: int = 10,
        modalities: Modalities | None = None,
        under: PathLike | None = None,
        where: str = "",
        min_score: float = 0.0,
        mode: ModeName = "auto",
        moments: int = 1,
        diverse: bool = False,
        show_duplicates: bool = False,
        like: Iterable[Hit | int | str] = (),
        unlike: Iterable[Hit | int | str] = (),
        explain: bool = False,
        typing: bool = False,
    ) -> list[Hit]:
        """Search by words, photos, sounds and videos together; return the best hits first.

        Args:
            text: one description, or several that must all fit one result, as `all_of`. Several
                questions are asked by `search_many`.
            all_of: descriptions that must all fit one result.
            image, audio, video: what to search by, one or several: a path, bytes, an open file, a
                data URL, a PIL image, pixels as uint8 (height, width, 3), or a sound as a pair
                (samples, rate_hz), float32 (n,) or (channels, n).
            vectors: what `embed` returned; a hit is near one of them.
            weights: how much each part counts, in the order text, image, audio, video; 1 for
                parts without a weight.
            without, without_files: words or media to leave out.
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
            like, unlike: hits, their segment ids or addresses, to find more or less like.
            explain: explain each score in `Hit.why`.
            typing: the last word may not be complete; find words that begin with it, too.

        Raises UsageError for an empty query or a wrong value, MediaError for a query file that
        cannot be read, ModelError if the model of the collection cannot be loaded.
        """
        return self.run(
            query_builder.build_query(
                self.file_part,
                text=[*arguments.as_list(text), *all_of],
                image=image,
                audio=audio,
                video=video,
                weights=weights,
                parts=[] if vectors is None else [query_builder.vector_part(vectors)],
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
                like=[self._liked(one) for one in like],
                unlike=[self._liked(one) for one in unlike],
                explain=explain,
                typing=typing,
            )
        )

    def _liked(self, hit: Hit | int | str) -> Hit | int:
        return self.hit_at(hit) if isinstance(hit, str) else hit

    @while_open
    def search_many(
        self,
        queries: Iterable[str | Query | Media],
        *,
        k: int = 10,
        modalities: Modalities | None = None,
        under: PathLike | None = None,
        where: str = "",
        min_score: float = 0.0,
        mode: ModeName = "auto",
        moments: int = 1,
    ) -> list[list[Hit]]:
        """Answer several queries and return the hits of each, in their order.

        A query is a text, a photo, sound or video as `search` takes them (a path as a `Path`), or a
        `Query`, which has options of its own. All are encoded together, and each index is searched
        for 64 of them at once. Raises as `search`, before the first is answered.
        """
        from seehear.search import check_query, encode_together

        made = [
            one
            if isinstance(one, Query)
            else query_builder.build_query(
                self.file_part,
                text=one if isinstance(one, str) and not arguments.is_held(one) else None,
                files=() if isinstance(one, str) and not arguments.is_held(one) else one,
                k=k,
                modalities=modalities,
                under=under,
                where=where,
                min_score=min_score,
                mode=mode,
                moments=moments,
            )
            for one in queries
        ]
        for query in made:
            check_query(query)
        if (engine := self._opened.engine()) is None:
            return [self.run(query) for query in made]
        made = encode_together(made, self._opened.model(), self.settings.batch_size)
        return [
            self._with_fields(hits)
            for start in range(0, len(made), AT_ONCE)
            for hits in engine.search_many(made[start : start + AT_ONCE], self._parse_filter)
        ]

    @while_open
    def embed(
        self,
        texts: str | Sequence[str] = (),
        *,
        images: Media | Iterable[Media] = (),
        audio: Media | Iterable[Media] = (),
        videos: Media | Iterable[Media] = (),
    ) -> Embeddings:
        """Encode things of one kind with the model of the collection, one row for each.

        Takes what `search` takes. A sound or a video of several samples gets their mean. Raises
        UsageError for none or for two kinds, and as `search`.
        """
        from seehear.search import embed_each

        groups = {
            Modality.TEXT: [(text,) for text in arguments.as_list(texts)],
            Modality.IMAGE: arguments.as_media(images),
            Modality.AUDIO: arguments.as_media(audio),
            Modality.VIDEO: arguments.as_media(videos),
        }
        given = [kind for kind, group in groups.items() if group]
        if len(given) != 1:
            raise UsageError("Give texts, images, audio or videos, one of the four")
        (kind,) = given
        samples = groups[kind]
        if kind is not Modality.TEXT:
            samples = [self.file_part(one, expected=kind).samples for one in samples]
        return embed_each(kind, samples, self._opened.model())

    @while_open
    def run(self, query: Query) -> list[Hit]:
        """Answer a `Query`; `search` makes one from plain arguments. Raises as `search`."""
        if (engine := self._opened.engine()) is not None:
            return self._with_fields(engine.search(query, self._parse_filter))
        from seehear.search import check_query

        check_query(query)
        self._parse_filter(query.where)
        return []

    def _with_fields(self, hits: list[Hit]) -> list[Hit]:
        """Return hits with the fields of those that are items."""
        keys = [hit.id for hit in hits if hit.id is not None]
        if not keys:
            return hits
        fields = {key: item.fields for key, item in self._catalog.items.get(keys).items()}
        return [
            dataclasses.replace(hit, fields=fields.get(hit.id, {})) if hit.id is not None else hit
            for hit in hits
        ]

    @while_open
    def interpret(self, text: str, *, today: date | None = None) -> Interpretation:
        """Find filters in a query of plain words: "Rome in June 2019", "videos from my phone".

        Returns what is left to search for (`rest`), the filter that was found (`where`), and what
        else some words could mean (`offered`). Nothing is searched: pass both to `search`. Dates
        are counted from `today`, by default the day of this machine's clock.
        """
        from seehear.search.interpretation import CollectionValues, interpret
        from seehear.stores.catalog.filters import Compare, Field, Op

        known = self._looked_up()

        def is_met(where: str) -> bool:
            try:
                return self._catalog.locations.any_matching(self._parse_filter(where))
            except UsageError:  # a name with quotes of both kinds cannot be written in a filter
                return False

        def values_of(facet: str) -> list[str]:
            return [one.value for one in self.facets(facet).values]

        def has_coordinates(_: str) -> bool:  # without the parser, which no search by words loads
            where = Compare(Field.COORDINATES, Op.KNOWN)
            return self._catalog.locations.any_matching(where)

        def kept(look: Callable[[str], Any]) -> Callable[[str], Any]:
            def look_up(name: str) -> Any:
                key = (look.__name__, name)
                if key not in known:
                    known[key] = look(name)
                return known[key]

            return look_up

        def find_city(name: str) -> tuple[float, float] | None:
            from seehear.search.cities import city_names

            cities = city_names() if kept(has_coordinates)("") else None
            return None if cities is None else cities.find(name)

        values = CollectionValues(kept(values_of), kept(is_met), find_city)
        return interpret(text, today or datetime.now().astimezone().date(), values)

    def _looked_up(self) -> dict[tuple[str, str], Any]:
        """Return what `interpret` has looked up since the collection last changed.

        Values and filters of 100,000 files take half a second to look up, and a box is read again
        with every letter.
        """
        state, now = self._catalog.changes.state(), time.monotonic()
        found = self._known
        if found is None or found[0] != state or found[1] < now or len(found[2]) > _MOST_KNOWN:
            found = self._known = (state, now + _KNOWN_S, {})
        return found[2]

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
        file: Media,
        *,
        weight: float = 1.0,
        exclude: bool = False,
        expected: str | None = None,
    ) -> QueryPart:
        """Make a part of a query from a photo, sound, video or text, as `search` takes them.

        An address such as `hit.address` stands for its moment, and the URL of a file that is
        indexed for that file.

        Raises UsageError if the file is missing or not of the modality `expected`, MediaError if
        it cannot be read.
        """
        file = self._named(file)
        if is_address(file):
            return self._address_part(str(file), weight, exclude, expected)
        opened = self._opened
        return query_builder.file_part(
            file, opened.spec, opened.decoder, weight=weight, exclude=exclude, expected=expected
        )

    def _named(self, file: Media) -> Media:
        """Return the address of a file beyond this machine, and others as they are."""
        from seehear.hit_files import address_of

        return address_of(self._catalog, file)

    def _address_part(
        self, address: str, weight: float, exclude: bool, expected: str | None
    ) -> QueryPart:
        """Make a part of a query from the vectors of a moment: its file need not be there."""
        hit = self.hit_at(address)
        query_builder.check_modality(address, hit.modality, expected)
        engine = self._opened.engine()
        found = None if engine is None else engine.current().embeddings(hit.segment_id)
        if found is None:
            raise UsageError(f"{address} has nothing to compare: it is silent or empty")
        part = query_builder.vector_part(found, weight=weight, exclude=exclude)
        return dataclasses.replace(part, label=shown_name(hit.path))

    @while_open
    def hear(self, file: Media, *, most_s: float | None = None, translate: bool = False) -> Reading:
        """Return what is said in a sound or video, as lines with the times of their words.

        Needs the extra `speech`. Ask with the words: `library.search(library.hear(file).text)`.

        Args:
            file: a path, or media in memory as `search` takes them.
            most_s: hear only so many seconds from the start.
            translate: also give lines that are not English their English translation.

        Raises UsageError for a missing file, MediaError for one without sound, ReaderFailedError
        where hearing it fails, ModelError and EnvironmentFaultError without a model or library.
        """
        opened, start_s = self._opened, 0.0
        if is_address(file):
            hit = self.hit_at(str(file))
            file, start_s = hit.path, hit.start_s or 0.0
            if hit.stop_s is not None:
                most_s = min(hit.stop_s - start_s, math.inf if most_s is None else most_s)
        return query_builder.hear_file(
            file,
            opened.decoder,
            opened.speech_reader,
            start_s=start_s,
            most_s=most_s,
            translate=translate,
        )

    @while_open
    def similar(
        self,
        path: PathLike,
        *,
        k: int = 10,
        modalities: Modalities | None = None,
        under: PathLike | None = None,
    ) -> list[Hit]:
        """Find files like a given file or address; leave out the file itself and its copies.

        Raises as `search`.
        """
        from seehear.media.hashing import content_hash

        named = self._named(path)
        file = str(named) if is_address(named) else arguments.as_path(path)
        query = query_builder.build_query(
            self.file_part, files=file, k=k, modalities=modalities, under=under
        )
        if isinstance(file, str):
            own: int | None = parse_address(file).asset_id
        else:
            asset = self._catalog.assets.find(content_hash(file))
            own = None if asset is None else asset.id
        found = self.run(dataclasses.replace(query, k=k + (own is not None)))
        others = [hit for hit in found if hit.asset_id != own][:k]
        return [dataclasses.replace(hit, rank=rank) for rank, hit in enumerate(others, 1)]

    @while_open
    def duplicates(
        self,
        *,
        modalities: Modalities | None = None,
        under: PathLike | None = None,
        where: str = "",
    ) -> list[DuplicateGroup]:
        """Return groups of identical or near-identical files.

        Raises UsageError for a bad filter.
        """
        kinds = arguments.parse_modalities(modalities)
        engine = self._opened.engine()
        if engine is None:
            self._parse_filter(where)
            return []
        return engine.duplicates(
            kinds,
            under=arguments.as_folder(under),
            where=where,
            parse=self._parse_filter,
        )

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
