"""Composed queries in one line: `2:red car + photo.jpg - night`.

    query = [sign] term {sign term}        sign = "+" | "-", standing alone between blanks
    term  = [weight ":"] what              weight = a number; what = words, or the name of a file

A shell hands such a line over in pieces ("2:red car", "+", "photo.jpg", "-", "night"); in one
string, quotation marks keep words with a lone + or - together. Files are loaded by the caller.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from seehear.errors import UsageError

_TOKENS = re.compile(r'"([^"]*)"|\'([^\']*)\'(?=\s|$)|(\S+)')
# "10:30 train" is a time, "2:red car" a weight.
_WEIGHTED = re.compile(r"(\d+(?:\.\d+)?):(?!\d)\s*(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """One term: words or the name of a file, how much it counts, and whether it is left out."""

    what: str
    weight: float = 1.0
    exclude: bool = False
    quoted: bool = False
    """True where the line had it in quotation marks: words, even if they look like a file."""


def is_compact(query: str | Sequence[str]) -> bool:
    """Whether a line uses the signs or weights of the compact form."""
    tokens = _tokens(query)
    return any(sign for _, sign, _ in tokens) or any(
        _WEIGHTED.fullmatch(text) for text, _, _ in tokens
    )


def parse_compact(query: str | Sequence[str]) -> tuple[QueryTerm, ...]:
    """The terms of a line, or of the pieces into which a shell has cut it.

    Raises UsageError for a sign without a term and for a line without any.
    """
    wishes: list[QueryTerm] = []
    words: list[str] = []
    exclude, quoted, sign_before = False, False, ""
    for text, is_sign, in_quotes in [*_tokens(query), ("", True, False)]:
        if not is_sign:
            words.append(text)
            quoted = quoted or in_quotes
            continue
        if words:
            wishes.append(_query_term(" ".join(words), exclude, quoted))
        elif sign_before or (not text and wishes):
            raise UsageError(f'Nothing follows the "{sign_before}" in the query')
        words, quoted = [], False
        exclude, sign_before = text == "-", text
    if not wishes:
        raise UsageError("The query is empty. Say what to look for")
    return tuple(wishes)


def _query_term(text: str, exclude: bool, quoted: bool) -> QueryTerm:
    weighted = _WEIGHTED.fullmatch(text)
    if weighted is None:
        return QueryTerm(text, 1.0, exclude, quoted)
    weight = float(weighted[1])
    if weight == 0:
        raise UsageError(f'"{text}" has weight 0. Leave it out instead')
    return QueryTerm(weighted[2].strip(), weight, exclude, quoted)


def _tokens(query: str | Sequence[str]) -> list[tuple[str, bool, bool]]:
    """Pieces of a line: (text, whether it is a sign, whether it stood in quotation marks)."""
    if not isinstance(query, str):
        return [(text.strip(), text.strip() in ("+", "-"), False) for text in query if text.strip()]
    found = []
    for double, single, bare in _TOKENS.findall(query):
        text = double or single or bare
        if text.strip():
            found.append((text, bare in ("+", "-"), not bare))
    return found
