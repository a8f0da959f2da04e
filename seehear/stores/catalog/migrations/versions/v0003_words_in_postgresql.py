"""The index of words for catalogs in PostgreSQL, which had none; SQLite has had its own from the
first. It is made of the rest, so it is made as this version makes it anew, and not written out."""

from alembic import op

from seehear.stores.catalog import fts

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        fts.rebuild(connection)
