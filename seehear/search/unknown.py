"""Explain why a filter finds nothing: it asks for a value that no file in the collection has.

Called only after a filter found nothing, so that other searches do not pay for it. If no file meets
a comparison that has to hold, none meets the whole filter. Only the catalog is read: what lies on
the disk beside it is not told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from seehear.errors import UnknownFolderError, UsageError
from seehear.own_fields import FieldType, OwnField
from seehear.search.formats import names_of
from seehear.sources import stored_path
from seehear.stores import Catalog
from seehear.stores.catalog.facets import FIELDS
from seehear.stores.catalog.filters import (
    CHOICES,
    And,
    Compare,
    CompareOwn,
    Field,
    Filter,
    Not,
    Op,
    Or,
)
from seehear.stores.catalog.paths import fold
from seehear.suggestions import NEAREST, did_you_mean, nearest

LISTED = 5
"""Values that a message lists if none is near."""
MOST_VALUES = 10_000
"""Values, most frequent first, to compare with the unknown one: a fifth of a second."""
_FACETS = {field: facet for facet, field in FIELDS.items()}
_NAMES = {Field.KEYWORD: "tag", Field.PEOPLE: "person"}


def check_values(catalog: Catalog, where: Filter | None, under: Path | None) -> None:
    """Raise UsageError if a filter asks for a folder, camera, tag, format or the like that no file
    has, with the nearest ones. In an empty collection, do nothing.

    Of alternatives (`or`, `in`) one that exists is enough, and what is left out (`not`) need not
    exist.
    """
    asked: list[Filter] = [] if where is None else [where]
    if under is not None:
        asked.insert(0, Compare(Field.FOLDER, Op.UNDER, under))
    if not asked:
        return
    check = _Check(catalog)
    unknown = check.first_unknown(And(tuple(asked)))
    if unknown is not None and catalog.assets.count():
        raise check.error(unknown)


class _Check:
    """Check one filter that found nothing; read the values of each field once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._values: dict[Field | OwnField, list[str]] = {}

    def values(self, field: Field | OwnField) -> list[str]:
        """Return the values of a field, most frequent first."""
        if field not in self._values:
            if isinstance(field, OwnField):
                found = self._catalog.items.facet(field).values
            elif field is Field.LANGUAGE:
                found = tuple(self._catalog.segments.languages())
            else:
                found = self._catalog.assets.facet(_FACETS[field]).values
            self._values[field] = [one.value for one in found]
        return self._values[field]

    def first_unknown(self, part: Filter) -> Compare | CompareOwn | None:
        """Return the first comparison that has to hold and that no file meets."""
        if isinstance(part, Not):
            return None
        if isinstance(part, And):
            unknown = map(self.first_unknown, part.parts)
            return next((one for one in unknown if one is not None), None)
        if isinstance(part, Or):
            found = [self.first_unknown(one) for one in part.parts]
            return found[0] if found and all(found) else None
        return None if self._exists(part) else part

    def _exists(self, part: Compare | CompareOwn) -> bool:
        """Return whether a file meets a comparison; True for fields without a list of values."""
        if isinstance(part, CompareOwn):
            listed = part.field.type in {FieldType.TEXT, FieldType.TEXTS}
            return not listed or self._is_value(part)
        if isinstance(part.value, Path):
            return self._catalog.locations.any_below(part.value)
        if part.field not in {*_FACETS, Field.LANGUAGE} or part.field in CHOICES:
            return True  # the few words of CHOICES are known to all
        return self._is_value(part)

    def _is_value(self, part: Compare | CompareOwn) -> bool:
        wanted = fold(str(part.value))
        if part.op is Op.EQ:
            return any(fold(value) == wanted for value in self.values(part.field))
        if part.op is Op.LIKE:
            fits = re.compile(_pattern(wanted), re.DOTALL).fullmatch
            return any(fits(fold(value)) for value in self.values(part.field))
        return True

    def error(self, part: Compare | CompareOwn) -> UsageError:
        """Return the error for a comparison that no file meets."""
        values = self.values(part.field)[:MOST_VALUES]
        if isinstance(part.value, Path):
            return _folder_error(part.value, values, self._roots())
        if part.field is Field.FOLDER:
            asked = str(part.value).strip("*")
            near = list(map(stored_path, nearest(asked, values)))
            return UnknownFolderError(asked, near, self._roots())
        name = str(part.field)
        if isinstance(part.field, Field):
            name = _NAMES.get(part.field, name)
        if not values:
            return UsageError(f"No file has the field {name}")
        asked = " ".join(str(part.value).split())
        told = f'No {name} "{asked}".'
        if part.op is Op.LIKE:
            asked = asked.strip("*")
            told = f'No {name} {"matches" if set("*?") & set(asked) else "contains"} "{asked}".'
        hint = did_you_mean(asked, values)
        if not hint and part.field is Field.FORMAT:  # people mistype jpg, not jpeg
            hint = did_you_mean(asked, [name for value in values for name in names_of(value)])
        if hint:
            return UsageError(told + hint)
        more = ", ..." if len(values) > LISTED else ""
        return UsageError(f"{told} There are: {', '.join(values[:LISTED])}{more}")

    def _roots(self) -> list[Path]:
        return [root.path for root in self._catalog.locations.roots()][:NEAREST]


def _pattern(text: str) -> str:
    """Return the regular expression of a text with `*` and `?`, without exponential matches.

    The first position where a piece between two `*` fits is as good as any other, so that a match
    never has to return to it: an atomic group.
    """
    first, *pieces = (re.escape(piece).replace(r"\?", ".") for piece in text.split("*"))
    if not pieces:
        return first
    *middle, last = pieces
    return first + "".join(f"(?>.*?{piece})" for piece in middle) + f".*{last}"


def _folder_error(folder: Path, holding: Sequence[str], roots: Sequence[Path]) -> UsageError:
    """Return the error for an unknown folder; `holding` are the folders with files in them."""
    tops = {str(root) for root in roots}
    named: dict[str, set[str]] = {}
    seen: set[str] = set()
    for held in holding:
        one, inside = held, any(f"{held}/".startswith(f"{top.rstrip('/')}/") for top in tops)
        while one and one not in seen:
            seen.add(one)
            above, _, name = one.rpartition("/")
            named.setdefault(name, set()).add(one)
            if not inside or one in tops:
                break
            one = above
    near: list[str] = []
    for name in nearest(folder.name, named):
        texts = sorted(named[name])[:MOST_VALUES]
        near += nearest(str(folder), texts) or texts
    return UnknownFolderError(folder, list(map(stored_path, near[:NEAREST])), roots)
