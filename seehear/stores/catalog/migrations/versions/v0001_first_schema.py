"""The first schema: assets, locations, generations, segments, vectors, failures, words."""

import secrets

from alembic import op

from seehear.stores.catalog import words
from seehear.stores.catalog.schema import counters, metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    connection = op.get_bind()
    metadata.create_all(connection)
    connection.execute(counters.insert().values(name="change", value=0))
    # Tells this catalog from every other one, so that no cache of another is taken for its own.
    connection.execute(counters.insert().values(name="identity", value=secrets.randbits(62)))
    words.create(connection)
