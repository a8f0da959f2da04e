"""Define the tables. Paths are stored as the file system's bytes, so that every name is kept."""

from __future__ import annotations

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
    text,
)

metadata = MetaData()

NO_CONTENT = -1
"""Ordinal of the one segment of an asset without content (a scan, silence): it has no vector and no
text, and makes the file a hit by its name."""

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
    Column("inode", BigInteger),
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
    Index("assets_by_time", "taken_at"),
    Index("assets_by_size", "size_bytes"),
    # Without autoincrement SQLite reuses ids, and caches and clients rely on them for good.
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
    # The last change of name, folder or captions, by which the index of words catches up.
    Column("change", BigInteger, nullable=False, server_default=text("0")),
    Index("locations_by_asset", "asset_id"),
    Index("locations_by_root", "root_id"),
    Index(
        "locations_by_video",
        "sidecar_of",
        sqlite_where=text("sidecar_of IS NOT NULL"),
        postgresql_where=text("sidecar_of IS NOT NULL"),
    ),
    Index("locations_by_change", "change"),
    # See `assets`.
    sqlite_autoincrement=True,
)

# What tells copies of a content from others that are merely like it; see `media/fingerprints.py`.
fingerprints = Table(
    "fingerprints",
    metadata,
    Column("asset_id", ForeignKey(assets.c.id), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

# Files that are not indexed completely, each with the reason: failures, and by their stage
# (records.Remark) partial files, files without content, and what is not read.
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
    # See `assets`.
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
    # See `assets`.
    sqlite_autoincrement=True,
)

encodings = Table(
    "encodings",
    metadata,
    Column("generation_id", ForeignKey(generations.c.id), primary_key=True),
    Column("asset_id", ForeignKey(assets.c.id), primary_key=True),
    # Rows of it no longer have their checksum: the next index run encodes the asset again.
    Column("damaged", Boolean, nullable=False, server_default=text("false")),
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
    Column("crc", BigInteger),
    Column("page", Integer),
    # Of a passage that is not the file's own text: `types.Origin`, and what its reader tells.
    Column("origin", String(10)),
    Column("language", String(8)),
    Column("confidence", Float),
    Column("box", JSON(none_as_null=True)),
    Index("segments_by_asset", "asset_id", "generation_id"),
    Index("segments_by_modality", "generation_id", "modality"),
    # See `assets`.
    sqlite_autoincrement=True,
)

# What was added from memory: an asset of its own, with a location below `paths.ITEMS`.
items = Table(
    "items",
    metadata,
    Column("asset_id", ForeignKey(assets.c.id), primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("added_at", DateTime, nullable=False),
    Column("changed_at", DateTime, nullable=False),
    # What another model can encode: a name that says what it is, and the bytes.
    Column("content_name", Text),
    Column("content", LargeBinary),
)

# The fields of items, each of one type: `own_fields.FieldType`.
item_fields = Table(
    "item_fields",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("type", String(8), nullable=False),
)

# The values of fields, as they were given, and as a number or a time to compare.
item_values = Table(
    "item_values",
    metadata,
    Column("asset_id", ForeignKey(items.c.asset_id), primary_key=True),
    Column("name", ForeignKey(item_fields.c.name), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("number", Float),
    Column("time", DateTime),
    Index("item_values_by_name", "name", "number"),
)

# What a reader found in an asset: lines with times or boxes, whatever the model. The passages of
# each generation are made of them.
readings = Table(
    "readings",
    metadata,
    Column("asset_id", ForeignKey(assets.c.id), primary_key=True),
    Column("reader", String(10), primary_key=True),
    Column("engine", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("reason", Text, nullable=False),
    Column("language", String(8)),
    Column("cost_s", Float, nullable=False),
    Column("lines", LargeBinary, nullable=False),
)

# What a collection remembers of its user's wishes, such as the readers of its index runs.
settings = Table(
    "settings",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", JSON, nullable=False),
)

vectors = Table(
    "vectors",
    metadata,
    Column("segment_id", ForeignKey(segments.c.id), primary_key=True),
    Column("space_id", ForeignKey(spaces.c.id), primary_key=True),
    Column("modality", String(8), nullable=False),
    Column("change", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("crc", BigInteger),
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

# What an index run computes for the searches of a generation: query banks, baselines of scores.
generation_blobs = Table(
    "generation_blobs",
    metadata,
    Column("generation_id", ForeignKey(generations.c.id), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

# Index runs that clients of services asked for; jobs.py says how a service holds one.
jobs = Table(
    "jobs",
    metadata,
    Column("number", Key, primary_key=True),
    Column("id", String(16), nullable=False, unique=True),
    Column("format", Integer, nullable=False),
    Column("state", String(8), nullable=False),
    Column("holder", String(32)),
    Column("attempt", Integer, nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("stopping", Boolean, nullable=False),
    Column("request", JSON, nullable=False),
    Column("told", JSON, nullable=False),
    # One job runs at a time, also if two services start one at the same instant.
    Index(
        "jobs_running",
        "state",
        unique=True,
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
)

# Sessions of the page that have ended before their time, for all services.
sign_outs = Table(
    "sign_outs",
    metadata,
    Column("session", String(64), primary_key=True),
    Column("ended_ms", BigInteger, nullable=False),
)
