"""Read the filter language: `taken >= 2024-06 and duration < 60` becomes a Filter.

The text never reaches the database: it becomes the values of stores/catalog/filters.py, which the
catalog compiles with bound parameters. Reading it never touches the file system.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seehear import arguments
from seehear.errors import UsageError
from seehear.limits import FILTER_CHARACTERS
from seehear.search.fields import FolderFilter
from seehear.stores import OwnField
from seehear.stores.catalog.filters import Compare, Field, Filter, Op


def filter_by_path(op: Op, value: str) -> Filter:
    """Return the filter for folders named by path, as on the command line."""
    return Compare(Field.FOLDER, op, value if op is Op.LIKE else arguments.as_folder(value))


def parse_where(
    text: str,
    folders: FolderFilter = filter_by_path,
    own: Callable[[], Mapping[str, OwnField]] = dict,
) -> Filter | None:
    """Return the filter that a text means; None for an empty text.

    `folders` makes the filter for what the text says of folders; `own` returns the fields of the
    collection's items, by their name in lower case. Raises UsageError with the
    position of what is wrong, and with the fields where one is unknown.
    """
    if not text.strip():
        return None
    if len(text) > FILTER_CHARACTERS:
        raise UsageError(f"The filter has {len(text)} characters; the limit is {FILTER_CHARACTERS}")
    from seehear.search.filter_parser import (
        parse_filter,  # loads the parser: most queries need none
    )

    return parse_filter(text, folders, own())
