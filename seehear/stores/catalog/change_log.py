"""The catalog's vectors, and how they change: what caches catch up with."""

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
    """What happened to one index."""

    last: int
    """The number of the last change."""
    removed: Ids
    """Segments that were taken out, int64 (m,), growing."""
    count: int
    """Vectors that were written."""
    blocks: Iterator[tuple[Ids, Vectors]]
    """The vectors: int64 (n,), growing in each block, and float32 (n, dim)."""


class ChangeLog(CatalogBase):
    """Vectors and their changes."""

    @cached_property
    def identity(self) -> int:
        """A number that tells this catalog from every other one."""
        with self._read() as connection:
            return reader.counter(connection, "identity")

    def renew_identity(self) -> None:
        """Be another catalog than the one that this is a copy of: caches of that one do not fit."""
        with self.batch() as batch:
            batch.connection.execute(
                update(counters)
                .where(counters.c.name == "identity")
                .values(value=secrets.randbits(62))
            )
        self.__dict__.pop("identity", None)

    def change(self) -> int:
        """The number of the last change; it grows with every write of segments."""
        with self._read() as connection:
            return reader.counter(connection, "change")

    @contextmanager
    def vectors_since(
        self, generation: Generation, space: EmbeddingSpace, item: Modality, change: int
    ) -> Iterator[Changes]:
        """What happened to one index after a change, as one consistent reading.

        The blocks are read while they are asked for, within the `with` alone.
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
        """Vectors of segments in one space: float32 (n, dim) in the order asked."""
        with self._read() as connection:
            known = reader.space_ids(connection, generation.id)
            return reader.vectors_of(connection, segment_ids, known[space], space.dim)
