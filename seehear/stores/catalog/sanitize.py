"""Make values from files storable: any file may claim anything about itself."""

from __future__ import annotations

import math
from collections.abc import Mapping

Plain = str | int | float


def clean_text(words: str) -> str:
    """Return text without what databases refuse: lone surrogates and null characters."""
    return words.replace("\0", " ").encode("utf-8", "backslashreplace").decode()


def clean_number(number: float | None) -> float | None:
    """Return the number, or None if it is NaN or infinite."""
    return number if number is None or math.isfinite(number) else None


def clean_details(details: Mapping[str, Plain]) -> dict[str, Plain]:
    """Return details as valid JSON, without numbers that JSON or a database cannot store."""
    kept: dict[str, Plain] = {}
    for name, value in details.items():
        if isinstance(value, str):
            kept[clean_text(name)] = clean_text(value)
        elif math.isfinite(value) and abs(value) < 2**63:
            kept[clean_text(name)] = value
    return kept
