"""Define a row of the table of `seehear doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Row:
    """What was checked, the result, and what to do if it is not well."""

    topic: str
    level: Level
    found: str
    remedy: str = ""
