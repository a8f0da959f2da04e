"""Give each segment and vector a checksum, and each encoding a mark for damaged rows."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, text

from seehear.stores.catalog.checksums import segment_crc, vector_crc

revision = "0006"
down_revision = "0005"

AT_ONCE = 10_000
"""Segments in memory at a time."""


def upgrade() -> None:
    op.add_column(
        "encodings", Column("damaged", Boolean, nullable=False, server_default=text("false"))
    )
    op.add_column("segments", Column("crc", BigInteger))
    op.add_column("vectors", Column("crc", BigInteger))
    connection = op.get_bind()
    # As bytes, because a damaged text need not be valid Unicode.
    words = "CAST(text AS BLOB)" if connection.dialect.name == "sqlite" else "text"
    segments = text(
        f"SELECT id, generation_id, asset_id, ordinal, modality, start_s, stop_s, {words} "
        "FROM segments WHERE id > :after ORDER BY id LIMIT :most"
    )
    vectors = text(
        "SELECT segment_id, space_id, modality, change, data FROM vectors "
        "WHERE segment_id > :after AND segment_id <= :last"
    )
    last = -1
    while rows := connection.execute(segments, {"after": last, "most": AT_ONCE}).all():
        after, last = last, rows[-1].id
        connection.execute(
            text("UPDATE segments SET crc = :crc WHERE id = :id"),
            [{"id": id_, "crc": segment_crc(*row)} for id_, *row in rows],
        )
        blobs = connection.execute(vectors, {"after": after, "last": last}).all()
        if blobs:
            connection.execute(
                text("UPDATE vectors SET crc = :crc WHERE segment_id = :id AND space_id = :space"),
                [{"id": row[0], "space": row[1], "crc": vector_crc(*row)} for row in blobs],
            )
