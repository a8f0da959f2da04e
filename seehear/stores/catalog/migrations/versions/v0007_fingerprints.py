"""Add the fingerprints by which copies of one picture, sound, film or text are told."""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary

revision = "0007"
down_revision = "0006"

# As in `schema.py`: SQLite keys are INTEGER, other databases need 64 bits stated.
KEY = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "fingerprints",
        Column("asset_id", KEY, ForeignKey("assets.id"), primary_key=True, autoincrement=False),
        Column("version", Integer, nullable=False),
        Column("data", LargeBinary, nullable=False),
    )
