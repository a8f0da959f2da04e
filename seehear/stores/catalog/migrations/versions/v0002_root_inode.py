"""Which folder a root was when it last had files, so that an emptied one can be told from a mount
point without its drive; and details that filters can read, which some files had none of."""

import json
import math

from alembic import op
from sqlalchemy import BigInteger, Column, text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("roots", Column("inode", BigInteger))
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":  # others refused such details when they were written
        return
    # NaN and infinities, which are no JSON; halves of surrogates and nulls, which are no text.
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
