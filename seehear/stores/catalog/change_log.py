"""Read the catalog's vectors and their changes, which caches use to catch up."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, or_, select, update

from seehear.stores.catalog import reader
from seehear.stores.catalog.checksums import is_intact
from seehear.stores.catalog.records import ORIGIN_CODES, Generation
from seehear.stores.catalog.schema import counters, segments, vectors
from seehear.stores.catalog.transactions import Transactions
from seehear.types import EmbeddingSpace, Ids, Modality, Origin, Vectors


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of one index."""

    last: int
    """The number of the last change."""
    removed: Ids
    """Ids of removed segments, int64 (m,), ascending."""
    count: int
    """Number of vectors that were written."""
    blocks: Iterator[tuple[Ids, Vectors]]
    """The vectors: int64 (n,), ascending in each block, and float32 (n, dim)."""


class Written(NamedTuple):
    """Some vectors of one index, in the order in which they were written."""

    ids: Ids
    """int64 (n,)."""
    origins: Ids
    """Where passages come from, as indexes in `ORIGIN_CODES`: int64 (n,)."""
    halves: NDArray[np.float16]
    """float16 (n, dim), as they are stored."""
    last: tuple[int, int] | None
    """The change and the id of the last one, with which to ask for more; None after the last."""


class State(NamedTuple):
    """What tells one state of a catalog from another; later ones are greater."""

    change: int
    """The last change of segments."""
    moves: int
    """Counts when it changes which assets have a location, and which are subtitles of a video."""


class ChangeLog:
    """The changes of a catalog's vectors, by which caches catch up."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def identity(self) -> int:
        """Return the number that identifies this catalog among all others."""
        with self._transactions.read() as connection:
            return reader.counter(connection, "identity")

    def renew_identity(self) -> None:
        """Give a copied catalog a new identity, so that caches of the original do not fit."""
        with self._transactions.batch() as batch:
            batch.connection.execute(
                update(counters)
                .where(counters.c.name == "identity")
                .values(value=secrets.randbits(62))
            )

    def last(self) -> int:
        """Return the number of the last change; it grows with every write of segments."""
        with self._transactions.read() as connection:
            return reader.counter(connection, "change")

    def newest(self) -> int:
        """Return the same as of now, also where this thread reads an earlier instant."""
        with self._transactions.engine.connect() as connection:
            return reader.counter(connection, "change")

    def removed(self, generation: Generation, change: int) -> Ids:
        """Return sorted ids of segments removed from a generation after a change, int64 (m,)."""
        with self._transactions.read() as connection:
            return reader.removed_since(connection, generation.id, change)

    def written(
        self,
        generation: Generation,
        space: EmbeddingSpace,
        item: Modality,
        after: tuple[int, int],
        most: int,
    ) -> Written:
        """Return at most `most` vectors of one index written after a change and an id.

        Damaged vectors are left out.
        """
        with self._transactions.read() as connection:
            own = reader.space_ids(connection, generation.id)[space]
            change, segment_id = vectors.c.change, vectors.c.segment_id
            rows = connection.execute(
                select(*reader.VECTOR, segments.c.origin)
                .join(segments, segments.c.id == segment_id)
                .where(
                    vectors.c.space_id == own,
                    vectors.c.modality == item.value,
                    change >= after[0],
                    or_(change > after[0], and_(change == after[0], segment_id > after[1])),
                )
                .order_by(change, segment_id)
                .limit(most)
            ).all()
        whole = [row for row in rows if is_intact(*row[: len(reader.VECTOR)])]
        origins = [ORIGIN_CODES.index(Origin(row.origin) if row.origin else None) for row in whole]
        data = b"".join(row.data for row in whole)
        return Written(
            np.array([row.segment_id for row in whole], dtype=np.int64),
            np.array(origins, dtype=np.int64),
            np.frombuffer(data, "<f2").reshape(-1, space.dim),
            (int(rows[-1].change), int(rows[-1].segment_id)) if len(rows) == most else None,
        )

    def latest(
        self, generation: Generation, space: EmbeddingSpace, item: Modality, most: int
    ) -> Ids:
        """Return ids of the vectors of one index that were written last, sorted, int64 (n,)."""
        with self._transactions.read() as connection:
            own = reader.space_ids(connection, generation.id)[space]
            found = connection.scalars(
                select(vectors.c.segment_id)
                .where(vectors.c.space_id == own, vectors.c.modality == item.value)
                .order_by(vectors.c.change.desc(), vectors.c.segment_id.desc())
                .limit(most)
            )
            return np.sort(np.fromiter(found, dtype=np.int64))

    def state(self) -> State:
        """Return the state that searches depend on, read in one statement."""
        with self._transactions.read() as connection:
            return State(*reader.counters_of(connection, ("change", reader.MOVES)))

    def lost(self) -> int:
        """Return how many of the last changes are missing: the database's log was lost, or an older
        copy of the database was put in its place."""
        return max(0, self._transactions.marked_change() - self.last())

    def accept_loss(self) -> None:
        """Take the present state as the last one."""
        self._transactions.mark_change(self.last())

    @contextmanager
    def since(
        self, generation: Generation, space: EmbeddingSpace, item: Modality, change: int
    ) -> Iterator[Changes]:
        """Read what happened to one index after a change, as of one instant.

        The blocks are read lazily, and only within the `with` block.
        """
        with self._transactions.read() as connection:
            known = reader.space_ids(connection, generation.id)
            yield Changes(
                reader.counter(connection, "change"),
                reader.removed_since(connection, generation.id, change),
                *reader.vectors_since(connection, known[space], space.dim, item, change),
            )
