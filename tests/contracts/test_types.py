"""Mistakes that a type checker finds. mypy checks this file, too: a line that is marked as wrong,
and is not, fails `make check` (warn_unused_ignores)."""

from __future__ import annotations

from pathlib import Path

import pytest

import seehear
from seehear import Hit, Modality, Mode


def test_names_and_kinds_that_are_misspelt(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        seehear.opne("x")  # type: ignore[attr-defined]
    with seehear.open(tmp_path / "collection", model="fake") as library:
        library.add(texts=["a pier"])
        with pytest.raises(seehear.UsageError, match=r'No type "vidoe"\. Did you mean video'):
            library.search("a dog", modalities=["vidoe"])  # type: ignore[list-item]
        with pytest.raises(seehear.UsageError, match=r'No type "vidoe"\. Did you mean video'):
            library.search("a dog", modalities="vidoe")  # type: ignore[arg-type]
        with pytest.raises(seehear.UsageError, match=r'No mode "sematic"\. Did you mean semantic'):
            library.search("a dog", mode="sematic")  # type: ignore[arg-type]
        with pytest.raises(seehear.UsageError, match=r'No type "fotos"\. Did you mean photos?'):
            library.search_many(["a dog"], modalities=["fotos"])  # type: ignore[list-item]
        with pytest.raises(seehear.UsageError, match=r'No type "vidoe"'):
            library.assets(modalities=["vidoe"])  # type: ignore[list-item]
        with pytest.raises(TypeError):
            library.status()["assets"]  # type: ignore[index]


def test_kinds_in_every_spelling(tmp_path: Path) -> None:
    with seehear.open(tmp_path / "collection", model="fake") as library:
        library.add(texts=["a pier"])
        hits: list[Hit] = library.search("a pier", modalities="text", mode="words")
        assert hits == library.search("a pier", modalities=["text", "video"], mode=Mode.WORDS)
        assert hits == library.search("a pier", modalities={Modality.TEXT, "image"}, mode="words")
        assert len(library.assets(modalities=frozenset({"text"}))) == 1
