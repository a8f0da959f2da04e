"""Why a filter finds nothing: it asks for a value that nothing in the collection has.

Looked at only once a filter has met nothing, so that it costs a search nothing that finds: where a
comparison that has to hold is met by nothing, no item meets the whole filter.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from seehear.errors import UnknownFolderError, UsageError
from seehear.stores import Catalog, Facet
from seehear.stores.catalog.facets import FIELDS
from seehear.stores.catalog.filters import And, Compare, Field, Filter, Not, Op, Or
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
    if asked and (unknown := _unknown(catalog, And(tuple(asked)))) is not None:
        error = _error(catalog, unknown)
        if error is not None:
            raise error


def _unknown(catalog: Catalog, part: Filter) -> Compare | None:
    """The first comparison that has to hold and that nothing in the collection meets."""
    if isinstance(part, Not):
        return None
    if isinstance(part, And):
        return next(filter(None, (_unknown(catalog, one) for one in part.parts)), None)
    if isinstance(part, Or):
        found = [_unknown(catalog, one) for one in part.parts]
        return found[0] if found and all(found) else None
    if part.field not in _FACETS or part.op not in (Op.EQ, Op.LIKE, Op.UNDER):
        return None
    if part.field in (Field.MODALITY, Field.ORIENTATION):
        return None  # their few words are known to all
    return None if catalog.any_match(part) else part


def _error(catalog: Catalog, part: Compare) -> UsageError | None:
    values = [found.value for found in catalog.facet(_FACETS[part.field], MOST_VALUES).values]
    if isinstance(part.value, Path):
        return _folder_error(catalog, part.value, values) if values else None
    name = _NAMES.get(part.field, part.field.value)
    if not values:
        return (
            UsageError(f"No file has the field {name}")
            if catalog.facet(Facet.TYPE, 1).values
            else None
        )
    asked = str(part.value)
    told = f'No {name} "{asked}".'
    if part.op is Op.LIKE:
        asked = asked.strip("*")
        told = f'No {name} {"matches" if set("*?") & set(asked) else "contains"} "{asked}".'
    if hint := did_you_mean(asked, values):
        return UsageError(told + hint)
    more = ", ..." if len(values) > LISTED else ""
    return UsageError(f"{told} There are: {', '.join(values[:LISTED])}{more}")


def _folder_error(catalog: Catalog, folder: Path, holding: Sequence[str]) -> UsageError:
    """`holding` are the folders in which files lie."""
    if os.path.exists(folder):  # noqa: PTH110 - Path.exists raises where it may not look
        return UnknownFolderError(folder, exists=True)
    roots = [root.path for root in catalog.roots()]
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
