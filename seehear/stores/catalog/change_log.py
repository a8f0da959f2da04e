"""Read the catalog's vectors and their changes, which caches use to catch up."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import update

from seehear.stores.catalog import reader
from seehear.stores.catalog.records import Generation
from seehear.stores.catalog.schema import counters
from seehear.stores.catalog.transactions import Transactions
from seehear.types import EmbeddingSpace, Ids, Modality, Vectors


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
