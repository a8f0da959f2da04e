"""Read and write one collection of a Milvus server, which is a cache of the catalog.

partition   image, audio, video, text: a modality's vectors
row         id (of the segment), origin, draw (`sorted_ids.draw_order`), vector
marks       rows of the default partition, one a modality: the last change followed, in `draw`,
            and the server's time of writing it, in `origin`
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seehear.config import MilvusAddress
from seehear.errors import StorageFullError, StoreError
from seehear.stores.catalog.records import MODALITY_CODES, NO_IDS
from seehear.stores.sorted_ids import draw_order
from seehear.types import Ids, Modality, Vectors

if TYPE_CHECKING:
    from pymilvus import MilvusClient

LEAST_VERSION = (2, 3)
"""The first version that tells vectors of ids and counts without what was deleted."""
CALL_S = 10.0
"""Longest wait for an answer."""
WRITE_S = 60.0
LOAD_S = 120.0
"""Longest wait until a collection is ready after it was made."""
MOST_FOUND = 16_384
"""The most results that a server gives for one query."""
MOST_BYTES = 8 << 20
"""Bytes of vectors in one message; servers take 64 MiB, and message queues less."""
READ_AT_ONCE = 2_000
DELETED_AT_ONCE = 10_000
LINKS, EF_CONSTRUCTION = 16, 128
_SIGN = np.uint64(1 << 63)
_UNUSED = -1 - len(MODALITY_CODES)
"""The id of a row that says nothing."""


class Mark(NamedTuple):
    """How far a modality has followed the catalog."""

    change: int = 0
    stamp: int = 0
    """The server's time of the last write: a search that waits for it finds what was written."""


class CollectionGoneError(StoreError):
    """The collection was dropped, as when another process has made it anew."""


class MilvusServer:
    """A connection to a server, made when it is first needed. Safe from several threads."""

    def __init__(self, address: MilvusAddress) -> None:
        self.address = address
        self._client: MilvusClient | None = None

    @contextmanager
    def calls(self) -> Iterator[MilvusClient]:
        """Give the client; raises StoreError with one line for whatever fails."""
        os.environ.setdefault("PYTHON_DOTENV_DISABLED", "1")  # pymilvus reads files named .env
        import grpc
        from pymilvus.exceptions import MilvusException

        try:
            client = self._client = self._client or self._connected()
            yield client
        except (MilvusException, grpc.RpcError) as error:
            raise self._told(error) from None

    def _connected(self) -> MilvusClient:
        from pymilvus import MilvusClient

        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # each error is told once: by us
        at = self.address
        host = f"[{at.host}]" if ":" in at.host else at.host
        client = MilvusClient(
            f"{'https' if at.tls else 'http'}://{host}:{at.port}",
            token=at.token, db_name=at.database, timeout=CALL_S, dedicated=True,
        )  # fmt: skip
        version = str(client.get_server_version(timeout=CALL_S))
        numbers = [int(one) for one in version.lstrip("v").split(".")[:2] if one.isdecimal()]
        if tuple(numbers) < LEAST_VERSION:
            least = ".".join(map(str, LEAST_VERSION))
            raise StoreError(f"{at} is Milvus {version}, and {least} or later is needed; update it")
        return client

    def drop_others(self, prefix: str, known: Set[str]) -> None:
        """Drop the collections whose names begin so, but for `known` and an underscore."""
        with self.calls() as client:
            for name in client.list_collections(timeout=CALL_S):
                if name.startswith(prefix) and not name.startswith(tuple(f"{k}_" for k in known)):
                    client.drop_collection(name, timeout=WRITE_S)

    def _told(self, error: BaseException) -> StoreError:
        """Return an error of the client as one line for a person."""
        said, code = str(getattr(error, "message", None) or error), _status(error)
        number = getattr(error, "code", None)
        at, lower = self.address, said.lower()
        if code == "UNAUTHENTICATED" or "auth check failure" in lower:
            return StoreError(
                f"{at} refuses the user or the password; give both in SEEHEAR_VECTORS or as"
                " MILVUS_USER and MILVUS_PASSWORD"
            )
        if number == 100 or "collection not found" in lower:
            return CollectionGoneError(f"{at} no longer has the vectors; ask again")
        if number == 800 or ("database" in lower and "not found" in lower):
            return StoreError(f"{at} has no such database; make it, or name another one")
        if any(word in lower for word in ("quota exceeded", "quota exhausted", "no space left")):
            return StorageFullError(
                f"{at} takes no more vectors: its disk or memory is full ({_first_line(said)});"
                " make room there, and `seehear index` goes on"
            )
        unanswered = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
        if code in unanswered or number == 2 or "timeout" in lower or "deadline" in lower:
            return StoreError(
                f"{at} does not answer; start Milvus there, or search by this machine's own"
                " indexes with SEEHEAR_VECTORS=local"
            )
        return StoreError(f"{at} failed: {_first_line(said)}")


