"""Index words in PostgreSQL: its own full text, a tsvector for each row under a GIN index.

The words are split and folded here and passed on as finished tsvectors. PostgreSQL's parser would
read "IMG_2041.jpg" as the name of a host and ignore "<b>", and what its configuration `simple`
folds depends on the locale of the database. Split as FTS5 splits them (runs of letters and digits,
without case and accents), words find the same files in both databases. One difference remains:
accents in scripts other than Latin are removed here and kept in SQLite.

Scores are those of ts_rank: it weighs a match by its column, by how often and how close together
the words occur, and by the length of the text, but not by how rare a word is in the collection.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

INSERT_PASSAGE = "INSERT INTO passage_words(rowid, words) VALUES (:id, CAST(:words AS tsvector))"
INSERT_FILE = "INSERT INTO file_words(rowid, words) VALUES (:id, CAST(:words AS tsvector))"
# The last argument divides a rank by one plus the logarithm of the text's length.
MATCHED_PASSAGES = (
    "SELECT rowid AS id, ts_rank(words, CAST(:words AS tsquery), 1) AS score"
    " FROM passage_words WHERE words @@ CAST(:words AS tsquery)"
)
# The weights belong to the labels D, C, B and A; none may be above 1.
MATCHED_FILES = (
    "SELECT rowid AS id,"
    " ts_rank(ARRAY[0, 0.5, 0.25, 1]::float4[], words, CAST(:words AS tsquery), 1) AS score"
    " FROM file_words WHERE words @@ CAST(:words AS tsquery)"
)

LONGEST_TEXT = 100_000
"""Characters indexed per row: a tsvector is limited to 1 MiB."""
LONGEST_WORD = 500
"""Characters used of a word: a lexeme is limited to 2 KiB."""


def passage_row(id_: int, passage: str) -> dict[str, Any]:
    """Return the parameters of `INSERT_PASSAGE`."""
    return {"id": id_, "words": _vector((passage, ""))}


def file_row(id_: int, name: str, folder: str, caption: str) -> dict[str, Any]:
    """Return the parameters of `INSERT_FILE`."""
    return {"id": id_, "words": _vector((name, "A"), (folder, "B"), (caption, "C"))}


def expression(terms: Sequence[str]) -> str:
    """Return a tsquery for words and phrases that must all occur; "" without letters or digits."""
    phrases = [" <-> ".join(f"'{word}'" for word in cut(term)) for term in terms]
    return " & ".join(f"({phrase})" for phrase in phrases if phrase)


def create(connection: Connection) -> None:
    """Create the two tables, empty; replaces existing ones."""
    for table in ("passage_words", "file_words"):
        connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
        connection.execute(
            text(f"CREATE TABLE {table} (rowid bigint PRIMARY KEY, words tsvector NOT NULL)")
        )
        connection.execute(text(f"CREATE INDEX {table}_by_word ON {table} USING gin (words)"))


def integrity_ok(_connection: Connection) -> bool:
    """Return True: the server checks its tables and indexes itself."""
    return True


def cut(words: str) -> list[str]:
    """Split a text into words, and fold them, as FTS5's tokenizer `unicode61` does."""
    return [word[:LONGEST_WORD] for word in words[:LONGEST_TEXT].translate(_FOLDED).split()]


def _vector(*texts: tuple[str, str]) -> str:
    """Join labelled texts to one tsvector, with gaps that no phrase can cross."""
    lexemes, position = [], 0
    for words, label in texts:
        for word in cut(words):
            position += 1
            lexemes.append(f"'{word}':{position}{label}")
        position += 1
    return " ".join(lexemes)


class _Folded(dict[int, str]):
    """Map of characters to their folded form; each is computed once."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _fold(chr(code))
        return folded


_FOLDED = _Folded()


def _fold(character: str) -> str:
    """Fold a letter: no case, no accent. A lone accent becomes "", any other character a space."""
    kind = unicodedata.category(character)
    if kind == "Mn" and "\u0300" <= character <= "\u036f":
        return ""
    if kind[0] not in "LN" and kind != "Co":
        return " "
    whole = unicodedata.normalize("NFD", character)
    plain = whole[0] if all(unicodedata.category(mark) == "Mn" for mark in whole[1:]) else character
    folded = plain.casefold()
    return folded if len(folded) == 1 else plain.lower()[:1]
