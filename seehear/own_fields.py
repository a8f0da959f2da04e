"""Define the fields that a program gives to its items: their types, and their values as rows.

A field has one type in a collection, that of its first value. A value is compared as a number, a
time or a text, and comes back as it was given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any

from seehear.errors import UsageError

FieldValue = str | int | float | bool | date | list[str]
"""A value of a field; a `datetime` is a `date`."""

MOST_FIELDS = 1_000
MOST_CHARACTERS = 100_000
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
RESERVED_NAMES = {"and", "or", "not", "in", "between", "has", "near"}
_WHOLE = 2**53
"""Largest whole number that every database compares exactly."""


class FieldType(StrEnum):
    """The type of a field of one's own."""

    TEXT = "text"
    NUMBER = "number"
    BOOL = "bool"
    DATE = "date"
    TEXTS = "texts"
    """Several texts: each is compared as a whole."""


@dataclass(frozen=True, slots=True)
class OwnField:
    """A field that items of a collection have."""

    name: str
    type: FieldType

    def __str__(self) -> str:
        return self.name


def type_of(name: str, value: Any) -> FieldType:
    """Return the type of a value. Raises UsageError for a value that no field can have."""
    if isinstance(value, bool):
        return FieldType.BOOL
    if isinstance(value, int | float):
        if not math.isfinite(value) or (isinstance(value, int) and abs(value) > _WHOLE):
            raise UsageError(f"the field {name} cannot keep {value}: give it as a text")
        return FieldType.NUMBER
    if isinstance(value, date):
        return FieldType.DATE
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise UsageError(
            f"the field {name} takes a text, a number, true or false, a date or a list of texts, "
            f"not {type(value).__name__}"
        )
    for text in texts:
        if len(text) > MOST_CHARACTERS or not _is_storable(text):
            raise UsageError(
                f"the field {name} takes texts of at most {MOST_CHARACTERS:,} characters, without "
                "null characters"
            )
    return FieldType.TEXT if isinstance(value, str) else FieldType.TEXTS


def check_fields(given: Mapping[str, Any]) -> dict[str, FieldValue]:
    """Return the fields of one item; those without a value (None, no texts) are left out.

    Raises UsageError for a name or a value that no field can have.
    """
    if not isinstance(given, Mapping):
        raise UsageError(f"fields are given by name, as a dict, not as {type(given).__name__}")
    if len(given) > MOST_FIELDS:
        raise UsageError(f"an item has at most {MOST_FIELDS:,} fields, not {len(given):,}")
    found = {
        name: value.item() if type(value).__module__ == "numpy" and not value.ndim else value
        for name, value in given.items()
        if has_value(value)
    }
    for name in given:
        if (
            not isinstance(name, str)
            or not FIELD_NAME.fullmatch(name)
            or name.lower() in RESERVED_NAMES
        ):
            raise UsageError(
                f"a field cannot be called {name!r}: use letters, digits and _, at most 64, with a "
                f"letter first, and none of {', '.join(sorted(RESERVED_NAMES))}"
            )
    for name, value in found.items():
        type_of(name, value)
    return found


def has_value(value: Any) -> bool:
    """Tell whether a field has a value; an empty list is none."""
    return value is not None and not (isinstance(value, list | tuple) and not value)


def value_rows(asset_id: int, fields: Mapping[str, FieldValue]) -> list[dict[str, Any]]:
    """Return the rows of `item_values` of one item."""
    return [
        {
            "asset_id": asset_id,
            "name": name,
            "position": position,
            "text": one.isoformat() if isinstance(one, date) else str(one),
            "number": float(one) if isinstance(one, int | float) else None,
            "time": comparable_time(one) if isinstance(one, date) else None,
        }
        for name, value in fields.items()
        for position, one in enumerate(value if isinstance(value, list | tuple) else [value])
    ]


def values_from(rows: Iterable[Any]) -> dict[str, FieldValue]:
    """Return the fields of one item from rows of (name, type, text), in the order of position."""
    found: dict[str, FieldValue] = {}
    for name, kind, text in rows:
        if kind == FieldType.TEXTS:
            texts = found.setdefault(name, [])
            assert isinstance(texts, list)
            texts.append(text)
        else:
            found[name] = _value(FieldType(kind), text)
    return found


def comparable_time(value: date) -> datetime:
    """Return a date as a time without zone: its first instant; a time with a zone as UTC."""
    if not isinstance(value, datetime):
        return datetime.combine(value, time())
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def _value(kind: FieldType, text: str) -> FieldValue:
    if kind is FieldType.BOOL:
        return text == "True"
    if kind is FieldType.NUMBER:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    if kind is FieldType.DATE:
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    return text


def _is_storable(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
