"""The filter language read: text -> tree -> Filter. The grammar stands in where.lark."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from pathlib import Path

from lark import Lark, Token, Transformer, Tree, v_args
from lark.exceptions import UnexpectedInput, VisitError

from seehear import arguments
from seehear.errors import UsageError
from seehear.search.fields import field_named
from seehear.search.formats import format_filter
from seehear.stores.catalog.filters import (
    CHOICES,
    DETAILS,
    And,
    Compare,
    Field,
    Filter,
    FilterValue,
    GeoCircle,
    Not,
    Op,
    Or,
)

_DATES = (Field.TAKEN, Field.MODIFIED)
_SAME = ("=", "==", "!=")
_NUMBERS = (Field.WIDTH, Field.HEIGHT, Field.LATITUDE, Field.LONGITUDE)
_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
          "k": 10**3, "m": 10**6, "g": 10**9,
          "kib": 2**10, "mib": 2**20, "gib": 2**30}  # fmt: skip
_DURATIONS = {"": 1, "ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
_FIRST_YEAR, _LAST_YEAR = 1000, 9000
"""No file is older or younger, and every system can count the seconds to them."""
_DATE = re.compile(
    r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](\d{1,2})(?::(\d{2})(?::(\d{2}))?)?)?)?)?"
)


def parse_filter(text: str) -> Filter:
    """Return the filter that a text means. Raises UsageError as `parse_where` does."""
    try:
        return _ToFilter().transform(_parse(text))
    except VisitError as error:
        if isinstance(error.orig_exc, UsageError):
            raise error.orig_exc from None
        raise
    except RecursionError:
        raise UsageError("The filter has too many brackets inside each other") from None


def replace_folders(text: str, path_of: Callable[[str], Path]) -> str:
    """Return a filter with the path of each folder that it names.

    Raises UsageError for a filter that cannot be read, for a folder in a comparison other than
    = and !=, and as `path_of` does.
    """
    replaced: list[tuple[int, int, str]] = []
    for node in _parse(text).iter_subtrees():
        if not node.children or not isinstance(name := node.children[0], Token):
            continue
        values = [value for value in node.children if isinstance(value, Tree)]
        if node.data == "near" or not values or _field(name) is not Field.FOLDER:
            continue
        if node.data == "between" or (node.data == "compare" and node.children[1] not in _SAME):
            raise UsageError(f"Compare folder with = or != ({_at(name)})")
        for value in values:
            tokens = [token for token in value.children if isinstance(token, Token)]
            label = tokens[0][1:-1] if tokens[0].type == "QUOTED" else "".join(tokens)
            start, stop = tokens[0].start_pos or 0, tokens[-1].end_pos or 0
            replaced.append((start, stop, _quoted(path_of(label))))
    for start, stop, path in sorted(replaced, reverse=True):
        text = text[:start] + path + text[stop:]
    return text


def _quoted(path: Path) -> str:
    quote = next((quote for quote in "\"'" if quote not in str(path)), None)
    if quote is None:
        raise UsageError(f"A filter cannot name {path}: its name has quotes of both kinds")
    return f"{quote}{path}{quote}"


def _parse(text: str) -> Tree[Token]:
    try:
        return _grammar().parse(text)
    except UnexpectedInput as error:
        raise UsageError(_explain(text, error)) from None


@cache
def _grammar() -> Lark:
    text = resources.files("seehear.search").joinpath("where.lark").read_text("utf-8")
    return Lark(text, parser="lalr")


def _explain(text: str, error: UnexpectedInput) -> str:
    rest = text[error.pos_in_stream :] if error.pos_in_stream is not None else ""
    found = rest.split()[0] if rest.split() else ""
    if not found or getattr(error, "token", Token("$END", "")).type == "$END":
        return f'The filter is incomplete: {text} ... Example: "taken >= 2024 and size < 2MB"'
    return (
        f'Cannot read the filter at "{found}" (character {error.column}). '
        'Example: "taken >= 2024-06 and duration < 60"'
    )


class _ToFilter(Transformer[Token, Filter]):
    """Parse tree -> Filter, from the leaves up."""

    def start(self, children: list[Filter]) -> Filter:
        return children[0]

    def either(self, children: list[Filter]) -> Filter:
        return children[0] if len(children) == 1 else Or(tuple(children))

    def both(self, children: list[Filter]) -> Filter:
        return children[0] if len(children) == 1 else And(tuple(children))

    def negation(self, children: list[Filter]) -> Filter:
        return Not(children[0])

    def value(self, children: list[Token]) -> Token:
        first = children[0]
        if first.type == "QUOTED":
            return first.update(value=first[1:-1])
        return first.update(value="".join(children))

    @v_args(inline=True)
    def compare(self, name: Token, operator: Token, value: Token) -> Filter:
        return _comparison(_field(name), "=" if operator == "==" else str(operator), value)

    @v_args(inline=True)
    def one_of(self, name: Token, *values: Token) -> Filter:
        return Or(tuple(_comparison(_field(name), "=", value) for value in values))

    @v_args(inline=True)
    def none_of(self, name: Token, *values: Token) -> Filter:
        return Not(Or(tuple(_comparison(_field(name), "=", value) for value in values)))

    @v_args(inline=True)
    def between(self, name: Token, low: Token, high: Token) -> Filter:
        field = _field(name)
        return And((_comparison(field, ">=", low), _comparison(field, "<=", high)))

    @v_args(inline=True)
    def present(self, name: Token) -> Filter:
        return Compare(_field(name), Op.KNOWN)

    @v_args(inline=True)
    def near(self, latitude: Token, longitude: Token, km: Token) -> Filter:
        position = GeoCircle(_number(latitude), _number(longitude), _number(km))
        return Compare(Field.COORDINATES, Op.WITHIN, position)


def _field(name: Token) -> Field:
    return field_named(name, f" ({_at(name)})")


def _comparison(field: Field, operator: str, value: Token) -> Filter:
    if operator == "!~":
        found = _comparison(field, "~", value)
        return And((Compare(field, Op.KNOWN), Not(found))) if field in DETAILS else Not(found)
    if field is Field.COORDINATES:
        raise UsageError(
            f"Filter by place with near(latitude, longitude, kilometres) ({_at(value)})"
        )
    if field is Field.FOLDER and operator != "~":
        return _folder_comparison(operator, value)
    if field in _DATES:
        return _date_comparison(field, operator, value)
    if field is Field.FORMAT and operator in ("=", "!="):
        same = format_filter(str(value))
        return same if operator == "=" else Not(same)
    try:
        return Compare(field, Op(operator), _read(field, operator, value))
    except UsageError as error:
        position = f" ({_at(value)})"
        raise UsageError(str(error) if position in str(error) else f"{error}{position}") from None


def _read(field: Field, operator: str, value: Token) -> FilterValue:
    """The value that a word stands for, by the kind of the field."""
    if field in CHOICES:
        return arguments.modality(value) if field is Field.MODALITY else value.lower()
    if field is Field.SIZE:
        return _with_unit(value, _SIZES, "size", "500, 20KB or 1.5MB")
    if field is Field.DURATION:
        return _with_unit(value, _DURATIONS, "duration", "90, 5min or 1h")
    if field in _NUMBERS:
        return _number(value)
    if operator == "~" and not set("*?") & set(value):
        return f"*{value}*"  # words without a wildcard are found anywhere within the field
    return str(value)


def _folder_comparison(operator: str, value: Token) -> Filter:
    if operator not in ("=", "!="):
        raise UsageError(f"folder can be compared with = != ~ !~ only ({_at(value)})")
    below = Compare(Field.FOLDER, Op.UNDER, Path(value).expanduser().absolute())
    return below if operator == "=" else Not(below)


def _date_comparison(field: Field, operator: str, value: Token) -> Filter:
    """Dates are periods: `= 2024-06` is any time of that June, `> 2024-06` is after it."""
    if operator == "~":
        raise UsageError(f"{field} is a date: compare it with = != < > <= >= ({_at(value)})")
    start, stop = _period(value)
    within = And((Compare(field, Op.GE, start), Compare(field, Op.LT, stop)))
    if operator == "=":
        return within
    if operator == "!=":
        return Not(within)
    if operator in (">=", ">"):
        return Compare(field, Op.GE, start if operator == ">=" else stop)
    return Compare(field, Op.LT, start if operator == "<" else stop)


def _period(value: Token) -> tuple[datetime, datetime]:
    """[start, stop) of a date that may lack its last parts, as local time."""
    found = _DATE.fullmatch(str(value).strip())
    if found is None:
        raise UsageError(
            f'"{value}" ({_at(value)}) is not a date. Write 2024, 2024-06, 2024-06-01 or '
            "2024-06-01T14:30"
        )
    given = [int(part) for part in found.groups() if part is not None]
    if not _FIRST_YEAR <= given[0] <= _LAST_YEAR:
        raise UsageError(
            f'"{value}" ({_at(value)}) is out of range. Years go from {_FIRST_YEAR} to {_LAST_YEAR}'
        )
    try:
        start = datetime(*(given + [1, 1][len(given) - 1 :] if len(given) < 3 else given))  # type: ignore[arg-type]
        return start, _period_end(start, len(given))
    except (ValueError, OverflowError) as error:
        raise UsageError(f'"{value}" ({_at(value)}) is not a date: {error}') from None


def _period_end(start: datetime, precision: int) -> datetime:
    if start.year == datetime.max.year:
        return datetime.max
    if precision == 1:
        return start.replace(year=start.year + 1)
    if precision == 2:
        return (start + timedelta(days=32)).replace(day=1)
    step = {3: timedelta(days=1), 4: timedelta(hours=1), 5: timedelta(minutes=1)}
    return start + step.get(precision, timedelta(seconds=1))


def _number(value: Token) -> float:
    try:
        number = float(value)
    except ValueError:
        raise UsageError(f'"{value}" ({_at(value)}) is not a number') from None
    if not abs(number) < 1e15:
        raise UsageError(f'"{value}" ({_at(value)}) is out of range')
    return number


def _with_unit(value: Token, units: Mapping[str, float], what: str, example: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-zA-Z]*)", str(value).replace(" ", ""))
    if found is None or found[2].lower() not in units:
        raise UsageError(f'"{value}" ({_at(value)}) is not a {what}. Write {example}')
    return float(found[1]) * float(units[found[2].lower()])


def _at(token: Token) -> str:
    return f"character {token.column}"
