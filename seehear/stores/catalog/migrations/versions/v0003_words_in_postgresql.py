"""Create the full-text index for catalogs in PostgreSQL; SQLite has had one from the start.

The index is derived data: it is built by the current code and not written out here.
"""

from alembic import op

from seehear.stores.catalog import fts

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        fts.rebuild(connection)
