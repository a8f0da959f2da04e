"""Keep what all services of one catalog share: index jobs, and who signed out.

Look up what filters ask for: files by time and by size, and those beside a video.
"""

from alembic import op
from sqlalchemy import JSON, BigInteger, Boolean, Column, Integer, String, text

revision = "0012"
down_revision = "0011"

# As in `schema.py`: SQLite keys are INTEGER, other databases need 64 bits stated.
KEY = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "jobs",
        Column("number", KEY, primary_key=True),
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
    )
    running = text("state = 'running'")
    op.create_index(
        "jobs_running",
        "jobs",
        ["state"],
        unique=True,
        sqlite_where=running,
        postgresql_where=running,
    )
    op.create_table(
        "sign_outs",
        Column("session", String(64), primary_key=True),
        Column("ended_ms", BigInteger, nullable=False),
    )
    op.create_index("assets_by_time", "assets", ["taken_at"])
    op.create_index("assets_by_size", "assets", ["size_bytes"])
    # Most files are beside no video: an index of them would mislead SQLite.
    beside = text("sidecar_of IS NOT NULL")
    op.drop_index("locations_by_video", "locations")
    op.create_index(
        "locations_by_video",
        "locations",
        ["sidecar_of"],
        sqlite_where=beside,
        postgresql_where=beside,
    )
