"""Search vectors in a Milvus server, whose collections follow the catalog's log of changes.

A collection is a cache: it can be dropped and made anew. Each process that needs it lets it catch
up, one at a time; a search waits until the server has what the catalog shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from typing import NamedTuple, TypeVar

import numpy as np

from seehear.config import MilvusAddress
from seehear.errors import StoreError
from seehear.stores import sorted_ids
from seehear.stores.catalog.catalog import Catalog
from seehear.stores.catalog.records import NO_IDS, ORIGIN_CODES, Generation
from seehear.stores.catalog.segments import SegmentFilter
from seehear.stores.vectors import exact
from seehear.stores.vectors.base import Passages, Similarities
from seehear.stores.vectors.milvus_collection import (
    MOST_FOUND,
    CollectionGoneError,
    Mark,
    MilvusCollection,
    MilvusServer,
)
from seehear.stores.vectors.remote import ASKED, EFS, MORE, RemoteIndex, RemoteVectors
from seehear.stores.vectors.vector_file import to_unit_float32
from seehear.types import EmbeddingSpace, Floats, Ids, Modality, Vectors

GRAPH_ABOVE = 50_000
"""Vectors of one space above which they are searched in graphs; fewer are compared one by one."""
LOOSE = 4_000
"""Vectors written lately, which are in no graph yet: a server compares as many one by one, but more
by an index for the meantime that misses many. So they are then compared as a list of ids."""
SETTLE_S = 600.0
"""Longest wait for the next graph of a server that builds them."""
MOST_IDS = 10_000
"""Longest list of ids that a search is limited to."""
WAIT_S = 5.0
"""Longest wait of a search until the server has what the catalog shows."""
FOLLOWED_AT_ONCE = 4_000
"""Vectors after which it is kept how far the server has followed."""
DEEP = (2_048, MOST_FOUND)
"""How deep a search with a wide filter looks before what meets the filter is listed."""

T = TypeVar("T")


class Followed(NamedTuple):
    """A collection that has what the catalog shows."""

    collection: MilvusCollection
    stamp: int
    """The server's time of writing it."""


