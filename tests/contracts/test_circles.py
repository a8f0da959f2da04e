"""No two modules import each other, however late or for types alone: each is read by itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def modules_below(folder: Path) -> dict[str, str]:
    """The source of every module of a package, by its dotted name; of a package its __init__."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path.read_text(encoding="utf-8")
    return found


def imported(source: str, known: Mapping[str, str]) -> Iterator[str]:
    """The known modules that a source imports anywhere: in functions and for types as well.

    `from package import module` is an import of the module, not of the package's __init__.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names = (f"{node.module}.{alias.name}", str(node.module))
                yield from [name for name in names if name in known][:1]


def circles(sources: Mapping[str, str]) -> list[list[str]]:
    """The sets of modules that reach each other by imports, each sorted."""
    graph = {name: set(imported(text, sources)) - {name} for name, text in sources.items()}
    reached = {name: _reachable(name, graph) for name in graph}
    groups = {
        tuple(sorted({name} | {one for one in reached[name] if name in reached[one]}))
        for name in graph
        if name in reached[name]
    }
    return [list(group) for group in sorted(groups)]


def _reachable(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph[waiting.pop()] - found:
            found.add(name)
            waiting.append(name)
    return found


@pytest.mark.parametrize("package", ["seehear", "benchmarks", "training"])
def test_no_modules_import_each_other(package: str) -> None:
    sources = modules_below(ROOT / package)
    assert len(sources) > 5
    assert circles(sources) == []


LATE = "def f():\n    from p import a\n"
TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.a import A\n"
FOUND = {
    "at the top": ({"p": "", "p.a": "from p import b", "p.b": "import p.a"}, [["p.a", "p.b"]]),
    "in a function": ({"p": "", "p.a": "import p.b", "p.b": LATE}, [["p.a", "p.b"]]),
    "for types": ({"p": "", "p.a": "import p.b", "p.b": TYPES}, [["p.a", "p.b"]]),
    "by an __init__": ({"p": "from p.a import A", "p.a": "from p import B"}, [["p", "p.a"]]),
    "of three": (
        {"p": "", "p.a": "import p.b", "p.b": "from p.c import C", "p.c": "from p import a"},
        [["p.a", "p.b", "p.c"]],
    ),
    "none": ({"p": "from p import a", "p.a": "from p import b", "p.b": "import os"}, []),
}


@pytest.mark.parametrize("case", FOUND)
def test_circles_are_found(case: str) -> None:
    sources, expected = FOUND[case]
    assert circles(sources) == expected
