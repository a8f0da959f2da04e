"""Values from files made fit for a database: any file may claim anything about itself."""

from __future__ import annotations

import math
from collections.abc import Mapping

Plain = str | int | float


def clean_text(words: str) -> str:
    """Text without what databases refuse: halves of surrogates and null characters."""
    return words.replace("\0", " ").encode("utf-8", "backslashreplace").decode()


def clean_number(number: float | None) -> float | None:
    """A number that compares; None for what is none (NaN, infinity)."""
    return number if number is None or math.isfinite(number) else None


def clean_details(details: Mapping[str, Plain]) -> dict[str, Plain]:
    """Details that are valid JSON: without numbers that it cannot write or a database not read."""
    kept: dict[str, Plain] = {}
    for name, value in details.items():
        if isinstance(value, str):
            kept[clean_text(name)] = clean_text(value)
        elif math.isfinite(value) and abs(value) < 2**63:
            kept[clean_text(name)] = value
    return kept
