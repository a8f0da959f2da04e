"""Index all words anew, with their stems; keep pages; make files without content hits by name."""

from alembic import op
from sqlalchemy import Column, Integer, text

from seehear.stores.catalog import fts
from seehear.stores.catalog.checksums import segment_crc

revision = "0008"
down_revision = "0007"

NO_CONTENT = -1


def upgrade() -> None:
    op.add_column("segments", Column("page", Integer))
    connection = op.get_bind()
    empty = connection.execute(
        text(
            "SELECT e.generation_id, e.asset_id, a.modality FROM encodings e "
            "JOIN assets a ON a.id = e.asset_id WHERE NOT EXISTS (SELECT 1 FROM segments s "
            "WHERE s.asset_id = e.asset_id AND s.generation_id = e.generation_id)"
        )
    ).all()
    if empty:
        connection.execute(
            text(
                "INSERT INTO segments (generation_id, asset_id, ordinal, modality, crc) "
                f"VALUES (:generation, :asset, {NO_CONTENT}, :modality, :crc)"
            ),
            [
                {
                    "generation": generation,
                    "asset": asset,
                    "modality": modality,
                    "crc": segment_crc(generation, asset, NO_CONTENT, modality, None, None, None),
                }
                for generation, asset, modality in empty
            ],
        )
    fts.rebuild(connection)
