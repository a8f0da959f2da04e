"""The command that lists what values a collection has, to filter by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seehear.cli import output
from seehear.cli.options import CollectionOption, JsonOption, open_collection

if TYPE_CHECKING:
    from seehear.stores import FacetValues

OVERVIEW = 5
"""Values of each field in the overview."""
FIELD_TOP = 50


def facets(
    field: Annotated[
        str | None,
        typer.Argument(
            metavar="FIELD", help="type, format, folder, year, month, tag, camera, artist, ..."
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            *("--top", "--count", "-k"),
            metavar="N",
            min=1,
            help=f"How many values (default: {FIELD_TOP}; {OVERVIEW} of each field).",
        ),
    ] = None,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """List values to filter by, with counts.

    Without FIELD, show the most frequent values of every field.
    """
    from seehear.stores import Facet

    most = top or (OVERVIEW if field is None else FIELD_TOP)
    with open_collection(collection) as library:
        wanted = [field] if field is not None else [*Facet, *library.fields()]
        found = [library.facets(name, top=most) for name in wanted]
        empty = not any(one.values for one in found) and library.is_empty
    if json:
        output.print_json(_as_json(found[0]) if field is not None else [*map(_as_json, found)])
    elif empty:
        output.note(output.NOTHING_INDEXED)
    elif field is not None:
        _print_values(found[0])
    else:
        _print_overview(found)


def _as_json(found: FacetValues) -> dict[str, Any]:
    return {
        "field": str(found.facet),
        "distinct": found.distinct,
        "values": [{"value": one.value, "count": one.count} for one in found.values],
    }


def _print_values(found: FacetValues) -> None:
    if not found.values:
        output.note(f"No file has a value for {found.facet}.")
        return
    cells = len(str(found.values[0].count))
    for one in found.values:
        output.print_line(f"{one.count:>{cells}}  {_shown(found, one.value)}")
    if (more := found.distinct - len(found.values)) > 0:
        output.note(f"{output.counted(more, 'more value')}. Show them with --top {found.distinct}")


def _shown(found: FacetValues, value: str) -> str:
    """Return a value as a filter takes it from here: folders relative to the current one."""
    return output.display_path(Path(value)) if found.facet == "folder" else value


def _print_overview(every: list[FacetValues]) -> None:
    cells = max(len(found.facet) for found in every)
    for found in every:
        if found.values:
            values = ", ".join(f"{_shown(found, one.value)} ({one.count})" for one in found.values)
            more = found.distinct - len(found.values)
            output.print_line(
                f"{found.facet:<{cells}}  {values}{f', and {more} more' if more > 0 else ''}"
            )