class MilvusIndex(RemoteIndex):
    """Nearest neighbours among the vectors of one space and modality."""

    engine = "Milvus"

    def __init__(self, store: MilvusVectors, space: EmbeddingSpace, item: Modality) -> None:
        name = f"milvus/{store.name(space)}/{item.value}"
        super().__init__(store._catalog, store._generation, space, item, name)
        self._store = store
        self._counts: dict[int | None, int] = {}
        self._lately: Ids | None = None

    def _ask(self, question: Callable[[MilvusCollection, int], T]) -> T:
        """Ask the server; once more if the collection was made anew meanwhile."""
        try:
            return question(*self._store.followed(self.space))
        except CollectionGoneError:
            self._store.refresh()
            return question(*self._store.followed(self.space))

    def count(self, passages: Passages | None = None) -> int:
        origins = _codes(passages)
        key = origins[0] if origins else None
        if key not in self._counts:
            self._counts[key] = self._ask(lambda of, at: of.count(self.item, origins, at))
        return self._counts[key]

    def drawn(self, most: int, passages: Passages | None = None) -> Ids:
        origins, count = _codes(passages), self.count(passages)
        return self._ask(lambda of, at: of.drawn(self.item, origins, most, count, at))

    def search(
        self, queries: Vectors, k: int, allowed: Ids | None = None
    ) -> tuple[Similarities, Ids]:
        if allowed is None and k + MORE > MOST_FOUND:  # lists give as many as there are
            allowed = self._catalog.segments.ids(self._generation.id, item=self.item)
        if allowed is not None:
            return self._ranked(queries, self._listed(queries, k + MORE, allowed), k)
        return self._ranked(queries, self._found(queries, k + MORE), k)

    def search_where(
        self, queries: Vectors, k: int, which: SegmentFilter, item: Modality
    ) -> tuple[Similarities, Ids]:
        for deep in DEEP:
            if k < deep < len(self):
                found = self._found(queries, deep)
                met = which.among(sorted_ids.distinct(np.concatenate(found)))
                near = [ids[np.isin(ids, met)] for ids in found]
                if min(map(len, near)) >= k + MORE:
                    return self._ranked(queries, [ids[: k + MORE] for ids in near], k)
        return self.search(queries, k, which.ids_of(item))

    def _found(self, queries: Vectors, limit: int, ef: int | None = None) -> list[Ids]:
        """Return what is nearest to each query, best first, without exact similarities."""
        if not self._store.followed(self.space).collection.graph:
            return self._ask(lambda of, at: of.search(self.item, queries, limit, at))
        if ef is None:
            ef = EFS[-1] if (tuning := self.tuning()) is None else tuning.ef
        loose = self.written_lately()
        found = self._ask(
            lambda of, at: of.search(self.item, queries, limit, at, ef=ef, sealed=len(loose) > 0)
        )
        if not len(loose):
            return found
        lately = self._listed(queries, limit, loose)
        return [
            self._in_order(query, np.concatenate(both))
            for query, *both in zip(queries, found, lately, strict=True)
        ]

    def _in_order(self, query: Floats, ids: Ids) -> Ids:
        """Return ids without duplicates, by similarity to a query."""
        there, rows = self.find(sorted_ids.distinct(ids))
        return exact.rerank(query, rows, there, len(there))[1]

    def describe(self) -> str:
        collection, _ = self._store.followed(self.space)
        if collection.graph and self.tuning() is None and len(self) > 3 * ASKED:
            return "Milvus, recall not measured yet"
        return super().describe()

    def in_graph(self) -> bool:
        """Tell whether so much is in a graph that its recall can be measured."""
        return len(self) > 3 * ASKED and self._sealed() > 0.9 * len(self)

    def _sealed(self) -> int:
        return self._ask(lambda of, at: of.count(self.item, [], at, sealed=True))

    def written_lately(self) -> Ids:
        """Return the ids of what is in no graph yet; none if the server compares it one by one."""
        if self._lately is None:
            loose = len(self) - self._sealed()
            self._lately = NO_IDS
            if loose > LOOSE:
                self._lately = self._catalog.changes.latest(
                    self._generation, self.space, self.item, loose
                )
        return self._lately

    def _listed(self, queries: Vectors, limit: int, allowed: Ids) -> list[Ids]:
        """Compare queries with exactly the vectors of a list of ids; return the nearest ones."""
        found: list[list[Ids]] = [[] for _ in queries]
        collection, _ = self._store.followed(self.space)
        for start in range(0, len(allowed), MOST_IDS):
            some = allowed[start : start + MOST_IDS]
            # A graph that must give all of them cannot miss any unseen: the rest is added.
            most = len(some) if collection.graph else min(limit, len(some))
            near = self._ask(partial(self._search_some, queries, most, some))
            for own, ids in zip(found, near, strict=True):
                missed = some[~np.isin(some, ids)] if collection.graph else NO_IDS
                own.append(np.concatenate([ids[:limit], missed]))
        return [np.concatenate([NO_IDS, *own]) for own in found]

    def _search_some(
        self, queries: Vectors, limit: int, some: Ids, of: MilvusCollection, at: int
    ) -> list[Ids]:
        where = f"id in {some.tolist()}"
        return of.search(self.item, queries, limit, at, ef=EFS[-1], where=where)

    def _ranked(self, queries: Vectors, found: Sequence[Ids], k: int) -> tuple[Similarities, Ids]:
        """Return the k best of what was found for each query."""
        ids, rows = self.find(sorted_ids.distinct(np.concatenate([NO_IDS, *found])))
        best = []
        for query, own in zip(np.ascontiguousarray(queries, np.float32), found, strict=True):
            here = np.isin(ids, own)
            best.append(exact.rerank(query, rows[here], ids[here], k))
        return exact.pad(best, k)

    def _nearest(self, queries: Vectors, k: int, ef: int) -> Ids:
        return self._ranked(queries, self._found(queries, k + MORE, ef), k)[1]

    def _truth(self, queries: Vectors, k: int) -> Ids:
        best = [exact.NOTHING] * len(queries)
        changes = self._catalog.changes.since(self._generation, self.space, self.item, 0)
        with changes as written:
            for ids, rows in written.blocks:
                near = exact.topk(queries, rows, ids, k)
                best = [exact.merge_topk(*both, k) for both in zip(best, near, strict=True)]
        return exact.pad(best, k)[1]

    def _read(self, ids: Ids) -> tuple[Ids, Vectors]:
        return self._ask(lambda of, at: of.find(self.item, ids, at))


