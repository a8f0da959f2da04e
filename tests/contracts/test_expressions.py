"""Every regular expression that meets what others wrote takes time in proportion to its length.

The expressions are collected from the code, so that a new one is tried, too. Each is run on strings
made from its own parts: a part repeated many times, after what comes before it, with an end that
does not fit. An expression that looks at the same characters again and again takes seconds for
them.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import re._parser as sre  # type: ignore[import-not-found]
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "seehear"
ROOMS = ("media", "search", "server", "stores/catalog")
MODULES = sorted(
    [PACKAGE / "suggestions.py", PACKAGE / "encoders" / "tiny" / "tokenizer.py"]
    + [path for room in ROOMS for path in (PACKAGE / room).rglob("*.py")]
)
MODULES = [path for path in MODULES if "re." in path.read_text() and "versions" not in path.parts]

LENGTH = 16_000
MOST_S = 0.05
"""An expression that is linear takes 5 ms at most for `LENGTH`, a quadratic one 100 ms and more."""
METHODS = {"compile", "match", "search", "fullmatch", "findall", "finditer", "split", "sub"}
SEARCHES = r"\.(search|findall|finditer|split|subn?)\b"
Text = Any


def expressions(path: Path) -> Iterator[tuple[re.Pattern[Text], bool]]:
    """Every expression that a module writes down, and whether it is looked for everywhere.

    Those that are only matched at the start of a text are not.
    """
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    module, source = importlib.import_module(name), path.read_text()
    tree = ast.parse(source)
    named = {
        id(node.value): node.targets[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        method = node.func.attr
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re"):
            continue
        if method not in METHODS:
            continue
        at = {"compile": 1, "sub": 4, "split": 3}.get(method, 2)
        flags = [k.value for k in node.keywords if k.arg == "flags"] + node.args[at : at + 1]
        try:
            wanted, chosen = (
                eval(compile(ast.Expression(part), name, "eval"), vars(module))
                for part in (node.args[0], *(flags or [ast.parse("0", mode="eval").body]))
            )
        except NameError:
            continue  # made of something that is known later; see test_globs_are_linear
        asked = SEARCHES if method == "compile" else rf"re\.{method}\("
        searched = method not in {"match", "fullmatch"}
        if method == "compile":  # those in tables are called "pattern" where they are used
            searched = bool(re.search(rf"\b{named.get(id(node), 'pattern')}{asked}", source))
        yield re.compile(wanted, chosen), searched


def attacks(expression: re.Pattern[Text], length: int) -> Iterator[Text]:
    """Strings that are slow for an expression that is not linear."""
    parsed = sre.parse(expression.pattern, expression.flags & ~re.UNICODE)
    letters = sorted({*literals(parsed), " ", "\n", "0", "a"})[:16]
    pumps = [*letters, *map("".join, itertools.product(letters, repeat=2)), *repeated(parsed)]
    whole = example(parsed)
    starts = ["", *{whole[:n] for n in (1, 2, 4, len(whole) // 2, len(whole))}]
    begun = [whole[:n] + gap for n in range(1, min(len(whole), 40) + 1) for gap in ("", " ")]
    for pump in dict.fromkeys([*pumps, *begun]):
        body = pump * (length // max(1, len(pump)))
        for start in starts[: 6 if len(pump) == 1 else 1]:
            for end in ("", "\x01"):
                yield encoded(expression, start + body + end)


def encoded(expression: re.Pattern[Text], text: str) -> Text:
    return text if isinstance(expression.pattern, str) else text.encode("latin-1", "replace")


def literals(parsed: Any) -> Iterator[str]:
    """The characters that an expression names, and one of each of its sets."""
    for op, value in parsed:
        if op in (sre.LITERAL, sre.NOT_LITERAL):
            yield chr(value)
        elif op is sre.IN:
            yield from (chr(one) for kind, one in value if kind is sre.LITERAL)
            yield from (chr(one[0]) for kind, one in value if kind is sre.RANGE)
        else:
            for inner in parts_of(op, value):
                yield from literals(inner)


def repeated(parsed: Any) -> Iterator[str]:
    """An example of what each repetition repeats."""
    for op, value in parsed:
        for inner in parts_of(op, value):
            if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
                yield example(inner)
            yield from repeated(inner)


def parts_of(op: Any, value: Any) -> Iterable[Any]:
    if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        return [value[2]]
    if op is sre.SUBPATTERN:
        return [value[3]]
    if op is sre.BRANCH:
        return list(value[1])
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        return [value[1]]
    return [value] if op is sre.ATOMIC_GROUP else []


def example(parsed: Any) -> str:
    """A string that fits an expression, or nearly so."""
    found = ""
    for op, value in parsed:
        if op is sre.LITERAL:
            found += chr(value)
        elif op is sre.IN:
            found += member(value)
        elif op in (sre.ANY, sre.NOT_LITERAL):
            found += "x"
        elif op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            found += example(value[2]) * min(max(value[0], 1), 4)
        elif op is not sre.ASSERT_NOT:
            found += "".join(example(inner) for inner in list(parts_of(op, value))[:1])
    return found


def member(choices: list[Any]) -> str:
    """One character of a set."""
    if choices[0][0] is sre.NEGATE:
        taken = {chr(one) for kind, one in choices if kind is sre.LITERAL}
        return next(char for char in "x0-~" if char not in taken)
    kind, one = choices[0]
    if kind is sre.CATEGORY:
        return {sre.CATEGORY_DIGIT: "0", sre.CATEGORY_SPACE: " "}.get(one, "x")
    return chr(one if kind is sre.LITERAL else one[0])


def seconds(expression: re.Pattern[Text], text: Text, *, searched: bool) -> float:
    """Processor time to match an expression, or to look for it everywhere in a text."""
    began = time.process_time()
    expression.match(text)
    expression.fullmatch(text)
    for _ in expression.finditer(text) if searched else ():
        pass
    return time.process_time() - began


def is_bounded(parsed: Any) -> bool:
    """Whether each match has a greatest length, so that no place of a text is looked at often."""
    return all(
        (op not in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT) or value[1] <= 64)
        and all(map(is_bounded, parts_of(op, value)))
        for op, value in parsed
    )


def slow_text(expression: re.Pattern[Text], *, searched: bool) -> Text | None:
    """The first attack that takes too long, or None. Short ones first: some would never end."""
    parsed = sre.parse(expression.pattern, expression.flags & ~re.UNICODE)
    lengths = [20, 24, 28, 32, 500] + ([] if is_bounded(parsed) else [2_000, LENGTH])
    for row in zip(*(attacks(expression, n) for n in lengths), strict=True):
        for text in row:
            took_s = seconds(expression, text, searched=searched)
            # Two more tries: on a busy machine one may be slow by chance, though not by so much.
            if took_s > 10 * MOST_S or (
                took_s > MOST_S
                and all(seconds(expression, text, searched=searched) > MOST_S for _ in range(2))
            ):
                return text
    return None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_expressions_are_linear(path: Path) -> None:
    for expression, searched in expressions(path):
        slow = slow_text(expression, searched=searched)
        assert slow is None, (expression, slow[:80], len(slow))


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+b", r"(?:a|a)*b", r"\s*\n\s*x", r"(.+?)[ \t]*$", r"<!--.*?-->", r"\[[^\]]*\]\(",
        r"(\*{1,3})(?=\S)(.+?)(?<=\S)\1", rb"(?:\d+)?:(\d+)x|a.*b.*c", r"\s*(?:-[ ]*)*\s*;",
    ],
)  # fmt: skip
def test_what_is_not_linear_is_found(pattern: str | bytes) -> None:
    expression = re.compile(pattern, re.DOTALL)
    assert slow_text(expression, searched=True) is not None


@pytest.mark.parametrize("wanted", ["*a" * 12 + "b", "*" * 40 + "b", "a?*" * 9 + "b", "*ab*ba" * 6])
def test_globs_are_linear(wanted: str) -> None:
    from seehear.search.unknown import _pattern

    fits = re.compile(_pattern(wanted), re.DOTALL)
    for text in ("a" * 4_000, "ab" * 2_000, "a" * 3_999 + "b"):
        began = time.process_time()
        fits.fullmatch(text)
        assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("wanted", "value", "fit"),
    [
        ("*a*", "bab", True), ("a*a", "a", False), ("a*a", "aa", True), ("*ab", "aab", True),
        ("*a?c*", "xabcx", True), ("a", "ab", False), ("?", "a", True), ("*.j?g", "a.b.jpg", True),
        ("**", "", True), ("*aa*a", "aaa", True), ("*aab*b", "aaabb", True), ("[a]*", "a", False),
    ],
)  # fmt: skip
def test_globs_fit_what_they_name(wanted: str, value: str, fit: bool) -> None:
    from seehear.search.unknown import _pattern

    assert bool(re.fullmatch(_pattern(wanted), value, re.DOTALL)) is fit
