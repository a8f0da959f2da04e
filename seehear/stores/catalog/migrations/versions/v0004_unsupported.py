"""Store how many files of a root are of kinds that are not read, by suffix."""

from alembic import op
from sqlalchemy import JSON, Column

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("roots", Column("unsupported", JSON))
