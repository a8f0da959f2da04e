"""Check the arguments of public methods by their annotations, in one place for all of them."""

from __future__ import annotations

import builtins
import collections.abc
import dataclasses
import math
import operator
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import cache, wraps
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from seehear.arguments import shown
from seehear.errors import UsageError
from seehear.types import Query

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kind:
    """One of the kinds of values that an argument takes."""

    label: str
    fits: Callable[[Any], bool]
    take: Callable[[Any, str], Any] = lambda value, _: value
    """Return a value that fits as the method gets it. Raises UsageError, with its name."""


_MOST_NAME = 255
"""Most bytes of the name of a file, on every usual disk."""
_Kinds = tuple[_Kind, ...]
"""What an argument takes; empty for anything."""


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Wrap a function so that it raises UsageError for arguments of another type."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        own, named = take_arguments(function, args, kwargs)
        return function(*own, **named)

    return call


def take_arguments(
    function: Callable[..., Any], given: Sequence[Any], named: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a call as its annotations allow them.

    Iterators become lists, numbers of numpy become Python's. What an annotation names for type
    checkers alone may be anything. Raises UsageError with the argument's name.
    """
    names, rest, kinds = _arguments_of(function)
    own = []
    for number, value in enumerate(given):
        if number < len(names):
            own.append(_take(kinds.get(names[number], ()), value, names[number]))
        else:
            own.append(_take(kinds.get(rest, ()), value, f"{rest}[{number - len(names)}]"))
    return own, {name: _take(kinds.get(name, ()), value, name) for name, value in named.items()}


@cache
def _arguments_of(function: Callable[..., Any]) -> tuple[tuple[str, ...], str, dict[str, _Kinds]]:
    """Return the names of arguments by position, that of all others, and what each takes."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    others = code.co_varnames[code.co_argcount + code.co_kwonlyargcount :]
    home = vars(sys.modules[function.__module__])
    return names, others[0] if others else "", _kinds_by_name(function.__annotations__, home)


class _Names(dict[str, Any]):
    """What the names in annotations mean: anything, if only type checkers load it."""

    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, Any)


def _kinds_by_name(annotations: Mapping[str, str], home: Mapping[str, Any]) -> dict[str, _Kinds]:
    names = _Names(home)
    return {
        name: _kinds(eval(text, {}, names))
        for name, text in annotations.items()
        if name != "return"
    }


def _take(kinds: _Kinds, value: Any, name: str) -> Any:
    for kind in kinds:
        if kind.fits(value):
            return kind.take(value, name)
    if not kinds:
        return value
    raise UsageError(f"{name} takes {_label(kinds)}, not {shown(value)}")


def _label(kinds: _Kinds) -> str:
    return _joined(kind.label for kind in kinds)


def _plural(kinds: _Kinds) -> str:
    """Return the label of several: "texts or whole numbers"."""
    labels = [kind.label.removeprefix("a ").removeprefix("an ") for kind in kinds]
    return _joined(f"{label}s" for label in labels if label != "None")


def _joined(labels: Iterable[str]) -> str:
    *first, last = dict.fromkeys(labels)
    return f"{', '.join(first)} or {last}" if first else last


def _kinds(wanted: Any) -> _Kinds:
    """Return the kinds of values that an annotation allows."""
    base, parts = get_origin(wanted), get_args(wanted)
    found: _Kinds = ()
    if base in {Union, UnionType}:
        if Path in parts:  # one text for both
            parts = tuple(one for one in parts if one is not str)
        several = [_kinds(one) for one in parts]
        found = tuple(kind for kinds in several for kind in kinds) if all(several) else ()
    elif base is collections.abc.Callable:
        found = (_Kind("a function", callable),)
    elif base is collections.abc.Mapping:
        found = (_mapping(_kinds(parts[1])),)
    elif base in {collections.abc.Iterable, collections.abc.Sequence, tuple, frozenset}:
        found = (_several(_kinds(parts[0])),)
    elif wanted is None or wanted is NoneType:
        found = (_Kind("None", lambda value: value is None),)
    elif base is Literal or (isinstance(wanted, type) and issubclass(wanted, str)):
        found = (_PLAIN[str],)  # the word near a wrong one is told where the words are read
    elif isinstance(wanted, type) and wanted is not Any:
        found = (_PLAIN.get(wanted) or _instance(wanted),)
    return found


