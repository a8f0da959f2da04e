"""Parse the filter language: text -> tree -> Filter. The grammar is in where.lark."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib import resources

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, VisitError

from seehear import arguments
from seehear.errors import UsageError
from seehear.languages import language_named
from seehear.own_fields import FieldType, FieldValue, OwnField
from seehear.search.fields import FIELD_WORDS, FolderFilter, field_named
from seehear.search.formats import format_filter
from seehear.stores.catalog.filters import (
    CHOICES,
    DETAILS,
    ORIGINS,
    And,
    Compare,
    CompareOwn,
    Field,
    Filter,
    FilterValue,
    GeoCircle,
    Not,
    Op,
    Or,
)

_TO_THE_SECOND = Not(Compare(Field.DATE_PRECISION, Op.KNOWN))
_PRECISE: dict[int, Filter] = {
    2: Not(Compare(Field.DATE_PRECISION, Op.EQ, "year")),
    3: Or((_TO_THE_SECOND, Compare(Field.DATE_PRECISION, Op.EQ, "day"))),
    **dict.fromkeys((4, 5, 6), _TO_THE_SECOND),
}
"""Which dates are known to be in a period, by how many parts it has: a file of 2024 is stored at
the first instant of that year, but is not of the first of January."""
_DATES = (Field.TAKEN, Field.MODIFIED)
_NUMBERS = (Field.WIDTH, Field.HEIGHT, Field.LATITUDE, Field.LONGITUDE)
_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
          "k": 10**3, "m": 10**6, "g": 10**9,
          "kib": 2**10, "mib": 2**20, "gib": 2**30}  # fmt: skip
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_DURATIONS = {"": 1, "ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
_DATE = re.compile(
    r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](\d{1,2})(?::(\d{2})(?::(\d{2}))?)?)?)?)?"
)


MOST_COMPARISONS = 200
"""Most comparisons in a filter: SQLite compiles no expression deeper than 1,000."""
MOST_NESTING = 40
"""Most levels of `and`, `or` and `not` inside each other."""


def parse_filter(text: str, folders: FolderFilter, own: Mapping[str, OwnField]) -> Filter:
    """Return the filter that a text means. Raises UsageError as `parse_where` does."""
    try:
        found = _ToFilter(folders, own).transform(_grammar().parse(text))
    except UnexpectedInput as error:
        raise UsageError(_explain(text, error)) from None
    except VisitError as error:
        if isinstance(error.orig_exc, UsageError):
            raise UsageError(" ".join(str(error.orig_exc).split())) from None
        raise error.orig_exc from None
    except RecursionError:
        raise UsageError(_TOO_NESTED) from None
    _check_size(found)
    return found


_TOO_NESTED = "The filter has too many brackets inside each other"


def _check_size(part: Filter, depth: int = 0) -> int:
    """Return the number of comparisons; raise UsageError if a database could not compile them."""
    if depth > MOST_NESTING:
        raise UsageError(_TOO_NESTED)
    if isinstance(part, Compare | CompareOwn):
        return 1
    parts = (part.part,) if isinstance(part, Not) else part.parts
    count = sum(_check_size(one, depth + 1) for one in parts)
    if count > MOST_COMPARISONS:
        raise UsageError(f"The filter has more than {MOST_COMPARISONS} comparisons")
    return count


@cache
def _grammar() -> Lark:
    text = resources.files("seehear.search").joinpath("where.lark").read_text("utf-8")
    return Lark(text, parser="lalr")


def _explain(text: str, error: UnexpectedInput) -> str:
    rest = text[error.pos_in_stream :] if error.pos_in_stream is not None else ""
    found = rest.split()[0] if rest.split() else ""
    if not found or getattr(error, "token", Token("$END", "")).type == "$END":
        read = " ".join(text.split())
        return f'The filter is incomplete: {read} ... Example: "taken >= 2024 and size < 2MB"'
    return (
        f'Cannot read the filter at "{found}" (character {error.column}). '
        'Example: "taken >= 2024-06 and duration < 60"'
    )


class _ToFilter(Transformer[Token, Filter]):
    """Turn a parse tree into a Filter, from the leaves up."""

    def __init__(self, folders: FolderFilter, own: Mapping[str, OwnField]) -> None:
        super().__init__()
        self._folders, self._own = folders, own

    def start(self, children: list[Filter]) -> Filter:
        return children[0]

    def either(self, children: list[Filter]) -> Filter:
        return children[0] if len(children) == 1 else Or(tuple(children))

    def both(self, children: list[Filter]) -> Filter:
        return children[0] if len(children) == 1 else And(tuple(children))

    def negation(self, children: list[Filter]) -> Filter:
        part = children[0]
        return part.part if isinstance(part, Not) else Not(part)

    def value(self, children: list[Token]) -> Token:
        first = children[0]
        if first.type == "QUOTED":
            return first.update(value=first[1:-1])
        return first.update(value="".join(children))

    @v_args(inline=True)
    def compare(self, name: Token, operator: Token, value: Token) -> Filter:
        return self._comparison(name, "=" if operator == "==" else str(operator), value)

    @v_args(inline=True)
    def one_of(self, name: Token, *values: Token) -> Filter:
        return Or(tuple(self._comparison(name, "=", value) for value in values))

    @v_args(inline=True)
    def none_of(self, name: Token, *values: Token) -> Filter:
        return Not(Or(tuple(self._comparison(name, "=", value) for value in values)))

    @v_args(inline=True)
    def between(self, name: Token, low: Token, high: Token) -> Filter:
        return And((self._comparison(name, ">=", low), self._comparison(name, "<=", high)))

    @v_args(inline=True)
    def present(self, name: Token) -> Filter:
        return _known(self._field(name))

    @v_args(inline=True)
    def near(self, latitude: Token, longitude: Token, km: Token) -> Filter:
        position = GeoCircle(_number(latitude), _number(longitude), _number(km))
        return Compare(Field.COORDINATES, Op.WITHIN, position)

    def _comparison(self, name: Token, operator: str, value: Token) -> Filter:
        """Return a comparison. Raises UsageError that says where in the text it is wrong."""
        field = self._field(name)
        if operator == "!~":
            found = self._comparison(name, "~", value)
            has_to_be = isinstance(field, OwnField) or field in DETAILS
            return And((_known(field), Not(found))) if has_to_be else Not(found)
        try:
            if isinstance(field, OwnField):
                return _own_comparison(field, operator, value)
            if field is Field.FOLDER:
                return self._folder_comparison(operator, value)
            return _comparison(field, operator, value)
        except UsageError as error:
            position = f" ({_at(value)})"
            told = str(error)
            raise UsageError(told if position in told else f"{told}{position}") from None

    def _folder_comparison(self, operator: str, value: Token) -> Filter:
        if operator == "~":
            return self._folders(Op.LIKE, _pattern(value))
        if operator not in ("=", "!="):
            raise UsageError("folder can be compared with = != ~ !~ only")
        below = self._folders(Op.UNDER, str(value))
        return below if operator == "=" else Not(below)

    def _field(self, name: Token) -> Field | OwnField:
        word = name.lower()
        if word in self._own and word not in FIELD_WORDS:
            return self._own[word]
        return field_named(name, f" ({_at(name)})", map(str, self._own.values()))


def _comparison(field: Field, operator: str, value: Token) -> Filter:
    if field is Field.COORDINATES:
        raise UsageError("Filter by place with near(latitude, longitude, kilometres)")
    if field in _DATES:
        return _date_comparison(field, operator, value)
    if field is Field.FORMAT and operator in ("=", "!="):
        same = format_filter(str(value))
        return same if operator == "=" else Not(same)
    return Compare(field, Op(operator), _read(field, operator, value))


def _known(field: Field | OwnField) -> Filter:
    if isinstance(field, OwnField):
        return CompareOwn(field, Op.KNOWN)
    return Compare(field, Op.KNOWN)


def _own_comparison(field: OwnField, operator: str, value: Token) -> Filter:
    if field.type is FieldType.DATE:
        return _date_comparison(field, operator, value)
    read: FieldValue = str(value)
    if field.type is FieldType.NUMBER:
        read = _number(value)
    elif field.type is FieldType.BOOL:
        if value.lower() not in _BOOLS:
            raise UsageError(f'"{value}" ({_at(value)}) is not true or false')
        read = _BOOLS[value.lower()]
    elif operator == "~":
        read = _pattern(value)
    return CompareOwn(field, Op(operator), read)


def _read(field: Field, operator: str, value: Token) -> FilterValue:
    """Return the value that a word stands for, by the type of the field."""
    if field in CHOICES:
        return arguments.modality(value) if field is Field.MODALITY else value.lower()
    if field is Field.SIZE:
        return _with_unit(value, _SIZES, "size", "500, 20KB or 1.5MB")
    if field is Field.DURATION:
        return _with_unit(value, _DURATIONS, "duration", "90, 5min or 1h")
    if field in _NUMBERS:
        return _number(value)
    if field is Field.LANGUAGE:
        return language_named(value) or value.lower()
    # What is said and written is asked for by words, in any form.
    return _pattern(value) if operator == "~" and field not in ORIGINS else str(value)


def _pattern(value: Token) -> str:
    """Return the pattern for `~`: a text without a wildcard is found anywhere within the field."""
    return str(value) if set("*?") & set(value) else f"*{value}*"


def _date_comparison(field: Field | OwnField, operator: str, value: Token) -> Filter:
    """Compare with a period: `= 2024-06` is any time in that June, `> 2024-06` is after it."""
    if operator == "~":
        raise UsageError(f"{field} is a date: compare it with = != < > <= >= ({_at(value)})")
    start, stop, precision = _period(value)

    def compare(op: Op, when: datetime) -> Filter:
        if isinstance(field, OwnField):
            return CompareOwn(field, op, when)
        return Compare(field, op, when)

    within = And((compare(Op.GE, start), compare(Op.LT, stop)))
    if field is Field.TAKEN and precision in _PRECISE:
        within = And((*within.parts, _PRECISE[precision]))
    if operator == "=":
        return within
    if operator == "!=":
        return Not(within)
    if operator in (">=", ">"):
        return compare(Op.GE, start if operator == ">=" else stop)
    return compare(Op.LT, start if operator == "<" else stop)


def _period(value: Token) -> tuple[datetime, datetime, int]:
    """Return [start, stop) of a date, as local time, and how many of its six parts are given."""
    found = _DATE.fullmatch(str(value).strip())
    if found is None:
        raise UsageError(
            f'"{value}" ({_at(value)}) is not a date. Write 2024, 2024-06, 2024-06-01 or '
            "2024-06-01T14:30"
        )
    given = [int(part) for part in found.groups() if part is not None]
    try:
        start = datetime(*(given + [1, 1][len(given) - 1 :] if len(given) < 3 else given))  # type: ignore[arg-type]
        return start, _period_end(start, len(given)), len(given)
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
    if not abs(number) <= 2**53:
        raise UsageError(f'"{value}" ({_at(value)}) is out of range')
    return number


def _with_unit(value: Token, units: Mapping[str, float], what: str, example: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-zA-Z]*)", str(value).replace(" ", ""))
    if found is None or found[2].lower() not in units:
        raise UsageError(f'"{value}" ({_at(value)}) is not a {what}. Write {example}')
    return float(found[1]) * float(units[found[2].lower()])


def _at(token: Token) -> str:
    return f"character {token.column}"
