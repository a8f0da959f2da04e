"""Add the fingerprints by which copies of one picture, sound, film or text are told."""

from alembic import op
from sqlalchemy import Column, ForeignKey, Integer, LargeBinary

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "fingerprints",
        Column("asset_id", ForeignKey("assets.id"), primary_key=True),
        Column("version", Integer, nullable=False),
        Column("data", LargeBinary, nullable=False),
    )
