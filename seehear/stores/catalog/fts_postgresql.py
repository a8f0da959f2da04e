"""The index of words in PostgreSQL: its own full text, a tsvector for each row under a GIN index.

The words are cut and folded here and handed over as finished tsvectors. PostgreSQL's parser would
take "IMG_2041.jpg" for the name of a host and "<b>" for nothing, and what its configuration
`simple` folds depends on the locale of the database; cut as FTS5 cuts them (runs of letters and
digits, without case and accents), words find the same files in both databases; only the accents
of other scripts than Latin are left out here and kept there.

Scores are those of ts_rank: it weighs a match by its column, how often and how close together the
words stand, and how long the text is, but does not know how rare a word is in the collection.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

INSERT_PASSAGE = "INSERT INTO passage_words(rowid, words) VALUES (:id, CAST(:words AS tsvector))"
INSERT_FILE = "INSERT INTO file_words(rowid, words) VALUES (:id, CAST(:words AS tsvector))"
# The last argument divides a rank by one more than the logarithm of the text's length.
MATCHED_PASSAGES = (
    "SELECT rowid AS id, ts_rank(words, CAST(:words AS tsquery), 1) AS score"
    " FROM passage_words WHERE words @@ CAST(:words AS tsquery)"
)
# The weights are those of the labels D, C, B and A; none may be more than 1.
MATCHED_FILES = (
    "SELECT rowid AS id,"
    " ts_rank(ARRAY[0, 0.5, 0.25, 1]::float4[], words, CAST(:words AS tsquery), 1) AS score"
    " FROM file_words WHERE words @@ CAST(:words AS tsquery)"
)

LONGEST_TEXT = 100_000
"""Characters of one row that are indexed: a tsvector holds less than 1 MiB."""
LONGEST_WORD = 500
"""Characters of a word that count: a lexeme holds less than 2 KiB."""


def passage_row(id_: int, passage: str) -> dict[str, Any]:
    """The values of `INSERT_PASSAGE`."""
    return {"id": id_, "words": _vector((passage, ""))}


def file_row(id_: int, name: str, folder: str, caption: str) -> dict[str, Any]:
    """The values of `INSERT_FILE`."""
    return {"id": id_, "words": _vector((name, "A"), (folder, "B"), (caption, "C"))}


def expression(terms: Sequence[str]) -> str:
    """Words and phrases that must all occur, as a tsquery; "" where none has a letter or digit."""
    phrases = [" <-> ".join(f"'{word}'" for word in cut(term)) for term in terms]
    return " & ".join(f"({phrase})" for phrase in phrases if phrase)


def create(connection: Connection) -> None:
    """Make the two tables, empty; replaces what was there."""
    for table in ("passage_words", "file_words"):
        connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
        connection.execute(
            text(f"CREATE TABLE {table} (rowid bigint PRIMARY KEY, words tsvector NOT NULL)")
        )
        connection.execute(text(f"CREATE INDEX {table}_by_word ON {table} USING gin (words)"))


def integrity_ok(_connection: Connection) -> bool:
    """Tables and indexes are the server's own, which looks after them."""
    return True


def cut(words: str) -> list[str]:
    """The words of a text, as FTS5's tokenizer `unicode61` cuts and folds them."""
    return [word[:LONGEST_WORD] for word in words[:LONGEST_TEXT].translate(_FOLDED).split()]


def _vector(*texts: tuple[str, str]) -> str:
    """Texts, each with its label, as one tsvector. Between two there is a gap, so that no phrase
    reaches from one into the next."""
    lexemes, position = [], 0
    for words, label in texts:
        for word in cut(words):
            position += 1
            lexemes.append(f"'{word}':{position}{label}")
        position += 1
    return " ".join(lexemes)


class _Folded(dict[int, str]):
    """What a character is among words; each is worked out once."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _fold(chr(code))
        return folded


_FOLDED = _Folded()


def _fold(character: str) -> str:
    """A letter without case and accent; an accent alone is nothing, and all else parts words."""
    kind = unicodedata.category(character)
    if kind == "Mn" and "\u0300" <= character <= "\u036f":
        return ""
    if kind[0] not in "LN" and kind != "Co":
        return " "
    whole = unicodedata.normalize("NFD", character)
    plain = whole[0] if all(unicodedata.category(mark) == "Mn" for mark in whole[1:]) else character
    folded = plain.casefold()
    return folded if len(folded) == 1 else plain.lower()[:1]
