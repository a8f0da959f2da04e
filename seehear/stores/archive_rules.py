"""Define what a value of an archive may be: one rule for each kind of column."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seehear.own_fields import FIELD_NAME
from seehear.sources import is_remote, stored_path
from seehear.stores.catalog.readings import unpack_lines
from seehear.types import ITEMS, Modality

MAX_LINE = 1_000
MAX_TEXT = 1 << 20
"""Characters of a passage, of a reason or of details."""
MAX_PATH = 1 << 14
MAX_DIM = 1 << 16

_HASH = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be; `wanted` completes the sentence "it must be"."""

    wanted: str
    fits: Callable[[Any], bool]

    def or_none(self) -> Rule:
        return Rule(f"{self.wanted} or empty", lambda value: value is None or self.fits(value))


def whole_rule(low: int = 0, high: int = (1 << 63) - 1) -> Rule:
    return Rule(
        f"a whole number from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
    )


def choice_rule(*values: str) -> Rule:
    return Rule(f"one of {', '.join(values)}", lambda value: value in values)


def text_rule(most: int = MAX_TEXT) -> Rule:
    return Rule(
        f"text of at most {most:,} characters",
        lambda value: type(value) is str and len(value) <= most and "\0" not in value,
    )


def line_rule(most: int = MAX_LINE) -> Rule:
    return Rule(
        f"one line of at most {most:,} printable characters",
        lambda value: type(value) is str and 0 < len(value) <= most and value.isprintable(),
    )


def pattern_rule(wanted: str, pattern: re.Pattern[str]) -> Rule:
    return Rule(wanted, lambda v: type(v) is str and pattern.fullmatch(v) is not None)


def _is_path(value: Any) -> bool:
    if type(value) is not bytes:
        return False
    # Of a URL, what normpath makes of any path: one slash.
    plain = value.replace(b"://", b":/", 1) if is_remote(os.fsdecode(value)) else value
    return (
        len(value) <= MAX_PATH
        and b"\0" not in value
        and (stored_path(value).is_absolute() or value.split(b"/")[0] == ITEMS.encode())
        and os.path.normpath(plain) == plain
        and not value.startswith(b"//")
    )


def _is_time(value: Any) -> bool:
    if type(value) is not str or _TIME.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def parse_json(value: Any) -> Any:
    """Return the value of a JSON text, or None; NaN and infinity are not JSON."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    if type(value) is not str or len(value) > MAX_TEXT:
        return None
    try:
        return json.loads(value, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def _is_details(value: Any) -> bool:
    found = parse_json(value)
    return type(found) is dict and all(
        type(one) is str or (type(one) in {int, float} and math.isfinite(one))
        for one in found.values()
    )


def _is_lines(value: Any) -> bool:
    try:
        return type(value) is bytes and unpack_lines(value) is not None
    except ValueError:
        return False


def _is_box(value: Any) -> bool:
    found = parse_json(value)
    return type(found) is list and len(found) == 4 and all(_is_share(one) for one in found)


def _is_share(value: Any) -> bool:
    return type(value) in {int, float} and 0 <= value <= 1


ID = whole_rule(1)
SIZE = whole_rule()
SIGNED = whole_rule(-(1 << 63))
FLAG = whole_rule(0, 1)
PIXELS = whole_rule(0, (1 << 31) - 1).or_none()
MODALITY = choice_rule(*Modality)
PATH = Rule("an absolute path without . and ..", _is_path)
WHEN = Rule("a date and time", _is_time)
SECONDS = Rule(
    "a finite number of seconds, not negative",
    lambda value: type(value) is float and math.isfinite(value) and value >= 0,
)
SHARE = Rule("a number from 0 to 1", _is_share)
LANGUAGE = pattern_rule("a code of a language", re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{2,4})?"))
BLOB = Rule("bytes", lambda value: type(value) is bytes)
LINES = Rule("lines as a reader stores them", _is_lines)
CRC = whole_rule(0, (1 << 32) - 1)
NUMBER = Rule("a finite number", lambda value: type(value) is float and math.isfinite(value))
HASH = pattern_rule("a hash of 64 hexadecimal digits", _HASH)
FIELD = pattern_rule("the name of a field", FIELD_NAME)
DETAILS = Rule("texts and finite numbers by name, as JSON", _is_details)
BOX = Rule("four shares of a picture's size, as JSON", _is_box)
JSON = Rule("JSON", lambda value: parse_json(value) is not None)
