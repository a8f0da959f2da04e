"""The ways of a file and of a query in docs/architecture.md name what is in the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def classes() -> dict[str, bool]:
    """Classes of the package by name, and whether each is a dataclass."""
    found = {}
    for path in (ROOT / "seehear").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = any("dataclass" in ast.dump(one) for one in node.decorator_list)
    return found


@pytest.mark.parametrize("title", ["The way of a file", "The way of a query"])
def test_every_carrier_is_there_and_counted(title: str) -> None:
    section = PAGE.split(f"### {title}\n")[1].split("\n#")[0]
    steps = re.findall(r"^ ?\d+\. .*$", section, re.M)
    known = classes()
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)*)`", section))
    assert named <= known.keys()
    carriers = {name for name in named if known[name] and f"`{name}`" in "".join(steps)}
    stated = re.search(r"^That is (\d+) carriers", section, re.M)
    assert stated is not None
    assert int(stated[1]) == len(carriers), sorted(carriers)
    assert len(steps) == 10


def test_a_query_takes_few_carriers() -> None:
    stated = re.search(r"### The way of a query\n.*?^That is (\d+) carriers", PAGE, re.M | re.S)
    assert stated is not None
    assert int(stated[1]) <= 8


def test_every_class_of_plain_data_in_search_is_counted_or_named() -> None:
    """A carrier cannot leave the count by not being mentioned."""
    section = PAGE.split("### The way of a query\n")[1].split("\n#")[0]
    beside = {"SimilarityBaseline", "VectorSample", "DuplicateGroup", "QueryTerm", "MatchKind",
        "UnusualFile", "TypicalFile",
    }  # fmt: skip
    for path in (ROOT / "seehear" / "search").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef) or node.name in beside:
                continue
            declared = " ".join(map(ast.dump, [*node.decorator_list, *node.bases]))
            if re.search("dataclass|NamedTuple|TypedDict", declared):
                assert f"`{node.name}`" in section, node.name
