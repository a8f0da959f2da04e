"""Turn hits and items into a table of pandas or Arrow, a row for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from seehear.argument_types import checked
from seehear.libraries import naming_faults

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_NESTED = ("moments", "why")
"""Left out: a row has no place for them."""


@runtime_checkable
class HitOrItem(Protocol):
    """A `Hit` or an `Item`."""

    def to_dict(self) -> dict[str, Any]: ...


@naming_faults()
@checked
def to_pandas(rows: Iterable[HitOrItem]) -> pd.DataFrame:
    """Return hits or items as a DataFrame of pandas; a column for each field of one's own.

    Raises EnvironmentFaultError without pandas.
    """
    import pandas as pd

    listed = _flat(rows)
    return pd.DataFrame(listed, columns=_columns(listed))


@naming_faults()
@checked
def to_arrow(rows: Iterable[HitOrItem]) -> pa.Table:
    """Return hits or items as a table of Arrow; a column for each field of one's own.

    Raises EnvironmentFaultError without pyarrow (the extra `arrow`).
    """
    import pyarrow as pa

    listed = _flat(rows)
    return pa.table({name: [row.get(name) for row in listed] for name in _columns(listed)})


def _flat(rows: Iterable[HitOrItem]) -> list[dict[str, Any]]:
    """Return each row as plain values, its own fields beside the others."""
    found = []
    for row in rows:
        plain = row.to_dict()
        fields = plain.pop("fields")
        kept = {name: value for name, value in plain.items() if name not in _NESTED}
        found.append(
            kept | {name if name not in kept else f"{name}_": v for name, v in fields.items()}
        )
    return found


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))
