"""The filter language: `taken >= 2024-06 and duration < 60` becomes a Filter.

Nothing of the text reaches the database: it becomes the values of stores/catalog/filters.py, which
the catalog compiles with bound parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from seehear.errors import UsageError
from seehear.limits import FILTER_CHARACTERS
from seehear.stores.catalog.filters import Filter


def parse_where(text: str) -> Filter | None:
    """The filter that a text means; None for an empty text.

    Raises UsageError with the position of what is wrong, and with the fields where one is unknown.
    """
    if not text.strip():
        return None
    if len(text) > FILTER_CHARACTERS:
        raise UsageError(f"The filter has {len(text)} characters; the limit is {FILTER_CHARACTERS}")
    from seehear.search.filter_parser import (
        parse_filter,  # loads the parser: most queries need none
    )

    return parse_filter(text)


def replace_folders(text: str, path_of: Callable[[str], Path]) -> str:
    """Return a filter in which each folder, named by label, is replaced by its path.

    Raises UsageError as `parse_where` does, for a folder in a comparison other than = and !=, and
    as `path_of` does.
    """
    if not text.strip() or len(text) > FILTER_CHARACTERS:  # refused where it is parsed
        return text
    from seehear.search import filter_parser

    return filter_parser.replace_folders(text, path_of)
