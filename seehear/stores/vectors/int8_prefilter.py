"""Search one query exactly with a quarter of the memory reads: int8 candidates, and a proof.

Every number of a vector x and of the query q is rounded to a byte, x' = round(s x) / s. The effect
on a similarity is bounded (Cauchy and Schwarz):

    |q.x - q'.x'| <= |q| |x - x'| + |q - q'| |x'| <= |q| e + |q - q'| (l + e)

with e the largest |x - x'| of the index and l its longest vector. So no vector outside the
candidates is nearer than the last candidate plus this bound. If the k-th best candidate, computed
exactly, is nearer than that, the k best are found.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seehear.stores.vectors.base import Similarities
from seehear.stores.vectors.files import faiss_errors
from seehear.types import Ids, Vectors

BLOCK = 4_096
"""Rows that are rounded at once."""


class Int8Prefilter:
    """The vectors of an index as int8, in FAISS."""

    @faiss_errors()
    def __init__(self, rows: Vectors) -> None:
        """Round the rows, float32 (n, dim), at least one."""
        import faiss

        self._scale = _scale(rows)
        self._error = self._longest = 0.0
        kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
        self._index: Any = faiss.IndexScalarQuantizer(
            rows.shape[1], kind, faiss.METRIC_INNER_PRODUCT
        )
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            whole = np.rint(block * self._scale)
            self._index.add(whole)
            self._error = max(self._error, _longest(block - whole / self._scale))
            self._longest = max(self._longest, _longest(block))

    @faiss_errors()
    def candidates(
        self, query: Vectors, depth: int, chosen: Ids | None = None
    ) -> tuple[Ids, Similarities, float]:
        """Return near rows with their rounded similarities, and the most that these are off.

        query: float32 (1, dim); chosen: row numbers to search, or None for all rows. Returns
        `depth` row numbers, int64 (depth,), best first, and float32 (depth,); there must be at
        least that many rows. All other rows are no nearer than the last one is said to be.
        """
        import faiss

        parameters = None
        if chosen is not None:
            mask = np.zeros(self._index.ntotal, dtype=np.bool_)
            mask[chosen] = True
            bits = np.packbits(mask, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
            kind: Any = faiss.SearchParameters  # its type stub does not know the fields
            parameters = kind(sel=selector)
        scale = _scale(query)
        whole = np.rint(query * scale)  # FAISS would truncate the fractions
        similarities, near = self._index.search(whole, depth, params=parameters)
        rough = similarities[0] / (self._scale * scale)
        off = _length(query[0]) * self._error
        off += _length((query - whole / scale)[0]) * (self._longest + self._error)
        return near[0], rough, off


def _scale(rows: Vectors) -> np.float32:
    """Return the factor that scales the largest number to 127."""
    return np.float32(127 / max(1e-12, float(rows.max()), -float(rows.min())))


def _length(vector: Vectors) -> float:
    return math.sqrt(float(vector @ vector))


def _longest(rows: Vectors) -> float:
    """Return the length of the longest row."""
    return math.sqrt(float(np.einsum("nd,nd->n", rows, rows).max()))
