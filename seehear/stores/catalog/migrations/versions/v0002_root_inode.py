"""Store the inode of each root's folder, and repair details that filters cannot read.

The inode tells a folder that was emptied from a mount point without its drive.
"""

import json
import math

from alembic import op
from sqlalchemy import BigInteger, Column, text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("roots", Column("inode", BigInteger))
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":  # other databases never accepted such details
        return
    # NaN and infinity are not valid JSON; lone surrogates and null characters not valid text.
    found = connection.execute(
        text(
            "SELECT id, details FROM assets WHERE json_valid(details) = 0 "
            r"OR details LIKE '%\ud%' OR details LIKE '%\u0000%'"
        )
    ).all()
    for row in found:
        connection.execute(
            text("UPDATE assets SET details = :details WHERE id = :id"),
            {"id": row.id, "details": json.dumps(_readable(json.loads(row.details)))},
        )


def _readable(details: dict[str, str | int | float]) -> dict[str, str | int | float]:
    kept: dict[str, str | int | float] = {}
    for name, value in details.items():
        if isinstance(value, str):
            kept[name] = value.replace("\0", " ").encode("utf-8", "backslashreplace").decode()
        elif math.isfinite(value):
            kept[name] = value
    return kept
