"""Tell which words that no training label has describe an item: what a model knows by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.shards import ShardItem

CONCEPTS = Path(__file__).with_name("concepts.txt")
"""Two hundred words, one a line."""


def described_by(
    words: Iterable[str], items: Sequence[ShardItem], trained: str
) -> tuple[list[str], NDArray[np.bool_]]:
    """Return the words that describe an item and are not in `trained`, and which items: (q, n)."""
    described = [words_of(item) for item in items]
    asked, rows = [], []
    for word in words:
        pattern = re.compile(rf"\b{re.escape(word)}(s|es)?\b")
        shows = [bool(pattern.search(text)) for text in described]
        if any(shows) and not pattern.search(trained):
            asked.append(word)
            rows.append(shows)
    return asked, np.array(rows, np.bool_).reshape(len(asked), len(items))


def words_of(item: ShardItem) -> str:
    """Join, in lower case, what names an item and what people wrote of it."""
    return " ".join([*_names(item), *human_captions(item)]).lower()


def human_captions(item: ShardItem) -> Sequence[str]:
    """Return the captions of an item, none if a machine wrote them."""
    return () if item.by_machine else item.captions


def trained_names(items: Iterable[ShardItem]) -> str:
    """Join, in lower case, every label, synonym and keyword of the items, each once."""
    names = dict.fromkeys(name for item in items for name in _names(item))
    return "\n".join(names).lower()


def _names(item: ShardItem) -> list[str]:
    return [name for name in (item.label, *item.names, *item.keywords) if name]
