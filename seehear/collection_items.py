"""Add to a collection what a program holds in memory, with ids and fields of its own."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seehear import arguments
from seehear.arguments import Media, ModalityName, PathLike
from seehear.collection_reader import CollectionReader
from seehear.errors import ModelError, UsageError
from seehear.loaded_models import while_open
from seehear.types import Embeddings, Modality

if TYPE_CHECKING:
    from seehear.indexers.items import ItemMedium
    from seehear.stores import Item, NewItem

WAIT_S = 60.0
"""How long a change waits for another writer: an index run may take longer."""
MOST_ID = 500
"""Most characters of an id."""


class CollectionItems(CollectionReader):
    """What adds, changes and removes items; `Collection` adds what indexes folders."""

    @while_open
    def add(
        self,
        *,
        texts: str | Sequence[str] = (),
        images: Media | Iterable[Media] = (),
        audio: Media | Iterable[Media] = (),
        videos: Media | Iterable[Media] = (),
        vectors: Embeddings | None = None,
        ids: str | Sequence[str] | None = None,
        metadata: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
        keep: bool = False,
        replace: bool = False,
    ) -> list[str]:
        """Add items from memory, all or none of them, and return their ids.

        No index run touches them: they stay until `delete`. An item is found as a file is, and
        `where` filters by its fields.

        Args:
            texts, images, audio, videos, vectors: what to add, of one kind in a call. Media are
                taken as `search` takes them; vectors are what `embed` returns, or `Embeddings` of
                vectors that were made elsewhere in a space of the model.
            ids: a text for each item; without it, random ids.
            metadata: fields for each item, by name: a text, a number, True or False, a date or a
                list of texts. A field keeps the type of its first value.
            keep: keep the bytes of media. Texts are kept always, and of an image a small preview.
                What is not kept cannot be encoded by another model.
            replace: replace items whose id is in use.

        Raises UsageError for ids in use or twice, fields of another type and media of another kind,
        MediaError for media that cannot be read, SpaceMismatchError for vectors of another space,
        CollectionLockedError while another process indexes for long.
        """
        kind, given = _one_kind(texts, images, audio, videos, vectors)
        count = len(vectors) if vectors is not None else len(given)
        keys = _check_ids(ids, count)
        fields = _check_metadata(metadata, count)
        if not replace and (used := self._catalog.items.known(keys)):
            from seehear.stores.catalog.items import ids_in_use

            raise ids_in_use(sorted(used))
        if vectors is not None:
            new = self._from_vectors(keys, vectors)
        else:
            new = self._encoded(keys, kind, given, keep=keep)
        whole = [
            dataclasses.replace(item, fields=own) for item, own in zip(new, fields, strict=True)
        ]
        self._put([whole], replace=replace)
        return keys

    @while_open
    def import_vectors(
        self,
        path: PathLike,
        *,
        modality: ModalityName | Modality | None = None,
        space: str | None = None,
        metadata: PathLike | None = None,
        column: str | None = None,
        fields: str | Sequence[str] | None = None,
        replace: bool = False,
    ) -> int:
        """Add items by vectors that were made elsewhere, from files, and return how many items.

        Reads what `export_vectors` writes, files of Parquet, Lance and numpy (.npy, .npz), folders
        of them, and the folders of clip-retrieval and embedding-reader: a thousand rows are in
        memory at a time. It is one step: all of it is added, or nothing.

        An item has its id from the column id, path, image_path, key or url, the first that has a
        value, else from the file's name and the row. Rows of one id that follow each other are
        segments of one item. Other columns become fields; one whose name seehear fills itself gets
        a "_" at its end. Nothing is kept that another model could encode, but single texts.

        Args:
            path: a file, or a folder of files.
            modality: the kind of what the vectors are of, where the file does not say it. Of a
                folder of clip-retrieval the images are read, or with "text" the captions.
            space: the name of the space of the model that the vectors are in. Needed where the file
                does not say it: vectors of another model give answers that mean nothing.
            metadata: the file or folder that says what the vectors of .npy files are of.
            column: the column of the vectors, where several could be.
            fields: the columns to keep as fields; None keeps all.
            replace: replace items whose id is in use.

        Raises UsageError for what is missing, damaged, cut off, NaN, given twice or of another
        type, SpaceMismatchError for vectors of another space, EnvironmentFaultError without pyarrow
        or pylance; each names the file and, where it can, the row. Raises as `add`.
        """
        from seehear.vector_files import read_blocks
        from seehear.vector_import import VectorImport

        kind = None if modality is None else arguments.modality(modality)
        described = None if metadata is None else arguments.as_path(metadata)
        blocks = read_blocks(
            arguments.as_path(path), metadata=described, modality=kind, column=column
        )
        kept = [fields] if isinstance(fields, str) else fields
        made = VectorImport(self._opened.model(), space=space, modality=kind, fields=kept)
        return self._put(made.items(blocks), replace=replace)

    @while_open
    def update(
        self,
        id: str,  # noqa: A002 - what it is
        metadata: Mapping[str, Any] | None = None,
        *,
        text: str | None = None,
        image: Media | None = None,
        audio: Media | None = None,
        video: Media | None = None,
        vectors: Embeddings | None = None,
        keep: bool = False,
    ) -> Item:
        """Change fields of an item, or what it is made of, and return it as it is then.

        A field that is None is removed; those that are not named stay. Raises UnknownItemError, and
        as `add`.
        """
        from seehear.stores.catalog.items import no_item

        item = self.get(id)
        if item is None:
            raise no_item(id)
        changes = dict(metadata or {})
        checked = _check_metadata([changes], 1)[0]
        made = [one for one in (text, image, audio, video, vectors) if one is not None]
        if not made:
            with self._catalog.write_lock(WAIT_S):
                self._catalog.items.put_fields(id, dict.fromkeys(changes) | checked)
        else:
            kept = {name: value for name, value in item.fields.items() if name not in changes}
            self.add(
                texts=() if text is None else [text],
                images=() if image is None else [image],
                audio=() if audio is None else [audio],
                videos=() if video is None else [video],
                vectors=vectors,
                ids=[id],
                metadata=[kept | checked],
                keep=keep,
                replace=True,
            )
        changed = self.get(id)
        if changed is None:  # another thread has just deleted it
            raise no_item(id)
        return changed

    @while_open
    def delete(self, ids: str | Sequence[str] = (), *, where: str = "") -> int:
        """Remove items by id or by a filter, in one step, and return how many there were.

        Ids that no item has are ignored. Raises UsageError where neither is given.
        """
        keys = arguments.as_list(ids)
        if bool(keys) == bool(where.strip()):
            raise UsageError("give ids, or a filter")
        if where.strip():
            cursor = None
            while True:
                page = self.items(where=where, limit=arguments.MOST_ROWS, cursor=cursor)
                keys += [item.id for item in page]
                if (cursor := page.cursor) is None:
                    break
        with self._catalog.write_lock(WAIT_S):
            return self._catalog.items.remove(keys)

    def _encoded(
        self, keys: Sequence[str], kind: Modality, given: Sequence[Any], *, keep: bool
    ) -> list[NewItem]:
        from seehear.indexers.items import ItemMedium, encode_items

        listed: list[ItemMedium] = [
            ItemMedium(key, f"{_ARGUMENTS[kind]}[{number}]", kind, value, keep)
            for number, (key, value) in enumerate(zip(keys, given, strict=True))
        ]
        return encode_items(self._opened.model(), self.settings, listed)

    def _from_vectors(self, keys: Sequence[str], vectors: Embeddings) -> list[NewItem]:
        from seehear.search import check_embeddings
        from seehear.stores import NewContent, NewItem
        from seehear.stores.catalog.items import item_hash
        from seehear.types import MediaInfo, Segment

        rows = check_embeddings(vectors, self._opened.model())
        kind = vectors.modality
        return [
            NewItem(
                key,
                NewContent(
                    item_hash(key),
                    0,
                    MediaInfo(kind, "vector"),
                    [Segment(kind)],
                    {space: ([0], matrix[at : at + 1]) for space, matrix in rows.items()},
                ),
                {},
            )
            for at, key in enumerate(keys)
        ]

    def _put(self, blocks: Iterable[Sequence[NewItem]], *, replace: bool) -> int:
        from seehear.indexers.generation import generation_for

        model = self._opened.model()
        with self._catalog.write_lock(WAIT_S):
            generation = generation_for(self._catalog, model)
            if generation.state != "serving":
                raise ModelError(
                    f"the collection is not indexed with this {model.name}; run `seehear index` on "
                    "its folders once"
                )
            return self._catalog.items.put(generation.id, blocks, replace=replace)


_ARGUMENTS = {
    Modality.TEXT: "texts",
    Modality.IMAGE: "images",
    Modality.AUDIO: "audio",
    Modality.VIDEO: "videos",
}


def _one_kind(
    texts: str | Sequence[str],
    images: Media,
    audio: Media,
    videos: Media,
    vectors: Embeddings | None,
) -> tuple[Modality, list[Any]]:
    """Return what is given and of which kind. Raises UsageError for nothing and for two kinds."""
    groups = {
        Modality.TEXT: arguments.as_list(texts),
        Modality.IMAGE: arguments.as_media(images),
        Modality.AUDIO: arguments.as_media(audio),
        Modality.VIDEO: arguments.as_media(videos),
    }
    given = [(kind, group) for kind, group in groups.items() if group]
    if len(given) + (vectors is not None) != 1:
        raise UsageError("Give texts, images, audio, videos or vectors, one of the five")
    if vectors is not None:
        if not len(vectors):
            raise UsageError("vectors are empty. Give what `embed` returns, or seehear.Embeddings")
        return vectors.modality, []
    kind, group = given[0]
    if kind is Modality.TEXT:
        for number, text in enumerate(group):
            if not text.strip():
                raise UsageError(f"texts[{number}] is not a text with words")
    return kind, group


def _check_ids(ids: str | Sequence[str] | None, count: int) -> list[str]:
    """Return an id for each item. Raises UsageError."""
    if ids is None:
        return [uuid.uuid4().hex for _ in range(count)]
    keys = [ids] if isinstance(ids, str) else list(ids)
    if len(keys) != count:
        raise UsageError(f"there are {len(keys)} ids for {count} items. Give one for each")
    seen: set[str] = set()
    for key in keys:
        if not 0 < len(key) <= MOST_ID or not key.isprintable():
            raise UsageError(
                f"an id is a text of 1 to {MOST_ID} printable characters, not {key!r:.100}"
            )
        if key in seen:
            raise UsageError(f'the id "{key}" is given twice')
        seen.add(key)
    return keys


def _check_metadata(
    metadata: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None, count: int
) -> list[dict[str, Any]]:
    """Return the fields of each item. Raises UsageError."""
    from seehear.own_fields import check_fields
    from seehear.search.fields import FIELD_WORDS

    if metadata is None:
        return [{} for _ in range(count)]
    given = list(metadata) if not isinstance(metadata, Mapping) else [metadata]
    if len(given) != count:
        raise UsageError(f"metadata has {len(given)} entries for {count} items. Give one for each")
    found = [check_fields(fields if fields is not None else {}) for fields in given]
    for name in dict.fromkeys(name for fields in found for name in fields):
        if name.lower() in FIELD_WORDS:
            raise UsageError(
                f'"{name}" is a field that seehear fills itself: choose another name, such as '
                f'"my_{name}"'
            )
    return found
