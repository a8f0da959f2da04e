"""Name the table of what an index run computes for searches after what it holds."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.rename_table("calibrations", "generation_blobs")
    op.execute("ALTER TABLE generation_blobs RENAME COLUMN route TO name")
