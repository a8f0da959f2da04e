"""Create the first schema: assets, locations, generations, segments, vectors, failures, words.

Written out here, because later changes of the code's tables must not change this step.
"""

import secrets

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

revision = "0001"
down_revision = None

metadata = MetaData()

# SQLite autoincrements INTEGER keys only; other databases need 64 bits stated.
Key = BigInteger().with_variant(Integer(), "sqlite")

counters = Table(
    "counters",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

roots = Table(
    "roots",
    metadata,
    Column("id", Key, primary_key=True),
    Column("path", LargeBinary, nullable=False, unique=True),
    Column("online", Boolean, nullable=False),
)

assets = Table(
    "assets",
    metadata,
    Column("id", Key, primary_key=True),
    Column("content_hash", String(64), nullable=False, unique=True),
    Column("modality", String(8), nullable=False),
    Column("format", String(32), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("width_px", Integer),
    Column("height_px", Integer),
    Column("duration_s", Float),
    Column("taken_at", DateTime),
    Column("details", JSON, nullable=False),
    sqlite_autoincrement=True,
)

locations = Table(
    "locations",
    metadata,
    Column("id", Key, primary_key=True),
    Column("asset_id", ForeignKey(assets.c.id), nullable=False),
    Column("root_id", ForeignKey(roots.c.id), nullable=False),
    Column("path", LargeBinary, nullable=False, unique=True),
    # For filters and words, as valid Unicode: the name, the path, and its folder with slashes.
    Column("name", Text, nullable=False),
    Column("shown", Text, nullable=False),
    Column("folders", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    # The video of a subtitle beside it: the passages are moments of that video.
    Column("sidecar_of", ForeignKey(assets.c.id, ondelete="SET NULL")),
    Index("locations_by_asset", "asset_id"),
    Index("locations_by_root", "root_id"),
    Index("locations_by_video", "sidecar_of"),
    sqlite_autoincrement=True,
)

failures = Table(
    "failures",
    metadata,
    Column("id", Key, primary_key=True),
    Column("root_id", ForeignKey(roots.c.id), nullable=False),
    Column("path", LargeBinary, nullable=False, unique=True),
    Column("stage", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("failed_at", DateTime, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
)

generations = Table(
    "generations",
    metadata,
    Column("id", Key, primary_key=True),
    Column("model", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("created_at", DateTime, nullable=False),
    sqlite_autoincrement=True,
)

spaces = Table(
    "spaces",
    metadata,
    Column("id", Key, primary_key=True),
    Column("generation_id", ForeignKey(generations.c.id), nullable=False),
    Column("name", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("dim", Integer, nullable=False),
    sqlite_autoincrement=True,
)

encodings = Table(
    "encodings",
    metadata,
    Column("generation_id", ForeignKey(generations.c.id), primary_key=True),
    Column("asset_id", ForeignKey(assets.c.id), primary_key=True),
    Index("encodings_by_asset", "asset_id"),
)

segments = Table(
    "segments",
    metadata,
    Column("id", Key, primary_key=True),
    Column("generation_id", ForeignKey(generations.c.id), nullable=False),
    Column("asset_id", ForeignKey(assets.c.id), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("modality", String(8), nullable=False),
    Column("start_s", Float),
    Column("stop_s", Float),
    Column("text", Text),
    Index("segments_by_asset", "asset_id", "generation_id"),
    Index("segments_by_modality", "generation_id", "modality"),
    sqlite_autoincrement=True,
)

vectors = Table(
    "vectors",
    metadata,
    Column("segment_id", ForeignKey(segments.c.id), primary_key=True),
    Column("space_id", ForeignKey(spaces.c.id), primary_key=True),
    Column("modality", String(8), nullable=False),
    Column("change", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("vectors_by_change", "space_id", "modality", "change"),
)

removals = Table(
    "removals",
    metadata,
    Column("segment_id", Key, primary_key=True, autoincrement=False),
    Column("generation_id", ForeignKey(generations.c.id), nullable=False),
    Column("change", BigInteger, nullable=False),
    Index("removals_by_change", "generation_id", "change"),
)

calibrations = Table(
    "calibrations",
    metadata,
    Column("generation_id", ForeignKey(generations.c.id), primary_key=True),
    Column("route", String(200), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)


# Until 0010, which has no index of words in the database.
WORDS = (("passage_words", "passage"), ("file_words", "name, folder, caption"))
TOKENS = "unicode61 remove_diacritics 2"


def upgrade() -> None:
    connection = op.get_bind()
    metadata.create_all(connection)
    connection.execute(counters.insert().values(name="change", value=0))
    # Identifies this catalog, so that the cache of another one is not used by mistake.
    connection.execute(counters.insert().values(name="identity", value=secrets.randbits(62)))
    if connection.dialect.name == "sqlite":
        for table, columns in WORDS:
            op.execute(f"CREATE VIRTUAL TABLE {table} USING fts5({columns}, tokenize='{TOKENS}')")
