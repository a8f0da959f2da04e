"""One row of the table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a thing was found."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Row:
    """What was looked at, how it was found, and what to do about it where that is not well."""

    topic: str
    level: Level
    found: str
    remedy: str = ""