class MilvusCollection:
    """One collection: the vectors of one space of one generation of one catalog."""

    def __init__(
        self, server: MilvusServer, name: str, about: Mapping[str, Any], dim: int, *, graph: bool
    ) -> None:
        """`about` tells whose vectors these are; with `graph`, they are searched by HNSW."""
        self.server = server
        self.name = name
        self.graph = graph
        self._about = json.dumps({**about, "dim": dim}, sort_keys=True)
        self._dim = dim

    def open(self) -> None:
        """Make it unless it is there, and see that it is ready.

        Raises StoreError for a collection of that name with other data.
        """
        with self.server.calls() as client:
            if not client.has_collection(self.name, timeout=CALL_S):
                self._create(client)
                return
            found = client.describe_collection(self.name, timeout=CALL_S)
            dims = [one["params"].get("dim") for one in found["fields"]]
            if found["description"] != self._about or self._dim not in dims:
                raise StoreError(
                    f"{self.server.address} has other data in its collection {self.name}; drop"
                    " that one there, or use another database of it"
                )
            if client.get_load_state(self.name, timeout=CALL_S)["state"].name != "Loaded":
                client.load_collection(self.name, timeout=LOAD_S)

    def _create(self, client: MilvusClient) -> None:
        from pymilvus import DataType

        schema = client.create_schema(description=self._about)
        schema.add_field("id", DataType.INT64, is_primary=True)
        for name in ("origin", "draw"):
            schema.add_field(name, DataType.INT64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._dim)
        client.create_collection(
            self.name, schema=schema, consistency_level="Bounded", timeout=WRITE_S
        )
        for item in Modality:
            client.create_partition(self.name, item.value, timeout=WRITE_S)
        index = client.prepare_index_params()
        kind = {"index_type": "FLAT"}
        if self.graph:
            settings = {"M": LINKS, "efConstruction": EF_CONSTRUCTION}
            kind = {"index_type": "HNSW", "params": settings}  # type: ignore[dict-item]
        index.add_index("vector", metric_type="IP", **kind)
        client.create_index(self.name, index, timeout=WRITE_S)
        client.load_collection(self.name, timeout=LOAD_S)

    def drop(self) -> None:
        with self.server.calls() as client:
            client.drop_collection(self.name, timeout=WRITE_S)

    def put(self, item: Modality, ids: Ids, origins: Ids, vectors: Vectors) -> int:
        """Write vectors of one modality, in place of earlier ones; return the time of writing."""
        draws = _drawn_as(ids)
        step = max(1, MOST_BYTES // (4 * self._dim))
        for start in range(0, len(ids), step):
            part = slice(start, start + step)
            columns = ids[part].tolist(), origins[part].tolist(), draws[part].tolist()
            self._upsert(item.value, *columns, vectors[part])
        return self._stamp()

    def _upsert(
        self, partition: str, ids: list[int], origins: list[int], draws: list[int], rows: Vectors
    ) -> None:
        data = [
            {"id": id_, "origin": origin, "draw": draw, "vector": row}
            for id_, origin, draw, row in zip(ids, origins, draws, rows, strict=True)
        ]
        with self.server.calls() as client:
            client.upsert(self.name, data, partition_name=partition, timeout=WRITE_S)

    def delete(self, ids: Ids) -> int:
        """Delete vectors, of whatever modality; return the time of writing."""
        for start in range(0, len(ids), DELETED_AT_ONCE):
            with self.server.calls() as client:
                some = ids[start : start + DELETED_AT_ONCE].tolist()
                client.delete(self.name, ids=some, timeout=WRITE_S)
        if len(ids):  # the time of a write is told, that of a deletion is not
            self._upsert("_default", [_UNUSED], [0], [0], np.ones((1, self._dim), np.float32))
        return self._stamp()

    def _stamp(self) -> int:
        """Return the server's time of this process's last write."""
        from pymilvus.client.ts_utils import get_collection_ts

        with self.server.calls() as client:
            config = client._config
            return int(get_collection_ts(self.name, config.address, config.db_name) or 0)

    def mark(self, marks: Mapping[Modality, Mark]) -> None:
        """Keep how far modalities have followed."""
        ids = [-1 - MODALITY_CODES.index(item) for item in marks]
        stamps, changes = [[mark[n] for mark in marks.values()] for n in (1, 0)]
        self._upsert("_default", ids, stamps, changes, np.ones((len(ids), self._dim), np.float32))

    def marks(self, *, strong: bool) -> dict[Modality, Mark]:
        """Return how far each modality has followed; `strong` waits for all that was written."""
        level = "Strong" if strong else "Bounded"
        with self.server.calls() as client:
            rows = client.query(
                self.name, "id < 0", output_fields=["origin", "draw"],
                consistency_level=level, timeout=CALL_S,
            )  # fmt: skip
        found = {-1 - row["id"]: Mark(row["draw"], row["origin"]) for row in rows}
        return {item: found.get(code, Mark()) for code, item in enumerate(MODALITY_CODES)}

    def _query(
        self, item: Modality, where: str, fields: list[str], stamp: int, *, sealed: bool = False
    ) -> list[Any]:
        with self.server.calls() as client:
            return list(
                client.query(
                    self.name, where, output_fields=fields, partition_names=[item.value],
                    consistency_level="Customized", guarantee_timestamp=stamp, timeout=CALL_S,
                    ignore_growing=sealed,
                )
            )  # fmt: skip

    def count(self, item: Modality, origins: list[int], stamp: int, *, sealed: bool = False) -> int:
        """Count the vectors of one modality, of some origins or all.

        With `sealed`, without those that were written lately, which are in no graph yet.
        """
        where = f"origin in {origins}" if origins else ""
        found = self._query(item, where, ["count(*)"], stamp, sealed=sealed)
        return int(found[0]["count(*)"])

    def seal(self) -> None:
        """Let the server build its graphs of what was written lately."""
        with self.server.calls() as client:
            client.flush(self.name, timeout=WRITE_S)

    def drawn(self, item: Modality, origins: list[int], most: int, count: int, stamp: int) -> Ids:
        """Return ids of vectors of one modality, of some origins or all, by ascending draw.

        `count` is the number of those.
        """
        if not count:
            return NO_IDS
        share, where = 1.2 * most / count, f"origin in {origins} and " if origins else ""
        while True:
            below = min((1 << 63) - 1, round((2 * share - 1) * (1 << 63)))
            rows = self._query(item, f"{where}draw <= {below}", ["draw"], stamp)
            if len(rows) >= min(most, count) or share >= 1:
                ids = np.array([row["id"] for row in rows], dtype=np.int64)
                return ids[np.argsort(draw_order(ids), kind="stable")][:most]
            share *= 2

    def find(self, item: Modality, ids: Ids, stamp: int) -> tuple[Ids, Vectors]:
        """Return which of some ids have a vector, int64 (n,), and the vectors, float32 (n, dim)."""
        rows: list[Any] = []
        for start in range(0, len(ids), READ_AT_ONCE):
            listed = ids[start : start + READ_AT_ONCE].tolist()
            rows += self._query(item, f"id in {listed}", ["vector"], stamp)
        vectors = np.array([row["vector"] for row in rows], dtype=np.float32)
        found = np.array([row["id"] for row in rows], dtype=np.int64)
        return found, vectors.reshape(len(found), self._dim)

    def search(
        self, item: Modality, queries: Vectors, limit: int, stamp: int, *,
        ef: int = 0, where: str = "", sealed: bool = False,
    ) -> list[Ids]:  # fmt: skip
        """Return for each query the ids of the nearest vectors of one modality, best first.

        `ef` is how far a graph is searched; `sealed` as in `count`.
        """
        with self.server.calls() as client:
            found = client.search(
                self.name, data=list(queries), anns_field="vector", limit=limit, filter=where,
                search_params={"params": {"ef": max(ef, limit)} if self.graph else {}},
                partition_names=[item.value], consistency_level="Customized",
                guarantee_timestamp=stamp, timeout=CALL_S, ignore_growing=sealed,
            )  # fmt: skip
        return [np.array([hit["id"] for hit in hits], dtype=np.int64) for hits in found]


def _drawn_as(ids: Ids) -> Ids:
    return (draw_order(ids) ^ _SIGN).view(np.int64)


def _status(error: BaseException) -> str | None:
    """Return the name of the status of a call among an error and its causes."""
    left: list[BaseException | None] = [error]
    seen: list[BaseException | None] = [None]  # the client raises errors from themselves
    while left:
        step = left.pop()
        if step in seen:
            continue
        if callable(status := getattr(step, "code", None)):
            return str(getattr(status(), "name", None))
        seen.append(step)
        left += [step and step.__context__, step and step.__cause__]
    return None


def _first_line(said: str) -> str:
    return " ".join(said.split())[:200]
