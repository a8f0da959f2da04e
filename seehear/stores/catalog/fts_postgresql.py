"""Index words in PostgreSQL: its own full text, a tsvector for each row under a GIN index.

Words are passed on as finished tsvectors: PostgreSQL's parser would read "IMG_2041.jpg" as the name
of a host and ignore "<b>", and what its configuration `simple` folds depends on the locale of the
database. The label of a word tells where it stands: A name or passage, C caption, B folder, D stem.

Scores are those of ts_rank: it weighs a match by its label, by how often and how close together
the words occur, and by the length of the text, but not by how rare a word is in the collection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from seehear.stores.catalog.asked_words import AskedWord, Phrase

INSERT_PASSAGE = "INSERT INTO passage_words(rowid, words) VALUES (:id, CAST(:words AS tsvector))"
INSERT_FILE = "INSERT INTO file_words(rowid, words) VALUES (:id, CAST(:words AS tsvector))"
# The weights belong to the labels D, C, B and A; none may be above 1. The last argument divides a
# rank by one plus the logarithm of the text's length.
_MATCHED = (
    "SELECT rowid AS id,"
    " ts_rank(ARRAY[0.1, 0.5, 0.25, 1]::float4[], words, CAST(:words AS tsquery), 1) AS score"
    " FROM {table} WHERE words @@ CAST(:words AS tsquery)"
)
MATCHED_PASSAGES = _MATCHED.format(table="passage_words")
MATCHED_FILES = _MATCHED.format(table="file_words")


def passage_row(id_: int, passage: list[str], stems: list[str]) -> dict[str, Any]:
    """Return the parameters of `INSERT_PASSAGE`."""
    return {"id": id_, "words": _vector((passage, "A"), (stems, "D"))}


def file_row(
    id_: int,
    names: Sequence[list[str]],
    folder: list[str],
    caption: list[str],
    stems: list[str],
) -> dict[str, Any]:
    """Return the parameters of `INSERT_FILE`."""
    texts = [*((words, "A") for words in names), (folder, "B"), (caption, "C"), (stems, "D")]
    return {"id": id_, "words": _vector(*texts)}


def expression(asked: Sequence[AskedWord], *, every: bool) -> str:
    """Return a tsquery for words that must all (or any of which must) occur."""
    return (" & " if every else " | ").join(f"({_forms(word, every)})" for word in asked)


def _forms(word: AskedWord, exact_first: bool) -> str:
    stems = [_phrase((stem,), "*D") for stem in word.stem_prefixes]
    if stems and not exact_first:
        return " | ".join(stems)  # the word as it is written has them, too
    written = [_phrase(phrase, "ABC") for phrase in word.phrases]
    written += [_phrase(phrase, "*ABC") for phrase in word.prefixes]
    return " | ".join(written + stems)


def _phrase(phrase: Phrase, last: str) -> str:
    *words, end = phrase
    return "(" + " <-> ".join([*(f"'{word}':ABC" for word in words), f"'{end}':{last}"]) + ")"


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


def _vector(*texts: tuple[list[str], str]) -> str:
    """Join labelled texts to one tsvector, with gaps that no phrase can cross."""
    lexemes, position = [], 0
    for words, label in texts:
        for word in words:
            position += 1
            lexemes.append(f"'{word}':{position}{label}")
        position += 1
    return " ".join(lexemes)
