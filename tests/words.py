"""Ask the index of words of a catalog alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seehear.stores import Catalog
from seehear.stores.catalog.asked_words import AskedWord, asked_words


def search_words(
    catalog: Catalog, generation_id: int, wanted: str | Sequence[AskedWord], k: int = 20
) -> tuple[list[int], list[int]]:
    """Segments whose passage has all words, and the first segment of each asset whose file has."""
    asked = asked_words(wanted) if isinstance(wanted, str) else wanted
    if not asked:
        return [], []
    ranked = []
    for index, found in catalog.words.look_up(generation_id, asked):
        every = np.logical_and.reduce([word.any_form for word in found])
        rows = np.flatnonzero(every)
        ranked.append((index, index.best(rows, found, np.zeros(len(rows), dtype=np.int64), 10**6)))
    (passages, rows), (files, places) = ranked
    assets = dict.fromkeys(files.groups[places].tolist())
    first = catalog.segments.first_of(list(assets), generation_id)
    return passages.ids[rows].tolist()[:k], [first[one] for one in assets if one in first][:k]
