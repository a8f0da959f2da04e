"""Keep vectors in PostgreSQL's extension pgvector, in the same transaction as their segments.

One table for each space of a generation, `halfvecs_<space>`, beside the table `vectors`, from which
it can be made anew. A table that exists is written with every batch, by whatever process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Float,
    MetaData,
    SmallInteger,
    Table,
    bindparam,
    cast,
    func,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import UserDefinedType

from seehear.errors import StoreError
from seehear.stores.catalog.checksums import is_intact
from seehear.stores.catalog.reader import BLOCK, VECTOR
from seehear.stores.catalog.records import CODES_PER_KIND, MODALITY_CODES, ORIGIN_CODES, code_of
from seehear.stores.catalog.schema import segments, vectors
from seehear.stores.catalog.statements import BigintArray, counter_values
from seehear.stores.sorted_ids import draw_order
from seehear.types import Ids, Modality, Origin

LEAST_VERSION = (0, 8)
"""The first version that goes on searching until enough results meet a filter."""
MOST_EF = 1000
"""The largest `hnsw.ef_search` that pgvector takes."""
LINKS, EF_CONSTRUCTION = 16, 128
GRAPH_MEMORY = "1GB"
"""Memory in which a graph is built; one that is larger is built far more slowly."""
_PREFIX = "halfvecs_"
_SIGN = np.uint64(1 << 63)


class _Halfvec(UserDefinedType[Any]):
    cache_ok = True

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def get_col_spec(self, **_: Any) -> str:
        return f"halfvec({self.dim})"


class HalfvecTable:
    """The vectors of one space, with what filters and samples need beside them."""

    def __init__(self, space_id: int, dim: int) -> None:
        self.space_id = space_id
        self.dim = dim
        self.name = f"{_PREFIX}{space_id}"
        self.table = Table(
            self.name,
            MetaData(),
            Column("segment_id", BigInteger, primary_key=True),
            Column("asset_id", BigInteger, nullable=False),
            Column("modality", SmallInteger, nullable=False),
            Column("origin", SmallInteger, nullable=False),
            Column("draw", BigInteger, nullable=False),
            Column("vec", _Halfvec(dim), nullable=False),
        )
        self._cells = np.dtype(
            [
                ("fields", ">i2"),
                ("id_bytes", ">i4"), ("segment_id", ">i8"),
                ("asset_bytes", ">i4"), ("asset_id", ">i8"),
                ("modality_bytes", ">i4"), ("modality", ">i2"),
                ("origin_bytes", ">i4"), ("origin", ">i2"),
                ("draw_bytes", ">i4"), ("draw", ">i8"),
                ("vec_bytes", ">i4"), ("dim", ">i2"), ("unused", ">i2"), ("vec", ">f2", (dim,)),
            ]
        )  # fmt: skip

    def exists(self, connection: Connection) -> bool:
        return self.space_id in table_spaces(connection)

    def create(self, connection: Connection) -> None:
        """Make the table and fill it from `vectors`. Raises StoreError without pgvector."""
        _require_extension(connection)
        self.table.create(connection)
        read = (
            select(*VECTOR, segments.c.asset_id, segments.c.origin)
            .join(segments, segments.c.id == vectors.c.segment_id)
            .where(vectors.c.space_id == self.space_id)
        )
        found = connection.execute(read, execution_options={"yield_per": BLOCK})
        for rows in found.partitions():
            whole = [row for row in rows if is_intact(*row[: len(VECTOR)])]
            names = ("segment_id", "asset_id", "modality", "origin", "data")
            self.put(connection, [[getattr(row, name) for name in names] for row in whole])
        for columns in ("modality, draw", "modality, origin, draw"):
            connection.execute(text(f"CREATE INDEX ON {self.name} ({columns})"))
        connection.execute(text(f"ANALYZE {self.name}"))

    def put(self, connection: Connection, rows: Iterable[Sequence[Any]]) -> None:
        """Add vectors: rows of segment, asset, modality, origin and float16 bytes."""
        columns = list(zip(*rows, strict=True))
        if not columns:
            return
        ids = np.array(columns[0], dtype=np.int64)
        cells = np.zeros(len(ids), dtype=self._cells)
        cells["fields"] = 6
        for name, size in (("id", 8), ("asset", 8), ("modality", 2), ("origin", 2), ("draw", 8)):
            cells[f"{name}_bytes"] = size
        cells["vec_bytes"], cells["dim"] = 4 + 2 * self.dim, self.dim
        cells["segment_id"], cells["asset_id"] = ids, columns[1]
        codes = [
            code_of(Modality(kind), Origin(origin) if origin else None)
            for kind, origin in zip(columns[2], columns[3], strict=True)
        ]
        cells["modality"], cells["origin"] = np.divmod(np.array(codes), CODES_PER_KIND)
        cells["draw"] = (draw_order(ids) ^ _SIGN).view(np.int64)
        cells["vec"] = np.frombuffer(b"".join(map(bytes, columns[4])), "<f2").reshape(-1, self.dim)
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor:
            names = ", ".join(self.table.columns.keys())
            with cursor.copy(f"COPY {self.name} ({names}) FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
                copy.write(cells.tobytes())
                copy.write(b"\xff\xff")
        _add_counts(connection, self.space_id, codes, 1)

    def build_graph(self, connection: Connection, item: Modality) -> None:
        """Build the graph in which vectors of one modality are searched."""
        connection.execute(text(f"SET LOCAL maintenance_work_mem = '{GRAPH_MEMORY}'"))
        connection.execute(
            text(
                f"CREATE INDEX {self.graph(item)} ON {self.name} USING hnsw (vec halfvec_ip_ops) "
                f"WITH (m = {LINKS}, ef_construction = {EF_CONSTRUCTION}) "
                f"WHERE modality = {MODALITY_CODES.index(item)}"
            )
        )

    def graph(self, item: Modality) -> str:
        return f"{self.name}_{item.value}"

    def has_graph(self, connection: Connection, item: Modality) -> bool:
        return connection.scalar(select(func.to_regclass(self.graph(item)))) is not None

    def count(self, connection: Connection, item: Modality, origin: Origin | None = None) -> int:
        """Return the number of vectors of one kind, which is kept and not counted."""
        return _counts(connection, self.space_id).get(code_of(item, origin), 0)

    def count_all(self, connection: Connection, item: Modality) -> int:
        """Return the number of vectors of one modality."""
        found = _counts(connection, self.space_id)
        return sum(found.get(code_of(item, origin), 0) for origin in ORIGIN_CODES)

    def drawn(
        self, connection: Connection, item: Modality, origins: Sequence[Origin | None], most: int
    ) -> Ids:
        """Return ids of vectors of one modality, of some origins or all, by ascending draw."""
        columns = self.table.c
        query = select(columns.segment_id).where(columns.modality == MODALITY_CODES.index(item))
        if origins:
            query = query.where(columns.origin.in_([ORIGIN_CODES.index(one) for one in origins]))
        query = query.order_by(columns.draw).limit(most)
        return np.fromiter(connection.scalars(query), dtype=np.int64)

    def nearest(
        self,
        connection: Connection,
        item: Modality,
        query: NDArray[np.float32],
        k: int,
        *,
        ef: int | None,
        where: Sequence[Any] = (),
        most_scanned: int = 20_000,
    ) -> tuple[Ids, NDArray[np.float16]]:
        """Return the k nearest vectors that meet conditions: ids (n,), float16 (n, dim).

        ef: how far the graph is searched; None compares with every vector instead.
        """
        columns = self.table.c
        given = "[" + ",".join(map(repr, query.tolist())) + "]"
        distance: ColumnElement[float] = columns.vec.op("<#>", return_type=Float())(
            cast(bindparam("query", given), _Halfvec(self.dim))
        )
        if ef is None:
            distance = distance + 0.0  # which no graph is ordered by
        else:
            settings = {
                "hnsw.ef_search": str(min(ef, MOST_EF)),
                "hnsw.iterative_scan": "relaxed_order",
                "hnsw.max_scan_tuples": str(most_scanned),
                "hnsw.scan_mem_multiplier": "16",  # of work_mem, 4 MB by default
            }
            calls = [func.set_config(name, value, True) for name, value in settings.items()]
            connection.execute(select(*calls))
        # The number as text: the graph's own condition is a constant.
        own = text(f"{self.name}.modality = {MODALITY_CODES.index(item)}")
        found = connection.execute(
            select(columns.segment_id, func.halfvec_send(columns.vec))
            .where(own, *where)
            .order_by(distance)
            .limit(k)
        ).all()
        return self._unpacked(found)

    def find(
        self, connection: Connection, item: Modality, ids: Ids
    ) -> tuple[Ids, NDArray[np.float16]]:
        """Return the vectors of some segments of one modality, as `nearest` does."""
        columns = self.table.c
        found = connection.execute(
            select(columns.segment_id, func.halfvec_send(columns.vec)).where(
                columns.modality == MODALITY_CODES.index(item), self.listed(ids)
            )
        ).all()
        return self._unpacked(found)

    def listed(self, ids: Ids) -> Any:
        """Return the condition for vectors of some segments."""
        return self.table.c.segment_id == func.any(cast(ids.tolist(), BigintArray()))

    def _unpacked(self, rows: Sequence[Any]) -> tuple[Ids, NDArray[np.float16]]:
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        sent = np.dtype([("dim", ">i4"), ("vec", ">f2", (self.dim,))])
        halves = np.frombuffer(b"".join(bytes(row[1]) for row in rows), sent)["vec"]
        return ids, halves.astype("<f2")


def table_spaces(connection: Connection) -> set[int]:
    """Return the spaces whose vectors pgvector has."""
    if connection.dialect.name != "postgresql":
        return set()
    found = text(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid)"
        r" AND relname ~ '^halfvecs_[0-9]+$'"
    )
    return {int(name.removeprefix(_PREFIX)) for name in connection.scalars(found)}


def put_vectors(
    connection: Connection,
    rows: Sequence[Mapping[str, Any]],
    packed: Sequence[Mapping[str, Any]],
    ids: Sequence[int],
) -> None:
    """Add vectors to the tables that exist, from new rows of `segments` and of `vectors`."""
    kept = table_spaces(connection)
    segment = dict(zip(ids, rows, strict=True))
    for space_id in kept & {row["space_id"] for row in packed}:
        mine = [row for row in packed if row["space_id"] == space_id]
        dim = len(mine[0]["data"]) // 2
        HalfvecTable(space_id, dim).put(
            connection,
            (
                (
                    row["segment_id"], segment[row["segment_id"]]["asset_id"],
                    row["modality"], segment[row["segment_id"]]["origin"], row["data"],
                )
                for row in mine
            ),
        )  # fmt: skip


def drop_vectors(connection: Connection, segment_ids: Sequence[int]) -> None:
    """Delete the vectors of some segments from every table."""
    for space_id in table_spaces(connection):
        gone = connection.execute(
            text(
                f"DELETE FROM {_PREFIX}{space_id} WHERE segment_id = ANY(:ids)"
                f" RETURNING modality * {CODES_PER_KIND} + origin"
            ),
            {"ids": list(segment_ids)},
        )
        _add_counts(connection, space_id, [int(code) for (code,) in gone], -1)


def drop_table(connection: Connection, space_id: int) -> None:
    """Delete the table of a space."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"DROP TABLE IF EXISTS {_PREFIX}{space_id}"))
        connection.execute(
            text("DELETE FROM counters WHERE name LIKE :name"), {"name": f"halfvecs/{space_id}/%"}
        )


