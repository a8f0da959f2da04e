"""Manage the catalog's generations: each is the collection encoded by one model revision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import delete, insert, select, update

from seehear.errors import StoreError
from seehear.stores.catalog import reader
from seehear.stores.catalog.halfvecs import drop_table
from seehear.stores.catalog.integrity import DamagedEncoding
from seehear.stores.catalog.records import Generation, GenerationState
from seehear.stores.catalog.schema import (
    encodings,
    generation_blobs,
    generations,
    locations,
    removals,
    roots,
    spaces,
)
from seehear.stores.catalog.transactions import Transactions
from seehear.types import EmbeddingSpace

DROPPED_AT_ONCE = 2_000
"""Assets whose segments are deleted in one transaction when a generation is dropped."""


class Generations:
    """The generations of a catalog: which models encoded it, and which one serves."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def all(self) -> list[Generation]:
        """Return every generation, oldest first."""
        with self._transactions.read() as connection:
            return reader.generations_of(connection)

    def serving(self) -> Generation | None:
        """Return the generation that answers queries; None before the first index run."""
        with self._transactions.read() as connection:
            return reader.serving(connection)

    def create(self, model: str, revision: str, spaces_: Sequence[EmbeddingSpace]) -> Generation:
        """Create a generation, in state BUILDING."""
        with self._transactions.batch() as batch:
            made = batch.connection.execute(
                insert(generations).values(
                    model=model,
                    revision=revision,
                    state=GenerationState.BUILDING.value,
                    created_at=datetime.now(UTC).replace(tzinfo=None),
                )
            )
            id_ = int(made.inserted_primary_key[0])  # type: ignore[index]
            for space in spaces_:
                batch.connection.execute(
                    insert(spaces).values(
                        generation_id=id_, name=space.name, revision=space.revision, dim=space.dim
                    )
                )
        return Generation(id_, model, revision, tuple(spaces_), GenerationState.BUILDING)

    def promote(self, generation_id: int) -> None:
        """Make a generation the serving one; the one that served is retired in the same step."""
        with self._transactions.batch() as batch:
            execute = batch.connection.execute
            execute(
                update(generations)
                .where(generations.c.state == GenerationState.SERVING.value)
                .values(state=GenerationState.RETIRED.value)
            )
            execute(
                update(generations)
                .where(generations.c.id == generation_id)
                .values(state=GenerationState.SERVING.value)
            )

    def drop(self, generation_id: int) -> None:
        """Delete a generation, a limited number of assets at a time.

        Raises StoreError for the serving generation.
        """
        serving = self.serving()
        if serving is not None and serving.id == generation_id:
            raise StoreError(
                "cannot drop the model in use; switch to another one first with `seehear upgrade`"
            )
        while True:
            with self._transactions.batch() as batch:
                if not batch.drop_encodings(generation_id, DROPPED_AT_ONCE):
                    break
        with self._transactions.batch() as batch:
            for space_id in reader.space_ids(batch.connection, generation_id).values():
                drop_table(batch.connection, space_id)
            for table in (removals, generation_blobs, spaces):
                batch.connection.execute(
                    delete(table).where(table.c.generation_id == generation_id)
                )
            batch.connection.execute(delete(generations).where(generations.c.id == generation_id))

    def unencoded(self, generation_id: int) -> list[int]:
        """List assets at a reachable location that a generation has not encoded yet."""
        done = select(encodings.c.asset_id).where(
            encodings.c.generation_id == generation_id, encodings.c.damaged.is_(False)
        )
        with self._transactions.read() as connection:
            found = connection.scalars(
                select(locations.c.asset_id)
                .join(roots, roots.c.id == locations.c.root_id)
                .where(roots.c.online, locations.c.asset_id.not_in(done))
                .distinct()
                .order_by(locations.c.asset_id)
            )
            return [int(id_) for id_ in found]

    def mark_damaged(self, damaged: Iterable[DamagedEncoding]) -> None:
        """Make the next index run encode some assets again; until then, they stay as they are."""
        with self._transactions.batch() as batch:
            for encoding in damaged:
                key = {"generation_id": encoding.generation_id, "asset_id": encoding.asset_id}
                marked = update(encodings).filter_by(**key).values(damaged=True)
                batch.connection.execute(marked)

    def is_encoded(self, generation_id: int, asset_id: int) -> bool:
        """Tell whether a generation has encoded an asset."""
        with self._transactions.read() as connection:
            mark = {"generation_id": generation_id, "asset_id": asset_id, "damaged": False}
            return connection.execute(select(encodings).filter_by(**mark)).first() is not None

    def blob(self, generation_id: int, name: str) -> bytes | None:
        """Return what was stored under a name, such as a query bank or baseline, or None."""
        key = {"generation_id": generation_id, "name": name}
        with self._transactions.read() as connection:
            data = connection.scalar(select(generation_blobs.c.data).filter_by(**key))
            return None if data is None else bytes(data)

    def put_blobs(self, generation_id: int, blobs: Mapping[str, bytes]) -> None:
        """Store data for a generation by name, in one transaction; replaces earlier data."""
        if not blobs:
            return
        with self._transactions.batch() as batch:
            for name, data in blobs.items():
                key = {"generation_id": generation_id, "name": name}
                batch.connection.execute(delete(generation_blobs).filter_by(**key))
                batch.connection.execute(insert(generation_blobs).values(data=data, **key))

    def clear_blobs(self) -> None:
        """Delete what was stored for all generations by name."""
        with self._transactions.batch() as batch:
            batch.connection.execute(delete(generation_blobs))
