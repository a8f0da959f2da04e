"""Keep pages; make files without content hits by name; stems in the index of words."""

from alembic import op
from sqlalchemy import Column, Integer, text

from seehear.stores.catalog.checksums import segment_crc

revision = "0008"
down_revision = "0007"

NO_CONTENT = -1
# Empty: 0010 has no index of words in the database.
WORDS = (("passage_words", "passage, stems"), ("file_words", "name, folder, caption, stems"))


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
    if connection.dialect.name == "sqlite":
        for table, columns in WORDS:
            op.execute(f"DROP TABLE {table}")
            op.execute(f"CREATE VIRTUAL TABLE {table} USING fts5({columns}, tokenize='ascii')")
