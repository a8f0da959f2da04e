"""The worked examples of docs/architecture.md, run as they are written there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pytest

from seehear.encoders import load_model, registry
from seehear.encoders.base import SingleSpaceModel, normalised
from seehear.encoders.fake import image
from seehear.search import Engine
from seehear.types import EmbeddingSpace, Modality, Query, QueryPart, SampleSpec
from tests.search.library import Library, names

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
SECTION = PAGE.read_text("utf-8").split("## Worked examples\n")[1].split("\n## ")[0]
BLOCKS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the code of the page defines, with the table of loaders put back afterwards."""
    loaders = dict(registry.LOADERS)
    monkeypatch.setattr(registry, "LOADERS", loaders)
    found: dict[str, Any] = {
        "LOADERS": loaders,
        "np": np,
        "ascii_lowercase": ascii_lowercase,
        "normalised": normalised,
        "SingleSpaceModel": SingleSpaceModel,
        "EmbeddingSpace": EmbeddingSpace,
        "Modality": Modality,
        "SampleSpec": SampleSpec,
    }
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), found)
    return found


def test_examples_are_short() -> None:
    assert len(BLOCKS) == 3
    for block in BLOCKS:
        assert len([line for line in block.splitlines() if line.strip()]) <= 10


def test_the_reranker(tmp_path: Path, examples: dict[str, Any]) -> None:
    library = Library(tmp_path)
    library.add("red.jpg", image("red"))  # 640 x 480
    library.add("red.txt", "red")
    query = Query((QueryPart(("red",)),))
    plain = {hit.path.name: hit.score for hit in library.engine.search(query)}
    engine = Engine(library.catalog, library.cache, library.model, examples["landscapes_first"])
    found = {hit.path.name: hit.score for hit in engine.search(query)}
    assert found["red.jpg"] == plain["red.jpg"]
    assert found["red.txt"] == pytest.approx(0.8 * plain["red.txt"])


def test_the_encoder(tmp_path: Path, examples: dict[str, Any]) -> None:
    del examples
    library = Library(tmp_path, load_model("letters"))
    library.add("a.txt", "banana")
    library.add("b.txt", "zzz")
    assert names(library.search("a panama", k=1, modalities=frozenset({Modality.TEXT}))) == [
        "a.txt"
    ]
    assert registry.full_name("letters") == "letters"


def test_the_filter_field(tmp_path: Path) -> None:
    """In a process of its own, whose `Field` has the line of the page."""
    script = f"""
import sys
from pathlib import Path
from types import ModuleType
import seehear
name = "seehear.stores.catalog.filters"
file = Path(seehear.__file__).parent / "stores" / "catalog" / "filters.py"
source, line = file.read_text("utf-8"), {BLOCKS[2]!r}.strip()
assert source.count("    KEYWORD = ") == 1
module = sys.modules[name] = ModuleType(name)
source = source.replace("    KEYWORD = ", f"    {{line}}\\n    KEYWORD = ")
exec(compile(source, str(file), "exec"), module.__dict__)
from seehear.encoders.fake import image
from tests.search.library import Library, names
library = Library(Path({str(tmp_path)!r}))
library.add("a.jpg", image("red"), software="Camera 3")
library.add("b.jpg", image("red"))
print(names(library.search("red", where="software ~ camera")))
print(names(library.search("red", where="has software and software != x")))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=PAGE.parents[1],
    )
    assert done.stderr == ""
    assert done.stdout == "['a.jpg']\n['a.jpg']\n"
