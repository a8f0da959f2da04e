"""Read the catalog's vectors and their changes, which caches use to catch up."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import update

from seehear.stores.catalog import reader
from seehear.stores.catalog.base import CatalogBase
from seehear.stores.catalog.records import Generation
from seehear.stores.catalog.schema import counters
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


class ChangeLog(CatalogBase):
    """Queries about vectors and their changes."""

    @cached_property
    def identity(self) -> int:
        """A number that identifies this catalog among all others."""
        with self._read() as connection:
            return reader.counter(connection, "identity")

    def renew_identity(self) -> None:
        """Give a copied catalog a new identity, so that caches of the original do not fit."""
        with self.batch() as batch:
            batch.connection.execute(
                update(counters)
                .where(counters.c.name == "identity")
                .values(value=secrets.randbits(62))
            )
        self.__dict__.pop("identity", None)

    def change(self) -> int:
        """Return the number of the last change; it grows with every write of segments."""
        with self._read() as connection:
            return reader.counter(connection, "change")

    @contextmanager
    def vectors_since(
        self, generation: Generation, space: EmbeddingSpace, item: Modality, change: int
    ) -> Iterator[Changes]:
        """Read what happened to one index after a change, as of one instant.

        The blocks are read lazily, and only within the `with` block.
        """
        with self._read() as connection:
            known = reader.space_ids(connection, generation.id)
            yield Changes(
                reader.counter(connection, "change"),
                reader.removed_since(connection, generation.id, change),
                *reader.vectors_since(connection, known[space], space.dim, item, change),
            )

    def vectors_of(
        self, segment_ids: Sequence[int] | Ids, generation: Generation, space: EmbeddingSpace
    ) -> Vectors:
        """Return vectors of segments in one space: float32 (n, dim) in the given order."""
        with self._read() as connection:
            known = reader.space_ids(connection, generation.id)
            return reader.vectors_of(connection, segment_ids, known[space], space.dim)