class MilvusVectors(RemoteVectors[MilvusIndex]):
    """The indexes of one generation in a Milvus server. Safe from several threads.

    The server is asked when it is first needed: what is found by words alone needs none.
    """

    most_ids: int | None = MOST_IDS

    def __init__(self, catalog: Catalog, generation: Generation, address: MilvusAddress) -> None:
        super().__init__(catalog, generation)
        self._server = MilvusServer(address)
        self._identity = catalog.changes.identity()
        self._followed: dict[EmbeddingSpace, Followed] = {}

    def name(self, space: EmbeddingSpace) -> str:
        """Return the name of the collection that holds a space."""
        own = blake2b(space.key.encode(), digest_size=4).hexdigest()
        return f"seehear_{self._identity:x}_{self._generation.id}_{own}"

    def refresh(self) -> bool:
        """Forget what was read of an earlier state."""
        self._followed = {}
        return super().refresh()

    def describe(self) -> str:
        """Describe the indexes and their sizes, or say why they cannot be asked."""
        try:
            return super().describe()
        except StoreError as error:
            return str(error)

    def prepare(self) -> None:
        """Let the server follow to the present, build graphs, and measure how far to look."""
        self.refresh()
        for space in self._generation.spaces:
            self._prepare(space)
            self.refresh()
        known = {f"seehear_{self._identity:x}_{one.id}" for one in self._catalog.generations.all()}
        self._server.drop_others(f"seehear_{self._identity:x}_", known)

    def _prepare(self, space: EmbeddingSpace) -> None:
        collection, _ = self.followed(space, wait_s=None)
        indexes = [self.index(space, item) for item in Modality]
        if not collection.graph:
            if sum(map(len, indexes)) <= GRAPH_ABOVE:
                return
            graph = self._collection(space, graph=True)
            graph.drop()
            stamp = self._caught_up(space, graph, None)
            self._settle(graph, stamp)
            with self._catalog.write_lock(wait_s=60):
                self._catalog.generations.put_blobs(
                    self._generation.id, {self._kind(space): b"graph"}
                )
            collection.drop()
            self.refresh()
        else:
            self._collection(space, graph=False).drop()  # one that was being read was made anew
            if any(len(index.written_lately()) for index in indexes):
                collection.seal()
        for item in Modality:
            index = self.index(space, item)
            if index.in_graph() and index.needs_tuning():
                with self._catalog.write_lock(wait_s=60):
                    blob = {index.blob_name: index.tuned().to_bytes()}
                    self._catalog.generations.put_blobs(self._generation.id, blob)

    def _settle(self, graph: MilvusCollection, stamp: int) -> None:
        """Wait until the server has built its graphs. Raises StoreError if it does not go on."""
        graph.seal()
        count = sum(graph.count(item, [], stamp) for item in Modality)
        seen, give_up = -1, 0.0
        while True:
            sealed = sum(graph.count(item, [], stamp, sealed=True) for item in Modality)
            if count - sealed <= LOOSE:
                return
            if sealed > seen:
                seen, give_up = sealed, time.monotonic() + SETTLE_S
            if time.monotonic() >= give_up:
                raise StoreError(
                    f"{self._server.address} has built graphs of {sealed:,} of {count:,} vectors,"
                    " and does not go on; see its log"
                )
            time.sleep(1.0)

    def drop(self) -> None:
        """Drop the collections of the generation."""
        for space in self._generation.spaces:
            for graph in (False, True):
                self._collection(space, graph=graph).drop()
        self.refresh()

    def rebuild(self) -> None:
        """Drop the collections of the generation, and make them anew from the catalog."""
        self.drop()
        self.prepare()

    def _open(self, space: EmbeddingSpace, item: Modality) -> MilvusIndex:
        return MilvusIndex(self, space, item)

    def _kind(self, space: EmbeddingSpace) -> str:
        """Return the name of the blob that is there if a space is searched in graphs."""
        return f"milvus/{self.name(space)}"

    def _collection(self, space: EmbeddingSpace, *, graph: bool) -> MilvusCollection:
        name = self.name(space) + ("_graph" if graph else "")
        return MilvusCollection(self._server, name, self._about(space), space.dim, graph=graph)

    def _about(self, space: EmbeddingSpace) -> dict[str, object]:
        """Return what tells whose vectors a collection holds."""
        return {"seehear": self._identity, "generation": self._generation.id, "space": space.key}

    def followed(self, space: EmbeddingSpace, wait_s: float | None = WAIT_S) -> Followed:
        """Return a space's collection once it has what this thread's catalog shows.

        Raises StoreError if it is not so far within `wait_s` seconds; None waits for as long as it
        goes on.
        """
        if (known := self._followed.get(space)) is None:
            blob = self._catalog.generations.blob(self._generation.id, self._kind(space))
            collection = self._collection(space, graph=blob is not None)
            known = Followed(collection, self._caught_up(space, collection, wait_s))
            self._followed[space] = known
        return known

    def _caught_up(
        self, space: EmbeddingSpace, collection: MilvusCollection, wait_s: float | None
    ) -> int:
        """Let a collection follow the catalog; return the server's time of its last write."""
        wanted = self._catalog.changes.last()
        collection.open()
        give_up = None if wait_s is None else time.monotonic() + wait_s
        marks = collection.marks(strong=False)
        while (change := min(mark.change for mark in marks.values())) < wanted:
            if give_up is not None and time.monotonic() >= give_up:
                raise StoreError(
                    f"{self._server.address} has followed the collection to change {change:,} of"
                    f" {wanted:,}; ask again in a moment, or let `seehear index` wait for it"
                )
            with self._catalog.engine_lock(collection.name) as ours:
                marks = collection.marks(strong=True)
                if ours:
                    marks = self._follow(space, collection, marks, wanted, give_up)
        if max(mark.change for mark in marks.values()) > wanted:
            self._refuse_other_state(marks)
        # 0 would ask for all that was ever written, and wait for it.
        return max(1, *(mark.stamp for mark in marks.values()))

    def _refuse_other_state(self, marks: dict[Modality, Mark]) -> None:
        """Raise StoreError if the server has followed a later state than the catalog has now."""
        if max(mark.change for mark in marks.values()) > self._catalog.changes.newest():
            raise StoreError(
                f"{self._server.address} has vectors of a later state than the catalog, which was"
                " restored; `seehear verify` makes them anew"
            )

    def _follow(
        self,
        space: EmbeddingSpace,
        collection: MilvusCollection,
        marks: dict[Modality, Mark],
        wanted: int,
        give_up: float | None,
    ) -> dict[Modality, Mark]:
        """Write what a collection lacks, as long as there is time; return how far it has come."""
        changes, generation = self._catalog.changes, self._generation
        since = min(mark.change for mark in marks.values())
        stamp = max(mark.stamp for mark in marks.values())
        stamp = max(stamp, collection.delete(changes.removed(generation, since)))
        for item, mark in marks.items():
            after: tuple[int, int] | None = (mark.change, MOST_ID)
            while after is not None:
                if give_up is not None and time.monotonic() >= give_up:
                    return marks
                some = changes.written(generation, space, item, after, FOLLOWED_AT_ONCE)
                rows = to_unit_float32(some.halves)
                stamp = max(stamp, collection.put(item, some.ids, some.origins, rows))
                if (after := some.last) is not None:  # the last change may have more
                    marks |= {item: Mark(after[0] - 1, stamp)}
                    collection.mark({item: marks[item]})
        # What was removed is gone everywhere only now.
        marks = dict.fromkeys(marks, Mark(wanted, stamp))
        collection.mark(marks)
        return marks


def _codes(passages: Passages | None) -> list[int]:
    return [] if passages is None else [ORIGIN_CODES.index(passages.origin)]


MOST_ID = (1 << 63) - 1