def _instance(of: type) -> _Kind:
    """Return the kind of the instances of a class; of a query, its parts and options too."""

    @cache
    def inside() -> dict[str, _Kinds]:
        if not issubclass(of, Query):
            return {}
        texts = {field.name: str(field.type) for field in dataclasses.fields(of)}
        return _kinds_by_name(texts, vars(sys.modules[of.__module__]))

    def take(value: Any, name: str) -> Any:
        for part, kinds in inside().items():
            _take(kinds, getattr(value, part), f"{name}.{part}")
        return value

    label = f"{'an' if of.__name__[0] in 'AEIO' else 'a'} {of.__name__}"
    return _Kind(label, lambda value: isinstance(value, of), take)


def _several(of: _Kinds) -> _Kind:
    """Return the kind of several values; a text is one value, and not its letters."""

    def take(value: Iterable[Any], name: str) -> Any:
        try:
            items = iter(value)
        except TypeError:  # an array without dimensions
            raise UsageError(f"{name} takes a list, not {shown(value)}") from None
        listed = value if not of and isinstance(value, Sized) else list(items)
        if not of:
            return listed
        return [_take(of, one, f"{name}[{number}]") for number, one in enumerate(listed)]

    def fits(value: Any) -> bool:
        return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)

    return _Kind(f"a list of {_plural(of)}" if of else "a list", fits, take)


def _mapping(of: _Kinds) -> _Kind:
    def take(value: Mapping[Any, Any], name: str) -> Any:
        for key, one in value.items():
            _take((_PLAIN[Path],), key, f"a key of {name}")
            _take(of, one, f"{name}[{shown(key)}]")
        return value

    return _Kind("a dict", lambda value: isinstance(value, Mapping), take)


def _text(value: str, name: str) -> str:
    try:
        value.encode("utf-8", "surrogateescape")  # of names that are not UTF-8, on disks
    except UnicodeEncodeError:
        raise UsageError(f"{name} contains half of a surrogate pair: {shown(value)}") from None
    if "\0" in value:
        raise UsageError(f"{name} contains a NUL character: {shown(value)}")
    return value


def _path(value: str | os.PathLike[Any], name: str) -> str | Path:
    text = os.fspath(value)
    if isinstance(text, bytes):
        raise UsageError(f"{name} takes a path as text, not as bytes")
    _text(text, name)
    if len(text) > _MOST_NAME and any(
        len(os.fsencode(one)) > _MOST_NAME for one in Path(text).parts
    ):
        raise UsageError(f"{name} has a part of more than {_MOST_NAME} bytes, which no file has")
    return value if isinstance(value, str | Path) else Path(text)


def _whole(value: Any, name: str) -> int:
    number = operator.index(value)
    if not -(1 << 63) <= number < 1 << 63:
        raise UsageError(f"{name} has more digits than a number of 64 bits")
    return number


def _number(value: Any, name: str) -> float:
    if isinstance(value, int) and abs(value) >= 1 << 63:
        raise UsageError(f"{name} has more digits than a number of 64 bits")
    if math.isnan(value):
        raise UsageError(f"{name} takes a number, not NaN")
    return float(value)


_PLAIN: dict[Any, _Kind] = {
    str: _Kind("a text", lambda value: isinstance(value, str), _text),
    Path: _Kind("a path", lambda value: isinstance(value, str | os.PathLike), _path),
    bool: _Kind(
        "True or False",
        lambda value: type(value).__name__ in {"bool", "bool_"},  # Python's, and numpy's
        lambda value, _: bool(value),
    ),
    int: _Kind(
        "a whole number",
        lambda value: isinstance(value, Integral) and not isinstance(value, bool),
        _whole,
    ),
    float: _Kind(
        "a number",
        lambda value: isinstance(value, Real) and not isinstance(value, bool),
        _number,
    ),
}
