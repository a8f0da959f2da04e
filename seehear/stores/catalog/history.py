"""The catalog's vectors, and how they change: what caches catch up with."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import cached_property

from sqlalchemy import Connection, select, update

from seehear.stores.catalog import reading
from seehear.stores.catalog.drawer import Drawer
from seehear.stores.catalog.records import Generation
from seehear.stores.catalog.schema import counters
from seehear.types import EmbeddingSpace, Ids, Modality, Vectors


class History(Drawer):
    """Vectors and their changes."""

    @cached_property
    def identity(self) -> int:
        """A number that tells this catalog from every other one."""
        with self._read() as connection:
            return _counter(connection, "identity")

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
            return _counter(connection, "change")

    def vectors_since(
        self, generation: Generation, space: EmbeddingSpace, item: Modality, change: int
    ) -> tuple[Ids, Vectors, Ids, int]:
        """What happened to one index after a change, as one consistent reading.

        Returns ids int64 (n,) and vectors float32 (n, dim) written since, removed ids int64 (m,),
        and the number of the last change.
        """
        with self._read() as connection:
            last = _counter(connection, "change")
            known = reading.space_ids(connection, generation.id)
            ids, rows = reading.vectors_since(connection, known[space], space.dim, item, change)
            removed = reading.removed_since(connection, generation.id, change)
        return ids, rows, removed, last

    def vectors_of(
        self, segment_ids: Sequence[int] | Ids, generation: Generation, space: EmbeddingSpace
    ) -> Vectors:
        """Vectors of segments in one space: float32 (n, dim) in the order asked."""
        with self._read() as connection:
            known = reading.space_ids(connection, generation.id)
            return reading.vectors_of(connection, segment_ids, known[space], space.dim)


def _counter(connection: Connection, name: str) -> int:
    return int(connection.scalar(select(counters.c.value).where(counters.c.name == name)) or 0)
