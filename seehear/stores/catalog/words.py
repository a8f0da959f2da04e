"""Search the words of passages, subtitles, file names, folders and embedded captions.

The index of words is a cache beside the catalog, like the indexes of vectors: it is updated to the
instant that is read, and its files can be deleted at any time. `tokens` splits and folds every text
and query, and nothing is asked of the database but rows, so that every database finds the same. A
name counts more than a caption, a caption more than a folder (4 : 2 : 1), and each more than the
stem of a word. A word in a short text counts more than in a long passage.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sqlalchemy import Connection, select

from seehear.default_captions import is_default_caption
from seehear.stores.catalog import reader, word_file, word_index
from seehear.stores.catalog.asked_words import AskedWord
from seehear.stores.catalog.records import NO_IDS
from seehear.stores.catalog.schema import assets, locations, segments
from seehear.stores.catalog.statements import counter_values
from seehear.stores.catalog.tokens import parted, words_and_stems, words_of
from seehear.stores.catalog.transactions import Transactions
from seehear.stores.catalog.word_index import DamagedWordsError, Found, IndexedText, WordIndex
from seehear.stores.sorted_ids import positions_in
from seehear.types import Ids

SAVED_EVERY = 0.02
"""Share of the texts that may have changed before the file is written again."""
READ_AT_ONCE = 1_000
NAME, FOLDER, CAPTION = range(3)
"""The fields of a file. A passage has one field."""
_PASSAGE_WEIGHTS = (1.0,)
_FILE_WEIGHTS = (4.0, 1.0, 2.0)


class Looked(NamedTuple):
    """An index of words, and what it has of the words of a query."""

    texts: WordIndex
    found: list[Found]


@dataclass(frozen=True, slots=True)
class _State:
    """An index as of one change of the catalog."""

    START: ClassVar = -1
    """Before the first change."""
    index: WordIndex
    change: int
    newest: int
    """The highest id that was seen."""
    unsaved: int = 0


class WordIndexes:
    """The indexes of words of one catalog. Safe from several threads.

    The passages of each generation have an index, and the files have one: their texts are segments,
    and locations in groups of assets.
    """

    def __init__(self, transactions: Transactions, folder: Path, *, read_only: bool) -> None:
        self._transactions = transactions
        self._folder = folder
        self._read_only = read_only
        self._states: dict[int | None, _State] = {}
        self._lock = threading.RLock()

    def look_up(
        self, generation_id: int, asked: Sequence[AskedWord], names: Sequence[AskedWord] = ()
    ) -> tuple[Looked, Looked]:
        """Look up words in the passages of a generation, and in all files, there with `names`."""
        with self._transactions.read() as connection:
            last = _counters(connection)
            passages = self._look_up(connection, last["change"], generation_id, asked)
            change = last[reader.LOCATION_CHANGES]
            return passages, self._look_up(connection, change, None, [*asked, *names])

    def passages_with(self, connection: Connection, asked: Sequence[AskedWord]) -> Ids:
        """Return the ids of passages with all words, of the generation that serves."""
        generation = reader.serving(connection)
        if generation is None or not asked:
            return NO_IDS
        change = _counters(connection)["change"]
        index, found = self._look_up(connection, change, generation.id, asked)
        every = np.logical_and.reduce([one.any_form for one in found])
        return np.sort(index.ids[every])

    def refresh(self, generation_id: int) -> None:
        """Update the indexes, and write what is worth it to their files."""
        self.look_up(generation_id, ())

    def files(self) -> set[Path]:
        """Return the paths of the files of all generations, whether they are there or not."""
        with self._transactions.read() as connection:
            ids = [generation.id for generation in reader.generations_of(connection)]
            return {self._path(connection, id_)[0] for id_ in (None, *ids)}

    def check(self, *, repair: bool) -> bool:
        """Compare the indexes with the catalog; return whether they agreed, or agree now."""
        with self._transactions.read() as connection, self._lock:
            last = _counters(connection)
            good = True
            for id_ in (None, *(one.id for one in reader.generations_of(connection))):
                change = last[reader.LOCATION_CHANGES if id_ is None else "change"]
                self._states.pop(id_, None)
                fresh = word_index.build(_texts(connection, id_, _State.START, 0))
                try:
                    index = self._index(connection, change, id_)
                    agreed = word_index.equal(index.merged(), fresh)
                except DamagedWordsError:
                    agreed = False
                if not agreed and repair:
                    self._delete(connection, id_)
                    self._index(connection, change, id_)
                good = good and (agreed or repair)
            return good

    def _look_up(
        self,
        connection: Connection,
        change: int,
        generation_id: int | None,
        asked: Sequence[AskedWord],
    ) -> Looked:
        with self._lock:
            index = self._index(connection, change, generation_id)
        try:
            return Looked(index, index.look_up(asked))
        except DamagedWordsError:
            with self._lock:
                self._delete(connection, generation_id)
                index = self._index(connection, change, generation_id)
            return Looked(index, index.look_up(asked))

    def _delete(self, connection: Connection, generation_id: int | None) -> None:
        self._path(connection, generation_id)[0].unlink(missing_ok=True)
        self._states.pop(generation_id, None)

    def _index(self, connection: Connection, change: int, generation_id: int | None) -> WordIndex:
        state = self._states.get(generation_id) or self._open(connection, change, generation_id)
        if state.change < change:
            state = self._caught_up(connection, state, change, generation_id)
        if not self._read_only and state.unsaved > SAVED_EVERY * state.index.count:
            state = self._save(connection, state, generation_id)
        self._states[generation_id] = state
        return state.index

    def _open(self, connection: Connection, change: int, generation_id: int | None) -> _State:
        weights = _FILE_WEIGHTS if generation_id is None else _PASSAGE_WEIGHTS
        loaded = word_file.load(*self._path(connection, generation_id))
        # A cache that is newer than the catalog belongs to another state of the catalog.
        if loaded is None or loaded[1]["change"] > change:
            return _State(WordIndex([word_index.EMPTY], weights), _State.START, 0)
        part, header = loaded
        return _State(WordIndex([part], weights), header["change"], header["newest"])

    def _caught_up(
        self, connection: Connection, state: _State, change: int, generation_id: int | None
    ) -> _State:
        index, known = state.index, state.index.ids
        newer = word_index.build(_texts(connection, generation_id, state.change, state.newest))
        if generation_id is None:
            gone = positions_in(np.sort(newer.ids), known) >= 0
            there = known[~gone] if index.alive is None else known[index.alive & ~gone]
            count = reader.count(connection, locations)
            if count < len(there) + len(newer.ids):
                ids = np.sort(np.fromiter(connection.scalars(select(locations.c.id)), np.int64))
                gone |= positions_in(ids, known) < 0
        else:
            removed = reader.removed_since(connection, generation_id, state.change)
            gone = positions_in(removed, known) >= 0
        newest = int(newer.ids.max(initial=state.newest))
        if not len(newer.ids) and not gone.any():
            return _State(index, change, newest, state.unsaved)
        unsaved = state.unsaved + len(newer.ids) + int(gone.sum())
        return _State(index.extended(gone, newer), change, newest, unsaved)

    def _save(self, connection: Connection, state: _State, generation_id: int | None) -> _State:
        path, identity = self._path(connection, generation_id)
        part = state.index.merged()
        header = {"change": state.change, "newest": state.newest}
        if word_file.save(path, part, identity, header):
            part, _ = word_file.load(path, identity) or (part, header)
        weights = _FILE_WEIGHTS if generation_id is None else _PASSAGE_WEIGHTS
        return _State(WordIndex([part], weights), state.change, state.newest)

    def _path(self, connection: Connection, generation_id: int | None) -> tuple[Path, str]:
        """Return where the file of an index is, and what it is an index of."""
        identity = f"{reader.counter(connection, 'identity')}/{generation_id}/words"
        name = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
        return self._folder / f"{name}.words", identity


def _counters(connection: Connection) -> Mapping[str, int]:
    return {reader.LOCATION_CHANGES: 0, **counter_values(connection)}


def _texts(
    connection: Connection, generation_id: int | None, change: int, newest: int
) -> Iterator[IndexedText]:
    """Yield files that were written after a change, or passages after the one with an id."""
    if generation_id is None:
        return _files(connection, change)
    return _passages(connection, generation_id, newest)


def _passages(connection: Connection, generation_id: int, newest: int) -> Iterator[IndexedText]:
    """Yield the passages of a generation that were written after the one with an id."""
    query = (
        select(segments.c.id, segments.c.text)
        # A sum, so that SQLite uses the ids and does not scan the whole generation.
        .where(segments.c.generation_id + 0 == generation_id, segments.c.id > newest)
        .where(segments.c.text != "")
        .order_by(segments.c.id)
    )
    for id_, told in _rows(connection, query):
        yield id_, 0, [_terms(told)]


def _files(connection: Connection, change: int) -> Iterator[IndexedText]:
    """Yield the locations whose words were written after a change."""
    query = (
        select(
            locations.c.id,
            locations.c.asset_id,
            locations.c.name,
            locations.c.folders,
            assets.c.details,
        )
        .join(assets, assets.c.id == locations.c.asset_id)
        .where(locations.c.change > change)
        .order_by(locations.c.id)
    )
    for id_, asset_id, name, folders, details in _rows(connection, query):
        caption = caption_of(details or {})
        yield id_, asset_id, [_name_terms(name), words_of(folders[:-1]), _terms(caption)]


def _rows(connection: Connection, query: Any) -> Iterable[Any]:
    return connection.execute(query, execution_options={"yield_per": READ_AT_ONCE})


def _terms(told: str) -> list[str]:
    words, stems = words_and_stems(told)
    return [*words, *map(word_index.stem_term, stems)]


def _name_terms(name: str) -> list[str]:
    """Return a name as it is written, as CamelCase and digits part it, and as whole names."""
    stem, dot, suffix = name.rpartition(".")
    apart = f"{parted(stem)}.{suffix}" if dot else parted(name)
    words, (others, stems) = words_of(name), words_and_stems(apart)
    more = [word_index.GAP, *others] if others != words else []
    whole = [words_of(one) for one in ((stem, parted(stem)) if dot else (name, apart))]
    names = dict.fromkeys(word_index.name_term(one) for one in whole if one)
    return [*words, *more, *map(word_index.stem_term, stems), *names]


def caption_of(details: Mapping[str, Any]) -> str:
    """Join the texts that a file has about itself to one text, without what cameras write."""
    names = ("title", "caption", "keywords", "people", "comment")
    told = (str(details[name]) for name in names if name in details)
    return " ".join(text for text in told if not is_default_caption(text)).strip()
