"""Each name has one meaning, and each thing one name: check the words used in the code."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "seehear"
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if "versions" not in path.parts]

BANNED = {
    "place": "location (of a file), position (in an array)",
    "picture": "image",
    "sound": "audio",
    "film": "video",
    "sight": "vision",
    "shelf": "snapshot",
    "desk": "queue, tools",
}
ALLOWED = {
    # What clients read: names of the service's JSON and of its OpenAPI document.
    "server/schemas.py": {"Place", "places"},
    # What clients read in `by`.
    "types.py": {"SIGHT", "SOUND"},
    # An argument of a tool, by which assistants call it.
    "server/mcp.py": {"pictures"},
    # The connectors are named as their frameworks name retrievers.
    "connectors": {"SeehearRetriever"},
}
# Places where the better word is taken in the same scope.
LEFT = {
    "encoders/clap.py": {"SoundTower"},
    "indexers/rehashing.py": {"place"},
    "media/terminal.py": {"picture"},
    "server/routes_assets.py": {"places"},
    "stores/catalog/bulk_insert.py": {"place", "places"},
    "stores/catalog/writer.py": {"places"},
    "stores/vectors/vector_file.py": {"place"},
}


def given_names(tree: ast.AST) -> Iterator[str]:
    """Every name that a module gives to something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def words_of(name: str) -> set[str]:
    """The words of a name, in lower case and in the singular."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")
    return {word.removesuffix("s") if word != "s" else word for word in apart}


def allowed(path: Path) -> set[str]:
    room = path.relative_to(PACKAGE).as_posix()
    listed = {**ALLOWED, **LEFT}
    return set().union(*(names for start, names in listed.items() if room.startswith(start)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_name_is_a_synonym_of_a_word_of_the_glossary(path: Path) -> None:
    names = set(given_names(ast.parse(path.read_text()))) - allowed(path)
    found = {name: BANNED[word] for name in names for word in words_of(name) & BANNED.keys()}
    assert not found


def test_a_synonym_that_is_left_is_there() -> None:
    """An exception that nothing needs is taken off the list."""
    for room, names in LEFT.items():
        assert names <= set(given_names(ast.parse((PACKAGE / room).read_text()))), room


def test_no_public_class_or_alias_is_defined_twice() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            name = None
            if isinstance(node, ast.ClassDef):
                name = node.name
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                name = None if name.isupper() or not name[0].isupper() else name
            if name and not name.startswith("_") and name not in allowed(path):
                homes[name].append(str(path.relative_to(PACKAGE)))
    twice = {name: paths for name, paths in homes.items() if len(paths) > 1}
    assert not twice
