"""Nothing any more: it made an index of words in PostgreSQL, which 0010 takes out of databases."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    pass
