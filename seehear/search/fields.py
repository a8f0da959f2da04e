"""The words for what can be filtered by, and for what values can be listed of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from seehear.errors import UsageError
from seehear.stores import Facet, OwnField
from seehear.stores.catalog.facets import FIELDS
from seehear.stores.catalog.filters import Field, Filter, Op
from seehear.suggestions import did_you_mean

FIELD_WORDS: dict[str, Field] = {field.value: field for field in Field} | {
    "kind": Field.MODALITY, "type": Field.MODALITY, "file": Field.NAME, "filename": Field.NAME,
    "date": Field.TAKEN, "year": Field.TAKEN, "month": Field.TAKEN, "length": Field.DURATION,
    "person": Field.PEOPLE, "tag": Field.KEYWORD, "tags": Field.KEYWORD, "keywords": Field.KEYWORD,
    "lat": Field.LATITUDE, "lon": Field.LONGITUDE, "mtime": Field.MODIFIED, "under": Field.FOLDER,
}  # fmt: skip
"""Every word for a field of a filter."""
FolderFilter = Callable[[Op, str], Filter]
"""Returns the filter for `folder = value` (Op.UNDER) or `folder ~ pattern` (Op.LIKE)."""
_FACETS = {field: facet for facet, field in FIELDS.items()}


def field_named(name: str, position: str = "", own: Iterable[str] = ()) -> Field:
    """Return the field that a word means; `position` says in the error where it stands.

    Raises UsageError that names the nearest fields; those of one's own, `own`, among them.
    """
    found = FIELD_WORDS.get(name.lower())
    if found is None:
        hint = did_you_mean(name, [*own, *FIELD_WORDS])
        fields = ", ".join([*Field, *own])
        raise UsageError(f'No field "{name}"{position}.{hint} The fields are {fields}')
    return found


def facet_named(name: str, own: Mapping[str, OwnField]) -> Facet | OwnField:
    """Return what values are to be listed of, by any word for it; `own` are the fields of items.

    Raises UsageError that names the nearest ones.
    """
    word = name.lower()
    if word in own:
        return own[word]
    singular = word.removesuffix("s")
    if (facet := next((one for one in Facet if one.value in (word, singular)), None)) is not None:
        return facet
    field = FIELD_WORDS.get(word)
    if field is None or field not in _FACETS:
        names = [*Facet, *map(str, own.values())]
        hint = did_you_mean(name, names)
        raise UsageError(f'No list of values for "{name}".{hint} Choose from {", ".join(names)}')
    return _FACETS[field]
