"""Keep the index of words beside the catalog, as a cache, and number the changes of locations."""

from alembic import op
from sqlalchemy import BigInteger, Column, text

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    for table in ("passage_words", "file_words"):
        op.execute(f"DROP TABLE IF EXISTS {table}")
    change = Column("change", BigInteger, nullable=False, server_default=text("0"))
    op.add_column("locations", change)
    op.create_index("locations_by_change", "locations", ["change"])
    op.execute("INSERT INTO counters (name, value) VALUES ('locations', 0)")
