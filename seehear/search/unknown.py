"""Why a filter finds nothing: it asks for a value that nothing in the collection has.

Looked at only once a filter has met nothing, so that it costs a search nothing that finds: where a
comparison that has to hold is met by nothing, no item meets the whole filter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from seehear.errors import UnknownFolderError, UsageError
from seehear.search.formats import names_of
from seehear.stores import Catalog
from seehear.stores.catalog.facets import FIELDS
from seehear.stores.catalog.filters import CHOICES, And, Compare, Field, Filter, Not, Op, Or
from seehear.stores.catalog.paths import fold
from seehear.suggestions import NEAREST, did_you_mean, nearest

LISTED = 5
"""Values that a message lists where none is near."""
MOST_VALUES = 20_000
"""Values, most frequent first, among which the nearest are looked for."""
_FACETS = {field: facet for facet, field in FIELDS.items()}
_NAMES = {Field.KEYWORD: "tag"}


def check_values(catalog: Catalog, where: Filter | None, under: Path | None) -> None:
    """Raise UsageError where a filter asks for a folder, camera, tag, format or the like that
    nothing has, with the nearest ones; an empty collection has nothing to compare with.

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
    if unknown is not None and check.values(Field.MODALITY):
        raise check.error(unknown)


class _Check:
    """One filter that has met nothing; the values of each field are read once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._values: dict[Field, list[str]] = {}

    def values(self, field: Field) -> list[str]:
        """The values of a field, most frequent first."""
        if field not in self._values:
            found = self._catalog.assets.facet(_FACETS[field]).values
            self._values[field] = [one.value for one in found]
        return self._values[field]

    def first_unknown(self, part: Filter) -> Compare | None:
        """The first comparison that has to hold and that nothing in the collection meets."""
        if isinstance(part, Not):
            return None
        if isinstance(part, And):
            return next(filter(None, map(self.first_unknown, part.parts)), None)
        if isinstance(part, Or):
            found = [self.first_unknown(one) for one in part.parts]
            return found[0] if found and all(found) else None
        return None if self._exists(part) else part

    def _exists(self, part: Compare) -> bool:
        """Whether anything meets a comparison; True for those that ask for no value of a list."""
        if isinstance(part.value, Path):
            return self._catalog.locations.any_below(part.value)
        if part.field not in _FACETS or part.field in CHOICES:
            return True  # the few words of CHOICES are known to all
        wanted = fold(str(part.value))
        if part.op is Op.EQ:
            return any(fold(value) == wanted for value in self.values(part.field))
        if part.op is Op.LIKE:
            fits = re.compile(_pattern(wanted), re.DOTALL).fullmatch
            return any(fits(fold(value)) for value in self.values(part.field))
        return True

    def error(self, part: Compare) -> UsageError:
        """What to tell of a comparison that nothing meets."""
        values = self.values(part.field)[:MOST_VALUES]
        if isinstance(part.value, Path):
            return _folder_error(self._catalog, part.value, values)
        name = _NAMES.get(part.field, part.field.value)
        if not values:
            return UsageError(f"No file has the field {name}")
        asked = str(part.value)
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


def _pattern(text: str) -> str:
    first, *others = (
        "".join("." if c == "?" else re.escape(c) for c in p) for p in text.split("*")
    )
    if not others:
        return first
    # Atomic: what stands between two stars is taken where it is met first, and not tried again.
    between = (f"(?>.*?{part})" for part in others[:-1])
    return f"{first}{''.join(between)}.*{others[-1]}"


def _folder_error(catalog: Catalog, folder: Path, holding: Sequence[str]) -> UsageError:
    """`holding` are the folders in which files lie."""
    roots = [root.path for root in catalog.locations.roots()]
    if os.path.exists(folder):  # noqa: PTH110 - Path.exists raises where it may not look
        return UnknownFolderError(folder, indexed=roots[:NEAREST], exists=True)
    named: dict[str, set[Path]] = {}
    for held in map(Path, holding):
        for one in (held, *held.parents):
            if one == held or any(one.is_relative_to(root) for root in roots):
                named.setdefault(one.name, set()).add(one)
    near: list[Path] = []
    for name in nearest(folder.name, named):
        texts = {str(path): path for path in sorted(named[name])}
        near += [texts[text] for text in nearest(str(folder), texts) or list(texts)]
    return UnknownFolderError(folder, near[:NEAREST], roots[:NEAREST])
