"""Keep what was added from memory, with fields of its own."""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Text,
)

revision = "0011"
down_revision = "0010"

# As in `schema.py`: SQLite keys are INTEGER, other databases need 64 bits stated.
KEY = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "items",
        Column("asset_id", KEY, ForeignKey("assets.id"), primary_key=True, autoincrement=False),
        Column("key", Text, nullable=False, unique=True),
        Column("added_at", DateTime, nullable=False),
        Column("changed_at", DateTime, nullable=False),
        Column("content_name", Text),
        Column("content", LargeBinary),
    )
    op.create_table(
        "item_fields",
        Column("name", String(64), primary_key=True),
        Column("type", String(8), nullable=False),
    )
    op.create_table(
        "item_values",
        Column(
            "asset_id", KEY, ForeignKey("items.asset_id"), primary_key=True, autoincrement=False
        ),
        Column("name", String(64), ForeignKey("item_fields.name"), primary_key=True),
        Column("position", Integer, primary_key=True, autoincrement=False),
        Column("text", Text, nullable=False),
        Column("number", Float),
        Column("time", DateTime),
    )
    op.create_index("item_values_by_name", "item_values", ["name", "number"])
