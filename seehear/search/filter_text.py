"""The filter language: `taken >= 2024-06 and duration < 60` becomes a Filter.

Nothing of the text reaches the database: it becomes the values of stores/catalog/filters.py, which
the catalog compiles with bound parameters.
"""

from __future__ import annotations

from seehear.errors import UsageError
from seehear.stores.catalog.filters import Filter

MAX_LENGTH = 2_000
"""Characters of a filter; more is no filter but an attack or an accident."""


def parse_where(text: str) -> Filter | None:
    """The filter that a text means; None for an empty text.

    Raises UsageError with the position of what is wrong, and with the fields where one is unknown.
    """
    if not text.strip():
        return None
    if len(text) > MAX_LENGTH:
        raise UsageError(f"The filter has {len(text)} characters; the limit is {MAX_LENGTH}")
    from seehear.search.filter_parser import (
        parse_filter,  # loads the parser: most queries need none
    )

    return parse_filter(text)
