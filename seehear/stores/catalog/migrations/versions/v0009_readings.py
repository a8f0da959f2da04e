"""Keep what is said and written: where each passage comes from, and the lines of readers."""

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Text,
    text,
)

from seehear.stores.catalog.checksums import segment_crc

revision = "0009"
down_revision = "0008"

# As in `schema.py`: SQLite keys are INTEGER, other databases need 64 bits stated.
KEY = BigInteger().with_variant(Integer(), "sqlite")
SUBTITLES = ("srt", "vtt", "ass", "sbv", "ttml", "lrc")


def upgrade() -> None:
    op.add_column("segments", Column("origin", String(10)))
    op.add_column("segments", Column("language", String(8)))
    op.add_column("segments", Column("confidence", Float))
    op.add_column("segments", Column("box", JSON))
    op.create_table(
        "readings",
        Column("asset_id", KEY, ForeignKey("assets.id"), primary_key=True, autoincrement=False),
        Column("reader", String(10), primary_key=True),
        Column("engine", Text, nullable=False),
        Column("state", String(8), nullable=False),
        Column("reason", Text, nullable=False),
        Column("language", String(8)),
        Column("cost_s", Float, nullable=False),
        Column("lines", LargeBinary, nullable=False),
    )
    op.create_table(
        "settings",
        Column("name", String(32), primary_key=True),
        Column("value", JSON, nullable=False),
    )
    op.drop_column("roots", "unsupported")
    _name_origins()


def _name_origins() -> None:
    """Mark the passages of subtitle files; a damaged row keeps its wrong checksum."""
    connection = op.get_bind()
    columns = "s.generation_id, s.asset_id, s.ordinal, s.modality, s.start_s, s.stop_s"
    words = "CAST(s.text AS BLOB)" if connection.dialect.name == "sqlite" else "s.text"
    named = ", ".join(f"'{name}'" for name in SUBTITLES)
    rows = connection.execute(
        text(
            f"SELECT s.id, s.crc, a.format, {columns}, {words}, s.page FROM segments s "
            "JOIN assets a ON a.id = s.asset_id WHERE s.modality = 'text' "
            f"AND a.format IN ({named}) AND s.text IS NOT NULL"
        )
    ).all()
    changed = []
    for id_, crc, form, *row in rows:
        origin = "lyrics" if form == "lrc" else "subtitles"
        intact = crc == segment_crc(*row)
        new = segment_crc(*[*row, origin]) if intact else crc
        changed.append({"id": id_, "crc": new, "origin": origin})
    if changed:
        connection.execute(
            text("UPDATE segments SET origin = :origin, crc = :crc WHERE id = :id"), changed
        )