def _add_counts(connection: Connection, space_id: int, codes: Sequence[int], sign: int) -> None:
    for code in sorted(set(codes)):
        connection.execute(
            text(
                "INSERT INTO counters (name, value) VALUES (:name, :more)"
                " ON CONFLICT (name) DO UPDATE SET value = counters.value + :more"
            ),
            {"name": f"halfvecs/{space_id}/{code}", "more": sign * codes.count(code)},
        )


def _counts(connection: Connection, space_id: int) -> dict[int, int]:
    """Return the number of vectors by kind; read once for all that a query asks."""
    start = f"halfvecs/{space_id}/"
    found = counter_values(connection)
    return {int(k.removeprefix(start)): n for k, n in found.items() if k.startswith(start)}


def _require_extension(connection: Connection) -> None:
    """Enable pgvector in the database. Raises StoreError if it is missing or too old."""
    version = text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    offered = text("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
    found = connection.scalar(version)
    if found is None and connection.scalar(offered) is not None:
        try:
            with connection.begin_nested():
                connection.execute(text("CREATE EXTENSION vector"))
        except DBAPIError:
            raise StoreError(
                "the database's user may not enable pgvector; let its owner run"
                " `CREATE EXTENSION vector` in it once"
            ) from None
        found = connection.scalar(version)
    if found is None:
        raise StoreError(
            "the database server has no pgvector; install it there (Debian: postgresql-N-pgvector)"
            " or set SEEHEAR_VECTORS=local"
        )
    if tuple(map(int, found.split(".")[:2])) < LEAST_VERSION:
        raise StoreError(
            f"the database has pgvector {found}, and 0.8 or later is needed; update it there and"
            " run `ALTER EXTENSION vector UPDATE`"
        )
